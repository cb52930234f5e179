"""Large bodies, written as fast as the server takes them."""

import asyncio
from typing import cast

PIECE_BYTES = 262_144


class BodyWriter(asyncio.Protocol):
    """A connection that bodies are written to piece by piece: other requests go on meanwhile, and an answer is seen.

    :ivar rest: of a body that is still to be written.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._can_write = True
        self._is_answered = False
        self._written: asyncio.Future[None] | None = None
        self.rest: memoryview | None = None

    async def write_rest(self) -> None:
        """Write what is left of a body, unless its answer comes before that."""
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

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        """Wait: the server takes less than comes."""
        self._can_write = False

    def resume_writing(self) -> None:
        """Go on."""
        self._can_write = True
        self._go_on()

    def _go_on(self) -> None:
        if self._written is not None and not self._written.done():
            self._written.set_result(None)
