"""What a job would send first, without Airflow."""

import asyncio
from dataclasses import replace

import pytest
from engine import Database, Rows, make_bulk_job, make_fetch_job, make_job

from airflow_async_rest import Batch
from airflow_async_rest.core.errors import KilledError
from airflow_async_rest.core.phases.preview import Preview, lines_of
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.reading.source import Expected, RowSource
from airflow_async_rest.core.requests.settings import ClientSettings


class Auth:
    """An authentication that would ask for a token."""

    def __init__(self):
        self.signed = 0

    async def sign(self, request):
        self.signed += 1
        return replace(request, headers={"Authorization": "Token t0ken-of-this-run"})

    async def refused(self, response):
        pytest.fail("a second request")


def never(*_):
    pytest.fail("a preview opens no connection")


def test_only_the_first_chunk_of_a_large_table_is_read(api, tmp_path):
    rows, auth = Rows(10_000_000), Auth()
    preview = Preview.of(make_job(api, tmp_path, rows, transport=never, auth=auth), 3)
    assert (rows.chunks_read, len(preview.requests), preview.expected, auth.signed) == (1, 3, None, 0)
    requests = preview.requests
    assert [request["url"] for request in requests] == [f"{api.url}/x/{index}" for index in range(3)]
    assert {request["headers"]["(signature)"] for request in requests} == {"added to each request as it is sent"}
    assert list(tmp_path.iterdir()) == []


def test_a_batch_is_read_to_its_end_and_no_further(api, tmp_path):
    rows = Rows(10_000_000)
    preview = Preview.of(make_bulk_job(api, tmp_path, Batch(max_items=250, format="ndjson"), rows, transport=never), 2)
    assert rows.chunks_read == 5
    assert preview.first.body.count(b"\n") == 250


@pytest.mark.parametrize("error", [None, KeyError("broken")])
def test_the_database_of_a_fetch_is_left_as_it_was_and_its_connection_ends(api, tmp_path, error):
    database, rows = Database(), Rows(60, error)
    job = make_fetch_job(api, tmp_path, database, rows, transport=never)
    if error is None:
        assert len(Preview.of(job, 2).requests) == 2
    else:
        with pytest.raises(KeyError, match="broken"):
            Preview.of(job, 100)
    assert database.closed.wait(60)
    assert (database.calls, database.line, database.staged) == (["close"], None, None)


@pytest.mark.parametrize("batch", [None, Batch(max_items=20_000)])
def test_where_all_is_skipped_reading_ends_all_the_same(api, tmp_path, batch):
    rows = Rows(10_000_000)
    none = {"transform": lambda row: None}
    if batch is None:
        job = make_job(api, tmp_path, source=RowSource(rows, key=("id",), **none))
    else:
        job = make_bulk_job(api, tmp_path, batch, rows, **none)
    preview = Preview.of(job, 1)
    assert (preview.requests, preview.expected, rows.chunks_read) == ([], None, 1000)


@pytest.mark.parametrize(
    ("rows", "limit", "seconds"),
    [(250, (100, 1.0), 2.5), (250, (100, 60.0), 150.0), (250, None, None), (0, (1, 1.0), 0.0), (1, (3, 1.0), 0.333)],
)
def test_how_long_it_takes_goes_by_the_rate_limit(api, tmp_path, rows, limit, seconds):
    assert Preview.of(make_job(api, tmp_path, rows, rate_limit=limit), 1000).seconds == seconds


def test_batches_count_as_requests(api, tmp_path):
    preview = Preview.of(make_bulk_job(api, tmp_path, Batch(max_items=100), 250, rate_limit=(1, 1.0)), 100)
    assert (len(preview.requests), preview.seconds) == (3, 3.0)


def test_one_request_is_signed_and_sent_once(api, tmp_path):
    auth = Auth()
    api.answer = lambda seen: 401
    secrets = ClientSettings(api.url, secrets=frozenset({"t0ken-of-this-run"}))
    preview = Preview.of(make_job(api, tmp_path, auth=auth, settings=secrets), 2)
    asyncio.run(preview.send_first())
    assert (auth.signed, len(api.seen), api.seen[0].headers["Authorization"]) == (1, 1, "Token t0ken-of-this-run")
    first, second = preview.requests
    assert (first["answer"]["status"], "answer" in second) == (401, False)
    assert "t0ken" not in " ".join(lines_of(preview))


def test_without_rows_there_is_nothing_to_send(api, tmp_path):
    preview = Preview.of(make_job(api, tmp_path, 0), 2)
    asyncio.run(preview.send_first())
    assert (api.seen, preview.requests) == ([], [])
    *_, last = lines_of(preview)
    assert last == "Nothing was sent, and nothing is kept."


def test_a_large_body_is_cut_once_its_secrets_are_out(api, tmp_path):
    def transform(row):
        return {"text": "x" * 1_980 + "canary-91-of-gold" + "y" * 100_000}

    settings = ClientSettings(api.url, secrets=frozenset({"canary-91-of-gold"}))
    source = RowSource(Rows(1), key=("id",), transform=transform)
    body = Preview.of(make_job(api, tmp_path, source=source, settings=settings), 1).requests[0]["body"]
    assert body.endswith("x***yyyyyyyy... [cut: 102008 bytes in all]"), body[-60:]
    assert "canary" not in body


def test_headers_are_those_of_the_request_without_what_they_identify_with(api, tmp_path):
    settings = ClientSettings(
        f"{api.url}?v=2", headers={"Authorization": "Basic YTpi", "X-Version": "7"}, query_key=("key", "k 1")
    )
    job = make_job(api, tmp_path, settings=settings, headers={"X-Api-Key": "abc", "Cookie": "a=b"})
    [request] = Preview.of(job, 1).requests
    assert request["url"] == f"{api.url}/x/0?v=2&key=***"
    named = {name: value for name, value in request["headers"].items() if name != "Idempotency-Key"}
    assert named == {
        "Authorization": "Basic ***",
        "X-Version": "7",
        "X-Api-Key": "***",
        "Cookie": "***",
        "Content-Type": "application/json",
        "Accept-Encoding": request["headers"]["Accept-Encoding"],
    }


@pytest.mark.parametrize("waits", ["limiter", "auth"])
def test_a_stop_ends_it_wherever_it_waits(api, tmp_path, waits):
    stop, ended = StopSwitch(), []

    async def wait(*_):
        stop.pull(KilledError("killed"))
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(waits)

    class Waiting(Auth):
        sign = wait

    class Full:
        acquire = wait

        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            pass

    waiting = {"auth": Waiting()} if waits == "auth" else {"limiter": lambda _: Full()}
    preview = Preview.of(make_job(api, tmp_path, Rows(5), **waiting), 1, stop=stop)
    with pytest.raises(KilledError):
        asyncio.run(preview.send_first())
    assert (ended, api.seen) == ([waits], [])


def test_a_stop_before_it_reads_is_heeded(api, tmp_path):
    stop, rows = StopSwitch(), Rows(5)
    stop.pull(KilledError("killed"))
    with pytest.raises(KilledError):
        Preview.of(make_job(api, tmp_path, rows, transport=never), 1, stop=stop)
    assert rows.chunks_read == 0


@pytest.mark.parametrize("how", ["about", "counted", "given"])
def test_the_report_says_whether_the_rows_are_an_estimate(api, tmp_path, how):
    preview = Preview.of(make_job(api, tmp_path, 3), 2)
    assert "expected" not in replace(preview, expected=None).report()
    preview.expected = Expected(2030, how)
    assert preview.report()["expected"] == {"items": 2030, "how": how}
