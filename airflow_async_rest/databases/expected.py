"""How many rows a query will give: counted, or by PostgreSQL's planner."""

import contextlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from airflow_async_rest.core.reading.source import Expected
from airflow_async_rest.databases.dialects import is_transient

_COUNT = "SELECT count(*) FROM (\n{sql}\n) counted"
_ESTIMATE = "EXPLAIN (FORMAT JSON) SELECT * FROM (\n{sql}\n) counted WHERE CAST(:async_rest AS boolean)"


def expect(connection: Connection, sql: str, binds: Mapping[str, Any], *, count_rows: bool) -> Expected | None:
    """Find out how many rows there will be, on the connection that reads them; None if that fails.

    :param sql: as for ``text()``.
    """
    dialect = connection.dialect.name
    if count_rows:
        # By a cursor, as the one that reads: it takes a single statement only.
        ask, how = _COUNT, "counted"
    elif dialect == "postgresql" and connection.dialect.driver == "psycopg":
        # A bind makes psycopg take a single statement only; psycopg2 would take several.
        ask, how, binds = _ESTIMATE, "about", {**binds, "async_rest": True}
    else:
        return None
    try:
        with connection.begin_nested() if dialect == "postgresql" else contextlib.nullcontext():
            by_cursor = {"stream_results": how == "counted"}
            answer = connection.execute(text(ask.format(sql=sql)), binds, execution_options=by_cursor).scalar_one()
    except DBAPIError as error:
        if is_transient(error, dialect):
            raise
        return None
    return Expected(answer if how == "counted" else answer[0]["Plan"]["Plan Rows"], how)
