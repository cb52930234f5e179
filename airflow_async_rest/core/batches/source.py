"""Items -> batches, cut by the order of the source alone."""

import contextlib
from collections.abc import Generator, Iterable

from airflow_async_rest.core.account.checkpoint import Resume
from airflow_async_rest.core.batches.form import BatchForm, ItemBatch
from airflow_async_rest.core.letters.folder import held_bytes
from airflow_async_rest.core.models import DeadLetter, Item
from airflow_async_rest.core.reading.source import OnDigest, Source

# Rows of a batch, however few of them transform leaves to be sent, and bytes of those that are dead already: they are
# in memory until it is full.
_MOST_ROWS = 10_000
_MOST_DEAD_BYTES = 1 << 20


class BatchSource:
    """The items of another source, in batches.

    On a retry, what was unfinished in one request goes in one again, so that it has the same idempotency key, and so
    does a request of which all is dead. What else is sent again has batches of its own, and new rows begin a new one.

    :param each_key_once: whether a batch has one row of a key at most. Where the answer tells by item, it may ask for
        the first of two once more, and have taken the second.
    """

    def __init__(self, source: Source[Item], form: BatchForm, *, each_key_once: bool = False) -> None:
        self._source = source
        self._form = form
        self._each_key_once = each_key_once

    def cancel(self) -> None:
        """Make a read that is under way raise, soon."""
        self._source.cancel()

    def open(self, resume: Resume | None, on_digest: OnDigest) -> Generator[list[ItemBatch] | None, None, None]:
        """Yield a list of batches for each list of items: a :class:`~airflow_async_rest.core.reading.source.Source`."""
        position = resume.checkpoint.position if resume else 0
        most = self._form.batch.max_items  # that of the author now: smaller, perhaps, because the API asks for it
        unfinished = Reunited(tuple(batch for batch in resume.batches if len(batch) <= most) if resume else ())
        cutter, new_rows = Cutter(self._form, each_key_once=self._each_key_once), False

        def rest() -> list[ItemBatch]:
            return [ItemBatch(of_one, self._form) for of_one in (*unfinished.rest(), cutter.flush()) if of_one]

        with contextlib.closing(self._source.open(resume, on_digest)) as lists:
            for items in lists:
                if items is None:
                    yield rest()
                    yield None
                    continue
                self._form.prepare(items)
                made: list[list[Item]] = []
                # What was sent before comes first, and together: rows are in the order of their index.
                old = [item for item in items if item.index < position] if items and items[0].index < position else []
                for item in old:
                    made += unfinished.add(item.index, item) if unfinished.knows(item.index) else cutter.add([item])
                if len(old) < len(items):
                    if not new_rows:
                        new_rows = True
                        made.append(cutter.flush())
                    made += cutter.add(items[len(old) :])
                if not cutter.to_send:
                    made.append(cutter.flush())
                yield [ItemBatch(of_one, self._form) for of_one in made if of_one]
        yield rest()


class Cutter:
    """Collects items until a batch is full.

    :param each_key_once: see :class:`BatchSource`.
    """

    def __init__(self, form: BatchForm, *, each_key_once: bool = False) -> None:
        self._batch = form.batch
        self._keys: set[bytes] | None = set() if each_key_once else None
        self._frame_bytes = self._bytes = form.frame_bytes
        self._items: list[Item] = []
        self._dead_bytes = 0
        self.to_send = 0

    def add(self, items: Iterable[Item]) -> list[list[Item]]:
        """Add items. :return: the batches that are full for that."""
        full = []
        for item in items:
            if item.settled is None:
                size = len(item.part) + 1
                if self.to_send and (self._bytes + size > self._batch.max_bytes or self._has_key_of(item)):
                    full.append(self.flush())
                if self._keys is not None:
                    self._keys.add(item.identity)
                self._bytes += size
                self.to_send += 1
            elif isinstance(item.settled, DeadLetter):
                self._dead_bytes += held_bytes(item.settled)
            self._items.append(item)
            if self._is_full():
                full.append(self.flush())
        return full

    def _has_key_of(self, item: Item) -> bool:
        return self._keys is not None and item.identity in self._keys

    def _is_full(self) -> bool:
        return (
            self.to_send == self._batch.max_items
            or len(self._items) == _MOST_ROWS
            or self._dead_bytes >= _MOST_DEAD_BYTES
        )

    def flush(self) -> list[Item]:
        """Return what there is, and start again."""
        items, self._items, self._bytes, self.to_send = self._items, [], self._frame_bytes, 0
        self._dead_bytes = 0
        if self._keys:
            self._keys = set()
        return items


class Reunited:
    """Puts batches of an earlier try together again, as their items come by.

    :param batches: the indexes of each.
    """

    def __init__(self, batches: tuple[tuple[int, ...], ...]) -> None:
        self._number = {index: number for number, batch in enumerate(batches) for index in batch}
        self._missing = [len(batch) for batch in batches]
        self._items: list[list[Item]] = [[] for _ in batches]

    def knows(self, index: int) -> bool:
        """Return whether an item belongs to one of them."""
        return index in self._number

    def add(self, index: int, item: Item) -> list[list[Item]]:
        """Add an item that belongs to one. :return: the batch that is complete for that, if one is."""
        number = self._number[index]
        self._items[number].append(item)
        self._missing[number] -= 1
        return [] if self._missing[number] else [self._flush(number)]

    def rest(self) -> list[list[Item]]:
        """Return what is left: batches of which some items did not come by."""
        return [self._flush(number) for number, items in enumerate(self._items) if items]

    def _flush(self, number: int) -> list[Item]:
        items, self._items[number] = self._items[number], []
        return items
