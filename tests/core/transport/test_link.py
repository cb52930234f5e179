"""How a connection of our own is written to, and how it ends: with a transport that says when."""

import asyncio
import ssl

import pytest

from airflow_async_rest.core.errors import AnswerUnreadableError, RequestTimeoutError, TlsError
from airflow_async_rest.core.models import Response
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.connecting import Opener
from airflow_async_rest.core.transport.direct import Connection, LastAnswer
from airflow_async_rest.core.transport.link import PIECE_BYTES
from airflow_async_rest.core.transport.send_errors import request_timeout

pytestmark = pytest.mark.anyio

SETTINGS = ClientSettings("http://127.0.0.1:1")
HEAD = b"PUT /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"


class Wire(asyncio.Transport):
    """Takes what is written; as full as it is told to be."""

    def __init__(self, full_after: int = 0, last: LastAnswer | None = None) -> None:
        super().__init__()
        self.full_after, self.written, self.is_aborted = full_after, 0, False
        self.connection = Connection(10_000, last or LastAnswer(), lambda _: None, lambda _: None)
        self.connection.connection_made(self)

    def write(self, data) -> None:
        self.written += len(data)
        if self.full_after and self.written >= self.full_after:
            self.connection.pause_writing()

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.is_aborted = True


async def written_so_far(connection):
    """Let a body's writer come as far as it can."""
    writing = asyncio.create_task(connection.write_rest())
    for _ in range(20):
        await asyncio.sleep(0)
    return writing


@pytest.mark.parametrize("pieces", [1, 2, 3])
@pytest.mark.parametrize("end", ["answer", "time", "loss"])
async def test_whoever_waits_for_the_server_to_take_a_body_is_told_of_its_end(pieces, end):
    """The last piece may be what the server does not take: then nothing is left to write, and it waits all the same."""
    body = b"x" * (PIECE_BYTES * pieces)
    for written in range(1, pieces + 1):
        wire = Wire(full_after=len(HEAD) + PIECE_BYTES * written)
        coming = wire.connection.begin(HEAD, body + b"x")
        wire.connection.rest = memoryview(body)
        writing = await written_so_far(wire.connection)
        assert not writing.done()
        if end == "answer":
            wire.connection.data_received(REFUSED)
        elif end == "time":
            wire.connection.settle(request_timeout(SETTINGS))
        else:
            wire.connection.connection_lost(ConnectionResetError("gone"))
        await asyncio.wait_for(writing, 60)
        assert coming.done()
        assert isinstance(coming.result(), Response) == (end == "answer")
        assert isinstance(coming.result(), RequestTimeoutError) == (end == "time")


async def test_a_connection_over_which_a_large_request_was_refused_is_not_kept():
    for answer, is_kept in ((REFUSED, False), (OK, True)):
        wire = Wire()
        wire.connection.begin(HEAD, b"x" * PIECE_BYTES * 2)
        await wire.connection.write_rest()
        wire.connection.data_received(answer)
        assert wire.connection.end() is is_kept


@pytest.mark.parametrize(
    ("after", "is_whole"),
    [
        (b"HTTP/1.1 x", True),
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTT", True),
        (b"HTTP/1.1 400 Bad\r\nContent-Length: x\r\n\r\n", True),
        (b"HTTP/1.1 201 Bad\r\nContent-Length: x\r\n\r\n", True),
        (b"extra", False),
        (b"\0", False),
    ],
)
async def test_an_answer_is_whole_where_another_one_follows_it_and_not_where_its_length_is_wrong(after, is_whole):
    wire = Wire()
    coming = wire.connection.begin(HEAD, b"{}")
    wire.connection.data_received(OK + after)
    if is_whole:
        assert (coming.result().status, coming.result().body) == (201, b"{}")
        assert not wire.connection.end()
    else:
        assert isinstance(coming.result(), AnswerUnreadableError)
        assert wire.connection.status == 201


@pytest.mark.parametrize("answers", [0, 1])
async def test_an_alert_is_about_tls_only_where_nothing_has_come_yet(answers):
    wire = Wire()
    for _ in range(answers):
        wire.connection.begin(HEAD, b"{}")
        wire.connection.data_received(OK)
        wire.connection.end()
    coming = wire.connection.begin(HEAD, b"{}")
    wire.connection.connection_lost(ssl.SSLError(1, "[SSL: BAD_RECORD_TYPE] bad record type"))
    assert isinstance(coming.result(), TlsError) == (not answers)
    assert wire.connection.was_stale == bool(answers)


@pytest.mark.parametrize("is_made", [True, False])
async def test_the_socket_of_a_connection_that_was_made_is_not_closed_under_it(monkeypatch, is_made):
    wires, closed = [], []

    class Socket:
        def setsockopt(self, *_):
            pass

        def close(self):
            closed.append(self)

    async def made(make, **_):
        if is_made:
            connection = make()
            wires.append(Wire())
            wires[0].connection = connection
            connection.connection_made(wires[0])
        raise asyncio.CancelledError

    opener = Opener(SETTINGS, False, lambda: Connection(10_000, LastAnswer(), lambda _: None, lambda _: None))
    monkeypatch.setattr(opener, "_loop", type("Loop", (), {"create_connection": staticmethod(made)})())
    with pytest.raises(asyncio.CancelledError):
        await opener._open_over(Socket())
    assert [wire.is_aborted for wire in wires] == [True] * is_made
    assert len(closed) == (not is_made)


async def test_an_answer_that_is_as_the_one_before_needs_no_parser_whatever_connection_it_comes_over():
    last = LastAnswer()
    first, second = Wire(last=last), Wire(last=last)
    for wire in (first, second):
        coming = wire.connection.begin(HEAD, None)
        wire.connection.data_received(OK)
        assert (coming.result().status, coming.result().body) == (201, b"{}")
    assert not hasattr(second.connection, "_parser")
    second.connection.connection_lost(ConnectionResetError())
    assert second.connection.status == 201
