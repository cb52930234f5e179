import re
from pathlib import Path

import pytest
from certificates import make_certificate

import airflow_async_rest.core.transport
from airflow_async_rest.connections.diagnosis import _ADVICE, diagnose
from airflow_async_rest.connections.probe import Finding
from airflow_async_rest.core.errors import ConnectionFailedError, RequestTimeoutError, SendError, TlsError
from airflow_async_rest.core.models import Response
from airflow_async_rest.core.requests.settings import ClientSettings

URL = "https://api.example.com/v1"


def answer(status, body="", url=URL, **headers):
    finding = Finding(Response(status, headers, body.encode(), 0.01))
    return diagnose(finding, ClientSettings(url, secrets=frozenset({"s3cret"})), "basic (the default)")


def failing(error, certificate=None, url=URL, **settings):
    works, text = diagnose(Finding(error, certificate), ClientSettings(url, **settings), "basic")
    assert not works
    return text


@pytest.mark.parametrize(
    ("status", "works", "text"),
    [
        (200, True, f"{URL}: reached, answers 200. Sent: basic (the default)."),
        (204, True, "answers 204."),
        (404, True, "answers 404 at the base URL, where many APIs have nothing."),
        (405, True, "answers 405."),
        (429, True, "answers 429."),
        (301, True, "answers 301. Sent"),
        (400, True, "answers 400."),
        (
            401,
            False,
            "answers 401: the credentials are refused. Sent: basic (the default). What to do: check Login, Password",
        ),
        (
            403,
            False,
            "answers 403: access is refused. Sent: basic (the default). What to do: check Login, Password and the extra",
        ),
        (407, False, "http://user:password@proxy"),
        (501, True, "answers 501."),
        (500, False, "reached, but it answers 500: the server, or a gateway before it, is not well."),
        (503, False, "answers 503"),
    ],
)
def test_an_answer_is_put_into_words(status, works, text):
    found, said = answer(status)
    assert found is works
    assert text in said


def test_aws_says_with_a_400_that_credentials_have_ended():
    works, said = answer(400, "<Error><Code>ExpiredToken</Code></Error>")
    assert (works, "answers 400: the credentials are refused. Sent: basic" in said) == (False, True)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_says_that_the_clocks_differ(status):
    _, said = answer(status, Date="Thu, 01 Jan 2026 12:00:00 GMT")
    assert re.search(r"refused, and its clock is \d+ s behind this machine's\. Sent: basic", said)


def test_a_redirect_says_what_to_put_into_host_without_its_query():
    works, text = answer(302, Location="https://login.example.com/x?state=abc")
    assert works
    assert "points to https://login.example.com/x. Posts are not redirected" in text
    assert "state" not in text


def test_of_a_redirect_nothing_is_told_that_a_token_or_a_terminals_command_could_be():
    _, text = answer(302, Location="https://bob:hunter2@login.example.com/\x1b[31mred#access_token=abc")
    assert "points to https://***@login.example.com/[31mred. Posts" in text
    assert len(answer(302, Location="https://x/" + "y" * 5000)[1]) < 400


@pytest.mark.parametrize(
    "body",
    [
        "The plain HTTP request was sent to HTTPS port",
        "You're speaking plain HTTP to an SSL-enabled server port.",
        "Client sent an HTTP request to an HTTPS server.",
    ],
)
def test_plain_http_to_a_port_for_tls_is_recognised(body):
    works, text = answer(400, body, url="http://api.example.com")
    assert not works
    assert "set Schema to https" in text
    assert answer(400, body)[0]  # sent with TLS it is not that


def test_a_client_certificate_that_a_gateway_misses_is_recognised():
    works, text = answer(400, "400 No required SSL certificate was sent")
    assert not works
    assert "extra field cert" in text


def test_secrets_are_in_no_text():
    assert "s3cret" not in answer(302, Location="https://x/s3cret")[1]


@pytest.mark.parametrize("cause", sorted(_ADVICE))
def test_every_cause_has_an_advice_after_the_error(cause):
    text = failing(SendError("it broke", cause), request_timeout_seconds=20.0)
    assert text == f"{URL}: it broke. What to do: {_ADVICE[cause]}."


def test_every_cause_that_an_error_has_is_advised_on():
    folder = Path(airflow_async_rest.core.transport.__file__).parent
    source = (folder / "send_errors.py").read_text() + (folder / "tls.py").read_text()
    causes = set(_ADVICE) | {"proxy", "disconnected", "tls"}
    assert {cause for cause in causes if f'"{cause}"' not in source} == set()


def test_an_error_without_a_cause_is_told_as_it_is():
    assert failing(ConnectionFailedError("odd")) == f"{URL}: odd."
    assert failing(TlsError("no TLS connection: odd", "tls")) == f"{URL}: no TLS connection: odd."


def test_a_proxy_is_looked_for_where_it_comes_from():
    error = ConnectionFailedError("the proxy refuses", "proxy")
    assert failing(error, proxy="http://p:1").endswith("check the extra field proxy.")
    assert "HTTPS_PROXY" in failing(error)


@pytest.mark.parametrize(("url", "schema"), [(URL, "cert; if .* Schema to http"), ("http://x", "Schema to https")])
def test_a_closed_connection_may_be_of_the_other_schema(url, schema):
    assert re.search(schema, failing(ConnectionFailedError("closed", "disconnected"), url=url))


def test_a_timeout_longer_than_the_test_is_told():
    error = RequestTimeoutError("no complete answer within 30 s", "request_timeout")
    assert "within 30 s; a task would wait 3600 s" in failing(error, request_timeout_seconds=3600.0)
    assert "a task would wait" not in failing(error, request_timeout_seconds=20.0)


def test_a_certificate_that_is_not_trusted_is_described(tmp_path):
    error = TlsError("the server's certificate is not trusted: self-signed certificate", "certificate_self_signed")
    text = failing(error, make_certificate(tmp_path, "api").der)
    assert re.search(r"self-signed certificate; it is for 127.0.0.1 \(subject CN=api, signed by itself, valid", text)
    assert "verify" in text
