"""What our own connections must do as aiohttp's session does; test_client.py asks both for the rest."""

import subprocess
import sys

import aiohttp
import pytest
from aiohttp import web
from exchanges import OK, answering, serving

from airflow_async_rest.core.errors import ConnectionFailedError
from airflow_async_rest.core.transport.client import ClientSettings, RestClient
from airflow_async_rest.core.transport.connecting import Opener

pytestmark = pytest.mark.anyio


@pytest.fixture
def sessions_requests(monkeypatch):
    """What was sent by a session."""
    sent, request = [], aiohttp.ClientSession.request
    monkeypatch.setattr(
        aiohttp.ClientSession, "request", lambda self, *args, **more: sent.append(args) or request(self, *args, **more)
    )
    return sent


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
    async with serving(answering(OK, seen=seen)) as url:
        settings = ClientSettings(url + "/base", headers={"X-C": "žluť\t1", "User-Agent": "me"})
        for _ in range(2):
            async with RestClient(settings, 1, {"X-Job": "j"}) as client:
                assert (await client.send(request_of(**parts))).body == b"{}"
            monkeypatch.setattr(RestClient, "_needs_session", lambda *_: True)
    (short, short_body), (long, long_body) = seen
    first, *headers = short.split(b"\r\n")
    assert (first, sorted(headers)) == (long.split(b"\r\n")[0], sorted(long.split(b"\r\n")[1:]))
    assert short_body == long_body


async def test_an_answer_to_a_head_that_is_as_the_last_one_to_a_get_has_no_body(request_of):
    """What such a server sends after it belongs to no request: the connection is used no more."""
    connections = []

    async def serve(reader, writer):
        connections.append(1)
        await answering(*[OK] * 3)(reader, writer)

    async with serving(serve) as url, RestClient(ClientSettings(url), 1) as client:
        answers = [await client.send(request_of(method=method, body=None)) for method in ("GET", "HEAD", "GET")]
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"{}"), (200, b""), (200, b"{}")]
    assert len(connections) == 2


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


def printed_by(code):
    """Run code in a process that has imported nothing yet."""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow("a process that imports all again")
def test_what_no_session_sends_needs_no_aiohttp(api):
    """It takes longer to import than all of the engine; where a GET is redirected, a session is opened then."""
    api.answer = lambda seen: web.Response(status=302, headers={"Location": "/b"}) if seen.path == "/a" else 200
    code = f"""if True:
        import asyncio, sys
        from airflow_async_rest.core.models import Request
        from airflow_async_rest.core.run import JobRun
        from airflow_async_rest.core.signing.oauth2 import TokenEndpoint
        from airflow_async_rest.core.transport.client import ClientSettings, RestClient

        async def send():
            async with RestClient(ClientSettings({api.url!r}, trust_env=False), 1) as client:
                for method, path, body in (("POST", "a", b""), ("GET", "b", None), ("GET", "a", None)):
                    response = await client.send(Request(method, path, "", body, "k"))
                    print(method, path, response.status, "aiohttp" in sys.modules)

        asyncio.run(send())
    """
    assert printed_by(code) == ["POST a 302 False", "GET b 200 False", "GET a 200 True"]


@pytest.mark.slow("a process that imports all again")
def test_what_is_replaced_before_the_first_import_is_seen():
    """A test that runs a task in the scope of aioresponses imports this package there."""
    code = """if True:
        import asyncio
        from aioresponses import aioresponses

        async def send():
            from airflow_async_rest.core.models import Request
            from airflow_async_rest.core.transport.client import ClientSettings, RestClient

            async with RestClient(ClientSettings("http://api.invalid"), 1) as client:
                print("by a session:", client._direct is None)

        with aioresponses():
            asyncio.run(send())
        asyncio.run(send())
    """
    assert printed_by(code) == ["by a session: True", "by a session: False"]


async def test_a_kept_connection_keeps_nothing_of_what_was_said(request_of):
    async with serving(answering(OK)) as url, RestClient(ClientSettings(url), 1) as client:
        response = await client.send(request_of(body=b"x" * 1_000_000))
        [kept] = client._direct._kept
        assert response.body == b"{}"
        assert not any((kept._answer, kept._pieces, kept.headers, kept.rest, kept._coming))


def _answer(*lines):
    return b"HTTP/1.1 200 OK\r\n" + b"".join(line + b"\r\n" for line in lines) + b"Content-Length: 2\r\n\r\n{}"


CHUNKED, LAST = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", b"\r\n2\r\n{}\r\n0\r\n"


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([_answer(b"X-A: 1"), _answer(b"X-A: 1"), _answer(b"X-A: 2")], [["1"], ["1"], ["2"]]),
        ([_answer(b"X-A: 1", b"X-A: 2"), _answer(b"X-A: 2", b"X-A: 1"), _answer()], [["1", "2"], ["2", "1"], []]),
        ([_answer(b"X-A: 1"), b"HTTP/1.1 103 Early\r\nX-A: 9\r\n\r\n" + _answer(b"X-A: 1")], [["1"], ["1"]]),
        ([CHUNKED + LAST + b"X-A: 1\r\n\r\n", CHUNKED + b"X-A: 1\r\n" + LAST + b"\r\n"], [[], ["1"]]),
    ],
    ids=["the same, another value", "more than once", "an interim answer", "what was a trailer"],
)
async def test_each_answer_has_its_own_headers(request_of, answers, expected):
    async with serving(answering(*answers)) as url, RestClient(ClientSettings(url), 1) as client:
        found = [(await client.send(request_of())).headers for _ in answers]
    assert [headers.getall("x-a", []) for headers in found] == expected


async def test_nobody_changes_the_headers_of_the_next_answer(request_of):
    async with serving(answering(OK, OK)) as url, RestClient(ClientSettings(url), 1) as client:
        first = (await client.send(request_of())).headers
        with pytest.raises(TypeError):
            first["Content-Length"] = "3"
        assert (await client.send(request_of())).headers == {"Content-Length": "2"}


async def test_over_a_connection_that_has_ended_before_it_is_used_nothing_is_sent(api, request_of, monkeypatch):
    opened = Opener.open

    async def ended(self):
        connection = await opened(self)
        connection.eof_received()
        return connection

    monkeypatch.setattr(Opener, "open", ended)
    async with RestClient(ClientSettings(api.url), 1) as client:
        with pytest.raises(ConnectionFailedError) as raised:
            await client.send(request_of())
    assert (raised.value.sent, raised.value.stale, api.seen) == (False, False, [])
