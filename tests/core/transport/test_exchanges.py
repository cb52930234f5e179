"""What comes over a connection, and when: the same for both transports."""

import asyncio
import gzip
import socket
from contextlib import suppress
from dataclasses import replace

import pytest
from exchanges import OK, answering, read_request, serving
from multidict import CIMultiDict

from airflow_async_rest.core.errors import AnswerUnreadableError, ConnectionFailedError, RequestTimeoutError, SendError
from airflow_async_rest.core.transport.client import ClientSettings, RestClient

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("each_transport")]


@pytest.fixture(params=[pytest.param(False, marks=pytest.mark.slow("the other loop")), True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    return "asyncio", {"use_uvloop": request.param}


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
    async with RestClient(ClientSettings(api.url), 1) as client:  # after which the server knows of both connections
        await client.send(request_of())
    assert [seen.headers.get("X-Job") for seen in api.seen] == [None]


async def test_a_header_of_two_lines_is_of_its_request_alone(request_of):
    heads = []
    async with (
        serving(answering(OK, OK, OK, seen=heads)) as url,
        RestClient(ClientSettings(url, headers={"X-Mark": "0"}), 1) as client,
    ):
        for headers in (CIMultiDict([("X-Mark", "1"), ("X-Mark", "2")]), {"X-Mark": "3"}, None):
            await client.send(replace(request_of(), headers=headers))
    marks = [[line for line in head.split(b"\r\n") if line.startswith(b"X-Mark")] for head, _ in heads]
    assert marks == [[b"X-Mark: 1", b"X-Mark: 2"], [b"X-Mark: 3"], [b"X-Mark: 0"]]


async def test_headers_that_are_written_again_are_sent_as_they_are_then(request_of):
    heads, headers = [], {}
    async with serving(answering(OK, OK, OK, OK, seen=heads)) as url, RestClient(ClientSettings(url), 1) as client:
        for path, mark in [("x", "1"), ("x", "2"), ("y", "3"), ("y", "4")]:
            headers["X-Mark"] = mark
            await client.send(replace(request_of(path=path), headers=headers))
    assert [head.partition(b"X-Mark: ")[2][:1] for head, _ in heads] == [b"1", b"2", b"3", b"4"]


async def test_a_connection_is_used_again(request_of):
    connections = []

    async def serve(reader, writer):
        connections.append(1)
        await answering(OK, OK, OK)(reader, writer)

    async with serving(serve) as url, RestClient(ClientSettings(url), 1) as client:
        for _ in range(3):
            await client.send(request_of())
    assert connections == [1]


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 2]
)
async def test_interim_answers_are_passed_over(request_of, interim):
    async with serving(answering(interim + OK, OK)) as url, RestClient(ClientSettings(url), 1) as client:
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

    async with serving(serve) as url, RestClient(ClientSettings(url), 1) as client:
        assert (await client.send(request_of())).json() == {"a": 1}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # uvloop's clock cannot be set
async def test_a_late_answer_is_no_answer_to_the_next_request(request_of, clock):
    given_up = asyncio.Event()

    async def serve(reader, writer):
        _, body = await read_request(reader)
        if body == b"slow":
            clock.now += 60.1
            await given_up.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body)

    async with serving(serve) as url, RestClient(ClientSettings(url), 1) as client:
        with pytest.raises(RequestTimeoutError):
            await client.send(request_of(body=b"slow"))
        given_up.set()
        assert (await client.send(request_of(body=b"fast"))).body == b"fast"


@pytest.mark.parametrize("stray", [OK.replace(b"{}", b"xx"), b"x", b"\r\n"])
async def test_an_answer_to_no_request_ends_its_connection(request_of, stray):
    """It comes while the connection waits for its next request."""
    ended, goes_on = asyncio.Queue(), asyncio.Queue()

    async def serve(reader, writer):
        await read_request(reader)
        writer.write(OK)
        await goes_on.get()
        writer.write(stray)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        ended.put_nowait(1)

    async with serving(serve) as url, RestClient(ClientSettings(url), 1) as client, asyncio.timeout(60):
        for _ in range(3):
            assert (await client.send(request_of())).body == b"{}"
            goes_on.put_nowait(1)
            await ended.get()


@pytest.mark.parametrize(
    ("framing", "again"), [(b"Content-Length: 2", False), (b"Content-Length: 0", True), (b"X: y", True)]
)
async def test_a_body_that_an_answer_without_one_announces_does_not_come_before_the_next(request_of, framing, again):
    connections = []

    async def serve(reader, writer):
        connections.append(1)
        while True:
            await read_request(reader)
            writer.write(b"HTTP/1.1 204 No Content\r\n" + framing + b"\r\n\r\n")

    async with serving(serve) as url, RestClient(ClientSettings(url), 1) as client:
        assert [(await client.send(request_of())).status for _ in range(3)] == [204] * 3
    assert len(connections) == (1 if again else 3)


async def test_a_status_below_100_is_no_interim_answer(request_of):
    answer = OK.replace(b"200", b"099")
    async with serving(answering(answer)) as url, RestClient(ClientSettings(url), 1) as client:
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

    async with serving(serve) as url, RestClient(ClientSettings(url), 1) as client:
        assert (await client.send(request_of(body=b"x" * 30_000_000))).status == 413
        assert (await client.send(request_of())).status == 200
    assert len(connections) == 2


@pytest.mark.parametrize(
    ("before", "begins", "settings", "method", "stale"),
    [
        (OK, b"", {}, "POST", True),
        (OK, b"", {"idempotency_header": None}, "POST", False),
        (OK, b"", {"idempotency_header": None}, "GET", True),
        (OK, b"HTTP/1.1", {}, "POST", False),
        (b"", b"", {}, "POST", False),
    ],
)
async def test_an_error_says_whether_a_kept_connection_had_ended(request_of, before, begins, settings, method, stale):
    async def serve(reader, writer):
        for answer in filter(None, (before, begins)):
            await read_request(reader)
            writer.write(answer)
        if not begins:
            await read_request(reader)
        writer.close()

    request = request_of(method=method, body=None if method == "GET" else b"{}")
    async with serving(serve) as url, RestClient(ClientSettings(url, **settings), 1) as client:
        if before:
            await client.send(request)
        with pytest.raises(ConnectionFailedError) as raised:
            await client.send(request)
    assert (raised.value.sent, raised.value.stale) == (True, stale)


@pytest.mark.parametrize(
    "headers", [b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n"]
)
async def test_an_answer_to_a_head_has_no_body(request_of, headers):
    connections = []

    async def serve(reader, writer):
        connections.append(1)
        await answering(*[b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n"] * 3)(reader, writer)

    async with serving(serve) as url, RestClient(ClientSettings(url), 1) as client:
        for _ in range(3):
            response = await client.send(request_of(method="HEAD", body=None))
            assert (response.status, response.body, response.broken, response.may_be_cut) == (200, b"", None, False)
    assert connections == [1]


async def test_a_large_body_holds_up_no_other_request(request_of):
    goes_on, bodies = asyncio.Event(), []

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if length > 1_000:
            await goes_on.wait()
        bodies.append(await reader.readexactly(length))
        writer.write(OK)

    large = bytes(range(256)) * 40_000
    async with serving(serve) as url, RestClient(ClientSettings(url), 2) as client, asyncio.timeout(60):
        sending = asyncio.create_task(client.send(request_of(body=large)))
        assert (await client.send(request_of())).status == 200
        goes_on.set()
        assert (await sending).status == 200
    assert bodies == [b"{}", large]


async def test_a_server_that_goes_while_a_body_is_written_is_no_answer(request_of):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with serving(serve) as url, RestClient(ClientSettings(url), 1) as client, asyncio.timeout(60):
        with pytest.raises(SendError) as raised:
            await client.send(request_of(body=b"x" * 30_000_000))
    assert raised.value.sent


HEAD = b"HTTP/1.1 201 Created\r\n"
BODY = b'{"a":[1,2]}'
WHOLE = {
    "by length": HEAD + b"Content-Length: 11\r\n\r\n" + BODY,
    "chunked": HEAD + b"Transfer-Encoding: chunked\r\n\r\n4;x=y\r\n" + BODY[:4] + b"\r\n7\r\n" + BODY[4:] + b"\r\n0\r\n\r\n",
    "with a trailer": HEAD + b"Transfer-Encoding: chunked\r\n\r\nb\r\n" + BODY + b"\r\n0\r\nX-Sum: 1\r\n\r\n",
    "after others": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX: y\r\n\r\n" + HEAD + b"Content-Length: 11\r\n\r\n" + BODY,
    "closed": HEAD + b"Connection: close\r\nContent-Length: 11\r\n\r\n" + BODY,
}  # fmt: skip
STATUS_IS_THERE = len(b"HTTP/1.1 201")


@pytest.mark.parametrize("status", [200, 302, 404, 503, 600, 999])
async def test_the_status_of_an_answer_that_ends_in_its_headers_is_told(request_of, status):
    async def serve(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 %d Any\r\nX-" % status)
        writer.close()

    async with serving(serve) as url, RestClient(ClientSettings(url), 1) as client:
        response = await client.send(request_of())
    assert (response.status, type(response.broken)) == (status, ConnectionFailedError)


@pytest.mark.parametrize("name", WHOLE)
async def test_an_answer_is_the_same_however_it_comes(request_of, name):
    """In two pieces, cut at every byte; and byte for byte."""
    answer = WHOLE[name]

    async def serve(reader, writer):
        while True:
            _, body = await read_request(reader)
            step = int(body) or 1
            for start in [0, step] if int(body) else range(len(answer)):
                writer.write(answer[start:] if int(body) and start else answer[start : start + step])
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            if name == "closed":
                writer.close()

    async with serving(serve) as url, RestClient(ClientSettings(url), 1) as client, asyncio.timeout(60):
        for cut in range(len(answer)):
            response = await client.send(request_of(body=b"%d" % cut))
            assert (response.status, response.body, response.broken) == (201, BODY, None), cut


@pytest.mark.parametrize("name", [*WHOLE, "by close"])
async def test_an_answer_that_ends_anywhere_is_whole_nowhere_else(request_of, name):
    answer = WHOLE.get(name, HEAD + b"\r\n" + BODY)

    async def serve(reader, writer):
        _, body = await read_request(reader)
        writer.write(answer[: int(body)])
        writer.close()

    first = answer.index(HEAD) + STATUS_IS_THERE
    async with serving(serve) as url, RestClient(ClientSettings(url), 1) as client, asyncio.timeout(60):
        for cut in range(len(answer)):
            if cut < first:
                with pytest.raises(ConnectionFailedError):
                    await client.send(request_of(body=b"%d" % cut))
                continue
            response = await client.send(request_of(body=b"%d" % cut))
            if name == "by close" and cut >= answer.index(BODY):
                assert (response.body, response.may_be_cut) == (answer[answer.index(BODY) : cut], True)
            else:
                assert (response.status, type(response.broken)) == (201, ConnectionFailedError), cut


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "closed"])
async def test_what_follows_an_answer_is_none_to_the_next_request(request_of, each_transport, name):
    """In one piece with it: the connection ends."""
    connections, stray = [], b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"
    lengths = [*range(STATUS_IS_THERE - 4, len(stray) + 1, 3), len(stray)]

    async def serve(reader, writer):
        connections.append(1)
        while True:
            _, body = await read_request(reader)
            writer.write(WHOLE[name] + stray[: int(body)])

    async with serving(serve) as url, RestClient(ClientSettings(url), 1) as client, asyncio.timeout(60):
        for length in lengths:
            response = await client.send(request_of(body=b"%d" % length))
            assert (response.status, response.body) == (201, BODY)
    # The parser of aiohttp keeps half an answer to itself: only a whole one ends the connection.
    assert len(connections) == len(lengths) or each_transport == "aiohttp"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 201 Created\nContent-Length: 11\n\n" + BODY,
        b"HTTP/1.1 201\r\nContent-Length: 11\r\n\r\n" + BODY,
        b"HTTP/1.0 201 Created\r\nConnection: keep-alive\r\nContent-Length: 11\r\n\r\n" + BODY,
        HEAD + b"X: a\r\n b\r\nContent-Length: 11\r\n\r\n" + BODY,
        HEAD + b"X: a\x01b\r\nContent-Length: 11\r\n\r\n" + BODY,
        HEAD + b"X: caf\xe9\r\nX: caf\xc3\xa9\r\nContent-Length: 11\r\n\r\n" + BODY,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nb \r\n" + BODY + b"\r\n0\r\n\r\n",
        HEAD + b"Connection: close\r\nContent-Length: 11\r\n\r\n" + BODY + b"\r\n",
        HEAD + b"Upgrade: h2c\r\nContent-Length: 11\r\n\r\n" + BODY,
    ],
    ids=range(9),
)
async def test_what_is_not_quite_http_is_read(request_of, answer):
    async with serving(answering(answer)) as url, RestClient(ClientSettings(url), 1) as client:
        response = await client.send(request_of())
    assert (response.status, response.body, response.broken) == (201, BODY, None)


PACKED = gzip.compress(BODY, mtime=0)  # the name of a test has it, and is the same in all processes


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        (b"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n", gzip.compress(PACKED, mtime=0)),
        (b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n", PACKED),
        (b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\nX: %d\r\n", b"b\r\n" + BODY + b"\r\n0\r\n\r\n"),
    ],
)
async def test_what_a_body_went_through_may_be_told_in_several_lines(request_of, lines, body):
    answer = HEAD + lines % len(body) + b"\r\n" + body
    async with serving(answering(answer)) as url, RestClient(ClientSettings(url), 1) as client:
        response = await client.send(request_of())
    assert (response.body, response.broken, response.may_be_cut) == (BODY, None, False)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 11\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 11\r\nContent-Length: 12\r\n",
        b"Content-Length: +11\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding : chunked\r\n",
    ],
)
async def test_what_says_two_things_is_not_read(request_of, head):
    async with serving(answering(HEAD + head + b"\r\n" + BODY)) as url, RestClient(ClientSettings(url), 1) as client:
        response = await client.send(request_of())
    assert (response.status, type(response.broken)) == (201, AnswerUnreadableError)


def _said(status, length, body, more=b""):
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%b\r\n%b" % (status, length, more, body)


@pytest.mark.parametrize(
    "answers",
    [
        [(200, b"{}"), (200, b"[]"), (200, b"[1]"), (200, b"{}")],
        [(200, b"ab"), (422, b"ab"), (200, b"cd"), (422, b"ef")],
        [(200, b""), (200, b""), (200, b"a")],
        [(200, b"\r\n\r\n"), (200, b"a\r\n\r"), (200, b"\r\n\r\n")],
    ],
)
async def test_an_answer_that_begins_as_the_one_before_is_read_for_itself(request_of, answers):
    serve = answering(*(_said(status, len(body), body) for status, body in answers))
    async with serving(serve) as url, RestClient(ClientSettings(url), 1) as client:
        sent = [await client.send(request_of()) for _ in answers]
    assert [(response.status, response.body) for response in sent] == answers
    assert {len(response.headers) for response in sent} == {1}


@pytest.mark.parametrize(
    ("before", "method", "after", "bodies"),
    [
        # What has no body for one method has one for another, though it may not have come yet.
        (_said(200, 2, b""), "HEAD", [_said(200, 2, b""), b"{}"], [b"", b"{}"]),
        (OK, "POST", [OK[:20], OK[20:]], [b"{}", b"{}"]),
        (OK, "POST", [OK[:-2], b"[]"], [b"{}", b"[]"]),
        # What follows an answer is no part of the next one.
        (OK, "POST", [OK + b"\r\nHTTP/1.1 500 No\r\n\r\n"], [b"{}", b"{}"]),
        (_said(200, 2, b"{}", b"Connection: close\r\n"), "POST", [OK], [b"{}", b"{}"]),
    ],
)
async def test_where_an_answer_ends_does_not_follow_from_the_one_before(request_of, before, method, after, bodies):
    answers = iter([[before], after])

    async def serve(reader, writer):
        for pieces in answers:
            await read_request(reader)
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.01)
        await reader.read()

    async with serving(serve) as url, RestClient(ClientSettings(url), 1) as client:
        first = await client.send(request_of(method=method, body=None if method == "HEAD" else b"{}"))
        assert [first.body, (await client.send(request_of())).body] == bodies
