"""Which limits a job has: of its own, or those that its connection shares."""

import asyncio
import json
import logging

import pytest
from limit_stores import most_in_a_second, running_redis

from airflow_async_rest.connections.connection import RestConnection
from airflow_async_rest.connections.limits.shared_limit import limiting_of, quota_headers_of
from airflow_async_rest.connections.limits.store import store_address
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.limits.quotas import QuotaHeaders
from airflow_async_rest.core.limits.rate_limit import RateLimiter
from airflow_async_rest.core.limits.shared.limiter import SharedLimiter

SHARED = {"rate_limit": "100/s", "rate_limit_conn_id": "limits"}
_LOG = logging.getLogger("test")


@pytest.fixture
def limiting(connect):
    """What a job has, given the connection's extra and the task's argument."""
    connect("limits", conn_type="redis", host="redis.internal", password="s3cret")
    connect("database", conn_type="sqlite")

    def of(extra, own=None):
        connect("api", conn_type="async_rest", host="http://127.0.0.1:9", extra=json.dumps(extra))
        return limiting_of(RestConnection("api"), own, longest_seconds=300, log=_LOG)

    return of


@pytest.mark.parametrize(
    ("extra", "own", "rate"),
    [
        ({}, None, None),
        ({}, "", None),
        ({"rate_limit": "100/s"}, None, (100, 1.0)),
        ({"rate_limit": "100/s"}, "5/s", (5, 1.0)),
        ({"rate_limit": "5/s"}, "100/s", (100, 1.0)),
        ({"rate_limit": ["10/s", "100/m"]}, None, (100, 60.0)),
    ],
)
def test_without_a_store_a_task_has_a_limit_of_its_own(limiting, extra, own, rate):
    found = limiting(extra, own)
    assert (found.rate, found.make) == (rate, RateLimiter)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("extra", "own", "rate"),
    [
        (SHARED, None, (100, 1.0)),
        (SHARED, "5/s", (5, 1.0)),
        (SHARED, "500/s", (100, 1.0)),
        ({**SHARED, "rate_limit": "10/s, 5000/d UTC"}, None, (10, 1.0)),
        ({**SHARED, "rate_limit": "5000/d"}, None, None),
        (SHARED, ["50/s", "1000/d UTC"], (50, 1.0)),
    ],
)
async def test_with_a_store_both_limits_hold(limiting, extra, own, rate):
    found = limiting(extra, own)
    assert found.rate == rate
    assert isinstance(found.make(found.rate), SharedLimiter)


@pytest.mark.anyio
async def test_a_pause_of_all_makes_no_burst_above_the_tasks_own_limit(limiting, connect):
    clock, sent = asyncio.get_running_loop().time, []
    with running_redis() as redis:
        connect("limits", conn_type="redis", host="127.0.0.1", port=redis.port)
        async with limiting({**SHARED, "rate_limit": "400/s"}, "10/s").make(None) as limiter:

            async def send():
                await limiter.acquire()
                sent.append(clock())

            limiter.pause(1.3)
            await asyncio.gather(*(send() for _ in range(13)))
    assert most_in_a_second(sent) <= 10


def test_the_store_of_airflow_cfg_is_for_all_connections_with_a_limit(limiting, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__RATE_LIMIT_CONN_ID", "limits")
    assert limiting({"rate_limit": "100/s"}).make is not RateLimiter
    assert limiting({}, "100/s").make is RateLimiter
    assert limiting({"rate_limit": "100/s", "rate_limit_key": "search"}).make is not RateLimiter


@pytest.mark.parametrize(
    ("extra", "own", "said"),
    [
        ({"rate_limit": "100/d"}, None, r"rate_limit='100/d': a day's requests are counted in a store"),
        ({}, ["1/s", "100/d UTC"], r"rate_limit=\['1/s', '100/d UTC'\]: a day's requests are counted"),
        ({"rate_limit_conn_id": "limits"}, None, r"connection 'api': rate_limit_conn_id='limits': .* write a rate_limit"),
        ({**SHARED, "rate_limit_conn_id": "none"}, None, r"rate_limit_conn_id='none': there is no such connection"),
        ({**SHARED, "rate_limit_conn_id": "database"}, None, r"rate_limit_conn_id='database' is .* redis or postgres"),
        ({**SHARED, "rate_limit_conn_id": 5}, None, r"rate_limit_conn_id=5: write the id"),
        ({**SHARED, "rate_limit_key": 5}, None, r"rate_limit_key=5: write a name"),
        ({**SHARED, "rate_limit_key": " "}, None, r"rate_limit_key=' ': write a name"),
        ({**SHARED, "rate_limit_fallback": "many"}, None, r"rate_limit_fallback='many': write a number"),
        ({**SHARED, "rate_limit_fallback": "9/d"}, None, r"rate_limit_fallback='9/d': a day's"),
        ({"rate_limit": "1/s", "rate_limit_fallback": "1/s"}, None, r"rate_limit_fallback='1/s': .* rate_limit_conn_id"),
        ({"rate_limit": "1/s", "rate_limit_key": "k"}, None, r"rate_limit_key='k': .* rate_limit_conn_id"),
        ({**SHARED, "rate_limit": "many"}, None, r"rate_limit='many': write a number"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(limiting, extra, own, said):
    with pytest.raises(ConfigurationError, match=said):
        limiting(extra, own)


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({"conn_type": "redis", "host": "r"}, ("redis", "r", None, None, None, "0")),
        (
            {"conn_type": "redis", "host": "r", "port": 7, "login": "u", "password": "p", "extra": '{"db": 3}'},
            ("redis", "r", 7, "u", "p", "3"),
        ),
        (
            {"conn_type": "postgres", "host": "/run", "schema": "d", "login": "u"},
            ("postgres", "/run", None, "u", None, "d"),
        ),
    ],
)
def test_a_stores_connection_is_read(connect, fields, address):
    connect("limits", **fields)
    found = store_address("limits")
    assert (found.kind, found.host, found.port, found.user, found.password, found.database) == address


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        (
            {"conn_type": "redis", "extra": '{"ssl": true, "ssl_ca_certs": "/ca", "other": 1}'},
            {"ssl": True, "ssl_ca_certs": "/ca"},
        ),
        (
            {"conn_type": "postgres", "extra": '{"sslmode": "require", "cursor": "x"}'},
            {"dsn": "postgresql://?sslmode=require"},
        ),
        (
            {"conn_type": "postgres", "extra": '{"options": "-c search_path=limits"}'},
            {"dsn": "postgresql://?options=-c+search_path%3Dlimits"},
        ),
    ],
)
def test_how_a_store_is_reached_is_read(connect, fields, options):
    connect("limits", host="h", **fields)
    assert store_address("limits").options == options


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"conn_type": "rediss"}, r"""of type 'rediss': use one of type redis or postgres, with {"ssl": true} in its extra"""),
        ({"host": "redis://h"}, r"host='redis://h': write the host alone"),
        ({"host": "redis://:s3cret@h:6379/0"}, r"host='\*\*\*': write the host alone"),
        ({"host": "h:6379"}, r"host='h:6379': write the host alone"),
        ({"conn_type": "postgres", "host": "postgresql://h"}, r"host='postgresql://h': write the host alone"),
        ({"extra": "no json"}, r"extra='\*\*\*': write a JSON object"),
        ({"extra": "[1]"}, r"extra='\*\*\*': write a JSON object"),
        ({"extra": '{"db": "search"}'}, r"db='search': write the number"),
        ({"extra": '{"db": -1}'}, r"db='-1': write the number"),
        ({"schema": "search"}, r"db='search': write the number"),
        ({"extra": '{"ssl": "maybe"}'}, r"ssl='maybe': write true or false"),
        ({"extra": '{"ssl": 1}'}, r"ssl=1: write true or false"),
        ({"extra": '{"ssl": true, "ssl_cert_reqs": "maybe"}'}, r"ssl_cert_reqs='maybe': write one of none, optional"),
        ({"extra": '{"sentinel": "h:1"}'}, r"sentinel='\*\*\*': neither Sentinel nor a cluster is asked"),
        ({"extra": '{"sentinels": ["h:1"]}'}, r"sentinels='\*\*\*': neither Sentinel nor a cluster is asked"),
        ({"extra": '{"cluster": true}'}, r"cluster='\*\*\*': neither Sentinel nor a cluster is asked"),
        ({"conn_type": "postgres", "extra": '{"iam": true}'}, r"iam=True: its passwords expire soon"),
    ],
)  # fmt: skip
def test_what_can_never_work_of_a_stores_connection_is_named(connect, fields, said):
    connect("limits", **{"conn_type": "redis", "host": "h", "password": "s3cret", **fields})
    with pytest.raises(ConfigurationError, match=said) as raised:
        store_address("limits")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("ssl", ["false", "False", False])
def test_tls_that_is_switched_off_as_a_text_is_off(connect, ssl):
    connect("limits", conn_type="redis", host="h", extra=json.dumps({"ssl": ssl}))
    assert store_address("limits").options == {"ssl": False}


@pytest.mark.parametrize("kept", [dict, json.dumps])
def test_names_of_headers_may_be_kept_as_text(connect, kept):
    """As the form of Airflow before 3.2 has them, and a connection that is a URI."""
    extra = {"rate_limit_headers": kept({"remaining": "X-Left", "reset": " X-Until "})}
    connect("api", conn_type="async_rest", host="h", extra=json.dumps(extra))
    assert quota_headers_of(RestConnection("api")) == (QuotaHeaders("X-Left", "X-Until"),)


@pytest.mark.parametrize(
    "names", ["X-Left", "[1]", {"remaining": "X"}, {"remaining": "X", "reset": ""}, {"left": "X", "reset": "Y"}]
)
def test_wrong_names_of_headers_are_named(connect, names):
    connect("api", conn_type="async_rest", host="h", extra=json.dumps({"rate_limit_headers": names}))
    with pytest.raises(ConfigurationError, match=r"rate_limit_headers=.*: write a JSON object such as"):
        quota_headers_of(RestConnection("api"))
