"""The staging table: rows of one load that are not in the destination yet."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from airflow_async_rest.core.dead_letters import parse_exactly
from airflow_async_rest.core.loading import PlacedRow, RefusedRow
from airflow_async_rest.load.column_sets import SETS, ColumnSets
from airflow_async_rest.load.destination import Column, Destination
from airflow_async_rest.load.filling import PLACE, Filling, storable
from airflow_async_rest.load.names import quoted
from airflow_async_rest.load.values import Kind

# The driver reads no time that is infinite, before the year 1 or after 9999, and gives some of these as its own types.
_READ_AS_TEXT = frozenset({Kind.AWARE_TIME, Kind.NAIVE_TIME, Kind.DATE, Kind.OTHER, Kind.JSON})
_DROP_IF_EXISTS = frozenset({"postgresql", "sqlite", "mysql", "mariadb"})
_PLACE_TYPES = {"oracle": "NUMBER(19)", "mysql": "SIGNED", "mariadb": "SIGNED"}
_SETS_TYPES = {"oracle": "VARCHAR2(4000)", "mysql": "VARCHAR(4000)", "mariadb": "VARCHAR(4000)"}


class Staging:
    """One load's staging table. Its name is its load's; whether it exists, the register knows.

    :ivar columns: those that can be loaded.
    :ivar sets: which of them rows have.
    """

    def __init__(self, name: str, destination: Destination, connection: Connection) -> None:
        self._name = name
        self._destination = destination
        self._connection = connection
        self.columns: tuple[Column, ...] = ()
        self.sets = ColumnSets(())

    @property
    def table(self) -> str:
        """Its name in SQL."""
        return self.qualified(self._name)

    def _quote(self, name: str) -> str:
        return quoted(name, self._connection.dialect)

    def qualified(self, table: str) -> str:
        """Give a table of the destination's schema as it is written in SQL."""
        schema = self._destination.plan.schema
        return f"{self._quote(schema)}.{self._quote(table)}" if schema else self._quote(table)

    def names(self, columns: Sequence[Column]) -> str:
        """Give columns as they are written in SQL."""
        return ", ".join(self._quote(column.name) for column in columns)

    def create(self, columns: tuple[Column, ...]) -> None:
        """Make the table, empty, with columns of the destination's own types.

        PostgreSQL need not log it: after a crash of the server it is empty, and that is noticed.
        """
        dialect = self._connection.dialect.name
        kind = "UNLOGGED TABLE" if dialect == "postgresql" else "TABLE"
        own = [
            f"CAST(0 AS {_PLACE_TYPES.get(dialect, 'BIGINT')}) AS {PLACE}",
            f"CAST('1' AS {_SETS_TYPES.get(dialect, 'text').replace('VARCHAR(', 'CHAR(')}) AS {SETS}",
        ]
        self._execute(
            f"CREATE {kind} {self.table} AS SELECT {', '.join([*own, *map(self._typed, columns)])} "
            f"FROM {self.qualified(self._destination.plan.table)} WHERE 1 = 0"
        )
        if dialect not in {"postgresql", "sqlite"}:
            self.index()  # now: later it would end the transaction in which it is needed
        self._set_columns(columns)

    def _typed(self, column: Column) -> str:
        name = self._quote(column.name)
        return f"CAST({name} AS {column.staged_as}) AS {name}" if column.staged_as else name

    def _set_columns(self, columns: Sequence[Column | None]) -> None:
        self.columns, self.sets = tuple(filter(None, columns)), ColumnSets(columns)

    def index(self) -> None:
        """Let rows be found by their place."""
        index, table = f"{self._name}_i", self.table
        match self._connection.dialect.name:  # which schema it is in, and who says so
            case "oracle":
                name = self.qualified(index)
            case "sqlite":
                name, table = self.qualified(index), self._quote(self._name)
            case _:
                name = self._quote(index)
        self._execute(f"CREATE INDEX {name} ON {table} ({PLACE})")

    def open(self) -> int | None:
        """Find a table that an earlier try has made. :return: how many rows it has; None when there is none."""
        schema, inspector = self._destination.plan.schema, inspect(self._connection)
        if not inspector.has_table(self._name, schema=schema):
            return None
        names = [column["name"] for column in inspector.get_columns(self._name, schema=schema)]
        known = {column.name: column for column in self._destination.columns}
        staged = [name for name in names if name not in {PLACE, SETS}]
        self._set_columns([known.get(name) for name in staged])
        self._complete("1" * len(staged), is_marked=SETS in names)
        return self.look_at_sets()

    def look_at_sets(self) -> int:
        """Find out which sets of columns rows have. :return: how many rows there are."""
        query = f"SELECT {SETS}, count(*) FROM {self.table} GROUP BY {SETS}"
        found = {str(set_): int(count) for set_, count in self._connection.execute(text(query))}
        self.sets.seen.update(found)
        return sum(found.values())

    def _complete(self, all_columns: str, *, is_marked: bool) -> None:
        """Say of rows that an earlier version of this package has staged that they have all columns, as they had."""
        if not is_marked:
            type_ = _SETS_TYPES.get(self._connection.dialect.name, "text")
            self._execute(f"ALTER TABLE {self.table} ADD {SETS} {type_}")
        self._connection.execute(
            text(f"UPDATE {self.table} SET {SETS} = :all WHERE {SETS} IS NULL"), {"all": all_columns}
        )

    def drop(self, name: str = "") -> None:
        """Remove the table, if it is there.

        :param name: another load's.
        """
        table, schema = name or self._name, self._destination.plan.schema
        if self._connection.dialect.name in _DROP_IF_EXISTS:
            self._execute(f"DROP TABLE IF EXISTS {self.qualified(table)}")
        elif inspect(self._connection).has_table(table, schema=schema):
            self._execute(f"DROP TABLE {self.qualified(table)}")
        if not name:
            self._set_columns(())

    def add(self, rows: Sequence[PlacedRow]) -> list[RefusedRow]:
        """Add rows, as the first thing of a transaction. :return: those that are refused."""
        key = self._destination.plan.conflict_key
        return Filling(self._connection, self.table, self.columns, self.sets, key).add(rows)

    def read(self, condition: str, **binds: Any) -> list[PlacedRow]:
        """Read rows back, as values that can be staged again."""
        dialect = self._connection.dialect.name
        texts = _READ_AS_TEXT if dialect == "postgresql" else ()
        selected = [
            f"CAST({name} AS text)" if column.kind in texts else name
            for column in self.columns
            for name in [self._quote(column.name)]
        ]
        query = f"SELECT {PLACE}, {SETS}, {', '.join(selected)} FROM {self.table} WHERE {condition}"
        rows = []
        for place, mark, *values in self._connection.execute(text(query), binds):
            has = set(self.sets.columns_in([mark]))
            read = {
                column.name: _json_of(value) if column.kind is Kind.JSON and isinstance(value, str) else value
                for column, value in zip(self.columns, values, strict=True)
                if column in has
            }
            rows.append(PlacedRow(int(place), storable(read)))
        return rows

    def count(self, condition: str = "1 = 1", **binds: Any) -> int:
        """Count rows."""
        query = f"SELECT count(*) FROM {self.table} WHERE {condition}"
        return int(self._connection.execute(text(query), binds).scalar_one())

    def places(self) -> list[int]:
        """Give the places of all rows, ascending."""
        query = f"SELECT {PLACE} FROM {self.table} ORDER BY {PLACE}"
        return [int(place) for (place,) in self._connection.execute(text(query))]

    def _execute(self, statement: str) -> None:
        self._connection.execute(text(statement))


def _json_of(value: str) -> Any:
    """Undo what a JSON column was written as, with all digits of its numbers."""
    try:
        return parse_exactly(value.encode())
    except ValueError:  # the driver has done it
        return value
