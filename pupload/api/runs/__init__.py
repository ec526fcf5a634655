"""The Runs API: pipelines are triggered, and their runs followed, under `/api`."""
