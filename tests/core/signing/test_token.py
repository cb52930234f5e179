"""What token endpoints answer, and what is made of it."""

import json
from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict
from tables import every_row

from airflow_async_rest.core.errors import AnswerUnreadableError, ConnectionFailedError
from airflow_async_rest.core.models import Response
from airflow_async_rest.core.redaction import Redaction
from airflow_async_rest.core.signing.bearer import renewal_time
from airflow_async_rest.core.signing.token import NoToken, Token, describe_skew, describe_token, parse_token

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def parse(body, status=200, headers=(), secrets=(), **answer):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = Response(status, CIMultiDict(headers), body, 0.1, redaction=Redaction(secrets), **answer)
    return parse_token(response, 100.0, NOW)


@every_row(
    ("fields", "lifetime", "scope"),
    [
        ({"token_type": "Bearer", "expires_in": 3600, "scope": "a b"}, 3600.0, "a b"),
        ({"token_type": "bearer", "expires_in": "3599"}, 3599.0, ""),
        ({"expires_in": 5.5, "scope": ["a", "b"]}, 5.5, "a b"),
        ({}, None, ""),  # Salesforce says no end
        ({"expires_in": 0}, None, ""),
        ({"expires_in": True}, None, ""),
        ({"expires_in": [5], "token_type": "Bearer "}, None, ""),
        ({"expires_in": " 3600 ", "token_type": "BearerToken"}, 3600.0, ""),  # as Apigee calls it
        ({"token_type": "Application Access Token", "expires_in": 7200}, 7200.0, ""),  # as eBay calls it
        ({"token_type": "bot", "scope": "chat:write,users:read"}, None, "chat:write,users:read"),  # as Slack does
        ({"token_type": ["Bearer"]}, None, ""),
        ({"access_token": " tok.en-1\n"}, None, ""),
        ({"expires_in": None, "token_type": None}, None, ""),
        ({"expires_in": "soon"}, None, ""),
        ({"expires_in": 1e400}, None, ""),
        ({"expires_in": 1e300}, None, ""),
        ({"expires_in": 1_795_936_901}, None, ""),  # a date
        ({"expires_in": -1}, None, ""),
        ({"error": None}, None, ""),
        ({"error": ""}, None, ""),
        ({"expires_in": 10**400, "scope": {"a": 1}}, None, ""),
        ({"expires_in": "9" * 400, "scope": ["a", 1, None]}, None, "a"),
    ],
)
def test_a_token_has_a_value_and_an_end_where_the_endpoint_says_one(fields, lifetime, scope):
    token = parse({"access_token": "tok.en-1", **fields})
    assert isinstance(token, Token)
    assert (token.value, token.lifetime_seconds, token.scope) == ("tok.en-1", lifetime, scope)
    assert token.ends_at == (float("inf") if lifetime is None else 100.0 + lifetime)
    assert "tok.en-1" not in repr(token)


@every_row(
    ("body", "status", "said", "is_for_good"),
    [
        ({"error": "invalid_client"}, 401, "answers 401 invalid_client; it does not know the client", True),
        ({"error": "invalid_client", "error_description": "no such one"}, 400, "it says: 'no such one'", True),
        ({"error": "invalid_scope"}, 400, "check scope", True),
        ({"error": "invalid_grant"}, 400, "the clocks of both machines", True),
        ({"error": "unauthorized_client"}, 400, "another auth_type", True),
        ({"error": "unsupported_grant_type"}, 400, "check token_url", True),
        ({"error": "invalid_target"}, 400, "check audience", True),
        ({"error": "invalid_request"}, 400, "token_params", True),
        ({"error": "bad_verification_code"}, 200, "answers 200 bad_verification_code", True),  # as GitHub does
        ({"ok": False, "error": "invalid_client_id"}, 200, "invalid_client_id", True),  # as Slack does
        ({"error": {"code": 400, "message": "no such account"}}, 400, "400 400; it says: 'no such account'", True),
        ({"error": "temporarily_unavailable"}, 400, "temporarily_unavailable", False),
        ({"error": "slow_down"}, 400, "slow_down", False),
        ({"error": "invalid_client"}, 503, "answers 503", False),
        ({}, 429, "answers 429", False),
        ({}, 408, "answers 408", False),
        (b"<html>Bad Gateway", 502, "which is no token: '<html>Bad Gateway'", False),
        (b"<html>Sign in", 200, "which is no JSON object, but 'of no type'; check token_url", True),
        (b"[]", 200, "check token_url", True),
        (b"", 404, "check token_url", True),
        (b"", 302, "write the URL that it points to as token_url", True),
        ({"access_token": ""}, 200, "access_token is empty", True),
        ({"access_token": "a\r\nX-Forged: 1"}, 200, "access_token is empty, or is no text", True),
        ({"access_token": " \n"}, 200, "access_token is empty, or is no text", True),
        ({"access_token": "Bearer a"}, 200, "access_token is empty, or is no text", True),
        ({"access_token": "a" * 5_000_000}, 200, "access_token is empty, or is no text that a header can have", True),
        ({"access_token": 5}, 200, "access_token is empty, or is no text", True),
        ({"access_token": "a", "token_type": "mac"}, 200, "its token_type is 'mac'", True),
        ({"access_token": "a", "token_type": " DPoP"}, 200, "its token_type is 'dpop'", True),
        ({"access_token": "a"}, 500, "answers 500", False),
    ],
)
def test_what_is_no_token_says_why_and_whether_asking_again_may_help(body, status, said, is_for_good):
    why = parse(body, status)
    assert isinstance(why, NoToken)
    assert said in why.text
    assert why.is_for_good is is_for_good
    assert "access_token" not in why.text or "X-Forged" not in why.text


HIDDEN = "Hidden-t0ken-of-2026"


@every_row(
    ("body", "status", "said"),
    [
        ({"accessToken": HIDDEN, "expires_in": 5}, 200, "no access_token, but the fields 'accessToken, expires_in'"),
        ({"data": {"access_token": HIDDEN}}, 201, "but the fields 'data'; check token_url"),
        ({"id_token": HIDDEN, "access_token": None}, 200, "but the fields 'id_token, access_token'"),
        ([{"access_token": HIDDEN}], 200, "which is no JSON object"),
        (f"access_token={HIDDEN}&token_type=bearer".encode(), 200, "which is no JSON object, but 'of no type'"),
        (f'"{HIDDEN}"'.encode(), 200, "which is no JSON object"),
        ({"error": HIDDEN}, 200, "but the fields 'error'"),
        ({"error": "invalid_client", "error_description": HIDDEN}, 200, "answers 200 invalid_client; it does not know"),
        ({"error": {"message": HIDDEN}}, 200, "but the fields 'error'"),
        ({"access_token": HIDDEN}, 500, "but the fields 'access_token'"),
        (f"access_token={HIDDEN}".encode(), 400, "which is no JSON object"),
    ],
)
def test_an_answer_that_may_have_a_token_shows_the_names_of_its_fields_only(body, status, said):
    why = parse(body, status)
    assert said in why.text
    assert HIDDEN not in why.text


FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


def test_an_answer_may_be_a_form():
    token = parse(b"access_token=t0k%2Fen&token_type=bearer&scope=a+b&expires_in=3600&refresh_token=", headers=FORM)
    assert (token.value, token.lifetime_seconds, token.scope, token.refresh_token) == ("t0k/en", 3600.0, "a b", "")
    why = parse(b"error=invalid_client&error_description=no+such+one", 400, FORM)
    assert "answers 400 invalid_client; it says: 'no such one'; it does not know the client" in why.text
    cut = parse(b"access_token=t0k", headers=FORM, may_be_cut=True)
    assert (isinstance(cut, NoToken), cut.is_for_good) == (True, False)
    hidden = parse(f"token={HIDDEN}".encode(), 200, FORM)
    assert "which has no access_token, but the fields 'token'" in hidden.text


@pytest.mark.parametrize("error", ["a\nINFO forged", "\x1b[2J", "\ud800", "\u202e"])
def test_what_cannot_be_written_in_a_log_is_escaped(error):
    token = parse({"access_token": "a", "scope": error})
    for text in (parse({"error": error}, 400).text, parse({error: 1}, 200).text, describe_token(token)):
        assert text.isprintable()


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"access_token": ' * 100_000, b'{"expires_in": ' + b"9" * 5000 + b"}"]
)
def test_json_that_cannot_be_read_is_none(body):
    assert "which is no JSON object" in parse(body).text


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (200, {"broken": ConnectionFailedError("the connection broke off")}, "cannot be read: the connection broke off"),
        (200, {"broken": AnswerUnreadableError("it is no gzip")}, "it answers 200, and the rest cannot be read: it is no"),
        (401, {"broken": AnswerUnreadableError("too large")}, "it answers 401, and the rest cannot be read: too large"),
        (200, {"may_be_cut": True}, "which is no JSON object"),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_all_there_is_explained_and_asked_for_again(status, answer, said):
    why = parse(b'{"access_to', status, **answer)
    assert (said in why.text, why.is_for_good) == (True, False)


def test_an_endpoint_that_echoes_a_secret_shows_none():
    why = parse({"error": "invalid_client", "error_description": "no s3cr3t-of-client"}, 401, (), {"s3cr3t-of-client"})
    assert "s3cr3t" not in why.text


@pytest.mark.parametrize(
    ("date", "said"),
    [
        ("Thu, 01 Jan 2026 12:06:40 GMT", "its clock is 400 s ahead of this machine's"),
        ("Thu, 01 Jan 2026 11:59:00 GMT", "its clock is 60 s behind this machine's"),
        ("Thu, 01 Jan 2026 12:00:20 GMT", ""),
        ("yesterday", ""),
    ],
)
def test_clocks_that_differ_are_told_where_they_may_be_the_cause(date, said):
    headers = {"Date": date}
    assert said in parse({"error": "invalid_grant"}, 400, headers).text
    assert describe_skew(parse({"access_token": "a"}, 200, headers).skew_seconds) == said
    assert "clock is" not in parse({"error": "invalid_scope"}, 400, headers).text


@every_row(
    ("lifetime", "earlier", "earliest", "latest"),
    [
        (5.0, 0.0, 104.25, 104.5),
        (5.0, 1.0, 103.25, 103.5),
        (1.0, 1.0, 100.5, 100.5),
        (3600.0, 0.0, 3610.0, 3640.0),
        (600.0, 0.0, 610.0, 640.0),
        (None, 1.0, float("inf"), float("inf")),
    ],
)
def test_a_token_is_renewed_a_little_before_its_end(lifetime, earlier, earliest, latest):
    token = Token("a", lifetime, 100.0)
    assert [renewal_time(token, chance, earlier) for chance in (1.0, 0.0)] == [earliest, latest]
