"""Tokens of an OAuth2 server that others wrote, which live for seconds, and which it takes back."""

import json
import urllib.request

import pytest
from node_peers import running_peer
from task_runner import run_try
from tasks import READINGS, rest_to_sql, sql_to_rest

from airflow_async_rest import Batch, OffsetPages

pytestmark = pytest.mark.release
SECRET = "cl1ent s3cret:/+%of-mine"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("LIFETIME", "3")
    with running_peer("oidc_provider.cjs", "oidc-provider") as url:
        yield url


def ask(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.loads(answer.read())


@pytest.fixture
def sign_in(server, connect, places):
    def make(login="me", **extra):
        fields = {"auth_type": "oauth2_client_credentials", "token_url": f"{server}/token", **extra}
        connect(
            "search_api", conn_type="async_rest", host=f"{server}/api", login=login, password=SECRET,
            extra=json.dumps(fields),
        )  # fmt: skip

    return make


@pytest.mark.parametrize(
    ("login", "extra"),
    [("me", {"scope": "readings:write"}), ("me of body", {"client_auth": "body"})],
)
def test_both_ways_to_prove_who_asks_are_taken(server, sign_in, supervisor, login, extra):
    sign_in(login, **extra)
    assert run_try(sql_to_rest(), supervisor)[0] == "success"
    assert supervisor.report["delivered"] == 100
    assert ask(f"{server}/count") == 1


@pytest.mark.parametrize(
    ("login", "extra", "said"),
    [
        ("me", {"scope": "readings:delete"}, "invalid_scope"),
        ("nobody", {}, "invalid_client"),
        ("me", {"token_params": {"scope": "readings:write readings:delete"}}, "invalid_scope"),
    ],
)
def test_what_is_wrong_is_told_in_its_words(server, sign_in, supervisor, login, extra, said):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    sign_in(login, **extra)
    works, text = AsyncRestHook("search_api").test_connection()
    assert not works
    assert f"{said}; it says: " in text
    state, error = run_try(sql_to_rest(), supervisor)
    assert (state, said in str(error)) == ("failed", True)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"batch": Batch(max_items=3), "endpoint": "readings", "method": "POST"},
        {"order_by_key": True},
        {"concurrency": "adaptive"},
    ],
    ids=["rows", "batches", "in order", "adaptive"],
)
def test_tokens_that_end_while_rows_go_out_are_renewed_once_each(server, sign_in, supervisor, arguments):
    sign_in()
    task = sql_to_rest(
        **{
            "sql": READINGS.format(rows=900),
            "rate_limit": "150/s" if "batch" not in arguments else "50/s",
            "concurrency": 64,
            **arguments,
        }
    )
    assert run_try(task, supervisor)[0] == "success"
    report = supervisor.report
    assert (report["delivered"], report["failed"]) == (900, 0)
    assert report["retries"] <= 64  # of one token: this server counts whole seconds
    seconds = report["elapsed_seconds"]
    assert 2 <= ask(f"{server}/count") <= seconds / 1.5 + 2


def test_pages_are_fetched_with_tokens_that_end(server, sign_in, supervisor, postgres, connect):
    connect("warehouse", **postgres.connection())
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads, locations", "CREATE TABLE locations (id bigint, scope text, n int)"
    )
    sign_in(scope="readings:write")
    task = rest_to_sql(
        items=list(range(5)), rows="items", columns={"id": "item.item", "scope": "scope", "n": "offset"}, endpoint="x/{item}",
        paginate=OffsetPages(limit=1), max_pages=100, rate_limit="100/s",
    )  # fmt: skip
    run_try(task, supervisor)
    report = supervisor.report
    assert (report["delivered"], report["rows_loaded"]) == (5, 400)
    assert ask(f"{server}/count") >= 2


def test_tokens_that_are_taken_back_are_renewed_once(server, sign_in, supervisor, monkeypatch):
    from airflow_async_rest.core.sending.meter import Meter

    sign_in()
    sent, sending = [], Meter.sending

    def note(self, attempt, reason):
        sent.append(reason)
        if len(sent) == 100:
            ask(f"{server}/revoke")
        sending(self, attempt, reason)

    monkeypatch.setattr(Meter, "sending", note)
    assert run_try(sql_to_rest(sql=READINGS.format(rows=400), concurrency=64), supervisor)[0] == "success"
    report = supervisor.report
    assert report["delivered"] == 400
    assert 1 <= report["retries"] <= 64
    assert set(sent) == {"", "http_401"}
    assert ask(f"{server}/count") == 2
