"""Requests that are signed as they are sent, and sent once more when what they identify with is renewed."""

import asyncio
import hashlib
import hmac
from dataclasses import replace

import pytest
from aiohttp import web
from engine import Store, counts, make_job, prepared_by, run
from limit_stores import MemoryServer, MemoryStore
from tables import every_row
from virtual_time import run_virtually

from airflow_async_rest.core.errors import AuthenticationError, ConfigurationError, ConnectionFailedError
from airflow_async_rest.core.limits.limits import parse_limits
from airflow_async_rest.core.limits.rate_limit import RateLimiter
from airflow_async_rest.core.limits.shared.limiter import SharedLimiter
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.redaction import Redaction
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.sending.attempts import Sender
from airflow_async_rest.core.sending.auth import REFUSALS, HeaderAuth
from airflow_async_rest.core.sending.meter import Meter
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.signed import secrets_of
from airflow_async_rest.core.transport.client import RestClient


@pytest.fixture(params=["own", "aiohttp"])
def way(request, monkeypatch):
    """Whatever is said of signed requests is true of both ways to send."""
    if request.param == "aiohttp":
        monkeypatch.setattr(RestClient, "_needs_session", lambda *_: True)


def signature(*parts):
    return hmac.new(b"s3cret", b"\n".join(parts), hashlib.sha256).hexdigest()


class Hmac:
    """Signs method, target, body and a header of its own."""

    def __init__(self, settings):
        self.address, self.count = settings.address, 0

    async def sign(self, request):
        self.count += 1
        target, nonce = self.address.target(request.path, request.query), str(self.count)
        made = signature(request.method.encode(), target.encode(), request.body or b"", nonce.encode())
        return replace(request, headers={"X-Nonce": nonce, "authorization": f"HMAC {made}"})

    async def refused(self, response):
        return False


@pytest.mark.usefixtures("way")
def test_each_request_is_signed_as_it_is_sent(api, tmp_path):
    def answer(seen):
        parts = seen.method, seen.target, seen.body.decode(), seen.headers["X-Nonce"]
        is_good = seen.headers["Authorization"] == f"HMAC {signature(*map(str.encode, parts))}"
        is_first = sum(each.path == seen.path for each in api.seen) == 1
        return 401 if not is_good else 503 if is_first and seen.path == "/v1/x/3" else 200

    api.answer = answer
    settings = ClientSettings(f"{api.url}/v1?tenant=a", headers={"Authorization": "Basic b", "X-A": "a"})
    retry = RequestRetry(max_attempts=2, backoff_base_seconds=0.001)
    assert counts(run(make_job(api, tmp_path, 20, settings=settings, auth=Hmac(settings), retry=retry))) == [
        20,
        20,
        0,
        0,
    ]
    assert sorted(int(seen.headers["X-Nonce"]) for seen in api.seen) == list(range(1, 22))
    assert {seen.headers["X-A"] for seen in api.seen} == {"a"}


def test_what_is_kept_of_a_request_has_no_signature(api, tmp_path):
    api.answer = lambda seen: 422
    settings, letters = ClientSettings(api.url), []
    job = make_job(
        api, tmp_path, 1, settings=settings, auth=Hmac(settings), max_failures=1,
        publish=lambda report, sample, error: letters.extend(sample),
    )  # fmt: skip
    run(job)
    [seen], kept = api.seen, "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))
    assert kept
    assert seen.headers["Authorization"].removeprefix("HMAC ") not in f"{kept} {letters}"


class Token:
    """Identifies with a token, which it renews when it is refused; ``taken`` says which one the API takes."""

    def __init__(self, *, renews=True):
        self.renews, self.token, self.asked, self.at_once = renews, 0, 0, 0

    async def sign(self, request):
        return replace(request, headers={"Authorization": f"Bearer {self.token}"})

    async def refused(self, response):
        self.asked += 1
        self.at_once += 1
        for _ in range(20):
            await asyncio.sleep(0)
        assert self.at_once == 1
        self.at_once -= 1
        self.token += self.renews
        return self.renews


@pytest.mark.parametrize("status", sorted(REFUSALS))
@pytest.mark.parametrize("concurrency", [16, None])
@pytest.mark.usefixtures("way")
def test_many_workers_that_are_refused_renew_once_and_nothing_fails(api, tmp_path, status, concurrency):
    def answer(seen):
        taken = int(len(api.seen) > 60)
        return 200 if seen.headers["Authorization"] == f"Bearer {taken}" else status

    api.answer, auth, made = answer, Token(), []

    class Counting(RateLimiter):
        def __init__(self, limit):
            super().__init__(limit)
            made.append(self)

    job = make_job(api, tmp_path, 150, auth=auth, concurrency=concurrency, limiter=Counting)
    report = run(job, Store())
    assert counts(report) == [150, 150, 0, 0]
    refused = len(api.seen) - 150
    assert (auth.asked, refused > 0) == (1, True)
    assert (report["requests"], report["retries"]) == (150 + refused, refused)
    assert made[0].granted >= 150 + refused  # one that waits too long for its signature takes another turn


@pytest.mark.parametrize("auth", [None, Token(renews=False)])
def test_a_refusal_without_renewal_ends_as_it_does_without_auth(api, tmp_path, auth):
    api.answer = lambda seen: 401
    with pytest.raises(AuthenticationError, match="the API answers 401"):
        run(make_job(api, tmp_path, 20, auth=auth, concurrency=1))
    assert len(api.seen) == 1


def test_what_is_refused_with_what_was_renewed_is_refused(api, tmp_path):
    api.answer, auth = (lambda seen: 401), Token()
    with pytest.raises(AuthenticationError, match="the API answers 401"):
        run(make_job(api, tmp_path, 20, auth=auth, concurrency=1, retry=RequestRetry()))
    assert (len(api.seen), auth.asked) == (2, 1)


def test_no_token_is_a_failed_attempt_that_nobody_has_acted_on(api, tmp_path):
    class Away(Token):
        async def sign(self, request):
            self.asked += 1
            error = ConnectionFailedError("no token")
            error.sent = True
            if self.asked == 1:
                raise error
            return request

    api.answer = lambda seen: 409  # which after a lost answer would say that it is there
    retry = RequestRetry(max_attempts=2, backoff_base_seconds=0.001)
    build = lambda item: Request("PUT", f"_create/{item.index}", "", b"{}", "k")  # noqa: E731
    report = run(make_job(api, tmp_path, 1, auth=Away(), retry=retry, prepare=prepared_by(build), max_failures=1))
    assert (report["reasons"], report["already_there"], len(api.seen)) == ({"http_409": 1}, 0, 1)


def test_a_header_that_cannot_be_sent_ends_the_run_by_its_name(api, tmp_path):
    class Broken(Token):
        async def sign(self, request):
            return replace(request, headers={"X-Signature": "s3cret\r\nX-Forged: 1"})

    with pytest.raises(ConfigurationError, match="what signs a request: the value of 'X-Signature'") as raised:
        run(make_job(api, tmp_path, 20, auth=Broken()))
    assert "s3cret" not in str(raised.value)
    assert api.seen == []


def test_a_class_of_an_authors_is_asked_by_the_names_of_the_seam_alone(api, tmp_path):
    class Own(Token):
        def headers_now(self):
            return {"X-Signature": "of something else\r\nX-Forged: 1"}

    run(make_job(api, tmp_path, 3, auth=Own()))
    assert {(seen.headers["Authorization"], seen.headers.get("X-Forged")) for seen in api.seen} == {("Bearer 0", None)}


def test_headers_of_many_requests_are_checked_as_those_of_one(api, tmp_path):
    class Broken(HeaderAuth):
        def headers_now(self):
            return {"X-Signature": "s3cret\r\nX-Forged: 1"}

    with pytest.raises(ConfigurationError, match="what signs a request: the value of 'X-Signature'"):
        run(make_job(api, tmp_path, 3, auth=Broken()))
    assert api.seen == []


RETURNED = [
    (lambda request: None, "'sign' has returned a NoneType: return the request with more headers"),
    (lambda request: {"X-Signature": "s3cret-1"}, "'sign' has returned a dict"),
    (
        lambda request: replace(request, headers=[("X-Signature", "s3cret-1")]),
        "'sign' has returned a request whose headers is a list",
    ),
    (lambda request: replace(request, headers="s3cret-1"), "headers is a str"),
    (lambda request: replace(request, path=None), "path is a NoneType"),
    (lambda request: replace(request, query={"sig": "s3cret-1"}), "query is a dict"),
    (lambda request: replace(request, body="s3cret-1"), "body is a str"),
    (lambda request: replace(request, query="sig=s3cret-1\r\nX-Other: 1"), "query has a space, a control character or"),
    (lambda request: replace(request, query="sig=s3cret-1#a"), "a '#' that is not encoded"),
    (lambda request: replace(request, path="a b"), "path has a space"),
]


@pytest.mark.parametrize(("returned", "said"), RETURNED)
def test_what_is_no_signed_request_ends_the_run_in_words(api, tmp_path, returned, said):
    class Odd(Token):
        async def sign(self, request):
            return returned(request)

    with pytest.raises(ConfigurationError, match="what signs a request: ") as raised:
        run(make_job(api, tmp_path, 20, auth=Odd()))
    assert said in str(raised.value)
    assert "s3cret" not in str(raised.value)
    assert api.seen == []


def test_who_writes_a_signature_into_the_request_itself_does_so_once_and_it_is_secret(api, tmp_path):
    class InPlace(Token):
        async def sign(self, request):
            request.headers["X-Signature"] = f"s3cret-signature-of-{request.path}"
            request.path += "/signed"
            return request

    def answer(seen):
        first = sum(each.path == seen.path for each in api.seen) == 1
        return web.Response(status=503 if first else 422, text=f"not {seen.headers['X-Signature']}")

    api.answer, retry = answer, RequestRetry(max_attempts=2, backoff_base_seconds=0.001)
    run(make_job(api, tmp_path, 1, auth=InPlace(), retry=retry, max_failures=1))
    assert [seen.path for seen in api.seen] == ["/x/0/signed"] * 2
    kept = "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))
    assert "not ***" in kept
    assert "signed" not in kept


class SameDict(Token):
    """Writes each signature into one and the same dict."""

    def __init__(self):
        super().__init__()
        self.headers = {}

    async def sign(self, request):
        await asyncio.sleep(0.01)
        self.headers["X-Signature"] = signature(request.path.encode())
        return replace(request, headers=self.headers)


def test_a_signature_in_a_dict_that_is_written_again_is_that_of_its_request_and_secret():
    sent, redaction = [], Redaction()

    class Transport:
        async def send(self, request):
            sent.append(request.headers["X-Signature"])
            return Response(200, {}, b"", 0.0)

    async def send_all():
        clock = asyncio.get_running_loop().time
        limiter = RateLimiter((10, 1.0), clock)
        about = {"redaction": redaction, "retry": RequestRetry(), "meter": Meter(), "clock": clock}
        sender = Sender(transport=Transport(), limiter=limiter, auth=SameDict(), **about)
        requests = [Request("GET", f"x/{number}", "", None, "k") for number in range(10)]
        await asyncio.gather(*(sender.send(request, 1, "") for request in requests))

    run_virtually(send_all())
    assert sent == [signature(b"x/%d" % number) for number in range(10)]
    assert set(map(redaction.redact, sent)) == {"***"}


LONG = "dGhpcyBpcyBhIHNpZ25hdHVyZQ=="


@every_row(
    ("headers", "query", "secrets"),
    [
        ({"Authorization": "Bearer abc.def"}, "", {"abc.def"}),
        ({"Authorization": "Bearer abc/+=def&ghi"}, "", {"abc/+=def&ghi"}),
        ({"Authorization": "short"}, "", {"short"}),
        ({"Authorization": "Bearer abc"}, "", set()),
        (
            {"X-Sign": f"t=1492774577,v1={LONG}", "X-Timestamp": "1492774577", "Date": "2017-04-21T11:36:17Z"},
            "",
            {LONG},
        ),
        (
            {
                "Authorization": f"AWS4-HMAC-SHA256 Credential=A/2026/eu-west-1/es/aws4_request, "
                f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={LONG}"
            },
            "",
            {LONG},
        ),
        ({"Authorization": f'Signature keyId="me",signature="{LONG}"', "X-Amz-Date": "20260101T000000Z"}, "", {LONG}),
        ({"Cookie": f"session={LONG}; theme=dark"}, "", {LONG}),
        ({"X-Sign": f"v1={LONG}, t=1"}, "", {LONG}),
        ({"X-Kept": "abcdefgh" * 4}, "", set()),
        ({}, "a=x%20y&sig=abcd-1&b=", {"abcd-1"}),
        ({}, "a=x%20y&sig=abcd-1&b=&key=efgh-2", {"abcd-1", "efgh-2"}),
        (None, "b=&a=x%20y", set()),
    ],
)
def test_what_is_secret_of_a_signature_is_found(headers, query, secrets):
    request = Request("GET", "x", "a=x+y&b", None, "k", headers={"X-Kept": "abcdefgh" * 4})
    signed = replace(request, headers=headers, query=query or request.query)
    assert secrets_of(request, signed) == secrets


def test_requests_that_wait_for_a_token_do_not_go_out_all_at_once():
    times = []

    class Slow(Token):
        async def sign(self, request):
            if not times:
                await asyncio.sleep(60)
            return request

    class Transport:
        async def send(self, request):
            times.append(asyncio.get_running_loop().time())
            return Response(200, {}, b"", 0.0)

    async def send_all():
        clock = asyncio.get_running_loop().time
        limiter = RateLimiter((10, 1.0), clock)
        sender = Sender(
            transport=Transport(), limiter=limiter, auth=Slow(), retry=RequestRetry(), meter=Meter(), clock=clock
        )
        await asyncio.gather(*(sender.send(Request("GET", "x", "", None, "k"), 1, "") for _ in range(40)))

    run_virtually(send_all())
    assert len(times) == 40
    assert max(sum(start <= each < start + 1 for each in times) for start in times) <= 10


@pytest.mark.parametrize(("seconds", "turns"), [(0.0, 40), (0.004, 40), (0.007, 80), (0.02, 80)])
def test_what_is_signed_for_too_long_takes_another_turn(seconds, turns):
    class Slow(Token):
        async def sign(self, request):
            await asyncio.sleep(seconds)
            return request

    class Transport:
        async def send(self, request):
            return Response(200, {}, b"", 0.0)

    async def send_all():
        clock = asyncio.get_running_loop().time
        limiter = RateLimiter((1000, 1.0), clock)
        sender = Sender(
            transport=Transport(), limiter=limiter, auth=Slow(), retry=RequestRetry(), meter=Meter(), clock=clock
        )
        for _ in range(40):
            await sender.send(Request("GET", "x", "", None, "k"), 1, "")
        return limiter.granted

    assert run_virtually(send_all())[0] == turns


def _first_token():
    class Slow(Token):
        async def sign(self, request):
            self.asked += 1
            if self.asked == 1:
                await asyncio.sleep(60)
            return request

    return Slow()


def _long_signatures():
    class Slow(Token):
        async def sign(self, request):
            await asyncio.sleep(0.02)
            return request

    return Slow()


def _no_token_at_first():
    class Away(Token):
        async def sign(self, request):
            self.asked += 1
            if self.asked <= 10:
                raise ConnectionFailedError("no token")
            return request

    return Away()


def _no_request():
    class Odd(Token):
        async def sign(self, request):
            self.asked += 1
            return request if self.asked > 10 else None

    return Odd()


@every_row("make", [_first_token, _long_signatures, _no_token_at_first, _no_request])
@every_row("is_away", [False, True])
def test_a_day_is_charged_with_what_was_sent_and_not_with_what_waited_for_a_signature(make, is_away):
    sent = []

    class Transport:
        async def send(self, request):
            sent.append(request)
            return Response(200, {}, b"", 0.0)

    async def send_all():
        clock, limits = asyncio.get_running_loop().time, parse_limits("1000/s, 1000/d")
        server = MemoryServer(clock)
        server.away = is_away
        limiter = SharedLimiter(
            MemoryStore(server, "api", limits), limits, key="api", before=RateLimiter(None, clock),
            fallback=RateLimiter((100, 1.0), clock), say=lambda *_: None, longest_seconds=300.0, clock=clock,
        )  # fmt: skip
        async with limiter:
            sender = Sender(
                transport=Transport(), limiter=limiter, auth=make(), retry=RequestRetry(), meter=Meter(), clock=clock
            )
            sending = [sender.send(Request("GET", "x", "", None, "k"), 1, "") for _ in range(40)]
            await asyncio.gather(*sending, return_exceptions=True)
            assert limiter.granted == len(sent)
            if is_away:
                server.away = False
                await asyncio.sleep(60)
                await limiter.acquire()
                sent.append(None)
        return sum(server.of("api")["counts"].values())

    assert run_virtually(send_all())[0] == len(sent) >= 30
