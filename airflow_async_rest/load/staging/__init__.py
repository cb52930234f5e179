"""Rows of a load that are not in the destination yet."""
