"""Files read as tables, in processes of their own."""
