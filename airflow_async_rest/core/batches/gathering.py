"""Items -> batches: those of an earlier try once more, others until one is full."""

from collections.abc import Hashable, Iterable, Sequence
from itertools import chain
from operator import attrgetter

from airflow_async_rest.core.batches.form import BatchForm, ItemBatch
from airflow_async_rest.core.encoding.comparing import same_key
from airflow_async_rest.core.letters.folder import held_bytes
from airflow_async_rest.core.models import DeadLetter, Item

# Rows of a batch, however few of them transform leaves to be sent, and bytes of those that are dead already: they are
# in memory until it is full.
_MOST_ROWS = 10_000
_MOST_DEAD_BYTES = 1 << 20
_part_of, _settled_of = attrgetter("part"), attrgetter("settled")


class Cutter:
    """Collects items until a batch is full.

    :param each_key_once: whether a batch has one item of a key at most. Where the answer tells by item, it may ask
        for the first of two once more, and have taken the second.
    """

    def __init__(self, form: BatchForm, *, each_key_once: bool = False) -> None:
        self.form = form
        self._batch = form.batch
        self._keys: set[Hashable] | None = set() if each_key_once else None
        self._frame_bytes = self._bytes = form.frame_bytes
        self.items: list[Item] = []
        self._dead_bytes = 0
        self.to_send = 0

    def add(self, items: Sequence[Item]) -> list[list[Item]]:
        """Add items. :return: the batches that this has filled."""
        full: list[list[Item]] = []
        start = 0
        while start < len(items):
            some = items[start : start + self._batch.max_items - self.to_send]
            start += len(some)
            if not self._has_taken_all(some):
                full += self._add_singly(some)
            elif self._is_full():
                full.append(self.flush())
        return full

    def _has_taken_all(self, items: Sequence[Item]) -> bool:
        """Add items that are as usual: all to be sent, and small enough. :return: whether they are."""
        if self._keys is not None or any(map(_settled_of, items)) or len(self.items) + len(items) > _MOST_ROWS:
            return False
        size = self._bytes + sum(map(len, map(_part_of, items))) + len(items)
        if size > self._batch.max_bytes:
            return False
        self.items += items
        self._bytes, self.to_send = size, self.to_send + len(items)
        return True

    def _add_singly(self, items: Sequence[Item]) -> list[list[Item]]:
        full = []
        for item in items:
            if item.settled is None:
                size, key = len(item.part) + 1, None if self._keys is None else same_key(item.identity)
                if self.to_send and (self._bytes + size > self._batch.max_bytes or key in (self._keys or ())):
                    full.append(self.flush())
                if self._keys is not None:
                    self._keys.add(key)
                self._bytes += size
                self.to_send += 1
            elif isinstance(item.settled, DeadLetter):
                self._dead_bytes += held_bytes(item.settled)
            self.items.append(item)
            if self._is_full():
                full.append(self.flush())
        return full

    def _is_full(self) -> bool:
        return (
            self.to_send == self._batch.max_items
            or len(self.items) == _MOST_ROWS
            or self._dead_bytes >= _MOST_DEAD_BYTES
        )

    def flush(self) -> list[Item]:
        """Return what there is, and start again."""
        items, self.items, self._bytes, self.to_send = self.items, [], self._frame_bytes, 0
        self._dead_bytes = 0
        if self._keys:
            self._keys = set()
        return items


class Reunited:
    """A batch of an earlier try, put together again as its items come by.

    :param size: how many it had.
    """

    def __init__(self, form: BatchForm, size: int) -> None:
        self.form = form
        self.items: list[Item] = []
        self._missing = size

    def add(self, items: Iterable[Item]) -> list[list[Item]]:
        """Add items. :return: the batch, if this completes it."""
        before = len(self.items)
        self.items += items
        self._missing -= len(self.items) - before
        return [] if self._missing else [self.flush()]

    def flush(self) -> list[Item]:
        """Return what there is; what is missing goes without it."""
        items, self.items = self.items, []
        return items


Group = Cutter | Reunited


class Gathering:
    """Puts items into batches: those of earlier ones into these again, all others into new ones.

    :param earlier: the indexes of each earlier one.
    :param by_key: whether items of one key stay in their order: what has an item of a key goes before the next one of
        that key is added to something else, even if it is not complete.
    """

    def __init__(self, earlier: tuple[tuple[int, ...], ...], *, by_key: bool) -> None:
        self._number = {index: number for number, batch in enumerate(earlier) for index in batch}
        self._sizes = [len(batch) for batch in earlier]
        self._by_key = by_key
        self._reunited: dict[int, Reunited] = {}
        self._cutters: dict[BatchForm, Cutter] = {}
        self._holders: dict[Hashable, Group] = {}

    def knows(self, index: int) -> bool:
        """Return whether an item belongs to an earlier batch."""
        return index in self._number

    def add(self, item: Item, form: BatchForm, index: int | None) -> list[ItemBatch]:
        """Add an item. :param index: its own among earlier batches; None for a new one. :return: what goes out now."""
        number = None if index is None else self._number.get(index)
        group = self._cutter(form) if number is None else self._earlier(form, number)
        made = self.before(item, group) + self._made(group, group.add([item]))
        if self._by_key and item.settled is None and group.items:
            self._holders[same_key(item.identity)] = group
        return made

    def add_new(self, items: Sequence[Item], form: BatchForm) -> list[ItemBatch]:
        """Add items when there is nothing of an earlier try, or :meth:`rest` has returned it."""
        cutter = self._cutter(form)
        return self._made(cutter, cutter.add(items))

    def settled(self, form: BatchForm) -> list[ItemBatch]:
        """Return what is settled, where nothing that is sent goes with it."""
        cutter = self._cutter(form)
        return [] if cutter.to_send else self._made(cutter, [cutter.flush()])

    def before(self, item: Item, own: Group | None = None) -> list[ItemBatch]:
        """Return what has to go before an item is added to ``own``, or sent alone."""
        if item.settled or not self._holders:
            return []
        holder = self._holders.get(same_key(item.identity))
        return [] if holder is None or holder is own else self._made(holder, [holder.flush()])

    def rest(self) -> list[ItemBatch]:
        """Return what is left, complete or not: earlier batches first."""
        groups: list[Group] = [*self._reunited.values(), *self._cutters.values()]
        return [batch for group in groups for batch in self._made(group, [group.flush()])]

    def _cutter(self, form: BatchForm) -> Cutter:
        if form not in self._cutters:
            self._cutters[form] = Cutter(form, each_key_once=self._by_key and form.needs_body)
        return self._cutters[form]

    def _earlier(self, form: BatchForm, number: int) -> Reunited:
        if number not in self._reunited:
            self._reunited[number] = Reunited(form, self._sizes[number])
        return self._reunited[number]

    def _made(self, group: Group, lists: list[list[Item]]) -> list[ItemBatch]:
        if self._holders:
            for item in chain.from_iterable(lists):
                if item.settled is None:
                    self._holders.pop(same_key(item.identity), None)
        return [ItemBatch(items, group.form) for items in lists if items]
