"""Staged rows into the destination."""
