"""An SQLAlchemy engine for Snowflake's own connector.

SQLAlchemy's dialect for Snowflake is not needed: all that is asked of one here is how names are written, and what a
table has. Names in small letters are those that Snowflake has in large ones, as with Oracle: unquoted, both are one.
"""

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import types
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import DBAPIError, NoSuchTableError
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.compiler import IdentifierPreparer

from airflow_async_rest.compat.sqlalchemy import Engine

NAME = "snowflake"
# Object does not exist, or the role may not see it; no current database, no current schema.
_NOT_THERE = frozenset({2003, 2043, 90105, 90106})
# What is no name without quotes.
_RESERVED = {
    "account", "all", "alter", "and", "any", "as", "between", "by", "case", "cast", "check", "column",
    "connect", "connection", "constraint", "create", "cross", "current", "current_date", "current_time",
    "current_timestamp", "current_user", "database", "delete", "distinct", "drop", "else", "exists", "false",
    "following", "for", "from", "full", "grant", "group", "gscluster", "having", "ilike", "in", "increment",
    "inner", "insert", "intersect", "into", "is", "issue", "join", "lateral", "left", "like", "localtime",
    "localtimestamp", "minus", "natural", "not", "null", "of", "on", "or", "order", "organization", "qualify",
    "regexp", "revoke", "right", "rlike", "row", "rows", "sample", "schema", "select", "set", "some", "start",
    "table", "tablesample", "then", "to", "trigger", "true", "try_cast", "union", "unique", "update", "using",
    "values", "view", "when", "whenever", "where", "with",
}  # fmt: skip
# Not so that the emulator's own types are left as they are: bytes that are too long are refused by the table itself.
_LENGTH_OF_BINARY = re.compile(r"^BINARY\(\d+\)$")
_TYPE = re.compile(r"(\w+)\s*(?:\((\d+)(?:\s*,\s*(\d+))?\))?")
_TYPES: dict[str, Callable[[], Any]] = {
    "TIMESTAMP_NTZ": types.DateTime,
    "TIMESTAMP_LTZ": lambda: types.DateTime(timezone=True),
    "TIMESTAMP_TZ": lambda: types.DateTime(timezone=True),
    "DATE": types.Date,
    "TIME": types.Time,
    "BOOLEAN": types.Boolean,
    "FLOAT": types.Float,
    "BINARY": types.LargeBinary,
    "VARCHAR": types.String,
    **dict.fromkeys(("VARIANT", "OBJECT", "ARRAY", "MAP"), types.JSON),
}


class _Preparer(IdentifierPreparer):
    """How names are written: a schema may have its database's before it."""

    reserved_words = _RESERVED

    def quote_schema(self, schema: str, force: Any = None) -> str:
        del force
        return ".".join(self.quote(part) for part in schema.split("."))


class SnowflakeDialect(DefaultDialect):
    """What SQLAlchemy has to know."""

    name = NAME
    driver = "connector"
    default_paramstyle = "qmark"
    preparer = _Preparer
    requires_name_normalize = True
    supports_statement_cache = True
    supports_native_boolean = True

    def do_savepoint(self, connection: Connection, name: str) -> None:
        """Do nothing: there are no savepoints, and a statement that fails undoes itself, and no more."""

    def do_rollback_to_savepoint(self, connection: Connection, name: str) -> None:
        """Do nothing: the statement that failed has undone itself."""

    def do_release_savepoint(self, connection: Connection, name: str) -> None:
        """Do nothing: see :meth:`do_savepoint`."""

    def has_table(self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any) -> bool:
        """Return whether there is a table or a view."""
        del kw
        return bool(self.find_columns(connection, table_name, schema))

    def get_columns(self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        """Describe a table's columns. :raises NoSuchTableError: when there is none."""
        del kw
        if not (found := self.find_columns(connection, table_name, schema)):
            raise NoSuchTableError(table_name)
        return found

    def get_view_names(self, connection: Connection, schema: str | None = None, **kw: Any) -> list[str]:
        """Return the names of a schema's views."""
        del kw
        database, _, name = (schema or "").rpartition(".")
        prefix = f"{self.identifier_preparer.quote_schema(database)}." if database else ""
        query = f"SELECT table_name FROM {prefix}information_schema.views WHERE table_schema = "
        normalize: Callable[[str], str] = self.normalize_name
        binds = (self.denormalize_name(name),) if name else ()  # type: ignore[no-untyped-call]
        found = connection.exec_driver_sql(query + ("?" if name else "current_schema()"), binds)
        return [normalize(view) for (view,) in found]

    def find_columns(self, connection: Connection, table: str, schema: str | None) -> list[Any]:
        """Describe a table's columns; none where there is no such table. No warehouse has to run for that."""
        prefix = f"{self.identifier_preparer.quote_schema(schema)}." if schema else ""
        try:
            found = connection.exec_driver_sql(f"DESCRIBE TABLE {prefix}{self.identifier_preparer.quote(table)}")
        except DBAPIError as error:
            if getattr(error.orig, "errno", None) in _NOT_THERE:
                return []
            raise
        names = [str(column[0]).lower() for column in found.cursor.description]
        lines = [dict(zip(names, line, strict=True)) for line in found]
        normalize: Callable[[str], str] = self.normalize_name
        return [_column(normalize(line["name"]), line) for line in lines]


def _column(name: str, described: dict[str, Any]) -> dict[str, Any]:
    column = {
        "name": name,
        "type": type_of(described["type"]),
        "nullable": described["null?"] != "N",
        "default": described["default"],
        "staged_as": _LENGTH_OF_BINARY.sub("BINARY", described["type"]),
    }
    if described["kind"] == "VIRTUAL" or described.get("expression"):
        column["computed"] = {"sqltext": described.get("expression") or ""}
    return column


def type_of(written: str) -> Any:
    """Return SQLAlchemy's type for one as ``DESCRIBE TABLE`` writes it: ``NUMBER(38,18)``."""
    name, precision, scale = _TYPE.match(written).groups()  # type: ignore[union-attr]
    if name == "NUMBER":
        return types.Numeric(int(precision or 38), int(scale)) if int(scale or 0) else types.BigInteger()
    if name == "VARCHAR":
        return types.String(int(precision) if precision else None)
    return _TYPES.get(name, types.NullType)()


def snowflake_engine(connect: Callable[[], Any]) -> Engine:
    """Make an engine. :param connect: makes a connection of the connector's, whose binds are question marks."""
    import snowflake.connector  # noqa: PLC0415  (an optional provider's driver)

    dialect = SnowflakeDialect(paramstyle="qmark", dbapi=snowflake.connector)
    return Engine(NullPool(connect, dialect=dialect), dialect, URL.create(NAME))
