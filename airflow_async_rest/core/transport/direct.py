"""Requests over connections of our own. What parses their answers is llhttp, which httptools brings along."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from multidict import CIMultiDictProxy

from airflow_async_rest.core.errors import SendError
from airflow_async_rest.core.models import Response
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.connecting import Opener
from airflow_async_rest.core.transport.content_encoding import too_large
from airflow_async_rest.core.transport.link import PIECE_BYTES, Link
from airflow_async_rest.core.transport.send_errors import broken_off, no_answer, no_http, request_timeout, unreadable
from airflow_async_rest.core.transport.tls import tls_error
from airflow_async_rest.core.transport.transport import WITHOUT_BODY, announces_body, has_no_end, headers_of

# Servers and balancers close what nobody uses, most of them later than this.
_KEPT_SECONDS = 15.0
_CLOSE_SECONDS = 1.0
_FIRST_FINAL_STATUS = 200
_MOST_HEADERS, _LONGEST_HEADER = 1_024, 65_536
# llhttp's words for bytes that begin no other answer: the length of the one before them was wrong.
_NO_ANSWER = ("Expected HTTP/", "Data after")
_TOO_MANY_HEADERS = f"it has more than {_MOST_HEADERS:,} headers, or one of more than {_LONGEST_HEADER:,} bytes"
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
        self._free = connections
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._open: set[Connection] = set()
        make = partial(Connection, settings.max_response_bytes, LastAnswer(), self._open.add, self._open.discard)
        self._opener = Opener(settings, tls, make)
        self._kept: list[Connection] = []
        self._due: dict[Connection, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def send(self, head: bytes, body: bytes | None) -> Response:
        """Send one request and read its answer completely.

        :param head: all that stands before the body.
        :raises SendError: when there is no answer, or none that can be read; says how far it has come.
        """
        if self._free:  # what asyncio's semaphore does takes longer
            self._free -= 1
        else:
            await self._wait()
        connection: Connection | None = None
        outcome: Response | SendError | None = None
        now, is_open = self._loop.time(), False
        try:
            connection = self._take_kept(now) or await self._opener.open()
            is_open = connection.is_open
            coming = connection.begin(head, body)
            self._due[connection] = due = self._loop.time() + self._settings.request_timeout_seconds
            if self._timer is None:
                self._timer = self._loop.call_at(due, self._end_late)
            if connection.rest:
                await connection.write_rest()
            outcome = await coming
        finally:
            if self._waiting:
                self._leave()
            else:
                self._free += 1
            if connection is not None:
                self._due.pop(connection, None)
                if not isinstance(outcome, Response):
                    self._give_up(connection)
        if isinstance(outcome, SendError):
            outcome.sent, outcome.stale = is_open, connection.was_stale
            outcome.status, outcome.headers = connection.status, connection.headers
            raise outcome
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
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                while self._open:
                    await asyncio.sleep(0)

    def _take_kept(self, now: float) -> "Connection | None":
        while self._kept:
            connection = self._kept.pop()
            if connection.is_open and now - connection.kept_since < _KEPT_SECONDS:
                return connection
            connection.abort()
        return None

    async def _wait(self) -> None:
        place: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1

    def _end_late(self) -> None:
        self._timer, now = None, self._loop.time()
        for connection, due in self._due.items():
            if due > now:
                self._timer = self._loop.call_at(due, self._end_late)
                return
            connection.settle(request_timeout(self._settings))

    def _give_up(self, connection: "Connection") -> None:
        connection.abort()
        if connection.was_stale:  # the others have waited for as long
            for kept in self._kept:
                kept.abort()
            self._kept.clear()


class LastAnswer:
    """What the last answer had in front of its body: many answers have the same, whatever connection they come over.

    :ivar lines: its headers as they came, and ``headers`` what they were made into.
    :ivar whole: of one that came in one piece, all that was in front of its body; how many bytes it had with that; and
        the answer without its body.
    """

    def __init__(self) -> None:
        self.lines: list[tuple[bytes, bytes]] = []
        self.headers = headers_of([])
        self.whole = b"", 0, Response(0, self.headers, b"")


class Connection(Link):
    """Sends one request at a time, and knows of each how its answer ended. Made inside the running event loop.

    :param most_bytes: of an answer's body.
    :param last: what is known of the last one.
    :ivar kept_since: when its last answer had come, by the loop's clock; 0 before there was one.
    :ivar headers: of the answer, once all of them have come.
    """

    def __init__(
        self,
        most_bytes: int,
        last: LastAnswer,
        on_made: Callable[["Connection"], None],
        on_lost: Callable[["Connection"], None],
    ) -> None:
        super().__init__(on_made, on_lost)
        self._most_bytes, self._last = most_bytes, last
        self._coming: asyncio.Future[Response | SendError] | None = None
        self._is_long, self.kept_since = False, 0.0
        self._expect()

    def _expect(self) -> None:
        self._is_head = self._has_begun = self._may_go_on = self._is_answered = False
        self._answer: Response | None = None
        self._failure: SendError | None = None
        self._pieces: list[bytes] = []
        self.headers: CIMultiDictProxy[str] | None = None
        self.rest = None

    def _begin_to_parse(self) -> None:
        # A new parser for each answer: it takes less time than to keep what it knows of the last one out of this one.
        self._parser = HttpResponseParser(self)
        # What servers write that is not quite HTTP, and means one thing all the same; aiohttp allows no more either.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._has_begun = True
        self._lines: list[tuple[bytes, bytes]] = []
        self._size = self._silent = 0
        self._shown = b""

    def begin(self, head: bytes, body: bytes | None) -> "asyncio.Future[Response | SendError]":
        """Send a request. :return: what its answer will be, or why there is none."""
        self._coming = coming = self._loop.create_future()
        if self._end is not None:  # as soon as it was made
            self.settle(self._end)
            return coming
        self._is_head = head.startswith(b"HEAD ")
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
        if self.rest is not None and self._answer is not None and self._answer.status >= HTTPStatus.BAD_REQUEST:
            is_written = False  # below TLS there may be more of a large body, where nobody can see it
        self.is_open &= self._may_go_on and is_written
        self._expect()  # a connection is kept for long; what was said over it is not
        if not self.is_open:
            self.abort()
        return self.is_open

    @property
    def status(self) -> int | None:
        """Of the answer that has begun, or has come; None while that is not known."""
        status = 0
        if self._answer is not None:
            status = self._answer.status
        elif self._has_begun:
            status = int(self._parser.get_status_code())
        return status if status >= _FIRST_FINAL_STATUS else None

    @property
    def was_stale(self) -> bool:
        """Whether it was kept from an earlier request, and has ended before anything of the answer came."""
        return bool(self.kept_since and self._end is not None and not self._has_begun)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self._coming is None:
            self.abort()  # it is an answer to no request
            return
        is_first = not self._has_begun
        if is_first:
            head, size, answer = self._last.whole
            if len(data) == size and data.startswith(head) and not self._is_head:
                self._repeat(answer, data[len(head) :])
                return
            self._begin_to_parse()
        size = self._size
        self._is_long = self._silent > 0 or len(data) > _LONGEST_HEADER
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._may_go_on = False
        except HttpParserError as error:
            self._take_error(error, data)
        if (outcome := self._failure or self._answer) is not None:
            if is_first and isinstance(outcome, Response):
                self._remember(outcome, data)
            self.settle(outcome)
            return
        self._shown += data[: _SHOWN_BYTES - len(self._shown)]
        if self._size == size:
            self._silent += len(data)
            if self._silent > _MOST_HEAD_BYTES:
                self.settle(unreadable(_TOO_MANY_HEADERS))

    def _remember(self, answer: Response, data: bytes) -> None:
        """Keep what was in front of an answer's body: where it comes again, it means the same."""
        head, end, body = data.partition(b"\r\n\r\n")
        if self._may_go_on and not self._is_head and answer.body == body:
            self._last.whole = head + end, len(data), Response(answer.status, answer.headers, b"")

    def _repeat(self, answer: Response, body: bytes) -> None:
        """Take an answer that is as the last one, but for the bytes of its body: a parser takes a tenth of a request.

        APIs say the same of most of what they take, and a date that is another one each second.
        """
        self._has_begun = self._may_go_on = True
        self._answer = Response(answer.status, answer.headers, body)
        self.settle(self._answer)

    def outcome_of_end(self, cause: str, error: Exception | None) -> Response | SendError:
        """Return what an answer is that ends with the connection; see :meth:`Link.outcome_of_end`."""
        if isinstance(error, ssl.SSLError) and not (self._has_begun or self.kept_since):
            return tls_error(error)  # else the two have understood each other before
        if self._answer is not None:
            return self._answer
        if not self._has_begun:
            return broken_off(cause) if cause else no_answer()
        status = self._parser.get_status_code()
        if cause or self.headers is None or not has_no_end(status, self.headers):
            return broken_off(cause or "the answer is not complete")
        return Response(status, self.headers, b"".join(self._pieces), may_be_cut=True)

    def settle(self, outcome: Response | SendError) -> None:
        """Take what the answer is, or why there is none."""
        coming, self._coming = self._coming, None
        if coming is not None and not coming.done():
            coming.set_result(outcome)
            if self.rest is not None:  # even if all of it is written: it may wait for the server to take that
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
        is_interim = 100 <= status < _FIRST_FINAL_STATUS and status != HTTPStatus.SWITCHING_PROTOCOLS  # noqa: PLR2004
        if self._answer is not None or is_interim:
            return
        lines = self._lines
        if len(lines) > _MOST_HEADERS or (self._is_long and any(len(value) > _LONGEST_HEADER for _, value in lines)):
            self._failure = unreadable(_TOO_MANY_HEADERS)
        last = self._last
        if lines != last.lines:
            last.lines, last.headers = lines.copy(), headers_of(lines)
        self.headers = last.headers
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

    def _complete(self, status: int, headers: CIMultiDictProxy[str]) -> None:
        pieces = self._pieces
        self._answer = Response(status, headers, pieces[0] if len(pieces) == 1 else b"".join(pieces))
        self._may_go_on = self._parser.should_keep_alive()

    def _take_error(self, error: HttpParserError, data: bytes) -> None:
        self._may_go_on = False
        if (answer := self._answer) is not None:
            has_none = self._is_head or answer.status in WITHOUT_BODY
            if has_none or not str(error).startswith(_NO_ANSWER):
                return  # the answer was whole: what cannot be read is of another one, after it
        if self._failure is None:
            shown = repr((self._shown + data)[:_SHOWN_BYTES])[2:-1]
            self._failure = no_http(shown) if self.status is None else unreadable(str(error))
