"""Rows -> items, read by a separate thread."""
