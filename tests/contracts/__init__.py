"""What each port promises, proved for every adapter of it."""
