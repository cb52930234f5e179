"""An SQLAlchemy dialect for DuckDB, as far as it is needed here, and engines of it."""

import re
from collections.abc import Callable
from typing import Any

import duckdb
from sqlalchemy import text, types
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.compiler import IdentifierPreparer

from airflow_async_rest.compat.sqlalchemy import Engine
from airflow_async_rest.databases.dialects.duckdb.session import Session

_TYPES: dict[str, types.TypeEngine[Any]] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), types.BigInteger()),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"), types.BigInteger()),
    "BIGNUM": types.BigInteger(),
    **dict.fromkeys(("FLOAT", "DOUBLE", "DECIMAL"), types.Numeric()),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), types.DateTime()),
    "TIMESTAMP WITH TIME ZONE": types.DateTime(timezone=True),
    "DATE": types.Date(),
    "BOOLEAN": types.Boolean(),
    "VARCHAR": types.Text(),
    "BLOB": types.LargeBinary(),
    "JSON": types.JSON(),
}
_SIMPLE = re.compile(r"DECIMAL(?=\(\d+,\d+\)$)|[^(\[]+$")
_HERE = "database_name = current_database() AND lower(schema_name) = lower(coalesce(:schema, current_schema()))"
_COLUMNS = text(
    f"""
    SELECT column_name, data_type, is_nullable, column_default, generation_expression
    FROM duckdb_columns() WHERE {_HERE} AND lower(table_name) = lower(:table) ORDER BY column_index
    """
)
_TABLES = text(f"SELECT table_name FROM duckdb_tables() WHERE {_HERE}")
_VIEWS = text(f"SELECT view_name FROM duckdb_views() WHERE {_HERE}")


class _Quoting(IdentifierPreparer):
    def _requires_quotes(self, value: str) -> bool:
        return True  # which words are reserved depends on the version, and capitals mean nothing


class DuckDBDialect(DefaultDialect):
    """DuckDB, over :class:`~airflow_async_rest.databases.dialects.duckdb.session.Session`."""

    name = "duckdb"
    driver = "duckdb"
    default_paramstyle = "qmark"
    default_schema_name = "main"
    supports_statement_cache = True
    preparer = _Quoting

    def do_begin(self, dbapi_connection: Any) -> None:
        """Begin nothing: what reads begins by a statement."""

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Run a statement; of one that is read, all values are to be as they are."""
        is_read = context is not None and context.execution_options.get("stream_results")
        (cursor.read if is_read else cursor.execute)(statement, parameters)

    def do_savepoint(self, connection: Connection, name: str) -> None:
        """Set a savepoint."""
        _session_of(connection).save(name)

    def do_rollback_to_savepoint(self, connection: Connection, name: str) -> None:
        """Undo what was done since a savepoint."""
        _session_of(connection).return_to(name)

    def do_release_savepoint(self, connection: Connection, name: str) -> None:
        """Forget a savepoint."""

    def has_table(self, connection: Connection, table_name: str, schema: str | None = None, **_: Any) -> bool:
        """Return whether there is a table or a view."""
        return bool(connection.execute(_COLUMNS, {"table": table_name, "schema": schema}).all())

    def get_columns(self, connection: Connection, table_name: str, schema: str | None = None, **_: Any) -> list[Any]:
        """Describe the columns of a table or a view; each is staged as what it is."""
        found = connection.execute(_COLUMNS, {"table": table_name, "schema": schema}).all()
        if not found:
            raise NoSuchTableError(table_name)
        return [
            {
                "name": name,
                "type": _type_of(kind),
                "nullable": nullable,
                "default": default,
                "computed": made,
                "staged_as": kind.replace(":", "\\:"),  # which does not begin a bind there
            }
            for name, kind, nullable, default, made in found
        ]

    def get_table_names(self, connection: Connection, schema: str | None = None, **_: Any) -> list[str]:
        """Return the names of a schema's tables."""
        return list(connection.execute(_TABLES, {"schema": schema}).scalars())

    def get_view_names(self, connection: Connection, schema: str | None = None, **_: Any) -> list[str]:
        """Return the names of a schema's views."""
        return list(connection.execute(_VIEWS, {"schema": schema}).scalars())


def duckdb_engine(file: str, connect: Callable[[], Any]) -> Engine:
    """Make an engine.

    :param file: the database.
    :param connect: makes a connection of the driver's.
    """
    dialect = DuckDBDialect(dbapi=duckdb)

    def session() -> Any:
        return Session(connect())

    return Engine(NullPool(session, dialect=dialect), dialect, URL.create("duckdb", database=file))


def _session_of(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def _type_of(name: str) -> types.TypeEngine[Any]:
    if name.startswith("DECIMAL") and name.endswith(",0)"):
        return types.BigInteger()
    found = _SIMPLE.match(name)
    return _TYPES.get(found[0], types.NULLTYPE) if found else types.NULLTYPE
