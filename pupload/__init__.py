"""pupload: a container-based flow runner for files."""
