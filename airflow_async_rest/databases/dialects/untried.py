"""Databases that were never tried here: they are read as the standards say, and nothing is loaded into them."""

from airflow_async_rest.databases.dialects.dialect import Dialect
from airflow_async_rest.databases.quotes import Quotes

_LIKE_POSTGRESQL = Quotes(nested_comments=True, backticks=False, e=True)
_BACKSLASHES = Quotes(backslashes=True)
_MSSQL = Quotes(nested_comments=True, backticks=False, dollars=False, brackets=r"\[(?:[^\]]|\]\])*+(?:\]|\Z)")
_QUOTES = {
    **dict.fromkeys(("redshift", "cockroachdb"), _LIKE_POSTGRESQL),
    **dict.fromkeys(("bigquery", "databricks", "hive", "clickhouse"), _BACKSLASHES),
    "mssql": _MSSQL,
}


class Untried(Dialect):
    """A database of which no more is known than how it writes quotes, if that.

    :param name: SQLAlchemy's, or the type of Airflow's connection.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.quotes = _QUOTES.get(name, self.quotes)
