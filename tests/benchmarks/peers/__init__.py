"""The same flows as programs of other runners, each run by an environment of its own: nothing here imports another."""
