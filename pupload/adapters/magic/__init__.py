"""Media types told from bytes by libmagic."""
