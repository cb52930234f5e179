"""DuckDB, by its own driver."""
