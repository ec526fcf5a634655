"""What a database keeps, encrypted with keys that are kept in a file."""
