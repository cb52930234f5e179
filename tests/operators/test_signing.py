"""Tasks whose API wants a token that ends, or a signature: whatever they do, every row goes out."""

import json
import time

import pytest
from aiohttp import web
from task_runner import run_try
from tasks import READINGS, rest_to_sql, sql_to_rest

from airflow_async_rest import Batch, OffsetPages


class Login:
    """An API whose tokens live for some seconds. ``refused`` counts what came with another one."""

    def __init__(self, api, lifetime=3600.0, answer=lambda seen: 200):
        self.lifetime, self.given, self.refused, self.api, self._answer = lifetime, {}, 0, api, answer
        api.answer = self.answer

    def answer(self, seen):
        if seen.path == "/token":
            token = f"t0ken-of-login-{len(self.given)}"
            self.given[token] = time.monotonic() + self.lifetime
            return web.json_response({"access_token": token, "expires_in": self.lifetime})
        if self.given.get(seen.headers.get("Authorization", "")[7:], 0.0) < time.monotonic():
            self.refused += 1
            return 401
        return self._answer(seen)

    def revoke(self):
        self.given = dict.fromkeys(self.given, 0.0)

    def rows(self):
        return [seen for seen in self.api.delivered if seen.path != "/token"]


@pytest.fixture
def sign_in(places, connect):
    def make(**login):
        extra = {"auth_type": "oauth2_client_credentials", "token_url": f"{places.url}/token"}
        connect(
            "search_api", conn_type="async_rest", host=places.url, login="me", password="cl1ent-s3cret",
            extra=json.dumps(extra),
        )  # fmt: skip
        return Login(places, **login)

    return make


@pytest.mark.release
def test_tokens_of_five_seconds_last_for_two_thousand_rows_in_half_a_minute(sign_in, supervisor):
    login = sign_in(lifetime=5.0)
    task = sql_to_rest(sql=READINGS.format(rows=2000), concurrency=64, rate_limit="68/s")
    assert run_try(task, supervisor)[0] == "success"
    report = supervisor.report
    assert (report["delivered"], report["retries"], login.refused) == (2000, 0, 0)
    assert report["elapsed_seconds"] >= 29
    assert report["elapsed_seconds"] / 5 <= len(login.given) <= report["elapsed_seconds"] / 4 + 1


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"batch": Batch(max_items=5), "endpoint": "readings", "method": "POST"},
        {"order_by_key": True},
        {"concurrency": "adaptive"},
        {"rate_limit": "1000/s"},
    ],
    ids=["rows", "batches", "in order", "adaptive", "within a limit"],
)
def test_a_token_that_is_taken_back_in_the_middle_costs_no_row(sign_in, supervisor, arguments):
    def answer(seen):
        if len(login.rows()) == 30:
            login.revoke()
        return 200

    login = sign_in(answer=answer)
    assert (
        run_try(sql_to_rest(**{"sql": READINGS.format(rows=400), "concurrency": 64, **arguments}), supervisor)[0]
        == "success"
    )
    report = supervisor.report
    assert (report["delivered"], len(login.given)) == (400, 2)
    assert report["retries"] == login.refused


def test_pages_are_fetched_with_one_token_and_its_successor(sign_in, supervisor, postgres, connect):
    connect("warehouse", **postgres.connection())
    postgres.execute("DROP TABLE IF EXISTS async_rest_loads, locations", "CREATE TABLE locations (id bigint, n int)")

    def answer(seen):
        offset = int(dict(pair.split("=") for pair in seen.query.split("&"))["offset"])
        if offset == 20:
            login.given = dict.fromkeys(login.given, 0.0) if len(login.given) == 1 else login.given
        return web.json_response({"items": [{"n": offset}] if offset < 40 else []})

    login = sign_in(answer=answer)
    task = rest_to_sql(
        items=[1, 2, 3], rows="items", endpoint="x/{item}", columns={"id": "item.item", "n": "n"},
        paginate=OffsetPages(limit=1),
    )  # fmt: skip
    assert run_try(task, supervisor)[0] == "success"
    assert postgres.execute("SELECT count(*), count(DISTINCT (id, n)) FROM locations") == [(120, 120)]
    assert len(login.given) == 2


def test_a_retry_and_a_replay_sign_in_again(sign_in, supervisor):
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

    faults = {"/readings/7": 422}
    login = sign_in(answer=lambda seen: faults.get(seen.path, 200))
    assert run_try(sql_to_rest(), supervisor)[0] == "failed"
    assert (supervisor.report["delivered"], len(login.given)) == (99, 1)
    kept = json.dumps(supervisor.data["xcom"])
    assert "t0ken" not in kept
    faults.clear()
    replay = ReplayDeadLettersOperator(
        task_id="replay", http_conn_id="search_api", dead_letters=supervisor.report["dead_letters"]
    )
    assert run_try(replay, supervisor)[0] == "success"
    assert supervisor.report["delivered"] == 1
    assert len(login.given) == 2
    assert len(login.rows()) == 100


def test_another_secret_ends_the_task_and_a_retry_goes_on(sign_in, supervisor):
    def answer(seen):
        if len(login.rows()) == 100 and not fault:
            fault.append(1)
            login.revoke()
        return 200

    fault = []
    login = sign_in(answer=answer)
    give = login.answer
    refusal = {"error": "invalid_client", "error_description": "unknown client"}
    login.api.answer = lambda seen: (
        web.json_response(refusal, status=401) if seen.path == "/token" and fault == [1] else give(seen)
    )
    task = sql_to_rest(sql=READINGS.format(rows=500), concurrency=64)
    state, error = run_try(task, supervisor)
    assert state == "up_for_retry"
    assert "gives no token: it answers 401 invalid_client; it says: 'unknown client'" in str(error)
    assert "items were accepted before: a retry goes on" in str(error)
    assert login.refused <= 64
    assert supervisor.report["failed"] == 0
    fault.append(2)
    assert run_try(sql_to_rest(sql=READINGS.format(rows=500), concurrency=64), supervisor, 2)[0] == "success"
    assert supervisor.report["delivered"] == 500
    assert len({seen.path for seen in login.rows()}) == 500


def test_a_preview_asks_for_no_token_and_one_that_sends_shows_none(sign_in, supervisor):
    login = sign_in(answer=lambda seen: web.Response(status=422, text=seen.headers["Authorization"]))
    assert run_try(sql_to_rest(preview=2), supervisor)[0] == "skipped"
    assert (login.given, login.api.seen) == ({}, [])
    shown = json.dumps(supervisor.data["xcom"]["preview"])
    assert "added to each request as it is sent" in shown
    assert run_try(sql_to_rest(preview_send=1), supervisor, 2)[0] == "skipped"
    assert len(login.given) == 1
    sent = json.dumps(supervisor.data["xcom"]["preview"])
    assert "Bearer ***" in sent
    assert "t0ken-of" not in sent
