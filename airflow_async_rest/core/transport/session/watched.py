"""What aiohttp's connections do not tell: how an answer begins, why a connection ends, whose certificate is shown."""

import asyncio
import re
from contextvars import ContextVar
from typing import Any, cast

import aiohttp

from airflow_async_rest.core.transport.tls import unfinished_tls

_STATUS_LINE = re.compile(rb"(?:\A|\n\r?\n)\s*HTTP/\d\.\d ([2-9]\d\d)")
_MOST_INTERIM_BYTES = 8_192


class Watch(asyncio.Protocol):
    """Stands before the protocol of a connection of aiohttp's, and notes what that tells nobody.

    :ivar is_idle: whether there is no request on its way: what comes then is an answer to none.
    :ivar begins: what came first of the answer to the last request.
    :ivar uses: requests that were sent over the connection.
    :ivar cause: why the connection ended before the server said so; empty when it did, or has not ended.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._protocol = cast("asyncio.Protocol", transport.get_protocol())
        self.is_idle = False
        self.begins = b""
        self.uses = 0
        self.cause = ""

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self.is_idle:
            self.abort()
            return
        if len(self.begins) < _MOST_INTERIM_BYTES:
            self.begins += data[:_MOST_INTERIM_BYTES]
        self._protocol.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note what ended the connection before a body ends by it: for aiohttp any end is a good one."""
        self.cause = unfinished_tls(self._transport) if exc is None else str(exc) or type(exc).__name__
        self._protocol.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """Take the end of what comes."""
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        """Wait: the server takes less than comes."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Go on."""
        self._protocol.resume_writing()

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    @property
    def status(self) -> int | None:
        """Of the answer that has begun; None while that is not known."""
        match = _STATUS_LINE.search(self.begins)
        return int(match[1]) if match else None


# The connection that a request has got, for the task that sends it.
watched: ContextVar[Watch | None] = ContextVar("watched", default=None)


class WatchedConnector(aiohttp.TCPConnector):
    """aiohttp's own, whose connections know how an answer begins and ends."""

    async def connect(self, *args: Any, **more: Any) -> Any:
        """Return a connection for a request."""
        connection = await super().connect(*args, **more)
        if (transport := connection.transport) is not None:
            watch = transport.get_protocol()
            if not isinstance(watch, Watch):
                watch = Watch(transport)
                transport.set_protocol(watch)
            watch.uses, watch.begins, watch.is_idle = watch.uses + 1, b"", False
            watched.set(watch)
        return connection


class CertificateReader(aiohttp.Fingerprint):
    """Ends a connection right after its TLS handshake, with the certificate that the server showed."""

    def __init__(self) -> None:
        super().__init__(bytes(32))

    def check(self, transport: asyncio.Transport) -> None:
        """Raise the certificate: aiohttp then closes the connection before it sends anything."""
        tls = transport.get_extra_info("ssl_object")
        # Without a goodbye, which a server would have to answer before the connection is gone.
        asyncio.get_running_loop().call_soon(transport.abort)
        raise aiohttp.ServerFingerprintMismatch(b"", tls.getpeercert(binary_form=True) if tls else b"", "", 0)
