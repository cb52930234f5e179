"""What our own connections must do as aiohttp's session does; test_client.py asks both for the rest."""

import asyncio
import contextlib
import socket
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from aiohttp import web

from airflow_async_rest.core.errors import ConnectionFailedError, RequestTimeoutError
from airflow_async_rest.core.transport.client import ClientSettings, RestClient

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def sessions_requests(monkeypatch):
    """What was sent by a session."""
    sent, request = [], aiohttp.ClientSession.request
    monkeypatch.setattr(
        aiohttp.ClientSession, "request", lambda self, *args, **more: sent.append(args) or request(self, *args, **more)
    )
    return sent


@asynccontextmanager
async def raw_server(serve):
    """Serve connections by hand; return the URL."""
    writers = []

    async def accept(reader, writer):
        writers.append(writer)
        await serve(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)  # they are gone with the next turns of the loop


async def read_request(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = int((head.lower() + b"content-length: 0\r\n").split(b"content-length: ")[1].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


def answering(*answers, seen=None):
    """Answer one after the other on every connection."""

    async def serve(reader, writer):
        for answer in answers:
            request = await read_request(reader)
            if seen is not None:
                seen.append(request)
            writer.write(answer)
        await reader.read()

    return serve


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"method": "PUT", "path": "a%2Fb", "query": "c=%20", "body": "č".encode()},
        {"method": "PATCH", "body": b"x" * 300_000, "content_type": "application/x-ndjson"},
        {"method": "DELETE", "body": None},
        {"method": "GET", "body": None, "query": "a=b"},
        {"method": "GET", "body": b"{}"},
        {"body": b""},
        {"path": "ž", "idempotency_key": "č"},
        {"headers": {"X-Signature": "a=b; č", "user-agent": "own", "x-job": "own"}},
        {"headers": {"Content-Type": "text/x", "idempotency-key": "own", "Host": "own:1"}},
        {"method": "GET", "body": None, "headers": {"Authorization": "own", "Accept-Encoding": "br"}},
    ],
)
async def test_the_bytes_are_those_that_a_session_sends(request_of, monkeypatch, parts):
    seen = []
    async with raw_server(answering(OK, seen=seen)) as url:
        settings = ClientSettings(url + "/base", headers={"X-C": "žluť\t1", "User-Agent": "me"})
        for _ in range(2):
            async with RestClient(settings, 1, {"X-Job": "j"}) as client:
                assert (await client.send(request_of(**parts))).body == b"{}"
            monkeypatch.setattr(RestClient, "_needs_session", lambda *_: True)
    (short, short_body), (long, long_body) = seen
    first, *headers = short.split(b"\r\n")
    assert (first, sorted(headers)) == (long.split(b"\r\n")[0], sorted(long.split(b"\r\n")[1:]))
    assert short_body == long_body


@pytest.mark.parametrize("parts", [{}, {"method": "DELETE", "body": None}, {"method": "PUT", "query": "a=1"}])
async def test_a_plain_request_needs_no_session(api, request_of, sessions_requests, parts):
    async with RestClient(ClientSettings(api.url), 1) as client:
        assert (await client.send(request_of(**parts))).status == 200
    assert sessions_requests == []


async def test_a_redirected_get_is_sent_once_and_then_by_a_session(api, request_of, sessions_requests):
    moved = web.Response(status=302, headers={"Location": "/there"})
    api.answer = lambda seen: moved if seen.path == "/x" else 200
    async with RestClient(ClientSettings(api.url), 1) as client:
        assert (await client.send(request_of(method="GET", body=None))).status == 200
    assert [seen.path for seen in api.seen] == ["/x", "/there"]
    assert len(sessions_requests) == 1


@pytest.mark.parametrize(
    ("parts", "settings", "headers"),
    [
        ({"path": "a#b"}, {}, {}),
        ({}, {"cookies": True}, {}),
        ({}, {"headers": {"expect": "100-continue"}}, {}),
    ],
)
async def test_what_a_session_does_something_to_goes_by_it(
    api, request_of, sessions_requests, parts, settings, headers
):
    async with RestClient(ClientSettings(api.url, **settings), 1, headers) as client:
        assert (await client.send(request_of(**parts))).status == 200
    assert len(sessions_requests) == 1


async def test_a_connection_may_want_aiohttp(api, request_of, sessions_requests):
    async with RestClient(ClientSettings(api.url, transport="aiohttp"), 1) as client:
        assert (await client.send(request_of())).status == 200
    assert len(sessions_requests) == 1


async def test_whoever_traces_requests_sees_them(api, request_of, monkeypatch):
    traced, make = aiohttp.TraceConfig(), aiohttp.ClientSession.__init__
    started = []

    async def note(*_):
        started.append(1)

    traced.on_request_start.append(note)
    monkeypatch.setattr(
        aiohttp.ClientSession, "__init__", lambda self, **more: make(self, **more, trace_configs=[traced])
    )
    async with RestClient(ClientSettings(api.url), 1) as client:
        await client.send(request_of())
    assert started == [1]


@pytest.mark.parametrize(
    "parts",
    [
        {"path": "a HTTP/1.1\r\nX-Forged: 1\r\n"},
        {"query": "a HTTP/1.1\nX-Forged: 1\n"},
        {"idempotency_key": "k\r\nX-Forged: 1"},
    ],
)
async def test_nothing_forges_a_header(api, request_of, parts):
    async with RestClient(ClientSettings(api.url), 1) as client:
        with suppress(ConnectionFailedError):
            await client.send(request_of(**parts))
        await client.send(request_of())
    assert not any("X-Forged" in seen.headers for seen in api.seen)


async def test_a_header_that_was_not_checked_before_forges_none_either(api, request_of):
    async with RestClient(ClientSettings(api.url), 1, {"X-Job": "a\r\nX-Forged: 1"}) as client:
        with pytest.raises(ConnectionFailedError):
            await client.send(request_of())
    assert api.seen == []


async def test_a_connection_is_used_again(request_of):
    connections = []

    async def serve(reader, writer):
        connections.append(1)
        await answering(OK, OK, OK)(reader, writer)

    async with raw_server(serve) as url, RestClient(ClientSettings(url), 1) as client:
        for _ in range(3):
            await client.send(request_of())
    assert connections == [1]


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 2]
)
async def test_interim_answers_are_passed_over(request_of, interim):
    async with raw_server(answering(interim + OK, OK)) as url, RestClient(ClientSettings(url), 1) as client:
        assert [(await client.send(request_of())).status for _ in range(2)] == [200, 200]


async def test_an_answer_in_pieces_is_read_to_its_end(request_of):
    async def serve(reader, writer):
        await read_request(reader)
        for piece in (
            b"HTTP/1.1 200 OK\r\nTransfer-",
            b'Encoding: chunked\r\n\r\n3\r\n{"a',
            b'\r\n3\r\n":1\r\n1\r\n}',
            b"\r\n0\r\n\r\n",
        ):
            writer.write(piece)
            await asyncio.sleep(0.01)

    async with raw_server(serve) as url, RestClient(ClientSettings(url), 1) as client:
        assert (await client.send(request_of())).json() == {"a": 1}


async def test_a_late_answer_is_no_answer_to_the_next_request(request_of):
    async def serve(reader, writer):
        _, body = await read_request(reader)
        await asyncio.sleep(0.2 if body == b"slow" else 0)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body)

    settings = {"request_timeout_seconds": 0.1}
    async with raw_server(serve) as url, RestClient(ClientSettings(url, **settings), 1) as client:
        with pytest.raises(RequestTimeoutError):
            await client.send(request_of(body=b"slow"))
        assert (await client.send(request_of(body=b"fast"))).body == b"fast"


async def test_an_answer_to_no_request_is_no_answer_to_the_next(request_of):
    """It comes while the connection waits for its next request."""
    connections = []

    async def serve(reader, writer):
        connections.append(1)
        await read_request(reader)
        writer.write(OK)
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
        await reader.read()

    async with raw_server(serve) as url, RestClient(ClientSettings(url), 1) as client:
        for _ in range(3):
            assert (await client.send(request_of())).body == b"{}"
            await asyncio.sleep(0.1)
    assert len(connections) == 3


@pytest.mark.parametrize(
    ("framing", "again"), [(b"Content-Length: 2", False), (b"Content-Length: 0", True), (b"X: y", True)]
)
async def test_a_body_that_an_answer_without_one_announces_does_not_come_before_the_next(request_of, framing, again):
    connections = []

    async def serve(reader, writer):
        connections.append(1)
        with contextlib.suppress(asyncio.IncompleteReadError):  # the connection has ended
            while True:
                await read_request(reader)
                writer.write(b"HTTP/1.1 204 No Content\r\n" + framing + b"\r\n\r\n")

    async with raw_server(serve) as url, RestClient(ClientSettings(url), 1) as client:
        assert [(await client.send(request_of())).status for _ in range(3)] == [204] * 3
    assert len(connections) == (1 if again else 3)


async def test_a_status_below_100_is_no_interim_answer(request_of):
    answer = OK.replace(b"200", b"099")
    async with raw_server(answering(answer)) as url, RestClient(ClientSettings(url), 1) as client:
        assert (await client.send(request_of())).status == 99


async def test_a_worker_that_is_cancelled_leaves_no_connection_behind(api, request_of):
    api.answer = lambda seen: "hang" if len(api.seen) == 1 else 200
    async with RestClient(ClientSettings(api.url), 1) as client:
        sending = asyncio.create_task(client.send(request_of()))
        while not api.seen:
            await asyncio.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert (await client.send(request_of())).status == 200


async def test_an_answer_before_the_end_of_a_body_ends_the_connection(request_of):
    """The rest of the body would be taken for the next request."""
    connections = []

    async def serve(reader, writer):
        connections.append(1)
        if len(connections) > 1:
            await answering(OK)(reader, writer)
            return
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(5)

    async with raw_server(serve) as url, RestClient(ClientSettings(url), 1) as client:
        assert (await client.send(request_of(body=b"x" * 30_000_000))).status == 413
        assert (await client.send(request_of())).status == 200
    assert len(connections) == 2
