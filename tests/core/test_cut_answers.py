"""An answer that is cut off is never a whole one: whatever ends its connection, and however whole it looks."""

import gzip
import zlib

import pytest
from batches import read_batch
from certificates import make_certificate
from servers import raw_server

from airflow_async_rest import Results
from airflow_async_rest.core.answer import AnswerReader, parse_payload
from airflow_async_rest.core.client import ClientSettings, RestClient
from airflow_async_rest.core.columns import RowShape
from airflow_async_rest.core.errors import (
    AnswerError,
    AnswerUnreadableError,
    ConnectionFailedError,
    RequestTimeoutError,
    ResultsError,
)
from airflow_async_rest.core.models import Response, Verdict
from airflow_async_rest.core.response import classify_response
from airflow_async_rest.core.retry import RequestRetry

OLD, NEW = b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\n"
CLOSE, KEEP = b"Connection: close\r\n", b"Connection: keep-alive\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ROWS = b'{"a":1}\n{"a":2}\n'
MANY_ROWS = b'{"a":1}\n' * 40_000
GZIPPED = gzip.compress(ROWS, mtime=0)
TRUSTED, DOUBTED = (ROWS, None, False), (ROWS, None, True)


def chunked(*bodies):
    return b"".join(b"%x\r\n%s\r\n" % (len(body), body) for body in bodies)


@pytest.fixture(params=["past the session", "by the session", "by a proxy"])
def way(request, monkeypatch):
    """Whatever is said of the client is true of all its ways to send."""
    if request.param == "by the session":
        monkeypatch.setattr(RestClient, "_needs_session", lambda *_: True)
    return request.param


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    return "asyncio", {"use_uvloop": request.param}


async def received(request, answer, way, end="close", ssl_context=None, **settings):
    """Send a request to a server that answers so: body, kind of error, and whether the body may be cut off."""
    with raw_server(answer, ssl_context, end) as port:
        url = f"{'https' if ssl_context else 'http'}://127.0.0.1:{port}"
        if way == "by a proxy":
            url, settings["proxy"] = "http://api.example.com", url
        async with RestClient(ClientSettings(url, **settings), 1) as client:
            response = await client.send(request)
    assert response.status == int(answer[9:12])
    return response.body, response.broken and type(response.broken), response.may_be_cut


CUT, UNREADABLE = (b"", ConnectionFailedError, False), (b"", AnswerUnreadableError, False)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "closed", "reset"),
    [
        (OLD + b"\r\n" + ROWS, DOUBTED, CUT),
        (OLD + b"\r\n", (b"", None, True), CUT),
        (OLD + KEEP + b"\r\n" + ROWS, DOUBTED, CUT),
        (NEW + b"\r\n" + ROWS, DOUBTED, CUT),
        (NEW + CLOSE + b"\r\n" + ROWS, DOUBTED, CUT),
        (NEW + CLOSE + b"\r\n", (b"", None, True), CUT),
        (NEW + KEEP + b"\r\n" + ROWS, DOUBTED, CUT),
        (NEW + b"Transfer-Encoding: identity\r\n\r\n" + ROWS, DOUBTED, CUT),
        (NEW + CLOSE + b"\r\n" + MANY_ROWS, (MANY_ROWS, None, True), CUT),
        (NEW + CLOSE + b"Content-", CUT, CUT),
        (OLD + b"Content-Length: 16\r\n\r\n" + ROWS, TRUSTED, TRUSTED),
        (NEW + CLOSE + b"Content-Length: 16\r\n\r\n" + ROWS, TRUSTED, TRUSTED),
        (NEW + CLOSE + b"Content-Length: 0\r\n\r\n", (b"", None, False), (b"", None, False)),
        (NEW + CLOSE + b"Content-Length: 17\r\n\r\n" + ROWS, CUT, CUT),
        (NEW + b"Content-Length: 24\r\n\r\n", CUT, CUT),
        (NEW + CLOSE + CHUNKED + b"\r\n" + chunked(ROWS, b""), TRUSTED, TRUSTED),
        (NEW + CLOSE + CHUNKED + b"\r\n" + chunked(ROWS), CUT, CUT),
        (NEW + CHUNKED + b"\r\n" + chunked(ROWS) + b"0\r\n", CUT, CUT),
        (NEW + CHUNKED + b"\r\n" + b"20\r\n" + ROWS, CUT, CUT),
        (NEW + CHUNKED + b"\r\n", CUT, CUT),
        (b"HTTP/1.1 204 No Content\r\n" + CLOSE + b"\r\n", (b"", None, False), (b"", None, False)),
        (b"HTTP/1.1 304 Not Modified\r\n" + CLOSE + b"\r\n", (b"", None, False), (b"", None, False)),
        (NEW + b"Content-Encoding: gzip\r\n\r\n" + GZIPPED, DOUBTED, CUT),
        (NEW + b"Content-Encoding: gzip\r\n\r\n" + GZIPPED[:-1], CUT, CUT),
        (NEW + b"Content-Encoding: gzip\r\n\r\n" + GZIPPED + b"\x1f", CUT, CUT),
        (NEW + b"Content-Encoding: deflate\r\n\r\n" + zlib.compress(ROWS)[:-1], CUT, CUT),
        (NEW + b"Content-Encoding: gzip\r\n\r\n" + ROWS, UNREADABLE, CUT),
    ],
    ids=range(27),
)
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_body_is_whole_only_where_something_says_so(request_of, way, answer, closed, reset, end):
    request = request_of(method="GET", body=None)
    assert await received(request, answer, way, end) == (closed if end == "close" else reset)


@pytest.mark.anyio
@pytest.mark.parametrize(("end", "found"), [("close", TRUSTED), ("reset", CUT)])
async def test_a_connection_may_trust_a_close_but_no_error(request_of, way, end, found):
    answer = NEW + CLOSE + b"\r\n" + ROWS
    assert await received(request_of(method="GET", body=None), answer, way, end, trust_close=True) == found


@pytest.mark.anyio
@pytest.mark.parametrize("body", [ROWS, MANY_ROWS], ids=len)
@pytest.mark.parametrize(("end", "whole"), [("close", False), ("goodbye", True), ("reset", False)])
async def test_tls_that_ends_without_its_goodbye_is_cut_off(request_of, way, tmp_path, end, whole, body):
    made = make_certificate(tmp_path, "server")
    about = {"ssl_context": made.server(), "verify": made.path, "trust_close": True}
    way = "by the session" if way == "by a proxy" else way  # which would only pass it on
    request = request_of(method="GET", body=None)
    found = await received(request, OLD + b"\r\n" + body, way, end, **about)
    assert found == ((body, None, False) if whole else CUT)
    whole_by_length = OLD + b"Content-Length: 16\r\n\r\n" + ROWS
    assert await received(request, whole_by_length, way, end, **about) == TRUSTED
