"""State that outlives the process: SQLAlchemy Core describes it, SQLite keeps it."""
