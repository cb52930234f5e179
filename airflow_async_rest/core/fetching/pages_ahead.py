"""Pages of an item that are asked for before its walk has come to them, side by side."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from airflow_async_rest.core.errors import ItemError
from airflow_async_rest.core.limits.adaptive import Places
from airflow_async_rest.core.models import Request
from airflow_async_rest.core.sending.attempts import Settled

# For each request that there may be in flight, so many pages are asked for before they are wanted: one that takes
# longer than those after it, or a database that does, keeps them waiting, in memory.
_MOST_AHEAD = 2


def room_ahead(places: Places) -> Places:
    """Make the room for pages that were asked for and are not wanted yet, of all items."""
    return Places(lambda: places.capacity() * _MOST_AHEAD)


class PagesAhead:
    """Settles the requests for one item's pages, of which it has begun some before.

    What a request comes to is what it would come to in its turn: nothing but time depends on this.

    :param settle: sends a request until it is settled.
    :param places: a place for each request in flight, of all items.
    :param room: see :func:`room_ahead`.
    """

    def __init__(self, settle: Callable[[Request], Awaitable[Settled]], places: Places, room: Places) -> None:
        self._settle = settle
        self._places = places
        self._room = room
        self._expected: Iterator[Request] = iter(())
        self._begun: dict[str, asyncio.Future[Settled]] = {}
        self._known: set[str] = set()  # those that were ever asked for: an author's style may expect some twice
        self._error: ItemError | None = None
        self._is_off = False

    @property
    def wants_more(self) -> bool:
        """Whether it would begin some, and does not know which."""
        return not self._begun and not self._is_off

    def expect(self, requests: Iterator[Request]) -> None:
        """Begin requests that are likely to be wanted, in this order, whenever there is a place that nobody wants."""
        self._expected = requests
        self._begin()

    async def settle(self, request: Request) -> Settled:
        """Settle a request: it may have been begun before.

        :raises ItemError: when those that are expected cannot be told.
        """
        if self._error is not None:
            raise self._error
        task = self._begun.pop(request.idempotency_key, None)
        if task is not None:
            self._room.release()
            self._begin()
            return await task
        if self._begun:  # here is another page than was expected: from now on, they come one by one
            self._is_off = True
            self.close()
        self._known.add(request.idempotency_key)
        await self._places.acquire()
        try:
            return await self._settle(request)
        finally:
            self._places.release()

    def _begin(self) -> None:
        while self._take_free():
            if (request := self._next_expected()) is None:
                self._places.release()
                self._room.release()
                return
            task = asyncio.ensure_future(self._settle(request))
            task.add_done_callback(self._settled)
            self._known.add(request.idempotency_key)
            self._begun[request.idempotency_key] = task

    def _take_free(self) -> bool:
        """Take a place, and room for what comes there. :return: whether there was both."""
        if not self._room.take_free():
            return False
        if not self._places.take_free():
            self._room.release()
            return False
        return True

    def _next_expected(self) -> Request | None:
        try:
            return next((request for request in self._expected if request.idempotency_key not in self._known), None)
        except ItemError as error:
            self._error = error
            return None

    def _settled(self, task: asyncio.Future[Settled]) -> None:
        if not task.cancelled():
            task.exception()  # retrieved: of one that nobody waits for any more, it would be logged
        self._places.release()
        self._begin()

    def close(self) -> None:
        """End what was begun, and begin no more."""
        self._expected = iter(())
        begun, self._begun = self._begun, {}
        for task in begun.values():
            task.cancel()
            self._room.release()
