"""What pupload knows of the world outside: one folder for each thing, which names its library and nobody else does."""
