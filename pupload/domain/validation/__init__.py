"""Whether a flow can run: every rule it breaks, all at once."""
