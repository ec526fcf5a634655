"""The real time, and real chance."""
