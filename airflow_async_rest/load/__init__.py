"""Rows into a table, exactly once: staged in committed chunks, merged in one transaction."""
