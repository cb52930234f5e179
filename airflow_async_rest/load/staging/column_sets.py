"""Which of the staged columns a row has: a key that is missing is not one that is null. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import compress
from operator import and_, or_
from typing import Any

from airflow_async_rest.databases.values.columns import Column

# The column of a staging table that tells it, as a text: for each column, in their order, 1 or 0.
SETS = "async_rest_columns"
# Rows have few sets of keys, or as many as there are rows.
_MOST_REMEMBERED = 1_000


class ColumnSets:
    """The sets of columns that rows of one load have.

    :param columns: of the staging table, in its order; None: one that the destination does not have any more.
    :ivar seen: the sets of all rows that are staged, and perhaps of some that are not any more.
    :ivar any: the columns that any of them has.
    :ivar all: the columns that all of them have.
    """

    def __init__(self, columns: Sequence[Column | None], seen: Iterable[str] = ()) -> None:
        self._columns = tuple(columns)
        self._places = {column: place for place, column in enumerate(columns, 1) if column is not None}
        self._any_bits, self._all_bits = 0, (1 << len(self._columns)) - 1
        self._remembered: dict[tuple[str, ...], str] = {}
        self.seen: set[str] = set()
        self.any: tuple[Column, ...] = ()
        self.all: tuple[Column, ...] = ()
        self.see(seen)

    def see(self, sets: Iterable[str]) -> None:
        """Take in the sets of rows that are staged."""
        if not (new := set(sets) - self.seen):
            return
        bits = [self._bits(each) for each in new]
        self._any_bits, self._all_bits = reduce(or_, bits, self._any_bits), reduce(and_, bits, self._all_bits)
        self.seen |= new
        self.any, self.all = self._columns_at(self._any_bits), self._columns_at(self._all_bits)

    def is_of_all(self, column: Column) -> bool:
        """Return whether all rows have a column."""
        return bool(self._all_bits >> (len(self._columns) - self._places[column]) & 1)

    def of_rows(self, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], str]:
        """Return the sets of rows by their keys: by those of any of them where all have the same."""
        if set(map(len, rows)) == {len(set().union(*rows))}:  # takes a third of the time
            rows = rows[:1]
        return {each: self._of_keys(each) for each in set(map(tuple, rows))}

    def _of_keys(self, keys: tuple[str, ...]) -> str:
        if keys not in self._remembered:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            has = frozenset(keys)
            self._remembered[keys] = "".join("1" if column and column.name in has else "0" for column in self._columns)
        return self._remembered[keys]

    def columns_in(self, sets: Iterable[str]) -> tuple[Column, ...]:
        """Return the columns that any of some sets has."""
        return self._columns_at(reduce(or_, map(self._bits, sets), 0))

    def _bits(self, set_: str) -> int:
        """Read a set as a number; it is shorter than those of a table that has grown since."""
        return int(set_.ljust(len(self._columns), "0") or "0", 2)

    def _columns_at(self, bits: int) -> tuple[Column, ...]:
        flags = map(int, f"{bits:0{len(self._columns)}b}")
        return tuple(column for column in compress(self._columns, flags) if column is not None)

    def divide(self, by: Sequence[Column]) -> list[dict[Column, bool]]:
        """Divide the rows by which of some columns they have. :return: of each part, which it has."""
        places = [self._places[column] for column in by]
        found = dict.fromkeys(tuple(each[n - 1 : n] == "1" for n in places) for each in sorted(self.seen))
        return [dict(zip(by, flags, strict=True)) for flags in found]

    def has(self, column: Column, sets: str = SETS) -> str:
        """Write the condition that a row has a column.

        :param sets: the name in SQL of the column that tells it.
        """
        return f"SUBSTR({sets}, {self._places[column]}, 1) = '1'"

    def lacks(self, column: Column) -> str:
        """Write the condition that a row has no such column: of what is empty, Oracle says neither."""
        return f"COALESCE(SUBSTR({SETS}, {self._places[column]}, 1), '0') <> '1'"

    def union(self, over: str) -> list[str]:
        """Write the set of the columns that any of the rows of a window has: of each column its part of the text.

        :param over: the window, in SQL.
        """
        return [
            "'0'" if column is None else f"MAX(CASE WHEN {self.has(column)} THEN '1' ELSE '0' END) OVER ({over})"
            for column in self._columns
        ]
