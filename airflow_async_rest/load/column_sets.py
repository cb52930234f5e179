"""Which of the staged columns a row has: a key that is missing is not one that is null. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from airflow_async_rest.load.destination import Column

# The column of a staging table that tells it, as a text: for each column, in their order, 1 or 0.
SETS = "async_rest_columns"
# Rows have few sets of keys, or as many as there are rows.
_MOST_REMEMBERED = 1_000


class ColumnSets:
    """The sets of columns that rows of one load have.

    :param columns: of the staging table, in its order; None: one that the destination does not have any more.
    :ivar seen: those of all rows that are staged, and perhaps of some that are not any more.
    """

    def __init__(self, columns: Sequence[Column | None]) -> None:
        self._columns = tuple(columns)
        self._remembered: dict[tuple[str, ...], str] = {}
        self.seen: set[str] = set()

    def of_rows(self, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """Return the set of each row."""
        keys = list(map(tuple, rows))
        sets = {each: self._of_keys(each) for each in set(keys)}
        return [sets[each] for each in keys]

    def _of_keys(self, keys: tuple[str, ...]) -> str:
        if keys not in self._remembered:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            has = frozenset(keys)
            self._remembered[keys] = "".join("1" if column and column.name in has else "0" for column in self._columns)
        return self._remembered[keys]

    def columns_in(self, sets: Iterable[str]) -> tuple[Column, ...]:
        """Return the columns that any of some sets has."""
        return self._where(any, sets)

    def columns_of_each(self) -> tuple[Column, ...]:
        """Return the columns that all rows have."""
        return self._where(all, self.seen)

    def _where(self, decide: Callable[[Iterable[bool]], bool], sets: Iterable[str]) -> tuple[Column, ...]:
        # A set is shorter than those of a table that has grown since.
        flags = ([flag == "1" for flag in each.ljust(len(self._columns), "0")] for each in sets)
        of_columns = zip(self._columns, zip(*flags, strict=True), strict=False)
        return tuple(column for column, some in of_columns if column is not None and decide(some))

    def divide(self, by: Sequence[Column]) -> list[dict[Column, bool]]:
        """Divide the rows by which of some columns they have. :return: of each part, which it has."""
        numbers = [self._columns.index(column) for column in by]
        found = dict.fromkeys(tuple(each[n : n + 1] == "1" for n in numbers) for each in sorted(self.seen))
        return [dict(zip(by, flags, strict=True)) for flags in found]

    def has(self, column: Column, sets: str = SETS) -> str:
        """Write the condition that a row has a column.

        :param sets: the name in SQL of the column that tells it.
        """
        return f"SUBSTR({sets}, {self._columns.index(column) + 1}, 1) = '1'"

    def lacks(self, column: Column) -> str:
        """Write the condition that a row has no such column: of what is empty, Oracle says neither."""
        return f"COALESCE(SUBSTR({SETS}, {self._columns.index(column) + 1}, 1), '0') <> '1'"

    def union(self, over: str) -> list[str]:
        """Write the set of the columns that any of the rows of a window has: of each column its part of the text.

        :param over: the window, in SQL.
        """
        return [
            f"MAX(CASE WHEN {self.has(column)} THEN '1' ELSE '0' END) OVER ({over})" if column else "'0'"
            for column in self._columns
        ]
