"""Response -> rows: formats, what is found in them, and what goes into which column."""
