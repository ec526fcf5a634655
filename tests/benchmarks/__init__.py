"""What `scripts/bench` measures: pupload beside what the machine could do without it, in the same minutes."""
