"""Connections of Airflow -> the engine's settings, their secrets, and the test of a connection."""
