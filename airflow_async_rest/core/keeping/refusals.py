"""Rows that a database refuses: dead letters of their own, until it takes them after all."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from airflow_async_rest.core.account.recorder import Snapshot
from airflow_async_rest.core.keeping.row_sink import PlacedRow, RefusedRow, item_of, place_of
from airflow_async_rest.core.letters.folder import Record, refused_record


class Effect(NamedTuple):
    """What became of rows in one transaction.

    :param refused: by the database.
    :param again: places of rows that the totals count as refused, and that were tried again.
    :param taken: places of rows that some part calls refused, and that are no longer.
    """

    refused: Sequence[RefusedRow] = ()
    again: Collection[int] = ()
    taken: Collection[int] = ()

    def letters(self, redact: Callable[[str], str]) -> list[Record]:
        """Return the dead letters of the rows that were refused."""
        return [refused_record(*item_of(row.place), row.values, redact(row.message)) for row in self.refused]

    def resolved(self) -> list[Record]:
        """Return what a part says of rows that are refused no longer."""
        return [
            {"index": index, "row_number": number, "resolved": True}
            for index, number in map(item_of, sorted(self.taken))
        ]


class Refusals:
    """Knows which rows are refused so far."""

    def __init__(self) -> None:
        # Places of rows that some part of an earlier try calls refused, until it is known what became of them now.
        self._refused: set[int] = set()
        self._counted: set[int] = set()  # of these, those that the totals count
        self._of_open_items: set[int] = set()  # those that this try has had refused, of items that may still fail

    def begin(self, counted: Sequence[Mapping[str, Any]], known: Sequence[Mapping[str, Any]]) -> list[PlacedRow]:
        """Begin with what earlier tries have left. :return: the rows to be staged once more.

        :param counted: records of refused rows, those that the totals count.
        :param known: all of them.
        """
        rows = [PlacedRow(_place_in(record), record["row"]) for record in counted]
        self._counted = {row.place for row in rows}
        self._refused = self._counted.union(map(_place_in, known))
        self._of_open_items = set()
        return rows

    def of_staging(self, snapshot: Snapshot, rows: Sequence[PlacedRow], refused: Sequence[RefusedRow]) -> Effect:
        """Look at rows that are staged: they may have been refused before, or are of an item that is fetched once more.

        What was refused of an item that is removed is no longer.
        """
        if not self._refused and not self._of_open_items:
            return Effect(refused)
        fetched, places = frozenset(snapshot.fetched), {row.place for row in rows}
        known = {place for place in self._refused if place in places or item_of(place)[0] in fetched}
        removed = {p for p in self._refused | self._of_open_items if item_of(p)[0] in snapshot.removed}
        again = self._counted & (places | removed) | self._of_open_items & removed
        return Effect(refused, again, (known | removed).difference(row.place for row in refused))

    def of_merge(self, refused: Sequence[RefusedRow]) -> Effect:
        """Look at what a merge has refused: all else is taken."""
        return Effect(refused, (), self._refused.difference(row.place for row in refused))

    def confirm(self, effect: Effect, snapshot: Snapshot) -> None:
        """Take in what is committed."""
        refused = [row.place for row in effect.refused]
        self._counted.difference_update(effect.again)
        self._refused.difference_update(effect.taken, refused)
        standing = self._of_open_items.difference(effect.again).union(refused)
        self._of_open_items = {place for place in standing if item_of(place)[0] in snapshot.bookmarks}


def _place_in(record: Mapping[str, Any]) -> int:
    return place_of(record["index"], record["row_number"])
