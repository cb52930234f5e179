"""One row of a key at a time, in the order of the rows; rows of other keys go on meanwhile."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Hashable
from dataclasses import dataclass, field

from airflow_async_rest.core.batches.form import ItemBatch
from airflow_async_rest.core.encoding.chunk_sizes import bytes_of
from airflow_async_rest.core.encoding.comparing import same_key
from airflow_async_rest.core.models import Item

Unit = Item | ItemBatch
# Of rows that are put aside: as much as a chunk has, at most. Then whoever takes another one waits, too.
_MOST_BYTES = 4_000_000


@dataclass(eq=False, slots=True)
class _Turn:
    """That of an item, or a batch.

    :param waits_for: how many that were taken before it are not done.
    :param followers: what waits for it.
    :param begins: ends the wait of who has taken it; None: who ends the last one before it sees to it.
    """

    unit: Unit
    keys: Collection[Hashable]
    waits_for: int = 0
    followers: list["_Turn"] = field(default_factory=list)
    begins: asyncio.Future[None] | None = None
    bytes: int = 0


class KeyOrder:
    """Delivers items, or batches, in the order in which they are taken, as far as they have a key in common.

    What waits for another one is put aside, so that no worker is held up by it; once it waits no more, the first worker
    that has time goes on with it. An item only ever waits for earlier ones: so there is always one that waits for none.

    :param deliver: delivers one.
    :param most_aside: the items that are put aside at most: a checkpoint names each.
    """

    def __init__(self, deliver: Callable[[Unit], Awaitable[None]], most_aside: int = 1000) -> None:
        self._deliver = deliver
        self._most_aside = most_aside
        self._last: dict[Hashable, _Turn] = {}
        self._items_aside = self._bytes_aside = self._not_done = 0
        self._ready: deque[_Turn] = deque()
        self._news = asyncio.Event()

    async def deliver(self, unit: Unit) -> None:
        """Deliver one, or put it aside: then it is delivered within another call."""
        turn = self._take(unit)
        if turn.waits_for:
            if self._put_aside(turn):
                return
            turn.begins = asyncio.get_running_loop().create_future()
            await turn.begins
        await self._deliver(unit)
        self._end(turn)
        await self._go_on()

    async def finish(self) -> None:
        """Deliver what was put aside, until nothing is left. Called by a worker that has nothing more to take."""
        while self._not_done:
            self._news.clear()
            await self._go_on()
            if self._not_done and not self._news.is_set():
                await self._news.wait()

    async def _go_on(self) -> None:
        while self._ready:
            turn = self._ready.popleft()
            await self._deliver(turn.unit)
            self._end(turn)

    def _take(self, unit: Unit) -> _Turn:
        self._not_done += 1
        turn = _Turn(unit, {same_key(item.identity) for item in _items_of(unit) if item.settled is None})
        for before in {self._last[key] for key in turn.keys if key in self._last}:
            before.followers.append(turn)
            turn.waits_for += 1
        for key in turn.keys:
            self._last[key] = turn
        return turn

    def _put_aside(self, turn: _Turn) -> bool:
        """Put one aside. :return: False when there is no room for it."""
        if self._items_aside >= self._most_aside or self._bytes_aside >= _MOST_BYTES:
            return False
        turn.bytes = sum(map(_bytes_of, _items_of(turn.unit)))
        self._count_aside(turn, 1)
        return True

    def _count_aside(self, turn: _Turn, sign: int) -> None:
        self._items_aside += sign * len(_items_of(turn.unit))
        self._bytes_aside += sign * turn.bytes

    def _end(self, turn: _Turn) -> None:
        """Note that one is done: what was put aside, and waits for nothing more, is ready."""
        self._not_done -= 1
        for key in turn.keys:
            if self._last[key] is turn:
                del self._last[key]
        for follower in turn.followers:
            follower.waits_for -= 1
            if follower.waits_for:
                continue
            if follower.begins is None:
                self._count_aside(follower, -1)
                self._ready.append(follower)
            elif not follower.begins.done():
                follower.begins.set_result(None)
        if self._ready or not self._not_done:
            self._news.set()


def _bytes_of(item: Item) -> int:
    body = item.request.body if item.request is not None else None
    return bytes_of([value] for value in item.row.values()) + len(item.part) + len(body or b"")


def _items_of(unit: Unit) -> list[Item]:
    return [unit] if isinstance(unit, Item) else unit.items
