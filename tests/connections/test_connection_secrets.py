"""What of connections, and of arguments, is secret."""

import base64

import pytest

from airflow_async_rest.connections.secrets import secrets_in_headers, secrets_in_target, settings_of_job
from airflow_async_rest.core.requests.builder import EndpointTemplate
from airflow_async_rest.core.requests.settings import ClientSettings


@pytest.fixture
def settings(connect):
    """The settings of a connection with these fields."""
    from airflow_async_rest.hooks.rest import AsyncRestHook

    def make(conn_type="async_rest", host="api.example.com", **fields) -> ClientSettings:
        connect("search_api", conn_type=conn_type, host=host, **fields)
        return AsyncRestHook("search_api").settings()

    return make


@pytest.mark.parametrize(
    ("headers", "credentials", "others", "words"),
    [
        ({"Authorization": "Bearer abc123"}, {"abc123"}, set(), {"Bearer abc123"}),
        ({"Authorization": "abc123"}, {"abc123"}, set(), set()),
        ({"X-Auth-Token": "four"}, {"four"}, set(), set()),
        ({"X-Auth-Token": "on"}, set(), set(), set()),
        ({"Cookie": "session=abcd1234; theme=dark; a"}, {"abcd1234", "dark"}, set(), {"session=abcd1234; theme=dark; a"}),
        ({"X-Tenant": "7f3a9c11-b2"}, set(), {"7f3a9c11-b2"}, set()),
        ({"X-Tenant": "search-platform-v2"}, set(), set(), {"search-platform-v2"}),
        ({"X-Tenant": "seven77"}, set(), set(), set()),
        ({"Accept": "application/json", "User-Agent": "my-agent/1.0", "content-type": "text/plain"}, set(), set(), set()),
        ({"If-None-Match": '"abcdef12345"', "Prefer": "return=minimal", "Accept-Language": "cs, en"}, set(), set(), set()),
    ],
)  # fmt: skip
def test_any_header_may_be_a_secret(headers, credentials, others, words):
    assert secrets_in_headers(headers) == (credentials, others, words)


def test_a_password_in_a_header_of_basic_authentication_is_one():
    header = "Basic " + base64.b64encode(b"me:pa55-word").decode()
    assert "pa55-word" in secrets_in_headers({"Authorization": header}).credentials


@pytest.mark.parametrize(
    ("fields", "echoed"),
    [
        ({"login": "sk_live_4f9a8b7c6d", "password": ""}, ["sk_live_4f9a8b7c6d"]),
        ({"login": "sk_live_4f9a8b7c6d", "password": "x"}, ["sk_live_4f9a8b7c6d"]),
        ({"password": " k3y/+ 1 \n", "extra": {"auth_type": "api_key_query"}}, ["k3y/+ 1", "k3y%2F%2B%201", "k3y/%2B+1"]),
        ({"extra": {"headers": {"Cookie": "sid=0123abcd4567; a=b"}}}, ["0123abcd4567"]),
        ({"extra": {"headers": {"X-Team": "search-platform"}}}, ["search-platform"]),
        ({"conn_type": "http", "extra": {"proxies": {"http": "http://me:pr0xy-pass@p:1", "ftp": "http://a:0ther@p:1"}}},
         ["pr0xy-pass", "0ther", base64.b64encode(b"me:pr0xy-pass").decode()]),
        ({"extra": {"proxy": "http://pr0xy%2Dkey@p:1"}}, ["pr0xy%2Dkey", "pr0xy-key"]),
        ({"extra": {"proxy": "http://pr0xy-key:x@p:1"}}, ["pr0xy-key", base64.b64encode(b"pr0xy-key:x").decode()]),
    ],
)  # fmt: skip
def test_it_is_taken_out_of_texts(settings, fields, echoed):
    made = settings(**fields)
    for text in echoed:
        assert made.redact(f"<{text}>") == "<***>"


def test_a_login_with_a_password_is_no_secret(settings):
    assert settings(login="a-long-login", password="pa55-word").redact("a-long-login") == "a-long-login"


@pytest.mark.parametrize("trust_env", [True, False])
def test_a_password_of_the_environments_proxy_is_a_secret_where_it_is_used(settings, monkeypatch, trust_env):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:env-pr0xy%21@p:1")
    made = settings(extra={"trust_env": trust_env})
    assert (made.redact("me:env-pr0xy!") == "me:***") is trust_env


ENDPOINTS = [
    ("x/{id}?api_key=p4ssw0rd%2F1", "p4ssw0rd/1", ("p4ssw0rd%2F1",)),
    ("x/{id}?api_key=p4ssw0rd/1", "p4ssw0rd/1", ("p4ssw0rd/1",)),
    ("x/{id}?a=p4 ss&b={id}&c=p4 ss", "p4 ss", ("p4%20ss", "p4%20ss")),
    ("hooks/p4ssw0rd1/{id}", "p4ssw0rd1", ("p4ssw0rd1",)),
    ("items/{id}", "items", ()),  # a short word in a path is no secret, whosever password it is
    ("{id}/x?access_token=named-only", "", ("named-only",)),
    ("{id}/x?access_token={id}-and-so-on", "", ()),
    ("{id}/x?page_size=100000000", "", ()),
]


@pytest.mark.parametrize(("endpoint", "password", "hidden"), ENDPOINTS)
def test_what_a_template_has_put_into_an_endpoint_is_found(endpoint, password, hidden, monkeypatch):
    known = {password} - {""}
    place = "airflow_async_rest.connections.secrets."
    monkeypatch.setattr(place + "known_secrets", lambda *_: frozenset(known))
    monkeypatch.setattr(place + "mask_in_logs", known.update)
    made = settings_of_job(ClientSettings("http://api"), {}, endpoint)
    assert secrets_in_target(made, EndpointTemplate(endpoint).literals) == hidden


@pytest.mark.parametrize(
    ("query", "secret"),
    [({"api_key": "k3y-of-query-1"}, True), ({"token": ["", "k3y-of-query-2"]}, True), ({"q": "k3y-of-query-3"}, False),
     ({"api_key": "{k3y-of-query-4}"}, False), (5, False)],
)  # fmt: skip
def test_a_parameter_is_a_secret_by_its_name(query, secret):
    made = settings_of_job(ClientSettings("http://api"), {}, None, query)
    assert any("k3y-of-query" in one and one in str(query) for one in made.secrets) is secret


@pytest.mark.parametrize(
    ("body", "secret"),
    [
        ({"client_secret": "k3y-of-body-1"}, True),
        ({"login": [{"password": "k3y-of-body-2"}]}, True),
        ({"q": "k3y-of-body-3"}, False),
        (lambda item: {"token": "k3y-of-body-4"}, False),
    ],
)
def test_a_value_in_a_body_is_a_secret_by_its_name(body, secret):
    made = settings_of_job(ClientSettings("http://api"), {}, "x", body=body)
    assert any("k3y-of-body" in one for one in made.secrets) is secret


def test_a_short_word_that_is_somebodys_password_is_one_only_where_a_template_may_have_put_it(monkeypatch):
    known = {"readings", "items", "p4ss"}
    place = "airflow_async_rest.compat.secrets_masker._masker"
    monkeypatch.setattr(place, type("Masker", (), {"patterns": known}))
    assert settings_of_job(ClientSettings("http://api"), {}, "items/{id}").redact("items p4ss") == "items p4ss"
    assert settings_of_job(ClientSettings("http://api"), {}, "x?k=p4ss").redact("items p4ss") == "items ***"
    assert settings_of_job(ClientSettings("http://api"), {}, "x").redact("readings") == "***"
