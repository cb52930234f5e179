"""Dead-letter records that are in no part yet: when they are due, and when there is no room for more."""

import asyncio
import time
from collections.abc import Sequence

from airflow_async_rest.core.bounds import Bounds
from airflow_async_rest.core.letters.folder import UNREADABLE, Record, held_bytes
from airflow_async_rest.core.models import DeadLetter

# What a record takes beside its body or its row: 4,000 small ones are as much as 20 of 100 KB.
_RECORD_BYTES = 500
_LONG_AGO = float("-inf")


class Unwritten:
    """Records that wait for a part.

    :ivar records: in the order in which they were held.
    :ivar are_much: whether they are too large to wait for the end of the interval: then there is no room for more.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.records: list[DeadLetter | Record] = []
        self.are_much = False
        self._bytes = 0
        self._since = 0.0
        self._room = asyncio.Event()
        self._room.set()

    def hold(self, record: DeadLetter | Record) -> None:
        """Keep a record for a part to come."""
        if not self.records:
            self._since = time.monotonic()
        self.records.append(record)
        self._weigh(record)
        if isinstance(record, DeadLetter) and record.reason == UNREADABLE:
            self._since = _LONG_AGO  # unfinished, a retry would send it again: the API took it

    def _weigh(self, record: DeadLetter | Record) -> None:
        self._bytes += _RECORD_BYTES + (held_bytes(record) if isinstance(record, DeadLetter) else 0)
        if self._bytes > self._bounds.much_unwritten_bytes:
            self.are_much = True
            self._room.clear()

    def take(self) -> list[DeadLetter | Record]:
        """Take all records."""
        taken, self.records = self.records, []
        self._bytes, self.are_much = 0, False
        self._room.set()
        return taken

    def give_back(self, records: Sequence[DeadLetter | Record]) -> None:
        """Take back records that could not be written."""
        self.records[:0] = records
        for record in records:
            self._weigh(record)
        self._since = _LONG_AGO

    async def make_room(self, due: asyncio.Event) -> None:
        """Wait until there is room for more.

        :param due: is set meanwhile: they need not wait for the interval.
        """
        while self.are_much:  # again, where somebody else was faster
            due.set()
            await self._room.wait()

    def __len__(self) -> int:
        return len(self.records)

    @property
    def are_due(self) -> bool:
        """Whether they are to be written now: a part for each would be too many of them."""
        waited = time.monotonic() - self._since
        is_late = len(self.records) > 0 and waited >= self._bounds.longest_unwritten_seconds
        return is_late or self.are_much or len(self.records) >= self._bounds.most_unwritten
