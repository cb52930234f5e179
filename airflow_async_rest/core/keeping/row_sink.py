"""Where fetched rows go: what the engine asks of a database, and the rows that wait for it."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple, Protocol, overload

from airflow_async_rest.core.bounds import USUAL, Bounds

# What the rows of a byte of an answer take in memory: one of a long text, six of small objects (measured).
_BYTES_OF_ROWS = 4
# A row's place is one number: that of its item, and its own among the item's rows.
MOST_ROWS_OF_AN_ITEM = 1 << 24


class PlacedRow(NamedTuple):
    """A row, and where it comes from.

    :param place: ascending from item to item, and within each in the order of the API; see :func:`item_of`.
    :param values: column -> value.
    """

    place: int
    values: Mapping[str, Any]


class PlacedRows(Sequence[PlacedRow]):
    """Rows in two lists, which take a tenth of the time to be made that a tuple for each takes.

    :ivar places: of the rows.
    :ivar values: theirs: column -> value.
    """

    __slots__ = ("places", "values")

    def __init__(self, places: Iterable[int] = (), values: Iterable[Mapping[str, Any]] = ()) -> None:
        self.places, self.values = list(places), list(values)

    @classmethod
    def of(cls, rows: Sequence[PlacedRow]) -> "PlacedRows":
        """Return rows in this form."""
        return rows if isinstance(rows, cls) else cls((row.place for row in rows), (row.values for row in rows))

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[PlacedRow]:
        return map(PlacedRow, self.places, self.values)

    @overload
    def __getitem__(self, number: int) -> PlacedRow: ...
    @overload
    def __getitem__(self, number: slice) -> "PlacedRows": ...
    def __getitem__(self, number: int | slice) -> "PlacedRow | PlacedRows":
        if isinstance(number, slice):
            return PlacedRows(self.places[number], self.values[number])
        return PlacedRow(self.places[number], self.values[number])


class RefusedRow(NamedTuple):
    """A row that the database does not take, with its message."""

    place: int
    values: Mapping[str, Any]
    message: str


class Merged(NamedTuple):
    """What moved into the destination.

    :param loaded: rows that the destination took.
    :param refused: those that it did not; they are no longer staged.
    :param vanished: those of which it says neither.
    """

    loaded: int
    refused: list[RefusedRow]
    vanished: int = 0


class Staged(NamedTuple):
    """What became of rows that were handed to a sink.

    :param refused: those that it does not take.
    :param removed: how many rows of earlier calls it has removed.
    """

    refused: Sequence[RefusedRow] = ()
    removed: int = 0


class RowSink(Protocol):
    """Where the rows of answers go. Its methods run on the event loop, and raise
    :class:`~airflow_async_rest.core.errors.LoadError` when rows cannot go there any more.

    :ivar replaces: whether rows replace what was there: then what is not whole is not merged.
    :ivar needs_rows: whether a merge without rows may be refused.
    :ivar can_remove: whether rows can be removed again; else an item's are staged when its last page has come.
    """  # noqa: D205

    replaces: bool = False
    needs_rows: bool = False
    can_remove: bool = False

    async def stage(self, rows: Sequence[PlacedRow], removed: Collection[int]) -> Staged:
        """Take rows in, when there is room for them; before that, remove those of some items."""
        ...

    async def merge(self, *, first: bool) -> Merged:
        """Bring all rows to where they belong.

        :param first: whether none are there yet.
        """
        ...

    def cancel(self) -> None:
        """Make a call that is under way raise, soon; from any thread."""


class LoadState(Enum):
    """How far a load has come."""

    STAGING = "staging"  # rows are being staged
    MERGED = "merged"  # all that was staged is in the destination; some items failed, a retry may bring them
    DONE = "done"  # and nothing is left to do
    LOST = "lost"  # what was staged is gone


class Earlier(NamedTuple):
    """What earlier tries have left in the database.

    :param loaded: rows that are in the destination already.
    """

    checkpoint: Mapping[str, Any] | None  # as it was written, by this version of the package or another
    state: LoadState
    loaded: int


class Loader(Protocol):
    """Takes rows into a table. Its calls block; all but ``cancel`` come from one thread, and each raises
    :class:`~airflow_async_rest.core.errors.LoadError` when the database is away.

    ``remove``, ``stage`` and ``merge`` leave a transaction open, which ``commit`` ends: the rows and the record of how
    far the load has come become durable together.
    """  # noqa: D205

    replaces: bool
    """Whether a load replaces what was there: then one that is not whole is not merged."""

    needs_rows: bool
    """Whether one that has no rows may be refused when it is merged."""

    appends: bool
    """Whether loading a row twice makes two of it."""

    can_remove: bool
    """Whether what is staged can be removed again; else an item's rows are staged when its last page has come."""

    def open(self) -> Earlier | None:
        """Check that rows can be loaded, and give what earlier tries have left.

        :raises ConfigurationError: when they cannot; names the argument.
        """
        ...

    def begin(self, *, resumed: bool, staged: int) -> None:
        """Begin a load, or go on with one of which so many rows must be staged.

        :raises LookupError: when they are not.
        """
        ...

    def clean_up(self) -> None:
        """Remove what loads that nobody goes on with have left; never raises."""

    def remove(self, items: Collection[int]) -> int:
        """Remove the staged rows of items. :return: how many there were."""
        ...

    def stage(self, rows: Sequence[PlacedRow]) -> list[RefusedRow]:
        """Stage rows. :return: those that the database refuses."""
        ...

    def merge(self, *, first: bool) -> Merged:
        """Move what is staged into the destination.

        :param first: whether nothing of this load is there yet.
        """
        ...

    def commit(self, checkpoint: Mapping[str, Any], state: LoadState, loaded: int) -> None:
        """Make durable what was staged or merged, and the checkpoint with it.

        When it raises, nobody knows whether it went through: nothing is written after it, until another :meth:`open`.
        """
        ...

    def rollback(self) -> None:
        """Undo what was not committed; never raises."""

    def cancel(self) -> None:
        """Make the statement that is running raise; from another thread."""

    def close(self) -> None:
        """End the connection; never raises."""


def place_of(index: int, number: int) -> int:
    """Return the place of a row: that of an item's first is number 0."""
    return index * MOST_ROWS_OF_AN_ITEM + number


def item_of(place: int) -> tuple[int, int]:
    """Return the index of a row's item, and its number among the item's rows."""
    return divmod(place, MOST_ROWS_OF_AN_ITEM)


class RowBuffer:
    """Rows that were fetched and are not staged yet: so many chunks at most, and what the workers bring at once."""

    def __init__(self, bounds: Bounds = USUAL) -> None:
        self._bounds = bounds
        self._rows = PlacedRows()
        self._bytes = self._bytes_out = 0  # of those that wait; and of those that were taken out last
        self._dropped: set[int] = set()  # items, since rows were taken out
        self._room = asyncio.Event()
        self._room.set()
        self.due = asyncio.Event()

    @property
    def has_room(self) -> bool:
        """Whether there is room for more rows."""
        return self._room.is_set()

    async def room(self) -> None:
        """Wait until there is room for more rows."""
        await self._room.wait()

    def add(self, index: int, rows: Sequence[Mapping[str, Any]], size: int, first: int = 0) -> None:
        """Add an item's rows.

        :param size: bytes of the answers that they were in.
        :param first: number of the first one among the item's.
        """
        place = place_of(index, first)
        self._add(range(place, place + len(rows)), rows, size * _BYTES_OF_ROWS if rows else 0)

    def drop(self, index: int) -> None:
        """Drop an item's rows; also those that were taken out, when they are put back."""
        self._rows = PlacedRows.of([row for row in self._rows if item_of(row.place)[0] != index])
        self._dropped.add(index)

    def put_back(self, rows: Sequence[PlacedRow]) -> None:
        """Add rows that were taken out."""
        left = [row for row in rows if item_of(row.place)[0] not in self._dropped] if self._dropped else rows
        placed = PlacedRows.of(left)
        self._add(placed.places, placed.values, self._bytes_out if left else 0)

    def _add(self, places: Iterable[int], values: Iterable[Mapping[str, Any]], size: int) -> None:
        rows = self._rows
        rows.places += places
        rows.values += values
        self._bytes += size
        chunks = max(len(rows.places) / self._bounds.chunk_rows, self._bytes / self._bounds.chunk_bytes)
        if chunks >= 1:
            self.due.set()
        if chunks >= self._bounds.most_chunks:
            self._room.clear()

    def take(self) -> PlacedRows:
        """Take all rows out."""
        rows, self._rows = self._rows, PlacedRows()
        self._bytes_out, self._bytes = self._bytes, 0
        self._dropped.clear()
        self.due.clear()
        self._room.set()
        return rows
