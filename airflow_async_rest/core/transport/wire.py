"""One request on one of aiohttp's connections, without what its session does around it.

For a small request a session takes three times as long as it takes to write it and to parse the answer: it merges
headers, makes a URL, a request and a response, starts a timer, looks for cookies, proxies and redirects, and starts a
task that writes the body. Here a request comes written, and all that is left is to send it. The connections, their pool
and their TLS, the protocol and the parser are aiohttp's own; here they know, besides, how an answer begins and ends.
"""

import asyncio
import inspect
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawResponseMessage
from yarl import URL

from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.content_encoding import too_large
from airflow_async_rest.core.transport.tls import unfinished_tls

_SWITCHING_PROTOCOLS = 101
_WITHOUT_BODY = frozenset({204, 304})
# What is used of the protocol is in no documentation of aiohttp's: with versions that this was not tried with, a
# session sends.
_TRIED_VERSIONS = ("3.12.", "3.13.", "3.14.")
_STATUS_LINE = re.compile(rb"(?:\A|\n\r?\n)\s*HTTP/\d\.\d ([2-5]\d\d)")
_CHARACTERS_OF_A_STATUS_LINE = len("HTTP/1.1 200")
_MOST_INTERIM_BYTES = 8_192
# aiohttp's own bounds are 8,190 bytes a header, and 128 of them where its version bounds their number at all.
_LONGEST_HEADER = 65_536
_BOUNDS = {"max_line_size": _LONGEST_HEADER, "max_field_size": _LONGEST_HEADER, "max_headers": 1_024}
HEADER_BOUNDS: dict[str, Any] = {
    name: bound for name, bound in _BOUNDS.items() if name in inspect.signature(aiohttp.ClientSession).parameters
}


class Answer(NamedTuple):
    """What came back, read completely.

    :param ends_by_close: whether nothing but the end of the connection says where the body ends.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    ends_by_close: bool = False


@dataclass(slots=True)
class Attempt:
    """How far one request has come: what is known of it when it ends in an error.

    :param sent: whether a part of it was written.
    :param status: of the answer that has begun.
    """

    sent: bool = False
    status: int | None = None
    headers: Mapping[str, str] | None = None


# Called for every request: super() would take as long as what is done around it.
_take_data, set_response_params = ResponseHandler.data_received, ResponseHandler.set_response_params


def connector_of(connections: int, tls: ssl.SSLContext | bool) -> aiohttp.TCPConnector:
    """Make a connector whose connections know the status of an answer whose headers cannot be read.

    :param connections: at most.
    """
    connector = aiohttp.TCPConnector(limit=connections, ssl=tls)
    if hasattr(connector, "_factory"):
        connector._factory = partial(Protocol, loop=asyncio.get_running_loop())  # type: ignore[assignment]  # noqa: SLF001
    return connector


class Protocol(ResponseHandler):
    """aiohttp's own, which also knows the status of an answer whose headers cannot be read, and how a body ended.

    :ivar cut_off: the body that was not at its end when the connection was.
    :ivar cause: why the connection ended before the server said so; empty when it did.
    """

    _begins = b""
    cut_off: aiohttp.StreamReader | None = None
    cause = ""

    def set_response_params(self, **params: Any) -> None:
        """Begin to read another answer."""
        self._begins = b""
        set_response_params(self, **params)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        begins = self._begins
        if len(begins) < _CHARACTERS_OF_A_STATUS_LINE or (begins[9:10] == b"1" and len(begins) < _MOST_INTERIM_BYTES):
            self._begins = begins + data  # the first of it without a copy; an interim answer has another one after it
        _take_data(self, data)

    def set_exception(self, exc: BaseException, *cause: Any) -> None:
        """Say in the error, too, how the answer begins: a session shows no more of the connection than that."""
        exc.async_rest_status = self.status  # type: ignore[attr-defined]
        super().set_exception(exc, *cause)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note what ended the connection before a body ends by it: for aiohttp any end is a good one."""
        body = self._payload
        if body is not None and not body.is_eof():
            self.cut_off = body
            self.cause = unfinished_tls(self.transport) if exc is None else str(exc) or type(exc).__name__
        super().connection_lost(exc)

    @property
    def status(self) -> int | None:
        """Of the answer that has begun; None while that is not known."""
        match = _STATUS_LINE.search(self._begins)
        return int(match[1]) if match else None


async def read_within(bound: int, content: aiohttp.StreamReader) -> bytes:
    """Read an answer's body. :raises AnswerUnreadableError: when it has more bytes than the bound."""
    if content.is_eof():
        body = content.read_nowait()
    else:
        pieces = bytearray()
        while len(pieces) <= bound and (piece := await content.readany()):
            pieces += piece
        body = bytes(pieces)
    if len(body) > bound:
        raise too_large(bound)
    return body


def ends_by_close(content: aiohttp.StreamReader, headers: Mapping[str, str]) -> bool:
    """Return whether nothing but the end of the connection says where a body, read to its end, ends.

    :raises aiohttp.ClientConnectionError: when it was not the server that ended the connection.
    """
    protocol = getattr(content, "_protocol", None)  # none of an answer without a body
    if not isinstance(protocol, Protocol) or protocol.cut_off is not content or "Content-Length" in headers:
        return False
    if protocol.cause:
        raise aiohttp.ClientConnectionError(protocol.cause)
    return True


def is_possible() -> bool:
    """Return whether this version of aiohttp is one that the way past its session was tried with."""
    return aiohttp.__version__.startswith(_TRIED_VERSIONS)


_READING = {"read_until_eof": True, "auto_decompress": False, **HEADER_BOUNDS}


class Wire:
    """Sends requests and reads their answers. Made inside the running event loop."""

    def __init__(self, connector: aiohttp.BaseConnector, settings: ClientSettings) -> None:
        self._connector = connector
        self._url = URL(settings.address.origin, encoded=True)
        self._max_response_bytes = settings.max_response_bytes
        self._timeout = aiohttp.ClientTimeout(sock_connect=settings.connect_timeout_seconds)
        # The connector wants a request only to know where it goes, and that is the same for all.
        self._destination = aiohttp.ClientRequest("POST", self._url)
        self._greeted: WeakSet[ResponseHandler] = WeakSet()

    async def send(self, head: bytes, body: bytes | None, attempt: Attempt) -> Answer:
        """Send one request and read its answer completely.

        :param head: all that stands before the body.
        :param attempt: is told how far it has come.
        :raises aiohttp.ClientError: or OSError, as a session does.
        """
        connection = await self._connect()
        protocol = connection.protocol
        assert protocol is not None  # noqa: S101  (until it is released)
        try:
            protocol._begins = b""  # type: ignore[attr-defined]  # noqa: SLF001
            set_response_params(protocol, **_READING)  # in fewer steps than the protocol's own
            if self._url.scheme == "https" and protocol not in self._greeted:
                self._greeted.add(protocol)
                await asyncio.sleep(0)  # in TLS 1.3 a refusal may be on its way; a write would fail of it, unread
            if protocol.transport is not None:  # else it says why as it is read
                attempt.sent = True
                protocol.transport.writelines((head, body) if body else (head,))
            message, content = await self._read_message(protocol)
            attempt.status, attempt.headers = message.code, message.headers
            came = await read_within(self._max_response_bytes, content)
            answer = Answer(message.code, message.headers, came, ends_by_close(content, message.headers))
        except BaseException:
            if attempt.status is None and isinstance(protocol, Protocol):
                attempt.status = protocol.status
            _close(connection)
            raise
        # The answer did not wait for the end of the request's body, or has none of its own and announces one.
        if _is_writing(protocol) or (answer.status in _WITHOUT_BODY and _announces_body(answer)):
            _close(connection)
        else:
            connection.release()
        return answer

    async def _connect(self) -> aiohttp.connector.Connection:
        try:
            while True:
                connection = await self._connector.connect(self._destination, [], self._timeout)
                if connection.protocol is None or len(connection.protocol) == 0:  # else an answer to no request
                    return connection
                connection.close()
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to host {self._url}") from error

    async def _read_message(self, protocol: ResponseHandler) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
        try:
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != _SWITCHING_PROTOCOLS:  # noqa: PLR2004  (of no interest)
                message, content = await protocol.read()
        except HttpProcessingError as error:
            raise aiohttp.ClientResponseError(
                self._destination.request_info, (), status=error.code, message=error.message, headers=error.headers
            ) from error
        return message, content


def _announces_body(answer: Answer) -> bool:
    """Return whether an answer says that a body follows, which may come before the next request's answer."""
    return answer.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in answer.headers


def _is_writing(protocol: ResponseHandler) -> bool:
    # Each knows something that the other does not: of the socket below TLS, of less than the high-water mark.
    return protocol.writing_paused or (
        protocol.transport is not None and protocol.transport.get_write_buffer_size() > 0
    )


def _close(connection: aiohttp.connector.Connection) -> None:
    protocol = connection.protocol
    if protocol is not None and protocol.transport is not None and _is_writing(protocol):
        protocol.transport.abort()  # else it would stay open until the server takes the rest
    connection.close()
