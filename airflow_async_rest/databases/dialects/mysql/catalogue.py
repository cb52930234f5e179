"""The table that is loaded, as the server's catalogue describes it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import inspect, text, types
from sqlalchemy.engine import Connection
from sqlalchemy.exc import NoSuchTableError

from airflow_async_rest.core.errors import ConfigurationError

_WHERE = "table_name = :table AND table_schema = COALESCE(:schema, DATABASE())"
_KIND = text(f"SELECT engine, table_type FROM information_schema.tables WHERE {_WHERE}")
_TYPES = text(
    "SELECT column_name, column_type, character_set_name, collation_name "
    f"FROM information_schema.columns WHERE {_WHERE}"
)
# MariaDB keeps JSON as texts of which it checks this.
_ONLY_JSON = text(
    """
    SELECT constraint_name FROM information_schema.check_constraints
    WHERE table_name = :table AND constraint_schema = COALESCE(:schema, DATABASE())
        AND check_clause = CONCAT('json_valid(`', constraint_name, '`)')
    """
)
_WITHOUT_TRANSACTIONS = frozenset({"MyISAM", "Aria", "MEMORY", "CSV", "ARCHIVE", "MRG_MyISAM", "BLACKHOLE"})


def columns_of(connection: Connection, table: str, schema: str | None) -> Sequence[Any]:
    """Describe a table's columns as SQLAlchemy's inspector does, with the types they are staged as.

    :return: none, when there is no such table.
    :raises ConfigurationError: when it has no transactions, or a name that is misread.
    """
    where = {"table": table, "schema": schema}
    try:
        described = inspect(connection).get_columns(table, schema=schema)
    except NoSuchTableError:
        return []
    is_view = _check_kind(table, connection.execute(_KIND, where).first())
    found = {str(name): _typed(*map(_text, about)) for name, *about in connection.execute(_TYPES, where)}
    if misread := [column["name"] for column in described if column["name"] not in found]:
        raise ConfigurationError(
            f"destination_table={table!r} has the column {misread[0]!r}, whose name SQLAlchemy misreads: give it one "
            "without backticks, or load a view that does."
        )
    of_json = {_text(name) for (name,) in connection.execute(_ONLY_JSON, where)} if _is_mariadb(connection) else set()
    return [
        {
            **column,
            "staged_as": found[column["name"]],
            # Of the others, the server says so itself; but in these NULL becomes the time that it is.
            "nullable": column["nullable"] or not found[column["name"]].startswith("timestamp"),
            "type": types.JSON() if column["name"] in of_json else column["type"],
            # A view's columns have the defaults of its table's.
            **({"default": ""} if is_view else {}),
            "is_view": is_view,
        }
        for column in described
    ]


def _check_kind(table: str, found: Any) -> bool:
    """Return whether it is a view. :raises ConfigurationError: when it has no transactions."""
    engine, kind = map(_text, found or ("", ""))
    if engine in _WITHOUT_TRANSACTIONS:
        raise ConfigurationError(
            f"destination_table={table!r} is kept by {engine}, which has no transactions: a load that ends in the "
            f"middle would leave some of its rows. ALTER TABLE {table} ENGINE = InnoDB."
        )
    return kind == "VIEW"


def _is_mariadb(connection: Connection) -> bool:
    return bool(getattr(connection.dialect, "is_mariadb", False))


def _text(value: Any) -> str:
    """Return what a catalogue says: some servers write it as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value or "")


def _typed(type_: str, charset: str, collation: str) -> str:
    # A value's name may have a colon in it, which does not begin a bind.
    return type_.replace(":", "\\:") + (f" CHARACTER SET {charset} COLLATE {collation}" if charset else "")
