"""Rows -> items, read by a thread of their own."""
