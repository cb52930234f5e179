"""An answer that is cut off is never a whole one: whatever ends its connection, and however whole it looks."""

import asyncio
import gzip
import threading
import zlib

import pytest
from batches import read_batch
from certificates import make_certificate
from servers import raw_server, reading
from tables import every_row

from airflow_async_rest import Results
from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.answers.formats import parse_payload
from airflow_async_rest.core.answers.reader import AnswerReader
from airflow_async_rest.core.errors import (
    AnswerError,
    AnswerUnreadableError,
    ConnectionFailedError,
    RequestTimeoutError,
    ResultsError,
)
from airflow_async_rest.core.models import Response, Verdict
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.verdict import classify_response
from airflow_async_rest.core.transport.client import ClientSettings, RestClient

OLD, NEW = b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\n"
CLOSE, KEEP = b"Connection: close\r\n", b"Connection: keep-alive\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ROWS = b'{"a":1}\n{"a":2}\n'
MANY_ROWS = b'{"a":1}\n' * 40_000
GZIPPED = gzip.compress(ROWS, mtime=0)
TRUSTED, DOUBTED = (ROWS, None, False), (ROWS, None, True)


def chunked(*bodies):
    return b"".join(b"%x\r\n%s\r\n" % (len(body), body) for body in bodies)


@pytest.fixture(params=["own", "aiohttp", "by a proxy"])
def way(request, monkeypatch):
    """Whatever is said of the client is true of all its ways to send."""
    if request.param == "aiohttp":
        monkeypatch.setattr(RestClient, "_needs_session", lambda *_: True)
    return request.param


@pytest.fixture(params=[pytest.param(False, marks=pytest.mark.slow("the other loop")), True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    return "asyncio", {"use_uvloop": request.param}


async def received(request, answer, way, end="close", ssl_context=None, **settings):
    """Send a request to a server that answers so: body, kind of error, and whether the body may be cut off."""
    with reading(len(answer)) as was_read, raw_server(answer, ssl_context, end, was_read) as port:
        url = f"{'https' if ssl_context else 'http'}://127.0.0.1:{port}"
        if way == "by a proxy":
            url, settings["proxy"] = "http://api.example.com", url
        async with RestClient(ClientSettings(url, **settings), 1) as client:
            response = await client.send(request)
    assert response.status == int(answer[9:12])
    return response.body, response.broken and type(response.broken), response.may_be_cut


CUT, UNREADABLE = (b"", ConnectionFailedError, False), (b"", AnswerUnreadableError, False)


@pytest.mark.anyio
@every_row(
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
        (NEW + CLOSE + b"Content-Length: 8\r\n\r\n" + ROWS, UNREADABLE, UNREADABLE),
        (NEW + b"Content-Length: 8\r\n\r\n" + ROWS, UNREADABLE, UNREADABLE),
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
)
@every_row("end", ["close", "reset"])
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
    way = "aiohttp" if way == "by a proxy" else way  # which would only pass it on
    request = request_of(method="GET", body=None)
    found = await received(request, OLD + b"\r\n" + body, way, end, **about)
    assert found == ((body, None, False) if whole else CUT)
    whole_by_length = OLD + b"Content-Length: 16\r\n\r\n" + ROWS
    assert await received(request, whole_by_length, way, end, **about) == TRUSTED


def response(body, kind="", status=200, *, may_be_cut=True, broken=None):
    headers = {"Content-Type": kind} if kind else {}
    return Response(status, headers, body, 0.01, broken, may_be_cut=may_be_cut)


CSV, NDJSON, JSON = "text/csv", "application/x-ndjson", "application/json"


@every_row(
    ("body", "kind", "text"),
    [
        (ROWS, NDJSON, "which NDJSON does not show"),
        (b"", NDJSON, "which NDJSON does not show"),
        (b"a\n1\n2\n", "text/csv; header=present", "which CSV does not show"),
        (b"a\n", CSV, "which CSV does not show"),
        (b"12", JSON, "which a number does not show"),
        (b"1.5", "", "which a number does not show"),
        (b'[{"a":1},', JSON, "cannot be read as JSON"),
        (b'{"rows":[{"a":1}]', JSON, "cannot be read as JSON"),
        (ROWS, JSON, "cannot be read as JSON"),
    ],
)
def test_lines_do_not_show_whether_they_are_all_there(body, kind, text):
    with pytest.raises(AnswerError, match=text) as raised:
        parse_payload(response(body, kind))
    assert ("set trust_close of the connection to true" in str(raised.value)) == ("does not show" in text)


@every_row("body", [b'[{"a":1}]', b'{"a":[]}\n', b"[]", b"null", b"true", b'"a"'])
@every_row("kind", [JSON, "text/plain", ""])
def test_json_shows_by_itself_that_it_is_whole(body, kind):
    assert parse_payload(response(body, kind)) == parse_payload(response(body, kind, may_be_cut=False))


@pytest.mark.parametrize("status", [204, 205, 304])
def test_no_content_is_all_there(status):
    assert parse_payload(response(b"", CSV, status)) is None


def test_an_empty_body_may_be_the_beginning_of_one():
    reader = AnswerReader(None, RowShape(None), empty_ok=True)
    assert reader.read(response(b"", may_be_cut=False), {}).rows == []
    with pytest.raises(AnswerError, match="which an empty body does not show.*trust_close"):
        reader.read(response(b""), {})


PAYLOADS = [{"id": number} for number in range(2)]
FAILURE_LINES = Results(lists="failures", match="index", at="index", lines=True)
FAILURES = Results(lists="failures", match="index", at="index", entries="errors")
GOOD = b'{"status":201}\n'
SECOND_FAILS = [Verdict.DELIVERED, Verdict.REFUSED]


def by_function(response, payloads):
    return [b"bad" not in line for line in response.body.splitlines()]


@every_row(
    ("results", "body", "kind"),
    [
        (FAILURE_LINES, b'{"index":1,"error":"x"}\n', NDJSON),
        (FAILURE_LINES, b'{"index":1,"error":"x"}\n', ""),
        (FAILURE_LINES, b"", NDJSON),
        (FAILURES, b'{"errors":[{"index":1}', JSON),
        ("typesense", GOOD, NDJSON),
        ("multi_status", b"", ""),
        ("multi_status", b"accepted", "text/plain"),
        ("multi_status", b"1", JSON),
        ("list", b"", ""),
        (by_function, b"good\nbad\n", "text/plain"),
        (by_function, b"good\n", NDJSON),
        (lambda *_: None, b"", ""),
    ],
)
def test_what_tells_about_items_is_an_error_where_it_may_be_cut_off(results, body, kind):
    with pytest.raises(ResultsError):
        read_batch(response(body, kind), results, PAYLOADS)


@pytest.mark.parametrize(
    ("results", "body", "kind", "verdicts"),
    [
        (FAILURES, b'{"errors":[{"index":1}]}', JSON, SECOND_FAILS),
        ("list", b'[{"status":201},{"status":422}]', JSON, SECOND_FAILS),
        ("multi_status", b'[{"status":201},{"status":422}]', "", SECOND_FAILS),
        (Results(lines=True), GOOD + b'{"status":422}\n', NDJSON, SECOND_FAILS),  # a line for each
        (lambda answer, _: [entry["ok"] for entry in answer.json()], b'[{"ok":true},{"ok":false}]', "", SECOND_FAILS),
    ],
)
def test_what_tells_about_items_may_be_whole_all_the_same(results, body, kind, verdicts):
    assert [result.verdict for result in read_batch(response(body, kind), results, PAYLOADS)] == verdicts


@pytest.mark.parametrize("results", [None, "list"])
def test_a_refusal_of_all_is_one_wherever_it_ends(results):
    assert read_batch(response(b"", status=503), results, PAYLOADS) is None


def test_nobody_reads_an_answer_whose_status_says_it_all():
    assert read_batch(response(b"ok"), None, PAYLOADS) is None


@pytest.mark.parametrize(("needs_body", "verdict"), [(False, Verdict.DELIVERED), (True, Verdict.RETRY)])
def test_a_success_that_a_reset_cuts_off_is_delivered_unless_somebody_reads_it(needs_body, verdict):
    cut = response(b"", may_be_cut=False, broken=ConnectionFailedError("x", "disconnected"))
    assert classify_response(cut, RequestRetry(), needs_body=needs_body).verdict is verdict


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # uvloop's clock cannot be set
async def test_an_answer_without_an_end_has_its_time(request_of, way, clock):
    gone, answer = threading.Event(), NEW + CLOSE + b"\r\n" + ROWS
    with reading(len(answer)) as was_read, raw_server(answer, before_end=gone) as port:
        url = f"http://127.0.0.1:{port}"
        proxy = {"proxy": url} if way == "by a proxy" else {}
        async with RestClient(ClientSettings(url, trust_close=True, **proxy), 1) as client:
            sending = asyncio.create_task(client.send(request_of()))
            await asyncio.to_thread(was_read.wait, 60)
            clock.now += 60.1
            found = await sending
        gone.set()
    assert (found.status, found.body, type(found.broken)) == (200, b"", RequestTimeoutError)
