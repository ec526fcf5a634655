"""A real server, a mix of flows, faults from a seed, and the checker's verdict: `scripts/torture`."""
