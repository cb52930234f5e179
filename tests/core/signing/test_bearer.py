"""Tokens that end: renewed ahead of it and when they are refused, by an endpoint that may be away."""

import asyncio
import json
import math
from base64 import b64decode
from urllib.parse import parse_qs, unquote_plus

import pytest
from aiohttp import web
from engine import Store, counts, make_job, run
from multidict import CIMultiDict
from virtual_time import run_virtually

from airflow_async_rest.core.errors import AuthenticationError, CredentialsError, StoppedError
from airflow_async_rest.core.limits.rate_limit import RateLimiter
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.sending.attempts import Sender
from airflow_async_rest.core.sending.meter import Meter
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.signing.bearer import Bearer
from airflow_async_rest.core.signing.oauth2 import Client, TokenEndpoint, token_settings
from airflow_async_rest.core.signing.token import Token

SECRET = "cl1ent/s3cret+of=mine"


class Server:
    """An API and its token endpoint: ``revoke`` takes all tokens back, ``secret`` is what the client must know."""

    def __init__(self, api, lifetime=None):
        self.api, self.lifetime, self.secret = api, lifetime, SECRET
        self.asked, self.valid, self.answers = [], set(), {}
        self.gives_the_same = False
        api.answer = self.answer

    def answer(self, seen):
        if seen.path == "/token":
            return self.give(seen)
        good = seen.headers.get("Authorization", "").removeprefix("Bearer ") in self.valid
        return 200 if good else 401

    def give(self, seen):
        self.asked.append(seen)
        if (answer := self.answers.get(len(self.asked))) is not None:
            return answer
        _, _, secret = b64decode(seen.headers["Authorization"].removeprefix("Basic ")).decode().partition(":")
        if unquote_plus(secret) != self.secret:
            return web.json_response({"error": "invalid_client", "error_description": self.secret}, status=401)
        self.valid.add(token := f"t0ken-number-{1 if self.gives_the_same else len(self.asked)}")
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime})


def auth_of(api, retry=None, **bearer):
    client = Client("me", SECRET)
    settings = token_settings(ClientSettings(api.url), f"{api.url}/token", client)
    parameters = {"grant_type": "client_credentials", "scope": "", **client.parameters()}
    endpoint = TokenEndpoint(
        settings=settings, grant=lambda: parameters, retry=retry or RequestRetry(backoff_base_seconds=0.001)
    )
    return Bearer(endpoint, **bearer)


def test_a_token_is_asked_for_once_before_the_first_request(api, tmp_path):
    server, told = Server(api), []
    job = make_job(api, tmp_path, 200, auth=auth_of(api, on_token=told.append))
    assert counts(run(job)) == [200, 200, 0, 0]
    [asked] = server.asked
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(asked.body.decode()) == {"grant_type": ["client_credentials"]}
    assert "Idempotency-Key" not in asked.headers
    assert told == ["t0ken-number-1"]


def test_a_request_with_a_token_that_is_good_costs_one_look_at_the_clock(api, tmp_path):
    asked = []

    def clock():
        asked.append(1)
        return 0.0

    class Once(Bearer):
        async def sign(self, request):
            signed.append(request)
            return await super().sign(request)

    Server(api, 3600)
    signed, endpoint = [], auth_of(api)._source
    assert counts(run(make_job(api, tmp_path, 200, auth=Once(endpoint, clock=clock), concurrency=16))) == [
        200,
        200,
        0,
        0,
    ]
    assert len(signed) == 1
    assert len(asked) <= 205


def test_a_token_that_is_revoked_is_renewed_once_and_no_attempt_is_lost(api, tmp_path):
    server = Server(api)
    give = server.answer

    def answer(seen):
        if len(api.seen) == 100:
            server.valid.clear()
        return give(seen)

    api.answer = answer
    job = make_job(api, tmp_path, 400, auth=auth_of(api), concurrency=64)  # of one attempt each
    report = run(job, Store())
    assert counts(report) == [400, 400, 0, 0]
    refused = len(api.seen) - 400 - len(server.asked)
    assert (len(server.asked), 1 <= refused <= 64) == (2, True)


@pytest.mark.parametrize("accepted", [True, False])
def test_another_secret_stops_the_task_within_the_requests_in_flight(api, tmp_path, accepted):
    server = Server(api)
    give = server.answer

    def answer(seen):
        if len(api.seen) == (100 if accepted else 1):
            server.valid.clear()
            server.secret = "an0ther-one"
        return give(seen)

    api.answer = answer
    job = make_job(api, tmp_path, 1000, auth=auth_of(api), concurrency=64)
    with pytest.raises(CredentialsError if accepted else AuthenticationError) as raised:
        run(job, Store())
    text = str(raised.value)
    assert "gives no token: it answers 401 invalid_client; it says: " in text
    assert "check login (the client id), password" in text
    assert SECRET not in text
    assert len(server.asked) == (2 if accepted else 1)
    refused = [seen for seen in api.seen if seen not in api.delivered and seen.path != "/token"]
    assert len(refused) <= 64


@pytest.mark.parametrize(
    "fault",
    [
        503,
        429,
        "reset",
        web.Response(status=200, text="<html>"),
        web.json_response({"error": "server_error"}, status=400),
        web.Response(body=b"no gzip", headers={"Content-Encoding": "gzip"}),
        web.Response(body=b"no gzip", headers={"Content-Encoding": "gzip"}, status=401),
    ],
)
def test_an_endpoint_that_fails_for_now_is_asked_again_a_few_times(api, tmp_path, fault):
    server = Server(api)
    for_good = getattr(fault, "text", "") == "<html>"
    server.answers = {1: fault}
    job = make_job(api, tmp_path, 10, auth=auth_of(api))
    if for_good:
        with pytest.raises(AuthenticationError, match="which is no JSON object, but 'text/plain"):
            run(job)
    else:
        assert counts(run(job)) == [10, 10, 0, 0]
    assert len(server.asked) == (1 if for_good else 2)


def test_an_answer_that_cannot_be_read_says_why(api, tmp_path):
    server = Server(api)
    server.answers = {n: web.Response(body=b"no", headers={"Content-Encoding": "gzip"}) for n in range(1, 9)}
    with pytest.raises(StoppedError, match="asked 5 times: it answers 200, and the rest cannot be read: .*gzip"):
        run(make_job(api, tmp_path, 3, auth=auth_of(api)))
    assert not list(tmp_path.rglob("*.jsonl"))


def test_an_endpoint_that_stays_away_stops_the_task_for_now_and_makes_no_dead_letters(api, tmp_path):
    server = Server(api)
    server.answers = dict.fromkeys(range(1, 100), 503)
    job = make_job(api, tmp_path, 100, auth=auth_of(api))
    with pytest.raises(StoppedError, match="gives no token for now, asked 5 times: it answers 503") as raised:
        run(job)
    assert not isinstance(raised.value, CredentialsError)
    assert len(server.asked) == len(api.seen) == 5
    assert not list(tmp_path.rglob("*.jsonl"))


class Clocked:
    """Tokens of some seconds; ``faults`` are raised, or waited for, before a fetch of that number."""

    def __init__(self, lifetime=5.0, faults=None):
        self.lifetime, self.faults, self.fetched = lifetime, faults or {}, []

    async def fetch(self):
        clock = asyncio.get_running_loop().time
        self.fetched.append(clock())
        fault = self.faults.get(len(self.fetched))
        if isinstance(fault, Exception):
            raise fault
        await asyncio.sleep(fault or 0.01)
        return Token(f"t0ken-{len(self.fetched)}", self.lifetime, clock() - 0.01)


async def rows_for(seconds, source, rate=(64, 1.0), ends=float):
    """Send what 64 workers can, within a limit; return when each was answered, and how.

    :param ends: makes of the time when a token should end the one when it does.
    """
    loop = asyncio.get_running_loop()
    ended, answers = {}, []

    class Transport:
        async def send(self, request):
            await asyncio.sleep(0.02)
            name = request.headers["Authorization"].removeprefix("Bearer ")
            now = loop.time()
            ended.setdefault(name, ends(source.fetched[-1] + source.lifetime))
            return Response(200 if now < ended[name] else 401, {}, b"", 0.02)

    sender = Sender(
        transport=Transport(),
        limiter=RateLimiter(rate, loop.time),
        auth=Bearer(source, clock=loop.time),
        retry=RequestRetry(),
        meter=Meter(),
        clock=loop.time,
    )

    async def work():
        while loop.time() < seconds:
            response = await sender.send(Request("GET", "x", "", None, "k"), 1, "")
            answers.append((loop.time(), response.status))

    working = [asyncio.create_task(work()) for _ in range(64)]
    try:
        await asyncio.gather(*working)
    finally:
        for one in working:
            one.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    return answers


def test_tokens_of_five_seconds_are_renewed_once_a_lifetime_and_no_row_is_refused_for_them():
    source = Clocked()
    answers, _ = run_virtually(rows_for(30.0, source))
    assert len(answers) > 1800
    assert {status for _, status in answers} == {200}
    assert 6 <= len(source.fetched) <= 8


@pytest.mark.parametrize("lifetime", [1e-9, 0.001, 0.1])
def test_tokens_that_end_at_once_are_asked_for_twice_a_second_at_most(lifetime):
    source = Clocked(lifetime=lifetime)
    answers, _ = run_virtually(rows_for(5.0, source, ends=lambda _: math.inf))
    assert {status for _, status in answers} == {200}
    assert len(source.fetched) <= 12


def test_a_server_that_counts_whole_seconds_refuses_one_token_at_most():
    class Late(Clocked):
        async def fetch(self):
            if not self.fetched:
                await asyncio.sleep(0.9)
            return await super().fetch()

    source = Late(lifetime=4.0)
    answers, _ = run_virtually(rows_for(60.0, source, ends=math.floor))
    assert {status for _, status in answers} == {200}  # once more
    assert 60 / 4 <= len(source.fetched) <= 60 / 2.4 + 2


@pytest.mark.parametrize("fault", [StoppedError("away"), 1e9], ids=["it fails", "it does not answer"])
def test_an_endpoint_that_is_away_while_the_token_is_good_fails_nothing(fault):
    source = Clocked(lifetime=200.0, faults={2: fault})
    answers, _ = run_virtually(rows_for(230.0, source, rate=(10, 1.0)))
    assert {status for _, status in answers} == {200}
    assert len(source.fetched) == 3


def test_a_client_that_is_refused_while_the_token_is_good_ends_the_run():
    source = Clocked(faults={2: CredentialsError("no such client")})
    with pytest.raises(CredentialsError, match="no such client"):
        run_virtually(rows_for(30.0, source))
    assert len(source.fetched) == 2


def test_a_token_that_has_been_renewed_ahead_is_not_renewed_for_a_refusal_of_the_one_before():
    async def meet():
        loop = asyncio.get_running_loop()
        source = Clocked()
        auth = Bearer(source, clock=loop.time)
        request = Request("GET", "x", "", None, "k")
        old = await auth.sign(request)
        await asyncio.sleep(4.9)
        new = await auth.sign(request)
        assert old.headers != new.headers
        refused = Response(401, {}, b"", 0.1, request=old)
        assert await auth.refused(refused)
        return len(source.fetched)

    assert run_virtually(meet())[0] == 2


@pytest.mark.parametrize(
    ("status", "headers", "renews"),
    [
        (401, {}, True),
        (403, {}, False),
        (403, {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}, False),
        (403, {"WWW-Authenticate": 'Bearer error="invalid_token"'}, True),
        (403, CIMultiDict([("WWW-Authenticate", "Basic"), ("WWW-Authenticate", 'Bearer error="invalid_token"')]), True),
    ],
)
def test_a_refusal_of_the_row_is_none_of_the_token(status, headers, renews):
    async def meet():
        source = Clocked()
        auth = Bearer(source, clock=asyncio.get_running_loop().time)
        signed = await auth.sign(Request("GET", "x", "", None, "k"))
        return await auth.refused(Response(status, headers, b"", 0.1, request=signed)), len(source.fetched)

    assert run_virtually(meet())[0] == (renews, 1 + renews)


@pytest.mark.parametrize("gives_the_same", [False, True])
@pytest.mark.parametrize("concurrency", [1, 16])
@pytest.mark.parametrize("refused", ["12", "0123456789"])
def test_rows_that_a_new_token_may_not_see_either_ask_for_no_more_of_them(
    api, tmp_path, concurrency, refused, gives_the_same
):
    server = Server(api)
    server.gives_the_same = gives_the_same
    give = server.answer

    def answer(seen):
        if seen.path.endswith(tuple(refused)) and seen.path != "/token":
            return web.Response(status=403, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return give(seen)

    api.answer = answer
    job = make_job(api, tmp_path, 100, auth=auth_of(api), max_failures=100, concurrency=concurrency)
    delivered = 100 - 10 * len(refused)
    assert counts(run(job)) == [100, delivered, 100 - delivered, 0]
    assert len(server.asked) <= (2 if concurrency == 1 or gives_the_same else 4)


def test_tokens_that_are_revoked_with_403_are_renewed_each_time(api, tmp_path):
    server = Server(api)

    def answer(seen):
        if len(api.seen) in {50, 100, 150}:
            server.valid.clear()
        if seen.path == "/token" or seen.headers["Authorization"].removeprefix("Bearer ") in server.valid:
            return server.give(seen) if seen.path == "/token" else 200
        return web.Response(status=403, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})

    api.answer = answer
    assert counts(run(make_job(api, tmp_path, 200, auth=auth_of(api), concurrency=8))) == [200, 200, 0, 0]
    assert len(server.asked) == 4


def test_an_endpoint_that_gives_the_same_token_again_is_no_renewal():
    class Same(Clocked):
        async def fetch(self):
            token = await super().fetch()
            return Token("the-same", token.lifetime_seconds, token.asked_at)

    async def meet():
        auth = Bearer(Same(), clock=asyncio.get_running_loop().time)
        signed = await auth.sign(Request("GET", "x", "", None, "k"))
        return await auth.refused(Response(401, {}, b"", 0.1, request=signed))

    assert run_virtually(meet())[0] is False


@pytest.mark.parametrize("status", [422, 302, 401])
def test_a_token_that_an_api_echoes_is_in_no_dead_letter(api, tmp_path, status):
    server = Server(api)
    give = server.answer
    letters = []

    def answer(seen):
        if seen.path == "/token":
            return give(seen)
        said = seen.headers["Authorization"]
        return web.Response(status=status, headers={"Location": f"/x?{said[7:]}"}, text=json.dumps({"got": said}))

    api.answer = answer
    job = make_job(
        api, tmp_path, 3, auth=auth_of(api), max_failures=3, concurrency=1,
        publish=lambda report, sample, error: letters.extend([report, sample, str(error)]),
    )  # fmt: skip
    if status == 401:
        with pytest.raises(AuthenticationError):
            run(job)
    else:
        assert counts(run(job)) == [3, 0, 3, 0]
    kept = "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))
    assert kept
    assert "0ken-num" not in f"{kept} {letters}"
    assert "***" in kept
    assert server.asked


@pytest.mark.parametrize(
    ("client", "headers", "parameters"),
    [
        (Client("me", "s:/+ ü"), {"Authorization": "Basic bWU6cyUzQSUyRiUyQislQzMlQkM="}, {}),
        (Client("me", "s3cret", "body"), {}, {"client_id": "me", "client_secret": "s3cret"}),
        (Client("me"), {}, {"client_id": "me"}),
        (Client(""), {}, {}),
    ],
)
def test_a_client_says_who_it_is_once(client, headers, parameters):
    assert (client.headers(), client.parameters()) == (headers, parameters)
