"""Items -> batches, cut by the order of the source alone."""

from collections.abc import Callable, Generator

from airflow_async_rest.core.batch import Batch
from airflow_async_rest.core.batch_form import BatchForm, ItemBatch
from airflow_async_rest.core.checkpoint import Resume
from airflow_async_rest.core.errors import ItemError
from airflow_async_rest.core.models import DeadLetter, Item
from airflow_async_rest.core.source import OnDigest, Source

# Rows of a batch, however few of them transform leaves to be sent: they are in memory until it is full.
_MOST_ROWS = 10_000


class BatchSource:
    """The items of another source, in batches.

    On a retry, what was unfinished in one request goes in one again, so that it has the same idempotency key. What
    is sent again for another reason has batches of its own, and new rows begin a new one.

    :param redact: takes secrets out of what encoding complains about.
    """

    def __init__(self, source: Source[Item], form: BatchForm, redact: Callable[[str], str]) -> None:
        self._source = source
        self._form = form
        self._redact = redact

    def cancel(self) -> None:
        """Make a read that is under way raise, soon."""
        self._source.cancel()

    def open(self, resume: Resume | None, on_digest: OnDigest) -> Generator[list[ItemBatch], None, None]:
        """Give a list of batches for each list of items; see :class:`~airflow_async_rest.core.source.Source`."""
        position = resume.checkpoint.position if resume else 0
        unfinished = _Reunited(resume.checkpoint.batches if resume else ())
        cutter = Cutter(self._form.batch)
        before = True
        for items in self._source.open(resume, on_digest):
            made: list[list[Item]] = []
            for item in items:
                self._prepare(item)
                if before and item.index >= position:
                    before = False
                    made.append(cutter.flush())
                made.append(unfinished.add(item) if unfinished.knows(item) else cutter.add(item))
            if not cutter.to_send:
                made.append(cutter.flush())
            yield [ItemBatch(of_one, self._form) for of_one in made if of_one]
        if rest := cutter.flush():
            yield [ItemBatch(rest, self._form)]

    def _prepare(self, item: Item) -> None:
        if item.settled is None:
            try:
                self._form.prepare(item)
            except ItemError as error:
                item.settled = DeadLetter.of(item, error.reason, detail=self._redact(str(error)))


class Cutter:
    """Collects items until a batch is full."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._items: list[Item] = []
        self._bytes = 0
        self.to_send = 0

    def add(self, item: Item) -> list[Item]:
        """Add an item. :return: the batch that is full for that, with it or before it; empty when none is."""
        full: list[Item] = []
        if item.settled is None:
            size = len(item.part) + 1
            if self.to_send and self._bytes + size > self._batch.max_bytes:
                full = self.flush()
            self._bytes += size
            self.to_send += 1
        self._items.append(item)
        if not full and (self.to_send == self._batch.max_items or len(self._items) == _MOST_ROWS):
            full = self.flush()
        return full

    def flush(self) -> list[Item]:
        """Give what there is, and begin anew."""
        items, self._items, self._bytes, self.to_send = self._items, [], 0, 0
        return items


class _Reunited:
    """Puts the unfinished batches of an earlier try together again, as their rows come by."""

    def __init__(self, batches: tuple[tuple[int, ...], ...]) -> None:
        self._number = {index: number for number, batch in enumerate(batches) for index in batch}
        self._missing = [len(batch) for batch in batches]
        self._items: list[list[Item]] = [[] for _ in batches]

    def knows(self, item: Item) -> bool:
        """Tell whether an item belongs to one of them."""
        return item.index in self._number

    def add(self, item: Item) -> list[Item]:
        """Add an item. :return: its batch when that is complete, else an empty list."""
        number = self._number[item.index]
        self._items[number].append(item)
        self._missing[number] -= 1
        return [] if self._missing[number] else self._items[number]
