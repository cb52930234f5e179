"""The databases that were tried, by SQLAlchemy's name and by the type of Airflow's connection."""

from importlib import import_module

from airflow_async_rest.databases.dialects.dialect import Dialect
from airflow_async_rest.databases.dialects.untried import Untried

# Name -> module and class. A module is imported when it is needed, as are the drivers in it.
_CLASSES = {
    "postgresql": "postgresql.postgresql.PostgreSQL",
    "postgres": "postgresql.postgresql.PostgreSQL",
    "oracle": "oracle.oracle.Oracle",
    "sqlite": "sqlite.SQLite",
    "mysql": "mysql.mysql.MySQL",
    "mariadb": "mysql.mysql.MariaDB",
    "snowflake": "snowflake.snowflake.Snowflake",
    "duckdb": "duckdb.duckdb.DuckDB",
}
# As people call them.
TRIED = tuple(dict.fromkeys(path.rpartition(".")[2] for path in _CLASSES.values()))


def dialect_named(name: str) -> Dialect:
    """Make the dialect of a database: of one that was never tried, if the name is not known."""
    module, _, kind = _CLASSES.get(name, "").rpartition(".")
    if not module:
        return Untried(name)
    made: Dialect = getattr(import_module(f"{__package__}.{module}"), kind)()
    return made
