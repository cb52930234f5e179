"""A connection apart from what is said over it: bodies are written as fast as the server takes them, and it ends."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, cast

from airflow_async_rest.core.errors import SendError
from airflow_async_rest.core.models import Response
from airflow_async_rest.core.transport.tls import unfinished_tls

PIECE_BYTES = 262_144


class Link(asyncio.Protocol):
    """A connection. Made inside the running event loop.

    :param on_made: called when it is there, and ``on_lost`` when it is gone.
    :ivar is_made: whether there is, or was, one: its socket is closed by what made it.
    :ivar is_open: whether another request may be sent over it.
    :ivar rest: of a body that is still to be written.
    """

    def __init__(self, on_made: Callable[[Any], None], on_lost: Callable[[Any], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_made, self._on_lost = on_made, on_lost
        self._can_write = True
        self._is_answered = False
        self._written: asyncio.Future[None] | None = None
        self._end: Response | SendError | None = None
        self.is_made = False
        self.is_open = True
        self.rest: memoryview | None = None

    @abstractmethod
    def settle(self, outcome: Response | SendError) -> None:
        """Take what the answer is, or why there is none."""

    @abstractmethod
    def outcome_of_end(self, cause: str, error: Exception | None) -> Response | SendError:
        """Return what an answer is that ends with the connection.

        :param cause: what ended it; empty for the server, in the way that says so.
        :param error: that the event loop has for it.
        """

    async def write_rest(self) -> None:
        """Write what is left of a body piece by piece, unless its answer comes before that: others go on meanwhile."""
        while self.rest and not self._is_answered:
            self._transport.write(self.rest[:PIECE_BYTES])
            self.rest = self.rest[PIECE_BYTES:]
            await asyncio.sleep(0)
            if not self._can_write and not self._is_answered:
                self._written = self._loop.create_future()
                await self._written

    def stop_writing(self) -> None:
        """Write no more of a body: its answer has come, or will not."""
        self._is_answered = True
        self._go_on()

    def abort(self) -> None:
        """End it at once: what is still to be written is not."""
        self.is_open = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_made = True
        self._on_made(self)

    def pause_writing(self) -> None:
        """Wait: the server takes less than comes."""
        self._can_write = False

    def resume_writing(self) -> None:
        """Go on."""
        self._can_write = True
        self._go_on()

    def eof_received(self) -> None:
        """Take the end of what comes, while there may still be something to write."""
        self._take_end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the connection."""
        self._take_end(exc)
        self._on_lost(self)

    def _take_end(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._end is not None:
            return
        cause = unfinished_tls(self._transport) if exc is None else str(exc) or type(exc).__name__
        self._end = self.outcome_of_end(cause, exc)
        self.settle(self._end)

    def _go_on(self) -> None:
        if self._written is not None and not self._written.done():
            self._written.set_result(None)
