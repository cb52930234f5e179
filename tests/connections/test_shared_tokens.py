"""Connections whose tasks share a token: where it is kept, that nobody can read it there, and that a new login wins."""

import json

import pytest
from canary import traces
from certificates import make_certificate
from limit_stores import running_redis
from rotating import Login
from tables import left_to_release

from airflow_async_rest.core.errors import ConfigurationError

SECRET, FIRST, SECOND = "cl1ent+s3cret/of=mine", "0ne+of/Anns=logins", "an0ther+of/Anns=logins"
CLIENT = {"auth_type": "oauth2_client_credentials"}
REFRESH = {"auth_type": "oauth2_refresh_token", "refresh_token": FIRST}


@pytest.fixture(params=["postgres", "redis"])
def kept(request, connect):
    """A store, as a connection ``limits``; it tells all that is in it."""
    if request.param == "redis":
        with running_redis() as server:
            connect("limits", conn_type="redis", host="127.0.0.1", port=server.port)
            from redis import Redis

            client = Redis(port=server.port)
            yield lambda: [str(client.hgetall(name)) for name in client.keys()]  # noqa: SIM118  (it is no dict)
            client.close()
        return
    postgres = request.getfixturevalue("postgres")
    postgres.execute("DROP TABLE IF EXISTS async_rest_tokens")
    connect("limits", **postgres.connection())
    yield lambda: [str(row) for row in postgres.execute("SELECT * FROM async_rest_tokens")]


@pytest.fixture
def deliver(connect, api, tmp_path):
    """Send three rows as a task does, with a connection of these fields."""
    from airflow_async_rest.hooks.rest import AsyncRestHook

    def send(test: bool = False, login: str = "me", password: str | None = SECRET, **extra):
        extra = {"token_url": f"{api.url}/token", "rate_limit_conn_id": "limits", **extra}
        connect("crm", conn_type="async_rest", host=api.url, login=login, password=password, extra=json.dumps(extra))
        if test:
            return AsyncRestHook("crm").test_connection()
        rows = [{"id": number} for number in range(3)]
        return AsyncRestHook("crm").deliver(
            rows, endpoint="x/{id}", method="PUT", key="id", dead_letter_path=str(tmp_path)
        )

    return send


@pytest.mark.parametrize("extra", [CLIENT, REFRESH], ids=["client credentials", "refresh token"])
def test_tasks_share_a_token_that_nobody_can_read_in_the_store(kept, fernet_key, deliver, api, extra):
    login = Login(api, refresh=FIRST)
    assert [deliver(**extra)["delivered"] for _ in range(3)] == [3, 3, 3]
    assert (len(login.given), login.reused) == (1, 0)
    login.valid.clear()
    assert deliver(**extra)["delivered"] == 3
    assert (len(login.given), login.reused) == (2, 0)
    [said] = kept()
    secrets = (SECRET, FIRST, "r3fresh-token-2", "acc3ss-token-2")
    assert traces(said, secrets) == []


def test_a_new_login_wins_and_others_have_tokens_of_their_own(kept, fernet_key, deliver, api):
    login = Login(api, refresh=FIRST)
    deliver(**REFRESH)
    login.refresh = SECOND
    assert deliver(**{**REFRESH, "refresh_token": SECOND})["delivered"] == 3
    assert (len(login.given), login.reused, len(kept())) == (2, 0, 2)
    deliver(**CLIENT)
    deliver(**CLIENT, password="another-s3cret")
    deliver(**CLIENT, scope="write")
    assert (len(login.given), len(kept())) == (5, 5)


def test_one_login_is_asked_for_each_scope_and_keeps_one_refresh_token(kept, fernet_key, deliver, api):
    login = Login(api, refresh=FIRST)
    for asked in ({}, {"scope": "write"}, {"audience": "https://api"}, {"token_params": {"resource": "a"}}):
        assert [deliver(**REFRESH, **asked)["delivered"] for _ in range(2)] == [3, 3]
    assert (len(login.given), login.reused, len(kept())) == (4, 0, 1)


FIELDS = ["scope", "refresh_token", "token_url", "login", "password", "token_params"]


@pytest.mark.parametrize("field", left_to_release(FIELDS))
@pytest.mark.parametrize("extra", [CLIENT, REFRESH], ids=["client credentials", "refresh token"])
def test_a_field_says_the_same_with_spaces_around_it(kept, fernet_key, deliver, api, extra, field):
    login = Login(api, refresh=FIRST)
    written = {"token_url": f"{api.url}/token", "login": "me", "password": SECRET, "scope": "read", **extra}
    written["token_params"] = '{"resource": "a"}'
    deliver(**written)
    if field in written:
        assert deliver(**{**written, field: f" {written[field]}\n"})["delivered"] == 3
    assert (len(login.given), login.reused, len(kept())) == (1, 0, 1)


@pytest.mark.parametrize(("extra", "rows"), [(CLIENT, 2), (REFRESH, 1)], ids=["client credentials", "refresh token"])
def test_a_client_certificate_has_a_token_of_its_own(kept, fernet_key, deliver, api, tmp_path, extra, rows):
    login = Login(api, refresh=FIRST)
    path = make_certificate(tmp_path, "client").path
    assert [deliver(**extra, **how)["delivered"] for how in ({}, {"cert": path}, {"cert": f" {path}"})] == [3, 3, 3]
    assert (len(login.given), login.reused, len(kept())) == (2, 0, rows)


def test_a_public_client_has_no_secret(kept, fernet_key, deliver, api):
    login = Login(api, refresh=FIRST)
    assert deliver(**REFRESH, password=None)["delivered"] == 3
    assert b"client_id=me" in api.seen[0].body
    assert len(login.given) == 1


def test_the_connections_test_renews_for_the_tasks_too(kept, fernet_key, deliver, api):
    login = Login(api, refresh=FIRST)
    works, said = deliver(test=True, **REFRESH)
    assert (works, "a token of 127.0.0.1" in said) == (True, True)
    assert deliver(**REFRESH)["delivered"] == 3
    assert (len(login.given), login.reused) == (1, 0)


def test_a_refresh_token_that_is_used_up_says_to_sign_in_again(kept, fernet_key, deliver, api, caplog):
    from airflow.sdk.exceptions import AirflowFailException

    Login(api, refresh=SECOND)
    with pytest.raises(AirflowFailException) as raised:
        deliver(**REFRESH)
    works, said = deliver(test=True, **REFRESH)
    assert not works
    for text in (str(raised.value), said):
        assert "it answers 400 invalid_grant; it says: 'used up'; it does not take the refresh token" in text
        assert "sign in again, and write the new refresh token into refresh_token" in text
        assert traces(text + caplog.text, (FIRST, SECOND, SECRET)) == []


@pytest.mark.parametrize("key", ["", None], ids=["no key", "another key"])
def test_without_the_key_of_all_workers_a_refresh_token_is_not_used(kept, fernet_key, deliver, api, key):
    from airflow.sdk.exceptions import AirflowFailException

    login = Login(api, refresh=FIRST)
    if key is None:
        deliver(**REFRESH)
    fernet_key(key)
    given = len(login.given)
    with pytest.raises(AirflowFailException, match="fernet_key"):
        deliver(**REFRESH)
    assert len(login.given) == given
    assert deliver(**CLIENT)["delivered"] == 3


def test_a_store_that_is_away_leaves_tasks_their_own_tokens(connect, fernet_key, deliver, api, caplog):
    pytest.importorskip("redis")
    connect("limits", conn_type="redis", host="127.0.0.1", port=1)
    login = Login(api, refresh=FIRST)
    assert deliver(**CLIENT)["delivered"] == 3
    assert "This task has a token of its own" in caplog.text
    from airflow_async_rest.core.errors import StoppedError

    with pytest.raises(Exception, match="the refresh token is not used, for its store is away, or") as raised:
        deliver(**REFRESH)
    assert not isinstance(raised.value, ConfigurationError | StoppedError)  # Airflow's own, which it retries
    assert len(login.given) == 1


def test_a_store_for_tokens_needs_no_limit(connect, fernet_key):
    import logging

    from airflow_async_rest.connections.connection import RestConnection
    from airflow_async_rest.connections.limits.shared_limit import limiting_of
    from airflow_async_rest.core.limits.rate_limit import RateLimiter

    connect("limits", conn_type="redis", host="r")
    extra = {"rate_limit_conn_id": "limits", "token_url": "https://l/token", **CLIENT}
    connect("crm", conn_type="async_rest", host="https://a", login="me", password=SECRET, extra=json.dumps(extra))
    found = limiting_of(RestConnection("crm"), None, longest_seconds=1, log=logging.getLogger("test"))
    assert (found.rate, found.make) == (None, RateLimiter)
