"""The Pipelit surface: accounts, workflows drawn in pieces, executions and all around them, under `/api/v1`."""
