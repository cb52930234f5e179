"""Rows -> items, as the thread that reads makes them."""
