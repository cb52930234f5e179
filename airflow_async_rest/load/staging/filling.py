"""Rows into a staging table: by COPY, by arrays, by INSERTs; and which of them the database refuses."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.engine import Connection

from airflow_async_rest.core.keeping.loading import PlacedRow, RefusedRow
from airflow_async_rest.load.copy_text import copy_text
from airflow_async_rest.load.destination import Column
from airflow_async_rest.load.names import quoted, without_marks
from airflow_async_rest.load.refusals import check_hopeless, find_refused, is_refusal
from airflow_async_rest.load.staging.column_sets import SETS, ColumnSets
from airflow_async_rest.load.values import Kind, converter, text_of

PLACE = "async_rest_place"
_NOT_IN_JSON = (bytes, bytearray, memoryview, timedelta, Decimal)
_VALUES = itemgetter(PlacedRow._fields.index("values"))
_COPIED_AT_A_TIME = 1_000


class Part(NamedTuple):
    """One of the tables that are a staging table.

    :param number: 1 is the one that tells which columns rows have.
    :param table: its name in SQL.
    :param columns: in their order; None: one that the destination does not have any more.
    """

    number: int
    table: str
    columns: tuple[Column | None, ...]

    @property
    def place(self) -> str:
        """Its column with the rows' places."""
        return PLACE if self.number == 1 else f"{PLACE}_{self.number}"

    def those_of(self, columns: Sequence[Column]) -> tuple[Column, ...]:
        """Return those of some columns that are in this table."""
        own = frozenset(self.columns)
        return tuple(column for column in columns if column in own)


Take = Callable[[Sequence[PlacedRow]], None]


class Filling:
    """Puts rows into a staging table, each with the columns that it has.

    :param key: names of the columns that every row must have: what it is known by.
    """

    def __init__(self, connection: Connection, parts: Sequence[Part], sets: ColumnSets, key: Sequence[str]) -> None:
        self._connection = connection
        self._parts = parts
        self._sets = sets
        self._key = key
        self._marks: dict[tuple[str, ...], str] = {}

    def add(self, rows: Sequence[PlacedRow]) -> list[RefusedRow]:
        """Add rows to what the transaction has done. :return: those that are refused."""
        self._marks = self._sets.of_keys(set(map(tuple, map(_VALUES, rows))))
        faults = {mark: self._fault(mark) for mark in self._marks.values()}
        wrong: list[tuple[PlacedRow, str]] = []
        if any(faults.values()):
            wrong = [(row, fault) for row in rows if (fault := faults[self._mark(row)])]
            rows = [row for row in rows if not faults[self._mark(row)]]
        self._sets.see(mark for mark, fault in faults.items() if not fault)
        refused = wrong + self._fill(rows)
        if wrong:
            check_hopeless(len(refused), len(rows) + len(wrong) - len(refused), wrong[-1][1])
        return [RefusedRow(row.place, storable(row.values), message) for row, message in refused]

    def _mark(self, row: PlacedRow) -> str:
        return self._marks[tuple(row.values)]

    def _marks_of(self, rows: Sequence[PlacedRow]) -> set[str]:
        distinct = set(self._marks.values())
        return distinct if len(distinct) == 1 else set(map(self._mark, rows))

    def _fault(self, mark: str) -> str:
        """Say what a row lacks that it cannot be loaded without; empty: nothing."""
        has = {column.name for column in self._sets.columns_in([mark])}
        if missing := [name for name in self._key if name not in has]:
            return f"the row has no value for {', '.join(missing)}, which conflict_key names"
        return "" if has else "the row has none of the columns"

    def _fill(self, rows: Sequence[PlacedRow]) -> list[tuple[PlacedRow, str]]:
        dialect = self._connection.dialect
        told: list[tuple[PlacedRow, str]] = []
        take: Take = self._insert
        if dialect.name == "postgresql":
            take = self._copy
        elif dialect.name == "oracle" and len(self._parts) == 1:  # else a row might be taken by one and not by another
            take = self._insert_on_oracle(told)
        refused: list[tuple[PlacedRow, str]] = []
        if not self._takes_all(rows, take):
            told.clear()
            refused = find_refused(rows, take, self._connection.begin_nested, dialect)
        refused += told
        if told:
            check_hopeless(len(refused), len(rows) - len(refused), told[-1][1])
        return refused

    def _takes_all(self, rows: Sequence[PlacedRow], take: Take) -> bool:
        """Add all rows at once; at a transaction's beginning without a savepoint: it costs two round trips.

        :return: whether the database takes them; if not, nothing is left of them.
        """
        is_first = not self._connection.in_transaction()
        transaction = self._connection.begin() if is_first else self._connection.begin_nested()
        try:
            if rows:
                take(rows)
        except Exception as error:
            if not is_refusal(error, self._connection.dialect):
                raise
            transaction.rollback()
            return False
        if not is_first:
            transaction.commit()
        return True

    def _columns_of(self, rows: Sequence[PlacedRow]) -> Iterator[tuple[str, tuple[Column, ...], bool]]:
        """Yield where rows go: table and columns in SQL, the columns, and whether the rows' sets of columns do, too."""
        has = self._sets.columns_in(self._marks_of(rows))
        for part in self._parts:
            is_first = part.number == 1
            columns = part.those_of(has)
            names = [part.place, *(quoted(column.name, self._connection.dialect) for column in columns)]
            if columns or is_first:
                yield f"{part.table} ({', '.join(names + [SETS] * is_first)})", columns, is_first

    def _copy(self, rows: Sequence[PlacedRow]) -> None:
        raw: Any = self._connection.connection.dbapi_connection
        with raw.cursor() as cursor:
            for into, columns, is_first in self._columns_of(rows):
                statement = without_marks(f"COPY {into} FROM STDIN WITH (ENCODING 'UTF8')")
                texts = self._iter_copy_text(rows, columns, with_sets=is_first)
                if hasattr(cursor, "copy"):
                    with cursor.copy(statement) as copy:
                        for text_of_some in texts:
                            copy.write(text_of_some)
                else:  # psycopg2
                    import io  # noqa: PLC0415  (only there)

                    cursor.copy_expert(statement, io.BytesIO(b"".join(texts)))

    def _iter_copy_text(
        self, rows: Sequence[PlacedRow], columns: Sequence[Column], *, with_sets: bool
    ) -> Iterator[bytes]:
        """Write rows as text, some at a time: the server reads these while the next ones are written."""
        marks = self._marks_of(rows)
        for start in range(0, len(rows), _COPIED_AT_A_TIME):
            some = rows[start : start + _COPIED_AT_A_TIME]
            places, values = zip(*some, strict=True)
            of_columns: list[tuple[Kind, Sequence[Any]]] = [(Kind.INTEGER, places)]
            if len(marks) == 1:  # all have all of these columns
                of_columns += [(column.kind, [row[column.name] for row in values]) for column in columns]
                yield copy_text(of_columns, *marks if with_sets else ())
            else:
                of_columns += [(column.kind, [row.get(column.name) for row in values]) for column in columns]
                yield copy_text(of_columns + [(Kind.TEXT, list(map(self._mark, some)))] * with_sets)

    def _insert(self, rows: Sequence[PlacedRow]) -> None:
        """Insert rows with as many binds."""
        for into, columns, is_first in self._columns_of(rows):
            bound = [
                {f"c{number}": value for number, value in enumerate(row)}
                for row in self._bound(rows, columns, with_sets=is_first)
            ]
            binds = ", ".join(f":{name}" for name in bound[0])
            self._connection.execute(text(f"INSERT INTO {into} VALUES ({binds})"), bound)

    def _bound(self, rows: Sequence[PlacedRow], columns: Sequence[Column], *, with_sets: bool) -> Iterator[list[Any]]:
        """Yield rows as the driver binds them: the place, the values, the set of columns."""
        dialect = self._connection.dialect.name
        converters = [(column.name, converter(column.kind, dialect)) for column in columns]
        for row in rows:
            values = [convert(row.values.get(name)) for name, convert in converters]
            yield [row.place, *values, *([self._mark(row)] if with_sets else [])]

    def _insert_on_oracle(self, refused: list[tuple[PlacedRow, str]]) -> Take:
        """Make the function that inserts rows as arrays.

        :param refused: gets those of which the driver tells that the database refuses them; it takes the others.
        """

        def take(rows: Sequence[PlacedRow]) -> None:
            [(into, columns, _)] = self._columns_of(rows)
            binds = ", ".join(f":{number}" for number in range(1, len(columns) + 3))
            statement = without_marks(f"INSERT INTO {into} VALUES ({binds})")
            data = list(self._bound(rows, columns, with_sets=True))
            raw: Any = self._connection.connection.dbapi_connection
            with raw.cursor() as cursor:
                # The driver would take a column's type from its first row, and refuse what the next ones have.
                cursor.setinputsizes(None, *oracle_sizes(columns), None)
                cursor.executemany(statement, data, batcherrors=True)
                errors = cursor.getbatcherrors()
            refused.extend((rows[error.offset], " ".join(error.message.split())) for error in errors)

        return take


def oracle_sizes(columns: Sequence[Column]) -> list[Any]:
    """Return the types that Oracle's driver should bind, where the first row does not tell."""
    import oracledb  # noqa: PLC0415  (an optional provider's driver)

    sizes = {
        Kind.NAIVE_TIME: oracledb.DB_TYPE_TIMESTAMP,
        Kind.AWARE_TIME: oracledb.DB_TYPE_TIMESTAMP_TZ,
        Kind.INTEGER: oracledb.DB_TYPE_NUMBER,
        Kind.NUMBER: oracledb.DB_TYPE_NUMBER,
    }
    return [sizes.get(column.kind) for column in columns]


def storable(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return values as they can be staged again after they were JSON."""
    return {name: _as_text(value) if isinstance(value, _NOT_IN_JSON) else value for name, value in values.items()}


def _as_text(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value if value.is_finite() else str(value)
    return text_of(value) if isinstance(value, timedelta) else "\\x" + bytes(value).hex()
