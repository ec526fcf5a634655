"""Every port in memory: for tests and dry runs."""
