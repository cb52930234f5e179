"""Connections to one server, opened: its addresses, the first one that answers, TLS."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

import aiohappyeyeballs
from aiohappyeyeballs import AddrInfoType
from yarl import URL

from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.link import Link
from airflow_async_rest.core.transport.send_errors import connect_timeout, no_connection
from airflow_async_rest.core.transport.tls import default_context, tls_error

_KNOWN_SECONDS = 10.0
# Until the next address is tried beside one that does not answer (RFC 8305, section 5).
_NEXT_ADDRESS_SECONDS = 0.25

Opened = TypeVar("Opened", bound=Link)


class Opener(Generic[Opened]):
    """Opens connections. Made inside the running event loop.

    :param tls: of connections to https; True stands for the defaults.
    :param make: makes a connection's protocol.
    """

    def __init__(self, settings: ClientSettings, tls: ssl.SSLContext | bool, make: Callable[[], Opened]) -> None:
        url = URL(settings.address.origin, encoded=True)
        self._host, self._port = url.raw_host or "", url.port or 0
        self._tls = None if url.scheme == "http" else default_context() if isinstance(tls, bool) else tls
        self._settings = settings
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._lookup: asyncio.Future[Any] | None = None
        self._known_until = 0.0

    async def open(self) -> Opened:
        """Open a connection. :raises SendError: when there is none, or not in time."""
        limit = asyncio.timeout(self._settings.connect_timeout_seconds)
        try:
            async with limit:
                return await self._open_any(await self._addresses())
        except OSError as error:
            self._known_until = 0.0  # whoever had that name may have moved
            if isinstance(error, ssl.SSLError):
                raise tls_error(error) from error
            if limit.expired():
                raise connect_timeout(self._settings) from error
            not_found = isinstance(error, socket.gaierror)
            raise no_connection(error, self._host, self._port, not_found=not_found) from error

    def close(self) -> None:
        """Look for nothing any longer."""
        if self._lookup is not None:
            self._lookup.cancel()

    async def _open_any(self, addresses: list[AddrInfoType]) -> Opened:
        """Connect to the first address that answers as it should. :raises OSError: when none does."""
        while True:
            connected = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1
            )
            address: tuple[Any, ...] = ()
            with suppress(OSError):  # it may be gone already
                address = connected.getpeername()
            try:
                return await self._open_over(connected)
            except OSError:
                others = [one for one in addresses if one[4][:2] != address[:2]]
                if not 0 < len(others) < len(addresses):
                    raise
                addresses = others

    async def _open_over(self, connected: socket.socket) -> Opened:
        connection, name = self._make(), self._host.rstrip(".") if self._tls else None
        try:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await self._loop.create_connection(
                lambda: connection,
                sock=connected,
                ssl=self._tls,
                server_hostname=name,
                # The event loop's own bound is 60 s, and ends as if the server had gone.
                ssl_handshake_timeout=self._settings.connect_timeout_seconds if self._tls else None,
            )
            if self._tls:
                await asyncio.sleep(0)  # in TLS 1.3 a refusal may be on its way; a write would fail of it, unread
        except BaseException:
            # The socket of one that was made is the event loop's: closed here, its number would be given to another.
            if connection.is_made:
                connection.abort()
            else:
                connected.close()
            raise
        return connection

    async def _addresses(self) -> list[AddrInfoType]:
        """Look up the server's addresses, once for all that want to connect. :raises OSError: when there are none."""
        with suppress(OSError):  # an address itself needs no thread
            return [*socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)]
        lookup, now = self._lookup, self._loop.time()
        if lookup is None or (lookup.done() and (now > self._known_until or lookup.exception())):
            lookup = self._lookup = asyncio.ensure_future(
                self._loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
            )
            self._known_until = now + _KNOWN_SECONDS
        return list(await asyncio.shield(lookup))
