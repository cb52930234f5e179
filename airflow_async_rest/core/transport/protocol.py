"""aiohttp's connections, which know how an answer begins and how it ends; and what is read from them."""

import asyncio
import inspect
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import aiohttp
from aiohttp.client_proto import ResponseHandler

from airflow_async_rest.core.transport.content_encoding import too_large

_STATUS_LINE = re.compile(rb"(?:\A|\n\r?\n)\s*HTTP/\d\.\d ([2-5]\d\d)")
_CHARACTERS_OF_A_STATUS_LINE = len("HTTP/1.1 200")
_MOST_INTERIM_BYTES = 8_192
_NO_GOODBYE = "TLS ended without close_notify"
# aiohttp's own bounds are 8,190 bytes a header, and 128 of them where its version bounds their number at all.
_LONGEST_HEADER = 65_536
HEADER_BOUNDS: dict[str, Any] = {
    name: bound
    for name, bound in (
        ("max_line_size", _LONGEST_HEADER),
        ("max_field_size", _LONGEST_HEADER),
        ("max_headers", 1_024),
    )
    if name in inspect.signature(aiohttp.ClientSession).parameters
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
            self.cause = _truncation(self.transport) if exc is None else str(exc) or type(exc).__name__
        super().connection_lost(exc)

    @property
    def status(self) -> int | None:
        """Of the answer that has begun; None while that is not known."""
        match = _STATUS_LINE.search(self._begins)
        return int(match[1]) if match else None


def status_seen(error: BaseException | None) -> int | None:
    """Find the status of the answer that an error has ended."""
    while error is not None:
        if (status := getattr(error, "async_rest_status", None)) is not None:
            return int(status)
        error = error.__cause__
    return None


def _truncation(transport: asyncio.BaseTransport | None) -> str:
    """Say that a TLS connection ended without its ``close_notify``, so that anybody may have ended it."""
    tls = transport and transport.get_extra_info("ssl_object")
    if not tls:
        return ""
    try:
        return _NO_GOODBYE if tls.read(1) else ""
    except ssl.SSLZeroReturnError:
        return ""
    except ssl.SSLError:
        return _NO_GOODBYE


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
