"""Node types in a folder."""
