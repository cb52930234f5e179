import asyncio
from dataclasses import replace

import pytest
from aiohttp import web
from servers import raw_server, running_api

from airflow_async_rest.core.errors import QuotaExhaustedError
from airflow_async_rest.core.limits.rate_limit import RateLimiter
from airflow_async_rest.core.models import DeadLetter, Delivered, Verdict
from airflow_async_rest.core.sending.attempts import Delivery, Exchange, Sender
from airflow_async_rest.core.sending.excerpts import Excerpts
from airflow_async_rest.core.sending.meter import Meter
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.transport.client import ClientSettings, RestClient

pytestmark = pytest.mark.anyio
QUICK = {"backoff_base_seconds": 0.001}


class CountingLimiter(RateLimiter):
    """Notes what it is asked; its pauses pass at once."""

    def __init__(self) -> None:
        super().__init__(None)
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return True


class Bench:
    """One delivery against a real server, with everything it needs."""

    def __init__(self, url: str, request_of, **parts) -> None:
        self.settings = ClientSettings(
            url, secrets=frozenset({"s3cret"}), request_timeout_seconds=parts.pop("timeout", 60)
        )
        self.limiter, self.meter, self.uncertain = CountingLimiter(), Meter(), []
        self.on_pause = lambda seconds: None
        self.parts = {
            "build": lambda item: request_of(idempotency_key=f"k{item.index}"),
            "retry": RequestRetry(**{**QUICK, **parts.pop("retry", {})}),
            "response_check": None,
            **parts,
        }

    async def deliver(self, *items):
        async with RestClient(self.settings, 16, {"X-Job": "j"}) as client:
            sender = Sender(
                transport=client,
                limiter=self.limiter,
                retry=self.parts["retry"],
                meter=self.meter,
                on_pause=self.on_pause,
            )
            parts = dict(self.parts)
            build, outcomes = parts.pop("build"), {}
            delivery = Delivery(
                Exchange(sender=sender, excerpts=Excerpts(self.settings), on_uncertain=self.uncertain.append, **parts),
                lambda outcome: outcomes.update({outcome.index: outcome}),
                lambda *_: None,
            )
            for item in items:
                item.request = build(item)
            await asyncio.gather(*map(delivery.deliver, items))
            return [outcomes[item.index] for item in items]


@pytest.fixture
def bench(api, request_of):
    return lambda **parts: Bench(api.url, request_of, **parts)


@pytest.mark.parametrize(("hops", "requests"), [(0, 1), (1, 2), (3, 4), (9, 6)])
async def test_each_request_that_a_redirect_leads_to_waits_for_the_limit_and_counts(
    api, request_of, item_of, hops, requests
):
    def answer(seen):
        asked.append(bench.limiter.granted)
        left = int(seen.path.strip("/"))
        return web.Response(status=307, headers={"Location": f"/{left - 1}"}) if left else 200

    api.answer, asked = answer, []
    bench = Bench(api.url, request_of, build=lambda item: request_of(method="GET", path=str(hops), body=None))
    [outcome] = await bench.deliver(item_of())
    assert asked == [*range(1, requests + 1)]
    assert (bench.meter.requests, bench.meter.retries, bench.meter.in_flight) == (requests, 0, 0)
    assert isinstance(outcome, Delivered) is (hops < 6)


async def test_a_wait_for_the_limit_is_no_time_of_the_api(api, request_of, item_of):
    loop, waits = asyncio.get_running_loop(), []

    class Slow(CountingLimiter):
        async def acquire(self):
            began = loop.time()
            await asyncio.sleep(0.3 * self.granted)
            await super().acquire()
            waits.append(loop.time() - began)

    api.answer = lambda seen: web.Response(status=302, headers={"Location": "/y"}) if seen.path == "/x" else 200
    bench = Bench(api.url, request_of, build=lambda item: request_of(method="GET", body=None))
    bench.limiter, began = Slow(), loop.time()
    await bench.deliver(item_of())
    assert len(waits) == 2
    api_seconds = loop.time() - began - sum(waits)
    assert bench.meter.latencies.percentiles_ms()["p99"] <= api_seconds * 1000 * 1.05  # as exact as it is kept


async def test_a_redirect_that_waits_for_the_limit_is_not_waited_for_at_a_stop(api, request_of):
    class Held(CountingLimiter):
        async def acquire(self):
            if self.granted:
                waits.set()
                await asyncio.Event().wait()
            await super().acquire()

    api.answer, waits = (lambda seen: web.Response(status=302, headers={"Location": "/y"})), asyncio.Event()
    async with RestClient(ClientSettings(api.url), 1, {}) as client:
        sender = Sender(
            transport=client, limiter=Held(), retry=RequestRetry(), meter=Meter(), on_pause=lambda seconds: None
        )
        sending = asyncio.create_task(sender.send(request_of(method="GET", body=None), 1, ""))
        await waits.wait()
        assert sender.stop() == set()
        await sender.until_ended(60)  # at once
        sending.cancel()
        await asyncio.wait([sending])
    assert len(api.seen) == 1


async def test_a_limit_that_is_used_up_follows_no_redirect(api, request_of, item_of):
    class UsedUp(CountingLimiter):
        async def acquire(self):
            if self.granted:
                raise QuotaExhaustedError("the day's limit is used up", 3600.0)
            await super().acquire()

    api.answer = lambda seen: web.Response(status=302, headers={"Location": "/y"})
    bench = Bench(api.url, request_of, build=lambda item: request_of(method="GET", body=None))
    bench.limiter = UsedUp()
    with pytest.raises(QuotaExhaustedError):
        await bench.deliver(item_of())
    assert len(api.seen) == 1


def statuses(*answers):
    """Answer with one after the other, the last one for good; a dict is headers of a 429."""
    left = list(answers)

    def answer(seen):
        status = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(status=429, headers=status) if isinstance(status, dict) else status

    return answer


@pytest.mark.parametrize(
    ("answers", "attempts"), [((200,), 1), ((503, 201), 2), (("reset", 429, 204), 3), ((500, 500, 500, 500, 200), 5)]
)
async def test_an_item_is_sent_until_it_is_accepted(api, bench, item_of, answers, attempts):
    api.answer = statuses(*answers)
    made = bench()
    assert await made.deliver(item_of(7)) == [Delivered(7, attempts)]
    assert {seen.key for seen in api.seen} == {"k7"}
    assert {seen.headers["X-Job"] for seen in api.seen} == {"j"}
    assert (made.meter.requests, made.meter.retries, made.meter.in_flight) == (attempts, attempts - 1, 0)


@pytest.mark.parametrize(
    ("answers", "reason", "status", "attempts"),
    [
        ((422,), "http_422", 422, 1),
        ((302,), "http_302", 302, 1),
        ((501,), "http_501", 501, 1),
        ((503,), "http_503", 503, 5),
        ((500, 400), "http_400", 400, 2),
        (("reset",), "connection", None, 5),
        ((503, 503, 503, 503, "reset"), "connection", None, 6),
    ],
)
async def test_what_is_not_accepted_becomes_a_dead_letter(api, bench, item_of, answers, reason, status, attempts):
    api.answer = statuses(*answers)
    [letter] = await bench().deliver(item_of(3))
    assert (letter.index, letter.reason, letter.status, letter.attempts) == (3, reason, status, attempts)
    assert letter.request.idempotency_key == "k3"
    assert len(api.seen) == attempts


@pytest.mark.parametrize(
    ("answers", "settings", "method", "delivered"),
    [
        ((503, "reset", 200), {}, "POST", True),
        ((503, "reset", 200), {"idempotency_header": None}, "PUT", True),
        ((503, "reset", 200), {"idempotency_header": None}, "DELETE", True),
        ((503, "reset", 200), {"idempotency_header": None}, "GET", True),
        ((503, "reset", 200), {"idempotency_header": None}, "POST", False),
        ((503, "reset", 200), {"idempotency_header": None}, "PATCH", False),
        (("reset", 503, 200), {}, "POST", False),
        ((503, "hang", 200), {"request_timeout_seconds": 0.4}, "POST", False),
        ((503, "reset", "reset", 200), {}, "POST", False),
    ],
)
@pytest.mark.parametrize("transport", ["own", "aiohttp"])
async def test_a_kept_connection_that_is_closed_costs_no_attempt(
    api, bench, item_of, request_of, answers, settings, method, delivered, transport
):
    api.answer = statuses(*answers)
    made = bench(retry={"max_attempts": 2}, build=lambda item: request_of(method=method))
    made.settings = replace(made.settings, transport=transport, **settings)
    [outcome] = await made.deliver(item_of())
    assert isinstance(outcome, Delivered) is delivered
    assert (made.meter.requests, made.meter.retries) == (len(api.seen), len(api.seen) - 1)
    assert not delivered or len(made.uncertain) == 1


@pytest.mark.parametrize(("method", "delivered"), [("PUT", True), ("GET", True), ("POST", False), ("PATCH", False)])
async def test_with_one_attempt_nothing_is_sent_twice_that_might_be_done_twice(
    api, bench, item_of, request_of, method, delivered
):
    api.answer = statuses(200, "reset", 200)
    made = bench(retry={"max_attempts": 1}, build=lambda item: request_of(method=method))
    async with RestClient(made.settings, 1) as client:
        sender = Sender(transport=client, limiter=made.limiter, retry=made.parts["retry"], meter=made.meter)
        exchange = Exchange(
            sender=sender,
            excerpts=Excerpts(made.settings),
            on_uncertain=made.uncertain.append,
            retry=made.parts["retry"],
            response_check=None,
        )
        outcomes = []
        delivery = Delivery(exchange, outcomes.append, lambda *_: None)
        for number in range(2):
            await delivery.deliver(item_of(number, request=request_of(method=method)))
    assert [isinstance(outcome, Delivered) for outcome in outcomes] == [True, delivered]


async def test_a_timeout_is_tried_again(api, bench, item_of):
    api.answer = statuses("hang", 200)
    made = bench(timeout=0.05)
    [outcome] = await made.deliver(item_of())
    assert outcome == Delivered(0, made.meter.requests)  # two of them, unless the machine stands still
    assert len(made.uncertain) == made.meter.requests - 1 >= 1


async def test_only_a_request_without_an_answer_is_uncertain(api, bench, item_of):
    api.answer = statuses(503, "reset", 429, 200)
    made = bench()
    await made.deliver(item_of())
    assert len(made.uncertain) == 1


async def test_the_limiter_is_asked_for_every_attempt(api, bench, item_of):
    api.answer = statuses(503, 503, 200)
    made = bench()
    await made.deliver(item_of())
    assert made.limiter.granted == len(api.seen) == 3


async def test_retry_after_overrides_backoff(api, bench, item_of):
    api.answer = statuses({"Retry-After": "7"}, {"retry-after": "1"}, 200)
    made = bench(retry={"backoff_base_seconds": 3600, "backoff_max_seconds": 3600})
    assert await made.deliver(item_of()) == [Delivered(0, 3)]
    assert made.limiter.pauses == [7.0, 1.0]


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        (429, {"Retry-After": "1.5"}, {}, 1.5),
        (403, {"Retry-After": "60"}, {}, 60.0),
        (409, {"retry-after": "2"}, {}, 2.0),
        (429, {"retry-after-ms": "250"}, {}, 0.25),
        (429, {"x-ratelimit-reset-after": "0.5"}, {}, 0.5),
        (403, {"X-RateLimit-Remaining": "0", "RateLimit-Reset": "30"}, {}, 30.0),
        (429, {}, {"retry_after": 0.75}, 0.75),
    ],
)
async def test_everybody_waits_as_long_as_the_api_asks_in_whatever_form(
    api, bench, item_of, status, headers, body, seconds
):
    refusal = web.json_response(body, status=status, headers=headers)
    api.answer = statuses(refusal, 200)
    made = bench()
    assert await made.deliver(item_of()) == [Delivered(0, 2)]
    assert made.limiter.pauses == [seconds]


async def test_a_retry_after_of_the_last_attempt_pauses_the_others_all_the_same(api, bench, item_of):
    api.answer = statuses({"Retry-After": "7"})
    made = bench(retry={"max_attempts": 1})
    [letter] = await made.deliver(item_of())
    assert (letter.reason, made.limiter.pauses) == ("http_429", [7.0])


async def test_a_retry_after_that_says_now_or_cannot_be_read_leaves_it_at_the_backoff(api, bench, item_of, monkeypatch):
    drawn = []
    monkeypatch.setattr(RequestRetry, "backoff_seconds", lambda self, attempts: drawn.append(attempts) or 0.0)
    api.answer = statuses({"Retry-After": "soon"}, {"Retry-After": "-5"}, {"Retry-After": "0"}, 200)
    made = bench()
    assert await made.deliver(item_of()) == [Delivered(0, 4)]
    assert (made.limiter.pauses, drawn) == ([], [1, 2, 3])


@pytest.mark.parametrize(
    ("asked", "told"), [("301", 301.0), ("9" * 5000, 86_400.0), ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0)]
)
async def test_a_pause_longer_than_we_honour_means_that_the_quota_is_gone(api, bench, item_of, asked, told):
    api.answer = lambda seen: web.Response(status=429, headers={"Retry-After": asked})
    made = bench()
    with pytest.raises(QuotaExhaustedError, match=r"max_retry_after_seconds=300") as error:
        await made.deliver(item_of())
    assert error.value.seconds >= 301
    assert made.limiter.pauses == [told]  # to all who share the limit; a wrong one does not hold them for ever


async def test_whoever_follows_is_told_once_that_all_wait(api, request_of, item_of):
    made, told, asked = Bench(api.url, request_of), [], []

    class Limiter(RateLimiter):
        def pause(self, seconds):
            begins = super().pause(seconds)
            asked.append(seconds)
            return begins

    # Its time goes on when all four have been told to wait.
    made.limiter, made.on_pause = Limiter(None, lambda: float(len(asked) >= 4)), told.append
    api.answer = lambda seen: web.Response(status=429, headers={"Retry-After": "0.2"}) if len(api.seen) <= 4 else 200
    await made.deliver(*map(item_of, range(4)))
    assert (told, asked) == ([0.2], [0.2] * 4)


async def test_the_longest_pause_we_honour_is_the_authors(api, bench, item_of):
    api.answer = statuses({"Retry-After": "301"}, 200)
    made = bench(retry={"max_retry_after_seconds": 301})
    assert await made.deliver(item_of()) == [Delivered(0, 2)]


async def test_a_real_pause_holds_all_items_back(api, bench, item_of):
    made = bench()
    made.limiter = RateLimiter(None)
    paused = asyncio.Event()
    pause = made.limiter.pause
    made.limiter.pause = lambda seconds: (pause(seconds), paused.set())
    api.answer = statuses({"Retry-After": "0.2"}, 200)
    first = asyncio.create_task(made.deliver(item_of(0)))
    await paused.wait()
    await made.deliver(item_of(1))
    await first
    assert all(seen.at - api.seen[0].at > 0.18 for seen in api.seen[1:])


async def test_the_excerpt_of_an_answer_has_no_secrets_and_is_short(api, bench, item_of):
    api.answer = lambda seen: web.Response(status=400, text='{"you sent": "Bearer s3cret"}' + "x" * 5_000)
    [letter] = await bench().deliver(item_of())
    assert letter.response_excerpt.startswith('{"you sent": "Bearer ***"}')
    assert len(letter.response_excerpt) == 500


async def test_a_secret_on_the_edge_of_the_excerpt_is_not_cut_in_two(api, bench, item_of):
    api.answer = lambda seen: web.Response(status=400, text="x" * 497 + "s3cret")
    [letter] = await bench().deliver(item_of())
    assert letter.response_excerpt == "x" * 497 + "***"


@pytest.mark.parametrize(
    ("check", "outcome"),
    [
        (lambda response: response.json().get("ok"), "response_check"),
        (lambda response: Verdict.RETRY, "response_check"),
        (lambda response: response.json()["missing s3cret"], "response_check"),
    ],
)
async def test_the_check_of_the_author_can_refuse_an_answer(api, bench, item_of, check, outcome):
    api.answer = lambda seen: web.json_response({"ok": False})
    [letter] = await bench(response_check=check).deliver(item_of())
    assert (letter.reason, letter.status) == (outcome, 200)
    assert "s3cret" not in letter.response_excerpt


async def test_one_attempt_means_no_retry(api, bench, item_of):
    api.answer = statuses(503)
    [letter] = await bench(retry={"max_attempts": 1}).deliver(item_of())
    assert isinstance(letter, DeadLetter)
    assert len(api.seen) == 1


async def test_one_failing_item_does_not_stop_the_others(api, bench, item_of):
    api.answer = lambda seen: 422 if seen.key == "k1" else 200
    outcomes = await bench().deliver(*map(item_of, range(3)))
    assert [type(outcome) for outcome in outcomes] == [Delivered, DeadLetter, Delivered]


async def test_who_is_cancelled_counts_as_in_flight_no_more(api, bench, item_of):
    api.answer = lambda seen: "hang"
    made = bench()
    sending = asyncio.create_task(made.deliver(item_of()))
    await asyncio.to_thread(api.wait_for, lambda api: api.in_flight == 1)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert made.meter.in_flight == 0


async def test_the_latency_of_every_answer_counts(api, bench, item_of):
    api.answer = statuses(503, "reset", 200)
    made = bench()
    await made.deliver(item_of())
    assert sum(made.meter.latencies.to_json().values()) == 2


BROKEN = [
    b"Content-Length: 2\r\nContent-Encoding: gzip\r\n\r\n{}",
    b"X: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
    b"Content-Length: 10000001\r\n\r\n" + b"x" * 10_000_001,
]


@pytest.mark.parametrize("rest", BROKEN, ids=["encoding", "header", "size"])
@pytest.mark.parametrize("status", [b"201 Created", b"422 No"])
async def test_where_nobody_reads_an_answer_its_status_decides_and_it_is_not_sent_again(
    request_of, item_of, rest, status
):
    with raw_server(b"HTTP/1.1 " + status + b"\r\n" + rest) as port:
        made = Bench(f"http://127.0.0.1:{port}", request_of)
        [outcome] = await made.deliver(item_of())
    assert made.meter.requests == 1
    if status.startswith(b"2"):
        assert outcome == Delivered(0, 1)
    else:
        assert (outcome.reason, outcome.status) == ("http_422", 422)


@pytest.mark.parametrize("rest", BROKEN, ids=["encoding", "header", "size"])
async def test_where_the_author_reads_it_one_attempt_makes_a_dead_letter(request_of, item_of, rest):
    with raw_server(b"HTTP/1.1 201 Created\r\n" + rest) as port:
        made = Bench(f"http://127.0.0.1:{port}", request_of, response_check=lambda response: True)
        [letter] = await made.deliver(item_of())
    assert (letter.reason, letter.status, letter.attempts, letter.uncertain) == ("answer_unreadable", 201, 1, True)
    assert letter.response_excerpt.startswith("the API answers 201; the answer")


async def test_an_answer_that_is_cut_off_is_delivered_where_nobody_reads_it_and_else_sent_again(request_of, item_of):
    with raw_server(b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n{}") as port:
        made = Bench(f"http://127.0.0.1:{port}", request_of)
        assert await made.deliver(item_of()) == [Delivered(0, 1)]
        made = Bench(f"http://127.0.0.1:{port}", request_of, response_check=lambda response: True)
        [letter] = await made.deliver(item_of())
    assert (letter.reason, letter.attempts, letter.uncertain) == ("connection", 5, True)


@pytest.mark.parametrize(
    ("method", "answers", "parts", "already_there"),
    [
        ("DELETE", ("reset", 404), {}, True),
        ("DELETE", ("hang", 410), {"timeout": 0.05}, True),
        ("DELETE", (502, 404), {}, True),
        ("DELETE", (524, 404), {}, True),
        ("DELETE", (504, 503, 404), {}, True),
        ("PUT", ("reset", 412), {"creates_only": True}, True),
        ("PUT", ("reset", 412), {}, False),
        ("DELETE", (404,), {}, False),
        ("DELETE", (503, 404), {}, False),
        ("DELETE", (429, 404), {}, False),
        ("PUT", ("reset", 404), {}, False),
        ("POST", ("reset", 409), {}, False),
        ("DELETE", ("reset", 404), {"response_check": lambda response: response.status < 300}, True),
        ("DELETE", ("reset", 404), {"response_check": lambda response: Verdict.RETRY}, False),
    ],
)
async def test_what_is_there_after_a_lost_answer_was_delivered_by_it(
    api, bench, item_of, request_of, method, answers, parts, already_there
):
    api.answer = statuses(*answers)
    made = bench(build=lambda item: request_of(method=method, body=None), **parts)
    [outcome] = await made.deliver(item_of())
    assert isinstance(outcome, Delivered) is already_there
    if already_there:
        assert outcome == Delivered(0, len(answers), already_there=True)


async def test_a_refused_connection_is_no_lost_answer(request_of, item_of):
    with running_api() as gone:
        pass
    made = Bench(gone.url, request_of, build=lambda item: request_of(method="DELETE", body=None))
    [letter] = await made.deliver(item_of())
    assert (letter.reason, letter.uncertain, made.uncertain) == ("connection", False, [])


@pytest.mark.parametrize("status", [404, 410])
async def test_an_item_that_an_earlier_try_may_have_sent_is_there_already(api, bench, item_of, request_of, status):
    api.answer = statuses(status)
    made = bench(build=lambda item: request_of(method="DELETE", body=None))
    certain, uncertain = await made.deliver(item_of(0), item_of(1, uncertain=True))
    assert (certain.reason, uncertain) == (f"http_{status}", Delivered(1, 1, already_there=True))


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/x/", "with a slash at its end"),
        ("https://127.0.0.1/x", "https"),
        ("/login?token=abc", "the API wants a login"),
    ],
)
async def test_a_redirect_of_a_post_says_where_to_and_what_to_change(api, bench, item_of, location, words):
    api.answer = lambda seen: web.Response(status=302, headers={"Location": location})
    [letter] = await bench().deliver(item_of())
    assert (letter.reason, letter.attempts) == ("http_302", 1)
    assert words in letter.response_excerpt
    assert "abc" not in letter.response_excerpt


@pytest.mark.parametrize(("kind", "delivered"), [("text/html", False), ("application/json", True)])
async def test_a_get_that_ends_on_a_page_to_log_in_is_not_delivered(api, bench, item_of, request_of, kind, delivered):
    def answer(seen):
        if seen.path == "/x":
            return web.Response(status=302, headers={"Location": "/login?next=x"})
        return web.Response(text="{}", content_type=kind)

    api.answer = answer
    [outcome] = await bench(build=lambda item: request_of(method="GET", body=None)).deliver(item_of())
    assert isinstance(outcome, Delivered) is delivered
    if not delivered:
        assert (outcome.reason, outcome.attempts) == ("http_302", 1)
        assert "'/login'" in outcome.response_excerpt


async def test_a_single_207_is_refused_and_names_what_reads_it(api, bench, item_of):
    api.answer = statuses(207)
    [letter] = await bench().deliver(item_of())
    assert (letter.reason, letter.attempts) == ("http_207", 1)
    assert "response_check" in letter.response_excerpt
    assert await bench(response_check=lambda response: True).deliver(item_of()) == [Delivered(0, 1)]


@pytest.mark.parametrize("said", ["yes", 1, {"ok": True}, [], 0.0])
async def test_a_check_that_says_anything_else_is_an_error(api, bench, item_of, said):
    [letter] = await bench(response_check=lambda response: said).deliver(item_of())
    assert (letter.reason, letter.attempts) == ("response_check", 1)
    assert "it must return True, False, a Verdict or None" in letter.response_excerpt


async def test_a_proxy_that_asks_who_asks_is_not_asked_again(api, request_of, item_of):
    api.answer = statuses(407)
    made = Bench("http://api.example.com", request_of)
    made.settings = replace(made.settings, proxy=api.url)
    [letter] = await made.deliver(item_of())
    assert (letter.reason, letter.attempts) == ("proxy", 1)
