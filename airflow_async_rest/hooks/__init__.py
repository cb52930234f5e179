"""Hooks: an Airflow connection, made into a REST client or a stream of rows."""
