"""How many rows a query will give: counted, or by the database's planner."""

import contextlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from airflow_async_rest.core.reading.source import Expected
from airflow_async_rest.databases.dialects.dialect import Dialect

_COUNT = "SELECT count(*) FROM (\n{sql}\n) counted"


def expect(
    connection: Connection, dialect: Dialect, sql: str, binds: Mapping[str, Any], *, count_rows: bool
) -> Expected | None:
    """Find out how many rows there will be, on the connection that reads them; None if that fails.

    :param sql: as for ``text()``.
    """
    try:
        if count_rows:
            return Expected(_count(connection, dialect, sql, binds), "counted")
        about = dialect.estimate(connection, sql, binds)
    except DBAPIError as error:
        if dialect.is_transient(error):
            raise
        return None
    return None if about is None else Expected(about, "about")


def _count(connection: Connection, dialect: Dialect, sql: str, binds: Mapping[str, Any]) -> int:
    # By a cursor, as the one that reads: it takes a single statement only.
    by_cursor = {"stream_results": True}
    with connection.begin_nested() if dialect.fails_whole else contextlib.nullcontext():
        counted = connection.execute(text(_COUNT.format(sql=sql)), binds, execution_options=by_cursor)
        return int(counted.scalar_one())
