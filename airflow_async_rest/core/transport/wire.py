"""One request on one of aiohttp's connections, without what its session does around it.

For a small request a session takes three times as long as it takes to write it and to parse the answer: it merges
headers, makes a URL, a request and a response, starts a timer, looks for cookies, proxies and redirects, and starts a
task that writes the body. Here, what is the same for all requests is made once. The connections, their pool and their
TLS, the protocol and the parser are aiohttp's own.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawResponseMessage
from multidict import CIMultiDict
from yarl import URL

from airflow_async_rest.core.models import Request
from airflow_async_rest.core.requests.headers import check_headers
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.protocol import (
    HEADER_BOUNDS,
    Answer,
    Attempt,
    Protocol,
    ends_by_close,
    read_within,
    set_response_params,
)
from airflow_async_rest.core.transport.session import Session

_SWITCHING_PROTOCOLS = 101
_WITHOUT_BODY = frozenset({204, 304})
# What is used of the protocol is in no documentation of aiohttp's: with versions that this was not tried with, a
# session sends.
_TRIED_VERSIONS = ("3.12.", "3.13.", "3.14.")


def is_possible() -> bool:
    """Return whether this version of aiohttp is one that the way past its session was tried with."""
    return aiohttp.__version__.startswith(_TRIED_VERSIONS)


class Frame(NamedTuple):
    """What stands before a request's target, and between it and what differs from request to request.

    :param key: name of the header for the request's key, and its colon; empty where none is sent.
    """

    start: str
    headers: str
    key: str


_READING = {"read_until_eof": True, "auto_decompress": False, **HEADER_BOUNDS}


class Wire:
    """Sends requests and reads their answers. Made inside the running event loop.

    :param headers_of: gives all headers of a request that are the caller's to say.
    :param session: sends what cannot go this way.
    """

    def __init__(
        self,
        connector: aiohttp.BaseConnector,
        settings: ClientSettings,
        headers_of: Callable[[Request], Mapping[str, str]],
        session: Session,
    ) -> None:
        self._connector = connector
        self._session = session
        self._headers_of = headers_of
        self._address = settings.address
        self._url = URL(self._address.origin, encoded=True)
        self._key_header = settings.idempotency_header
        self._max_response_bytes = settings.max_response_bytes
        self._timeout = aiohttp.ClientTimeout(sock_connect=settings.connect_timeout_seconds)
        # The connector wants a request only to know where it goes, and that is the same for all.
        self._destination = aiohttp.ClientRequest("POST", self._url)
        self._frames: dict[tuple[object, ...], Frame] = {}
        self._greeted: WeakSet[ResponseHandler] = WeakSet()

    def _head(self, request: Request) -> bytes | None:
        """Return what is sent before the body; None for a request that a session must look at."""
        body, key = request.body, request.idempotency_key
        content_type = "" if body is None else request.content_type
        kind: tuple[object, ...] = request.method, content_type, request.verbatim
        if request.headers:
            kind += tuple(request.headers)
        frame = self._frames.get(kind)
        if frame is None:
            frame = self._frames[kind] = self._frame(request)
        target = self._address.target(request.path, request.query)
        if "#" in target or not (target.isprintable() and key.isprintable()):
            return None  # it is no request
        length_line = "" if body is None and request.method == "GET" else f"Content-Length: {len(body or b'')}\r\n"
        key_line = f"{frame.key}{key}\r\n" if frame.key else ""
        own = _lines(request.headers) if request.headers else ""
        return f"{frame.start}{target}{frame.headers}{length_line}{key_line}{own}\r\n".encode()

    def _frame(self, request: Request) -> Frame:
        """Write down, as aiohttp would, what all requests of this kind have in common."""
        model = aiohttp.ClientRequest(request.method, self._url, headers=self._headers_of(request))
        own = CIMultiDict(request.headers or {})
        for name in filter(None, ("Content-Length", self._key_header, *own)):
            model.headers.pop(name, None)
        check_headers(model.headers, "the headers")
        key = f"{self._key_header}: " if self._key_header and self._key_header not in own else ""
        return Frame(f"{request.method} ", f" HTTP/1.1\r\n{_lines(model.headers)}", key)

    async def send(self, request: Request, attempt: Attempt) -> Answer:
        """Send one request and read its answer completely.

        :param attempt: is told how far it has come.
        :raises aiohttp.ClientError: or OSError, as a session does.
        """
        head, body = self._head(request), request.body
        if head is None:
            return await self._session.send(request, attempt)
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
            body = await read_within(self._max_response_bytes, content)
            answer = Answer(message.code, message.headers, body, ends_by_close(content, message.headers))
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


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


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
