"""The staging table: rows of one load that are not in the destination yet."""

from collections.abc import Collection, Sequence
from itertools import count, takewhile
from typing import Any

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from airflow_async_rest.core.keeping.row_sink import PlacedRow, RefusedRow, place_of
from airflow_async_rest.core.letters.lines import parse_exactly
from airflow_async_rest.databases.dialects.dialect import Dialect
from airflow_async_rest.databases.names import quoted
from airflow_async_rest.databases.session import tell
from airflow_async_rest.databases.values.columns import Column, Kind
from airflow_async_rest.load.destination import Destination
from airflow_async_rest.load.staging.column_sets import SETS, ColumnSets
from airflow_async_rest.load.staging.filling import PLACE, Filling, Part, storable

# Of one table: Oracle's have up to 1,000, and PostgreSQL's rows so many that a page holds.
_MOST_COLUMNS = 900


class Staging:
    """One load's staging table. Its name is its load's; whether it exists, the register knows.

    A table can have no more columns than the destination may have already, and the destination may get new ones while
    a load is under way: so there may be more tables, joined by the rows' places.

    :ivar dialect: of the database.
    :ivar columns: those that can be loaded.
    :ivar sets: which of them rows have.
    :ivar most: so many rows are staged at most: some may have been removed, or not been committed.
    """

    def __init__(self, name: str, destination: Destination, connection: Connection, dialect: Dialect) -> None:
        self._name = name
        self._destination = destination
        self._connection = connection
        self.dialect = dialect
        self.columns: tuple[Column, ...] = ()
        self.sets = ColumnSets(())
        self.most = 0
        self._parts: list[Part] = []

    @property
    def table(self) -> str:
        """Its name in SQL: of the first one, which has the keys."""
        return self.qualified(self._name)

    @property
    def parts(self) -> Sequence[Part]:
        """All its tables."""
        return self._parts

    def source(self, alias: str = "") -> str:
        """Write what rows are selected from.

        :param alias: of the first table.
        """
        joined = (f" LEFT JOIN {part.table} ON {part.place} = {PLACE}" for part in self._parts[1:])
        return f"{self.table}{alias}{''.join(joined)}"

    def quote(self, name: str) -> str:
        """Return a name as it is written in SQL, for ``text()``."""
        return quoted(name, self._connection.dialect)

    @property
    def _schema(self) -> str:
        """The destination's, with a dot; empty where it is the connection's own."""
        schema = self._destination.plan.schema
        return f"{quoted(schema, self._connection.dialect, is_schema=True)}." if schema else ""

    def qualified(self, table: str) -> str:
        """Return a table of the destination's schema as it is written in SQL."""
        return f"{self._schema}{self.quote(table)}"

    def names(self, columns: Sequence[Column]) -> str:
        """Return columns as they are written in SQL."""
        return ", ".join(self.quote(column.name) for column in columns)

    def prepare(self) -> None:
        """Let the session stage rows; before its first transaction."""
        if self.dialect.prepare_staging:
            self._execute(self.dialect.prepare_staging.format(schema=self._schema))

    def extend(self, columns: Sequence[Column]) -> None:
        """Make the table, empty, with columns of the destination's own types; or add those that are new."""
        new = [column for column in columns if column not in self.columns]
        for start in range(0, len(new), _MOST_COLUMNS):
            self._create(new[start : start + _MOST_COLUMNS])

    def _create(self, columns: Sequence[Column]) -> None:
        dialect, number = self.dialect, len(self._parts) + 1
        part = self._part(number, columns)
        ours = {part.place: dialect.place_type} | ({SETS: dialect.sets_type} if number == 1 else {})
        typed = {self.quote(column.name): column.staged_as for column in columns}
        source = self.qualified(self._destination.plan.table)
        self._execute(dialect.create_staging(part.table, source, ours, typed))
        if not dialect.is_indexed_late:
            self._index(part)
        self._set_parts([*self._parts, part])

    def _part(self, number: int, columns: Sequence[Column | None]) -> Part:
        return Part(number, self.qualified(_name_of(self._name, number)), tuple(columns))

    def _set_parts(self, parts: list[Part]) -> None:
        columns = [column for part in parts for column in part.columns]
        self._parts, self.columns = parts, tuple(filter(None, columns))
        self.sets = ColumnSets(columns, self.sets.seen if parts else ())

    def index(self) -> None:
        """Let rows be found by their place, unless they are already."""
        if self.dialect.is_indexed_late:
            for part in self._parts:
                self._index(part)

    def _index(self, part: Part) -> None:
        name = _name_of(self._name, part.number)
        index, table = self.quote(f"{name}_i"), self.quote(name)
        if create := self.dialect.create_index:
            self._execute(create.format(index=index, schema=self._schema, table=table, column=part.place))

    def open(self) -> int | None:
        """Find a table that an earlier try has made. :return: how many rows it has; None when there is none."""
        known: dict[str, Column] = {column.name: column for column in self._destination.columns}
        parts: list[Part] = []
        for number, name in enumerate(self._existing(self._name), 1):
            found = inspect(self._connection).get_columns(name, schema=self._destination.plan.schema)
            names = [column["name"] for column in found]
            part = self._part(number, ())
            part = part._replace(columns=tuple(known.get(each) for each in names if each not in {part.place, SETS}))
            if number == 1:
                self._complete("1" * len(part.columns), is_marked=SETS in names)
            parts.append(part)
        self._set_parts(parts)
        if not parts:
            return None
        self.most = self.look_at_sets()
        return self.most

    def _complete(self, all_columns: str, *, is_marked: bool) -> None:
        """Say of rows that an earlier version of this package has staged that they have all columns, as they had."""
        if not is_marked:
            self._execute(f"ALTER TABLE {self.table} ADD {SETS} {self.dialect.sets_type}")
        unmarked = text(f"UPDATE {self.table} SET {SETS} = :all WHERE {SETS} IS NULL")
        self._connection.execute(unmarked, {"all": all_columns})

    def look_at_sets(self) -> int:
        """Find out which sets of columns rows have. :return: how many rows there are."""
        query = f"SELECT {SETS}, count(*) FROM {self.table} GROUP BY {SETS}"
        found = {str(set_): int(count) for set_, count in self._connection.execute(text(query))}
        self.sets.see(found)
        return sum(found.values())

    def _existing(self, name: str) -> list[str]:
        """Find a load's tables, by the name of the first."""
        inspector, schema = inspect(self._connection), self._destination.plan.schema
        names = (_name_of(name, number) for number in count(1))
        return list(takewhile(lambda each: inspector.has_table(each, schema=schema), names))

    def drop(self, name: str = "") -> None:
        """Remove the table, if it is there.

        :param name: another load's.
        :raises DBAPIError: when somebody goes on reading it.
        """
        known = [] if name else [_name_of(self._name, part.number) for part in self._parts]
        tables = known or self._existing(name or self._name)
        if tables:
            tell(self._connection, self.dialect.before_drop)
        for table in reversed(tables):  # the first one says that there are others
            self._execute(f"DROP TABLE {self.qualified(table)}")
        if tables:
            tell(self._connection, self.dialect.after_drop)
        if not name:
            self._set_parts([])
            self.most = 0

    def drop_unless_read(self) -> None:
        """Remove the table in the transaction that needs it no longer. :raises DBAPIError: when somebody reads it."""
        tables = ", ".join(part.table for part in self._parts)
        self._execute(self.dialect.lock_to_drop.format(tables=tables))
        self.drop()

    def add(self, rows: Sequence[PlacedRow]) -> list[RefusedRow]:
        """Add rows. :return: those that are refused."""
        key = self._destination.plan.conflict_key
        refused = Filling(self._connection, self.dialect, self._parts, self.sets, key).add(rows)
        self.most += len(rows) - len(refused)
        return refused

    def remove(self, items: Collection[int]) -> int:
        """Remove the rows of items. :return: how many there were."""
        self.index()
        removed = 0
        for index in items:
            places = {"first": place_of(index, 0), "end": place_of(index + 1, 0)}
            for part in reversed(self._parts):  # each row has one place in the first
                statement = f"DELETE FROM {part.table} WHERE {part.place} >= :first AND {part.place} < :end"
                count = self.dialect.count_of(self._connection.execute(text(statement), places))
            removed += count
        return removed

    def read(self, condition: str, **binds: Any) -> list[PlacedRow]:
        """Read rows back, as values that can be staged again."""
        selected = [
            f"CAST({name} AS text)" if column.kind in self.dialect.read_as_text else name
            for column in self.columns
            for name in [self.quote(column.name)]
        ]
        query = f"SELECT {PLACE}, {SETS}, {', '.join(selected)} FROM {self.source()} WHERE {condition}"
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

    def count_distinct(self, keys: Sequence[str]) -> int:
        """Count the keys that rows have, NULL being one at most.

        :param keys: the columns of the conflict key, in SQL.
        """
        query = f"SELECT COUNT(*) FROM (SELECT DISTINCT {', '.join(keys)} FROM {self.table}) found"
        if [self._destination.kind_of(name) for name in self._destination.plan.conflict_key] == [Kind.INTEGER]:
            # PostgreSQL sorts them, in half the time of hashing; with texts it is the reverse.
            query = f"SELECT COUNT(DISTINCT {keys[0]}) FROM {self.table}"
        return int(self._connection.execute(text(query)).scalar_one())

    def places(self) -> list[int]:
        """Return the places of all rows, ascending."""
        query = f"SELECT {PLACE} FROM {self.table} ORDER BY {PLACE}"
        return [int(place) for (place,) in self._connection.execute(text(query))]

    def _execute(self, statement: str) -> None:
        self._connection.execute(text(statement))


def _name_of(name: str, number: int) -> str:
    return name if number == 1 else f"{name}_{number}"


def _json_of(value: str) -> Any:
    """Undo what a JSON column was written as, with all digits of its numbers."""
    try:
        return parse_exactly(value.encode())
    except ValueError:  # the driver has done it
        return value
