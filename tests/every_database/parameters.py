"""Which databases there are, and which of them can be had here."""

import importlib.util
import os

import pytest

# The driver of each, which may be installed in another environment only.
DRIVERS = {
    "postgresql": "psycopg",
    "pgbouncer": "psycopg",
    "sqlite": "sqlite3",
    "mariadb": "MySQLdb",
    "mariadb, lax": "MySQLdb",
    "duckdb": "duckdb",
    "snowflake": "fakesnow",
    "oracle": "oracledb",
}


def lack_of(database: str) -> str | None:
    """Return what must be there to test a database, and is not."""
    driver = DRIVERS[database]
    if importlib.util.find_spec(driver) is None:
        return f"needs {driver}: make databases"
    if database == "oracle" and "ORACLE_DSN" not in os.environ:
        return "needs an Oracle database: set ORACLE_DSN=oracle://user:password@host:port/service"
    return None


PARAMETERS = [
    pytest.param(name, marks=pytest.mark.release) if name == "pgbouncer" else name
    for name in DRIVERS
    if not lack_of(name)
]
