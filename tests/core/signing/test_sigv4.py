"""Signatures of AWS, checked by a server that follows AWS's own description of them, step by step."""

import hashlib
import hmac
from urllib.parse import quote, unquote

import pytest
from aiohttp import web
from engine import Rows, counts, make_job, run
from tables import every_row

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import AuthenticationError, ConfigurationError, CredentialsError
from airflow_async_rest.core.models import Request
from airflow_async_rest.core.reading.source import RowSource
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity, RequestBuilder
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.signing.sigv4 import SigV4, canonical_query

pytest.importorskip("botocore", reason="signatures of AWS need botocore")
KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def hashed(data):
    return hashlib.sha256(data).hexdigest()


def signature(seen, host, service, secret=KEY):
    """Make the signature that a request should have (AWS, "Create a signed request", steps 1 to 4)."""
    fields = dict(part.strip().split("=", 1) for part in seen.headers["Authorization"].split(" ", 1)[1].split(","))
    _, date, region, of, _ = fields["Credential"].split("/")
    headers = {name.lower(): value for name, value in seen.headers.items()} | {"host": host}
    names = fields["SignedHeaders"].split(";")
    assert {name for name in headers if name.startswith("x-amz-")} | {"host"} <= set(names)
    path = seen.path if service == "s3" else quote(seen.path, safe="/-_.~")
    pairs = [
        [quote(unquote(part), safe="-_.~") for part in pair.split("=")] for pair in seen.raw_query.split("&") if pair
    ]
    query = "&".join("=".join(pair) for pair in sorted(pairs))
    signed = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)
    request = "\n".join([seen.method, path, query, signed, fields["SignedHeaders"], hashed(seen.body)])
    scope = f"{date}/{region}/{of}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashed(request.encode())])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    assert of == service
    return fields["Signature"], hmac.new(key, text.encode(), "sha256").hexdigest()


class Credentials:
    """As botocore's: ``ended`` says which of them are no longer taken."""

    def __init__(self):
        self.found, self.needed = 0, False

    def find(self):
        from botocore.credentials import Credentials as Plain

        self.found += 1
        return Plain("AKIDEXAMPLE", KEY, f"session/token+number=={self.found}")


def auth_of(settings, credentials, service="execute-api", **headers):
    return SigV4(
        region="eu-west-1", service=service, find_credentials=credentials.find, address=settings.address,
        headers={**settings.headers, **headers},
    )  # fmt: skip


class Values(Rows):
    def __init__(self, values):
        super().__init__(len(values))
        self.values = values

    def __iter__(self):
        yield [{"id": value} for value in self.values]


MANY = pytest.mark.slow("many addresses")
PATHS = [
    "x/{id}",
    "x/{id}:go/a b",
    "a(1)*/{id}'",
    "x/{id}/ž",
    "a=b,c@d/{id}",
    "x/{id}?q=a b&q=1+1&e=&f&z=ž/:,&a=%7e",
    "{id}",
]


@pytest.mark.parametrize("service", ["execute-api", "s3"])
@pytest.mark.parametrize("endpoint", PATHS)
@pytest.mark.parametrize(
    "base", [*(pytest.param(base, marks=MANY) for base in ("", "/st age/v1")), "/v1?k=a:b&Action=Do It"]
)
def test_whatever_is_in_path_and_query_the_signature_is_that_of_what_is_sent(api, tmp_path, endpoint, base, service):
    wrong = []

    def answer(seen):
        found, expected = signature(seen, api.url.partition("//")[2], service)
        wrong.extend([seen.target] if found != expected else [])
        return 200 if found == expected else 403

    api.answer = answer
    settings = ClientSettings(f"{api.url}{quote(base, safe='/?&=:%')}", headers={"X-Amz-Target": "Kinesis.Put"})
    builder = RequestBuilder(
        endpoint=EndpointTemplate(endpoint), method="PUT", encode=JsonEncoder(), identity=Identity(("d", "t"), ("s", "e")),
        has_key=True,
    )  # fmt: skip
    values = ("a", "a/b", "a b", "ž", "~.-_", "a%2Fb", "x:y", "(!)*'")
    job = make_job(
        api,
        tmp_path,
        settings=settings,
        auth=auth_of(settings, Credentials(), service),
        source=RowSource(Values(values), key=("id",), asked_for={"endpoint": ("id",)}),
        prepare=builder.prepare,
    )
    assert counts(run(job)) == [len(values), len(values), 0, 0]
    assert wrong == []


@pytest.mark.parametrize("name", ["Host", "host"])
def test_the_host_that_is_signed_is_the_one_that_is_sent_and_no_secret(api, tmp_path, name):
    host = "a1b2c3.execute-api.eu-west-1.amazonaws.com"  # of an API that an endpoint in a private network leads to

    def answer(seen):
        assert [value for name, value in seen.headers.items() if name.lower() == "host"] == [host]
        found, expected = signature(seen, host, "execute-api")
        return web.Response(status=422 if found == expected else 403, text=f"{host} takes no such row")

    api.answer = answer
    settings = ClientSettings(api.url, headers={name: host})
    job = make_job(api, tmp_path, 3, settings=settings, auth=auth_of(settings, Credentials()), max_failures=3)
    assert run(job)["reasons"] == {"http_422": 3}
    kept = "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))
    assert kept.count("a1b2c3.execute-api.eu-west-1.amazonaws.com takes no such row") == 3


@every_row(
    ("query", "canonical"),
    [
        ("", ""),
        ("a=1&b=2", "a=1&b=2"),
        ("a=x+y&b=%7E", "a=x%20y&b=~"),
        ("a=:/,@&b", "a=%3A%2F%2C%40&b="),
        ("b=1&a=2&&", "b=1&a=2"),
        ("a=1=2", "a=1%3D2"),
        ("a=%2b", "a=%2B"),
        ("a=%FF", "a=%FF"),
        ("a=ž", "a=%C5%BE"),
    ],
)
def test_a_query_is_sent_as_it_is_signed(query, canonical):
    assert canonical_query(query) == canonical


ENDED = [
    (403, '{"message":"The security token included in the request is expired"}'),
    (403, '{"__type":"ExpiredTokenException"}'),
    (400, "<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"),
    (400, "<Error><Code>TokenRefreshRequired</Code><Message>The provided token must be refreshed.</Message></Error>"),
    (400, '{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}'),
    (400, '{ "__type" : "com.amazon.coral.service#ExpiredTokenException"}'),
    (400, '{"Error": {"Code": "ExpiredToken"}}'),
]  # fmt: skip


@pytest.mark.parametrize(("status", "text"), ENDED)
def test_credentials_that_have_ended_are_found_again_once(api, tmp_path, status, text):
    def answer(seen):
        ended = len(api.seen) > 20 and seen.headers["X-Amz-Security-Token"].endswith("1")
        return web_response(status, text) if ended else 200

    api.answer, credentials = answer, Credentials()
    settings = ClientSettings(api.url)
    job = make_job(api, tmp_path, 80, auth=auth_of(settings, credentials), concurrency=32)
    assert counts(run(job)) == [80, 80, 0, 0]
    assert credentials.found == 2


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, '{"message": "ExpiredToken is no name of a sensor"}'),
        (400, r'{"message": "no name: \"__type\":\"ExpiredTokenException\""}'),
        (400, "<Error><Code>InvalidArgument</Code><Message>ExpiredToken</Message></Error>"),
        (400, '{"__type":"InvalidSignatureException","message":"The signature does not match"}'),
        (422, "<Code>ExpiredToken</Code>"),
    ],
)
def test_a_row_that_is_refused_with_a_word_of_its_own_is_not_about_credentials(api, tmp_path, status, text):
    api.answer = lambda seen: web_response(status, text)
    auth = auth_of(ClientSettings(api.url), Credentials())
    assert counts(run(make_job(api, tmp_path, 3, auth=auth, max_failures=3))) == [3, 0, 3, 0]
    assert len(api.seen) == 3


TOO_OLD = [
    (403, "<Error><Code>RequestTimeTooSkewed</Code></Error>"),
    (403, '{"message":"Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z"}'),
    (400, '{"__type":"InvalidSignatureException","message":"Signature not yet current: 2026"}'),
    (400, "<Error><Code>RequestExpired</Code></Error>"),
]


@pytest.mark.parametrize(("status", "text"), TOO_OLD)
def test_a_signature_that_is_too_old_is_made_once_more(api, tmp_path, status, text):
    api.answer = lambda seen: web_response(status, text) if len(api.seen) == 1 else 200
    credentials = Credentials()
    job = make_job(api, tmp_path, 3, auth=auth_of(ClientSettings(api.url), credentials), concurrency=1)
    assert counts(run(job)) == [3, 3, 0, 0]
    assert (len(api.seen), credentials.found) == (4, 1)


@pytest.mark.parametrize(("status", "text"), TOO_OLD)
def test_a_clock_that_is_wrong_stops_the_task_and_says_by_how_much(api, tmp_path, status, text):
    api.answer = lambda seen: web_response(status, text, Date="Thu, 01 Jan 2026 12:00:00 GMT")
    job = make_job(api, tmp_path, 90, auth=auth_of(ClientSettings(api.url), Credentials()), concurrency=4)
    with pytest.raises(AuthenticationError, match=r"time of this machine.*: its clock is \d+ s behind this machine's"):
        run(job)
    assert len(api.seen) <= 4


@pytest.mark.parametrize("token", ["session/token", None])
@pytest.mark.parametrize("accepted", [0, 50])
def test_credentials_that_have_ended_and_are_the_same_again_stop_the_task(api, tmp_path, token, accepted):
    from botocore.credentials import Credentials as Plain

    ended = '{"message":"The security token included in the request is expired"}'
    api.answer = lambda seen: 200 if len(api.seen) <= accepted else web_response(403, ended)
    credentials, settings = Credentials(), ClientSettings(api.url)
    credentials.find = lambda: Plain("AKIDEXAMPLE", KEY, token)
    job = make_job(api, tmp_path, 400, auth=auth_of(settings, credentials), concurrency=8, max_failures=400)
    with pytest.raises(CredentialsError if accepted else AuthenticationError, match="the AWS credentials have ended"):
        run(job)
    assert len(api.seen) <= accepted + 8


def web_response(status, text, **headers):
    from aiohttp import web

    return web.Response(status=status, text=text, headers=headers)


def test_a_refusal_for_another_reason_finds_none_again_and_shows_no_signature(api, tmp_path):
    api.answer = lambda seen: web_response(403, f"not authorized: {seen.headers['Authorization']}")
    credentials, settings = Credentials(), ClientSettings(api.url)
    run(make_job(api, tmp_path, 3, auth=auth_of(settings, credentials), max_failures=3, concurrency=1))
    kept = "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))
    assert credentials.found == 1
    assert "Credential=AKIDEXAMPLE/" in kept
    assert not any(seen.headers["Authorization"][-30:-20] in kept for seen in api.seen)


@pytest.mark.parametrize(
    ("find", "said"),
    [(lambda: None, "there are no AWS credentials: write the id of an Airflow AWS connection as aws_conn_id"),
     (lambda: 1 / 0, "the AWS credentials cannot be had (ZeroDivisionError): check aws_conn_id")],
)  # fmt: skip
def test_no_credentials_end_the_run_in_words(api, tmp_path, find, said):
    credentials = Credentials()
    credentials.find = find
    with pytest.raises(AuthenticationError) as raised:
        run(make_job(api, tmp_path, 3, auth=auth_of(ClientSettings(api.url), credentials)))
    assert said in str(raised.value)
    assert api.seen == []


@pytest.mark.anyio
async def test_credentials_that_renew_themselves_are_asked_now_and_then_and_never_on_the_loops_thread():
    import threading

    asked, now = [], [0.0]

    class Refreshable:
        access_key, secret_key, token = "a", KEY, None

        def refresh_needed(self):
            return True

        def get_frozen_credentials(self):
            asked.append(threading.current_thread() is threading.main_thread())
            return self

    credentials = Refreshable()
    auth = SigV4(
        region="eu-west-1", service="es", find_credentials=lambda: credentials, headers={},
        address=ClientSettings("http://a").address, clock=lambda: now[0],
    )  # fmt: skip
    for now[0] in (0.0, 1.0, 29.0, 30.0, 31.0, 90.0):
        await auth.sign(Request("GET", "x", "", None, "k"))
    assert asked == [False] * 3


def test_without_botocore_it_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(ConfigurationError, match=r"install airflow-provider-async-rest\[aws\]"):
        auth_of(ClientSettings("http://a"), Credentials())
