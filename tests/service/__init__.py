"""What pupload can be asked to do."""
