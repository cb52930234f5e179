"""Rows into a staging table, and which of them the database refuses."""

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from airflow_async_rest.core.keeping.row_sink import PlacedRow, PlacedRows, RefusedRow
from airflow_async_rest.databases.dialects.dialect import Batches, Dialect
from airflow_async_rest.databases.names import quoted
from airflow_async_rest.databases.values.column_values import text_of
from airflow_async_rest.databases.values.columns import Column, Kind
from airflow_async_rest.load.refusals import check_hopeless, find_refused
from airflow_async_rest.load.staging.column_sets import SETS, ColumnSets

PLACE = "async_rest_place"
_NOT_IN_JSON = (bytes, bytearray, memoryview, timedelta, Decimal)
_SETS_COLUMN = Column(SETS, Kind.OURS)
# The server reads some while the next ones are written: both wait once for so many.
_AT_A_TIME = 500


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


@dataclass(eq=False)
class Filling:
    """Puts rows into a staging table, each with the columns that it has.

    :param key: names of the columns that every row must have: what it is known by.
    """

    connection: Connection
    dialect: Dialect
    parts: Sequence[Part]
    sets: ColumnSets
    key: Sequence[str]
    _marks: dict[tuple[str, ...], str] = field(default_factory=dict, init=False)

    def add(self, rows: Sequence[PlacedRow]) -> list[RefusedRow]:
        """Add rows to what the transaction has done. :return: those that are refused."""
        self._marks = self.sets.of_rows(PlacedRows.of(rows).values)
        faults = {mark: self._fault(mark) for mark in self._marks.values()}
        wrong: list[tuple[PlacedRow, str]] = []
        if any(faults.values()):
            wrong = [(row, fault) for row in rows if (fault := faults[self._mark(row.values)])]
            rows = [row for row in rows if not faults[self._mark(row.values)]]
        if self.dialect.null_refused:
            rows = self._without_nulls(rows, wrong)
        self.sets.see(mark for mark, fault in faults.items() if not fault)
        refused = wrong + self._fill(rows)
        if wrong:
            check_hopeless(len(refused), len(rows) + len(wrong) - len(refused), wrong[-1][1])
        return [RefusedRow(row.place, storable(row.values), message) for row, message in refused]

    def _without_nulls(self, rows: Sequence[PlacedRow], wrong: list[tuple[PlacedRow, str]]) -> Sequence[PlacedRow]:
        """Return the rows whose columns are not NULL where they must not be. :param wrong: gets the others."""
        required = [column for part in self.parts for column in part.columns if column and column.is_required]
        for column in required:
            # A row that lacks it may be there already, or get a default.
            lacking = "" if self.key or column.has_default else None
            with_null = {row.place for row in rows if row.values.get(column.name, lacking) is None}
            if with_null:
                words = f"{self.dialect.null_refused}: {column.name}"
                wrong += [(row, words) for row in rows if row.place in with_null]
                rows = [row for row in rows if row.place not in with_null]
        return rows

    def _mark(self, values: Mapping[str, Any]) -> str:
        if len(self._marks) == 1:  # in whatever order a row has its keys
            return next(iter(self._marks.values()))
        return self._marks[tuple(values)]

    def _marks_of(self, rows: PlacedRows) -> set[str]:
        distinct = set(self._marks.values())
        return distinct if len(distinct) == 1 else set(map(self._mark, rows.values))

    def _fault(self, mark: str) -> str:
        """Say what a row lacks that it cannot be loaded without; empty: nothing."""
        has = {column.name for column in self.sets.columns_in([mark])}
        if missing := [name for name in self.key if name not in has]:
            return f"the row has no value for {', '.join(missing)}, which conflict_key names"
        return "" if has else "the row has none of the columns"

    def _fill(self, rows: Sequence[PlacedRow]) -> list[tuple[PlacedRow, str]]:
        told: list[tuple[PlacedRow, str]] = []
        take = functools.partial(self._stage, told)
        refused: list[tuple[PlacedRow, str]] = []
        if not self._takes_all(rows, take):
            told.clear()
            refused = find_refused(rows, take, self.connection.begin_nested, self.dialect)
        refused += told
        if told:
            check_hopeless(len(refused), len(rows) - len(refused), told[-1][1])
        return refused

    def _takes_all(self, rows: Sequence[PlacedRow], take: Callable[[Sequence[PlacedRow]], None]) -> bool:
        """Add all rows at once; at a transaction's beginning without a savepoint: it costs two round trips.

        :return: whether the database takes them; if not, nothing is left of them.
        """
        is_first = not self.connection.in_transaction()
        transaction = self.connection.begin() if is_first else self.connection.begin_nested()
        try:
            if rows:
                take(rows)
        except Exception as error:
            if not self.dialect.is_refusal(error):
                raise
            transaction.rollback()
            return False
        if not is_first:
            transaction.commit()
        return True

    def _stage(self, told: list[tuple[PlacedRow, str]], rows: Sequence[PlacedRow]) -> None:
        """Add rows to each of the tables.

        :param told: gets those that the database refuses while it takes the others.
        """
        placed = PlacedRows.of(rows)
        marks = self._marks_of(placed)
        has = self.sets.columns_in(marks)
        for part in self.parts:
            own = part.those_of(has)
            if own or part.number == 1:
                columns = [Column(part.place, Kind.OURS), *own, *[_SETS_COLUMN] * (part.number == 1)]
                names = ", ".join(quoted(column.name, self.connection.dialect) for column in columns)
                batches = self._iter_batches(placed, own, marks, with_sets=part.number == 1)
                refused = self.dialect.stage(
                    self.connection, f"{part.table} ({names})", columns, batches, are_whole=len(self.parts) == 1
                )
                told += [(rows[number], message) for number, message in refused]

    def _iter_batches(
        self, rows: PlacedRows, columns: Sequence[Column], marks: Collection[str], *, with_sets: bool
    ) -> Batches:
        """Yield rows, some at a time, as columns: the place, the values, and perhaps the set of columns."""
        for start in range(0, len(rows.places), _AT_A_TIME):
            places, values = rows.places[start : start + _AT_A_TIME], rows.values[start : start + _AT_A_TIME]
            batch: list[Sequence[Any]] = [places]
            if len(marks) == 1:  # all have all of these columns
                batch += [list(map(itemgetter(column.name), values)) for column in columns]
            else:
                batch += [[row.get(column.name) for row in values] for column in columns]
            if with_sets:
                batch.append([*marks] * len(places) if len(marks) == 1 else list(map(self._mark, values)))
            yield batch


def storable(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return values as they can be staged again after they were JSON."""
    return {name: _as_text(value) if isinstance(value, _NOT_IN_JSON) else value for name, value in values.items()}


def _as_text(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value if value.is_finite() else str(value)
    return text_of(value) if isinstance(value, timedelta) else "\\x" + bytes(value).hex()
