"""Git repositories as sources of flows."""
