"""Limits that tasks share, and the store that keeps them: what a connection says of these."""
