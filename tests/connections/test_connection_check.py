"""The connection test against real servers, as the Test button, the CLI and the API call it."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from certificates import make_certificate
from limit_stores import running_redis, store_at
from servers import raw_server, running_api

from airflow_async_rest.core.limits.limits import parse_limits


@pytest.fixture
def tested(connect):
    """Test the connection with these fields."""
    from airflow_async_rest.hooks.rest import AsyncRestHook

    def run(host, conn_type="async_rest", **fields) -> tuple[bool, str]:
        extra = fields.pop("extra", {})
        if isinstance(extra, dict) and conn_type == "async_rest":
            extra = {"trust_env": False, **extra}
        connect("search_api", conn_type=conn_type, host=host, extra=extra, **fields)
        return AsyncRestHook("search_api").test_connection()

    return run


@pytest.fixture
def closed_port():
    with socket.socket() as taken:  # and nobody listens
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_an_api_that_answers_is_a_success(tested, api):
    works, text = tested(f"{api.url}/v1", password="tok3n", extra={"auth_type": "bearer", "headers": {"X-Team": "a"}})
    assert works
    assert text == f"{api.url}/v1: reached, answers 200. Sent: the password, as bearer token (as auth_type says)."
    [seen] = api.seen
    assert (seen.path, seen.headers["Authorization"], seen.headers["X-Team"]) == ("/v1", "Bearer tok3n", "a")


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({}, "no credentials (there is no login, and auth_type is not set)"),
        (
            {"login": "me", "password": "s3cret"},
            "login and password, as basic authentication (the default with a login)",
        ),
        ({"login": "me", "extra": {"auth_type": "none"}}, "no credentials (as auth_type says)"),
        (
            {"password": "s3cret", "extra": {"auth_type": "api_key", "api_key_header": "X-Key"}},
            "the password, as API key in the header X-Key (as auth_type says)",
        ),
        (
            {"password": "s3cret", "extra": {"auth_type": "api_key_query", "api_key_param": "k"}},
            "the password, as API key in the query parameter k (as auth_type says)",
        ),
        (
            {"extra": {"headers": {"Authorization": "Token s3cret", "Accept": "text/x"}}},
            "no credentials (there is no login, and auth_type is not set), and of the extra field headers Authorization",
        ),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_say_which_were_sent(tested, api, fields, sent, status):
    api.answer = lambda seen: status
    works, text = tested(api.url, **fields)
    assert not works
    refused = {401: "the credentials are refused", 403: "access is refused"}[status]
    assert text.startswith(f"{api.url}: reached, but it answers {status}: {refused}. Sent: {sent}. ")
    assert "What to do: check Login, Password and the extra field auth_type" in text


def test_an_http_connection_is_tested_too(tested, api):
    api.answer = lambda seen: 404
    works, text = tested("127.0.0.1", "http", port=int(api.url.rpartition(":")[2]), extra={"X-Team": "a"})
    assert works
    assert "answers 404" in text
    assert api.seen[0].headers["X-Team"] == "a"


def test_a_port_where_nobody_listens_is_a_failure(tested, closed_port):
    works, text = tested("127.0.0.1", schema="http", port=closed_port)
    assert not works
    assert f"127.0.0.1:{closed_port} refuses the connection. What to do: check Host and Port" in text


def test_a_name_that_is_not_found_is_a_failure(tested):
    works, text = tested("nothing.invalid")
    assert not works
    assert "the host name nothing.invalid is not found" in text
    assert "Host" in text.partition("What to do: ")[2]


def test_tls_where_there_is_none_says_what_to_set(tested, api):
    works, text = tested(api.url.replace("http:", "https:"))
    assert not works
    assert "does not speak TLS on this port" in text
    assert "set Schema to http" in text


def test_a_certificate_that_is_not_trusted_is_shown(tested, tmp_path):
    made = make_certificate(tmp_path, "api", issuer=make_certificate(tmp_path, "Our CA"))
    with running_api(ssl_context=made.server()) as server:
        works, text = tested(server.url, login="me", password="s3cret")
        assert server.seen == []
    assert not works
    assert (
        "unable to get local issuer certificate; it is for 127.0.0.1 (subject CN=api, issuer CN=Our CA, valid" in text
    )
    assert "set the extra field verify to a PEM file with the certificate of its issuer" in text


def test_a_certificate_that_is_trusted_by_its_file_is_a_success(tested, tmp_path):
    made = make_certificate(tmp_path, "api")
    with running_api(ssl_context=made.server(client_ca=made)) as server:
        extra = {"verify": made.path, "cert": f"{made.path}, {made.path}"}
        assert tested(server.url, extra=extra)[0]


def test_a_missing_client_certificate_says_what_to_set(tested, tmp_path):
    made = make_certificate(tmp_path, "api")
    with raw_server(b"", made.server(client_ca=made)) as port:
        works, text = tested("127.0.0.1", port=port, extra={"verify": made.path})
    assert not works
    assert "set the extra field cert" in text


def test_a_silent_server_says_how_long_it_was_waited_for(tested, api):
    api.answer = lambda seen: "hang"
    works, text = tested(api.url, extra={"request_timeout_seconds": 0.05})
    assert not works
    assert "within 0.05 s (request_timeout_seconds)" in text


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password_says_where_to_write_it(tested, scheme):
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with raw_server(refusal) as port:
        works, text = tested(f"{scheme}://api.invalid", extra={"proxy": f"http://me:pr0xypass@127.0.0.1:{port}"})
    assert not works
    assert "407" in text
    assert "http://user:password@proxy.example.com:3128" in text
    assert "pr0xypass" not in text


def test_a_proxy_of_the_environment_that_is_not_there_is_told(tested, closed_port, monkeypatch):
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{closed_port}")
    works, text = tested("https://api.invalid", extra={"trust_env": True})
    assert not works
    assert f"the proxy 127.0.0.1:{closed_port} refuses" in text
    assert "HTTPS_PROXY" in text
    assert text.endswith(f" The proxy in use is http://127.0.0.1:{closed_port} (the environment's https_proxy).")


def test_the_proxy_in_use_is_named_in_a_success_too_without_its_password(tested, api):
    proxy = api.url.replace("://", "://me:pr0xypass@")
    works, text = tested("http://api.invalid/v1?code=abcdefgh1", extra={"proxy": proxy})
    assert works
    assert api.seen[0].path == "http://api.invalid/v1"
    assert text == (
        "http://api.invalid/v1: reached, answers 200. Sent: no credentials (there is no login, and auth_type is not "
        f"set). The proxy in use is {api.url} (the connection's proxy)."
    )


def test_a_proxy_that_is_not_supported_is_named_by_its_variable(tested, monkeypatch):
    monkeypatch.setenv("all_proxy", "socks5h://me:pr0xypass@127.0.0.1:1080")
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    works, text = tested("http://api.invalid", extra={"trust_env": True})
    assert not works
    assert "the environment's all_proxy: write a URL" in text
    assert "trust_env" in text
    assert "pr0xypass" not in text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"host": ""}, "fill in Host"),
        ({"extra": {"rate_limit": "fast"}}, "rate_limit='fast'"),
        ({"extra": {"concurrency": 0}}, "concurrency=0"),
        ({"extra": {"naive_timezone": "Mars"}}, "naive_timezone='Mars'"),
        (
            {"login": "me", "password": "s3cretpass", "extra": {"naive_timezone": "s3cretpass"}},
            "naive_timezone='***'",
        ),
        ({"extra": {"retries": 5}}, "the extra of the connection has an unknown field 'retries'"),
        ({"extra": {"verify": "/no/such.pem"}}, "'verify' and 'cert'"),
        ({"extra": {"proxy": "proxy:port"}}, "the connection's proxy: write a URL"),
        ({"extra": {"proxy": "socks5://me:s3cretpass@p:1"}}, "the connection's proxy: write a URL"),
        ({"extra": {"auth_type": "digest"}}, "the connection: auth_type='digest'"),
        ({"extra": {"headers": "Authorization: Bearer s3cretpass"}}, "headers='***'"),
        ({"extra": {"cert": "a.pem,"}}, "cert=['a.pem', '']"),
        ({"extra": "no json"}, "must be a JSON object"),
        ({"conn_type": "postgres"}, "type 'postgres'"),
    ],
)
def test_a_wrong_field_is_told_before_anything_is_sent(tested, fields, said):
    works, text = tested(**{"host": "127.0.0.1", **fields})
    assert not works
    assert said in text
    assert "s3cretpass" not in text


LIMITED = {"rate_limit": "100/s", "rate_limit_conn_id": "limits", "rate_limit_key": "search"}


async def use(address, key):
    store = store_at(address, key, parse_limits("100/s"))
    await store.open(lambda _: None)
    grant = await store.take(3, 0)
    await store.close()
    return grant


def test_the_store_of_a_shared_limit_is_asked(tested, connect, api):
    with running_redis() as server:
        connect("limits", conn_type="redis", host="127.0.0.1", port=server.port)
        works, text = tested(api.url, extra=LIMITED)
        assert works
        assert text.endswith(
            " The limit 100/s is shared under the key 'search': redis (connection 'limits') reached, its clock agrees with "
            "this machine's."
        )
        asyncio.run(use(server.address, "search"))
        assert re.search(
            r"this machine's; 3 requests since 20..-..-.. ..:..:.. UTC\.$", tested(api.url, extra=LIMITED)[1]
        )
        assert tested(api.url, extra=LIMITED | {"rate_limit": "1/s, 500/d"})[0]
        assert asyncio.run(use(server.address, "search")).interval < 0.011  # of those who send
        own = {name: value for name, value in LIMITED.items() if name != "rate_limit_key"}
        assert "The limit 100/s is shared under the connection's id: redis" in tested(api.url, extra=own)[1]
        connect("limits", conn_type="redis", host="127.0.0.1", port=server.port, login="nobody", password="wr0ng")
        works, text = tested(api.url, extra=LIMITED)
        assert not works
        assert "give login and password of a user" in text
    works, text = tested(api.url, extra=LIMITED)
    assert not works
    assert f"{api.url}: reached, answers 200" in text
    assert "shared under the key 'search', but its store cannot be reached: redis at 127.0.0.1" in text


def test_what_nobody_thought_of_is_no_exception_and_shows_no_text(tested, monkeypatch):
    def broken(settings, auth):
        raise RuntimeError("s3cret")

    monkeypatch.setattr("airflow_async_rest.connections.check.probe", broken)
    works, text = tested("127.0.0.1")
    assert not works
    assert "RuntimeError" in text
    assert "s3cret" not in text


@pytest.mark.anyio
async def test_it_may_be_called_where_an_event_loop_runs(tested, api):
    assert tested(api.url)[0]


@pytest.mark.filterwarnings("ignore:ProvidersManager.hooks is deprecated")  # Airflow's, to itself
def test_airflows_own_connection_is_tested_as_the_form_does_it(api, monkeypatch):
    """As ``POST /api/v2/connections/test``: an id made up, the connection as a URI in the environment."""
    from airflow.models import Connection

    extra = {"auth_type": "bearer", "headers": None, "concurrency": 16, "verify": "true", "trust_env": False}
    connection = Connection(  # noqa: AIR311  (the API server's)
        conn_id="madeup",
        conn_type="async_rest",
        host="127.0.0.1/v1",
        schema="http",
        port=int(api.url.rpartition(":")[2]),
        password="tok3n/%?#",
        extra=json.dumps(extra),
    )
    monkeypatch.setenv("AIRFLOW_CONN_MADEUP", connection.get_uri())
    works, text = connection.test_connection()
    assert works, text
    assert api.seen[0].headers["Authorization"] == "Bearer tok3n/%?#"
    api.answer = lambda seen: 401
    works, text = connection.test_connection()
    assert not works
    assert "answers 401" in text


def test_a_worker_that_tests_for_the_api_server_has_it_in_memory_only(api):
    from airflow.sdk import Connection

    port = int(api.url.rpartition(":")[2])
    connection = Connection(conn_id="of_memory", conn_type="async_rest", host="127.0.0.1", schema="http", port=port)
    works, text = connection.test_connection()
    assert works, text
    assert len(api.seen) == 1


@pytest.mark.release
def test_the_command_line_says_what_was_found(closed_port, tmp_path):
    connection = {"conn_type": "async_rest", "host": f"http://127.0.0.1:{closed_port}", "extra": {"trust_env": False}}
    result = subprocess.run(
        [str(Path(sys.executable).parent / "airflow"), "connections", "test", "search_api"],
        env={
            **os.environ,
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW_CONN_SEARCH_API": json.dumps(connection),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    said = " ".join(result.stdout.split())
    assert result.returncode == 1
    assert "Connection failed!" in said
    assert f"127.0.0.1:{closed_port} refuses the connection. What to do: check Host and Port" in said
