"""Requests over connections of our own. What parses their answers is llhttp, which httptools brings along."""

import asyncio
import ssl
from collections.abc import Callable
from functools import lru_cache

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from multidict import CIMultiDict, istr

from airflow_async_rest.core.errors import AnswerUnreadableError, SendError
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.connecting import Opener
from airflow_async_rest.core.transport.content_encoding import too_large
from airflow_async_rest.core.transport.send_errors import broken_off, no_answer, no_http, request_timeout, unreadable
from airflow_async_rest.core.transport.tls import tls_error, unfinished_tls
from airflow_async_rest.core.transport.transport import WITHOUT_BODY, Answer, Attempt, announces_body, has_no_end
from airflow_async_rest.core.transport.writing import PIECE_BYTES, BodyWriter

# Servers and balancers close what nobody uses, most of them later than this.
_KEPT_SECONDS = 15.0
_SWITCHING_PROTOCOLS = 101
_FIRST_FINAL_STATUS = 200
_MOST_HEADERS = 1_024
_LONGEST_HEADER = 65_536
# Of what comes without a byte of a body in it: headers, interim answers, trailers.
_MOST_HEAD_BYTES = 1_048_576
_SHOWN_BYTES = 200


class Direct:
    """Sends requests to one server, over connections that are kept. Made inside the running event loop.

    A timer for each request would cost as much as writing it. All have the same time, so whoever was sent first is due
    first: one timer, for the first of them, is enough.

    :param connections: open at most.
    :param tls: of connections to https; True stands for the defaults.
    """

    def __init__(self, settings: ClientSettings, connections: int, tls: ssl.SSLContext | bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._places = asyncio.Semaphore(connections)
        self._opener = Opener(settings, tls, self._make)
        self._open: set[Connection] = set()
        self._kept: list[Connection] = []
        self._due: dict[Connection, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def _make(self) -> "Connection":
        return Connection(self._settings.max_response_bytes, self._open.add, self._open.discard)

    async def send(self, head: bytes, body: bytes | None, attempt: Attempt) -> Answer:
        """Send one request and read its answer completely.

        :param head: all that stands before the body.
        :param attempt: is told how far it has come.
        :raises SendError: when there is no answer, or none that can be read.
        """
        await self._places.acquire()
        connection = outcome = None
        try:
            connection = self._take_kept() or await self._opener.open()
            attempt.sent = connection.is_open
            coming = connection.begin(head, body)
            self._due[connection] = due = self._loop.time() + self._settings.request_timeout_seconds
            if self._timer is None:
                self._timer = self._loop.call_at(due, self._end_late)
            if connection.rest:
                await connection.write_rest()
            outcome = await coming
        finally:
            self._places.release()
            if connection is not None:
                self._due.pop(connection, None)
                if not isinstance(outcome, Answer):
                    self._give_up(connection, attempt)
        if isinstance(outcome, SendError):
            raise outcome
        attempt.status, attempt.headers = outcome.status, outcome.headers
        if connection.end():
            self._kept.append(connection)
        return outcome

    async def close(self) -> None:
        """Close all connections."""
        self._opener.close()
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self._open):
            connection.abort()
        while self._open:
            await asyncio.sleep(0)

    def _take_kept(self) -> "Connection | None":
        while self._kept:
            connection = self._kept.pop()
            if connection.is_open and self._loop.time() - connection.kept_since < _KEPT_SECONDS:
                return connection
            connection.abort()
        return None

    def _end_late(self) -> None:
        self._timer, now = None, self._loop.time()
        for connection, due in self._due.items():
            if due > now:
                self._timer = self._loop.call_at(due, self._end_late)
                return
            connection.settle(request_timeout(self._settings))

    def _give_up(self, connection: "Connection", attempt: Attempt) -> None:
        connection.abort()
        attempt.status, attempt.headers, attempt.stale = connection.status, connection.headers, connection.was_stale
        if attempt.stale:  # the others have waited for as long
            for kept in self._kept:
                kept.abort()
            self._kept.clear()


class Connection(BodyWriter):
    """Sends one request at a time, and knows of each how its answer ended. Made inside the running event loop.

    :param most_bytes: of an answer's body.
    :param on_made: called when it is there, and ``on_lost`` when it is gone.
    :ivar is_open: whether another request may be sent over it.
    :ivar kept_since: when its last answer had come, by the loop's clock; 0 before there was one.
    :ivar headers: of the answer, once all of them have come.
    """

    def __init__(
        self, most_bytes: int, on_made: Callable[["Connection"], None], on_lost: Callable[["Connection"], None]
    ) -> None:
        super().__init__()
        self._most_bytes = most_bytes
        self._on_made, self._on_lost = on_made, on_lost
        self._coming: asyncio.Future[Answer | SendError] | None = None
        self._end: Answer | SendError | None = None
        self._is_long = False
        self.is_open = True
        self.kept_since = 0.0
        self._expect(is_head=False)

    def _expect(self, *, is_head: bool) -> None:
        # A new parser for each answer: it takes less time than to keep what it knows of the last one out of this one.
        self._parser = HttpResponseParser(self)
        self._is_head = is_head
        self._has_begun = self._may_go_on = False
        self._lines: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._size = self._silent = 0
        self._shown = b""
        self._answer: Answer | None = None
        self._failure: SendError | None = None
        self.headers: CIMultiDict[str] | None = None
        self.rest = None
        self._is_answered = False

    def begin(self, head: bytes, body: bytes | None) -> "asyncio.Future[Answer | SendError]":
        """Send a request. :return: what its answer will be, or why there is none."""
        self._coming = coming = self._loop.create_future()
        if self._end is not None:  # as soon as it was made
            self.settle(self._end)
            return coming
        self._expect(is_head=head.startswith(b"HEAD "))
        if body is None or len(body) <= PIECE_BYTES:
            self._transport.write(head + body if body else head)
        else:
            self._transport.write(head)
            self.rest = memoryview(body)
        return coming

    def end(self) -> bool:
        """Take the answer as read. :return: whether another request may be sent."""
        self.kept_since = self._loop.time()
        # Else the answer did not wait for the end of the request's body, or is not the last thing that has come.
        is_written = not self.rest and self._can_write and not self._transport.get_write_buffer_size()
        self.is_open &= self._may_go_on and is_written
        if not self.is_open:
            self.abort()
        return self.is_open

    def abort(self) -> None:
        """End it at once: what is still to be written is not."""
        self.is_open = False
        self._transport.abort()

    @property
    def status(self) -> int | None:
        """Of the answer that has begun; None while that is not known."""
        status = int(self._parser.get_status_code())
        return status if status >= _FIRST_FINAL_STATUS else None

    @property
    def was_stale(self) -> bool:
        """Whether it was kept from an earlier request, and has ended before anything of the answer came."""
        return bool(self.kept_since and self._end is not None and not self._has_begun)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        self._on_made(self)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self._coming is None:
            self.abort()  # it is an answer to no request
            return
        size, self._has_begun = self._size, True
        self._is_long = self._silent > 0 or len(data) > _LONGEST_HEADER
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._may_go_on = False
        except HttpParserError as error:
            self._take_error(error, data)
        if (outcome := self._failure or self._answer) is not None:
            self.settle(outcome)
            return
        self._shown += data[: _SHOWN_BYTES - len(self._shown)]
        if self._size == size:
            self._silent += len(data)
            if self._silent > _MOST_HEAD_BYTES:
                self.settle(_too_many_headers())

    def eof_received(self) -> None:
        """Take the end of what comes, while there may still be something to write."""
        self._take_end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the connection."""
        self._take_end(exc)
        self._on_lost(self)

    def _take_end(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._end is None:
            self._end = self._outcome_of_end(exc)
            self.settle(self._end)

    def _outcome_of_end(self, exc: Exception | None) -> Answer | SendError:
        if isinstance(exc, ssl.SSLError):
            return tls_error(exc)
        cause = unfinished_tls(self._transport) if exc is None else str(exc) or type(exc).__name__
        if not self._has_begun:
            return broken_off(cause) if cause else no_answer()
        status = self._parser.get_status_code()
        if cause or self.headers is None or not has_no_end(status, self.headers):
            return broken_off(cause or "the answer is not complete")
        return Answer(status, self.headers, b"".join(self._pieces), ends_by_close=True)

    def settle(self, outcome: Answer | SendError) -> None:
        """Take what the answer is, or why there is none."""
        coming, self._coming = self._coming, None
        if coming is not None and not coming.done():
            coming.set_result(outcome)
            if self.rest:
                self.stop_writing()

    # What the parser calls, of the answer, and of what follows it in the same piece, which may belong to it.

    def on_message_begin(self) -> None:
        """Begin with the headers."""
        self._lines = []
        if self._answer is not None:
            self._may_go_on = False  # it is an answer to no request

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        self._lines.append((name, value))

    def on_headers_complete(self) -> None:
        """Make the headers, unless they are those of an interim answer."""
        status = self._parser.get_status_code()
        is_interim = 100 <= status < _FIRST_FINAL_STATUS and status != _SWITCHING_PROTOCOLS  # noqa: PLR2004
        if self._answer is not None or is_interim:
            return
        lines = self._lines
        if len(lines) > _MOST_HEADERS or (self._is_long and any(len(value) > _LONGEST_HEADER for _, value in lines)):
            self._failure = _too_many_headers()
        self.headers = CIMultiDict([(_name(name), value.decode("utf-8", "surrogateescape")) for name, value in lines])
        if self._is_head or status in WITHOUT_BODY:
            self._complete(status, self.headers)
            # The body of an answer to a HEAD never comes; another one that is announced may.
            self._may_go_on &= self._is_head or not announces_body(self.headers)

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if self._answer is not None:
            self._may_go_on = False
            return
        self._size += len(piece)
        self._pieces.append(piece)
        if self._size > self._most_bytes:
            self._pieces.clear()
            self._failure = too_large(self._most_bytes)

    def on_message_complete(self) -> None:
        """Make the answer."""
        if self._answer is None and self.headers is not None:
            self._complete(self._parser.get_status_code(), self.headers)

    def _complete(self, status: int, headers: CIMultiDict[str]) -> None:
        pieces = self._pieces
        self._answer = Answer(status, headers, pieces[0] if len(pieces) == 1 else b"".join(pieces))
        self._may_go_on = self._parser.should_keep_alive()

    def _take_error(self, error: HttpParserError, data: bytes) -> None:
        self._may_go_on = False
        if self._answer is not None and (self._is_head or self._answer.status in WITHOUT_BODY):
            return  # what came after it is none of it
        if self._failure is None:
            shown = repr((self._shown + data)[:_SHOWN_BYTES])[2:-1]
            self._failure = no_http(shown) if self.status is None else unreadable(str(error))


@lru_cache(maxsize=256)  # an API has few
def _name(name: bytes) -> istr:
    return istr(name.decode("utf-8", "surrogateescape"))


def _too_many_headers() -> AnswerUnreadableError:
    return unreadable(f"it has more than {_MOST_HEADERS:,} headers, or one of more than {_LONGEST_HEADER:,} bytes")
