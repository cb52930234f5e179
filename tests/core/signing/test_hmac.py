"""Signatures of a shared secret, as some APIs document them."""

import base64
import hashlib
import hmac

import pytest
from aiohttp import web
from engine import counts, make_job, prepared_by, run
from tables import every_row

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.models import Request
from airflow_async_rest.core.requests.address import Address
from airflow_async_rest.core.requests.headers import check_headers
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.signing.hmac_signature import Hmac, HmacFields

BODY = '{"ä":1}'.encode()
REQUEST = Request("POST", "x/a%2Fb", "q=1", BODY, "k")
URL = "https://api.example.com:8443/v1?t=a"


async def headers_of(fields, key="s3cret", login="me", request=REQUEST, url=URL, **headers):
    auth = Hmac(HmacFields.of(fields), key, login, Address(url), headers=headers, now=lambda: 1_492_774_577.25)
    return dict((await auth.sign(request)).headers)


def digest(text, key=b"s3cret", algorithm="sha256"):
    return hmac.new(key, text if isinstance(text, bytes) else text.encode(), algorithm)


CASES = {
    "the defaults": (
        {},
        {"X-Timestamp": "1492774577", "X-Signature": digest(b"1492774577." + BODY).hexdigest()},
    ),
    "as Stripe signs": (
        {"headers": {"Stripe-Signature": "t={timestamp},v1={signature}"}},
        {"Stripe-Signature": "t=1492774577,v1=" + digest(b"1492774577." + BODY).hexdigest()},
    ),
    "as GitHub signs": (
        {"signed": "{body}", "headers": {"X-Hub-Signature-256": "sha256={signature}"}},
        {"X-Hub-Signature-256": "sha256=" + digest(BODY).hexdigest()},
    ),
    "as exchanges want it": (
        {
            "signed": "{timestamp}{method}{target}{body}", "encoding": "base64", "timestamp": "milliseconds",
            "headers": {"ACCESS-KEY": "{login}", "ACCESS-SIGN": "{signature}", "ACCESS-TIMESTAMP": "{timestamp}"},
        },
        {
            "ACCESS-KEY": "me", "ACCESS-TIMESTAMP": "1492774577250",
            "ACCESS-SIGN": base64.b64encode(digest(b"1492774577250POST/v1/x/a%2Fb?t=a&q=1" + BODY).digest()).decode(),
        },
    ),
    "lines, a hash and a date": (
        {
            "signed": "{method}\n{host}\n{path}\n{query}\n{body_hash}\n{timestamp}", "timestamp": "http",
            "algorithm": "sha512", "headers": {"Date": "{timestamp}", "Authorization": "HMAC {login}:{signature}"},
        },
        {
            "Date": "Fri, 21 Apr 2017 11:36:17 GMT",
            "Authorization": "HMAC me:" + digest(
                "POST\napi.example.com:8443\n/v1/x/a%2Fb\nt=a&q=1\n"
                f"{hashlib.sha512(BODY).hexdigest()}\nFri, 21 Apr 2017 11:36:17 GMT", algorithm="sha512").hexdigest(),
        },
    ),
    "a URL and a time": (
        {"signed": "{url} {timestamp}", "timestamp": "iso", "encoding": "base64url", "headers": {"S": "{signature}"}},
        {"S": base64.urlsafe_b64encode(digest(
            "https://api.example.com:8443/v1/x/a%2Fb?t=a&q=1 2017-04-21T11:36:17Z").digest()).decode().rstrip("=")},
    ),
}  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize(("fields", "headers"), CASES.values(), ids=CASES)
async def test_what_is_signed_and_where_it_stands_is_said_by_the_fields(fields, headers):
    assert await headers_of(fields) == headers


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("url", "headers", "host"),
    [
        (URL, {}, "api.example.com:8443"),
        ("https://api.example.com:443", {}, "api.example.com"),
        ("https://api.example.com.", {}, "api.example.com"),
        (URL, {"host": "behind.example.com"}, "behind.example.com"),
    ],
)
async def test_the_host_that_is_signed_is_the_one_that_is_sent(url, headers, host):
    fields = {"signed": "{host}", "headers": {"X-Host": "{host}", "X-Signature": "{signature}"}}
    assert await headers_of(fields, url=url, **headers) == {"X-Host": host, "X-Signature": digest(host).hexdigest()}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("form", "written", "key"),
    [
        ("text", "s3cret", b"s3cret"),
        ("text", " s3cret ", b" s3cret "),
        ("base64", "czNjcmV0", b"s3cret"),
        ("base64", " czNjcmV0\t", b"s3cret"),
        ("base64", "+/8=", b"\xfb\xff"),
        ("base64", "-_8", b"\xfb\xff"),
        ("base64", "czNjcmV0MQ", b"s3cret1"),
        ("hex", "733363726574", b"s3cret"),
        ("hex", " 73 33 63 72 65 74 ", b"s3cret"),
    ],
)
async def test_a_secret_may_be_written_in_other_forms(form, written, key):
    signed = (await headers_of({"secret": form, "signed": "{body}"}, written))["X-Signature"]
    assert signed == digest(BODY, key).hexdigest()


@pytest.mark.anyio
async def test_braces_that_are_no_holes_are_text():
    fields = {"signed": '{"at":"{timestamp}","of":{"who":"{login}"}}', "headers": {"X-Signature": "{signature}"}}
    signed = digest('{"at":"1492774577","of":{"who":"me"}}').hexdigest()
    assert await headers_of(fields) == {"X-Signature": signed}


@pytest.mark.anyio
async def test_a_login_may_have_any_letter_and_bytes_that_are_no_text_are_no_header():
    assert (await headers_of({"headers": {"X-Who": "{login} {signature}"}}, login="žofie"))["X-Who"].startswith(
        "žofie "
    )
    echo = {"headers": {"X-Body": "{body}{signature}"}}
    sent = await headers_of(echo, request=Request("POST", "x", "", b"\xff", "k"))
    with pytest.raises(ConfigurationError, match="half a surrogate pair"):
        check_headers(sent, "what signs a request")


@pytest.mark.anyio
async def test_a_request_without_a_body_signs_none_and_each_nonce_is_another_one():
    get = Request("GET", "x", "", None, "k")
    fields = {"signed": "{body}", "headers": {"X-Nonce": "{nonce}", "X-Signature": "{signature}"}}
    first, second = [await headers_of(fields, request=get) for _ in range(2)]
    assert first["X-Signature"] == digest(b"").hexdigest()
    assert first["X-Nonce"] != second["X-Nonce"]


@every_row(
    ("fields", "said"),
    [
        ({"signd": "{body}"}, "there is no 'signd': write one of signed, headers"),
        ({"signed": "{bdy}"}, "signed has {bdy}: write one of {timestamp}, "),
        ({"signed": "{signature}"}, "signed has {signature}"),
        ({"signed": 5}, "signed is a int: write a text"),
        ({"signed": "{}"}, "signed has '{}', which would be taken for text: write one of {timestamp}, "),
        ({"signed": "{{body}}"}, "signed has '{{body}}', which"),
        ({"signed": "{{ body }}"}, "signed has '{{ body }}', which"),
        ({"signed": "{ body }"}, "signed has '{ body }', which"),
        ({"signed": "{body!r}"}, "signed has '{body!r}', which"),
        ({"signed": "{time-stamp}.{body}"}, "signed has '{time-stamp}', which"),
        ({"headers": {"X": "{signature}{ nonce }"}}, "headers: X has '{ nonce }', which"),
        ({"signed": ""}, "signed has nothing of the request in it: write a template such as {timestamp}.{body}"),
        ({"signed": "constant"}, "signed has nothing of the request in it"),
        ({"headers": {"X-Sign": "{signature}", "x-sign": "{timestamp}"}}, "headers: one is there twice"),
        ({"headers": {}}, 'write a JSON object such as {"X-Signature": "{signature}"}'),
        ({"headers": "X-Signature"}, "write a JSON object"),
        ({"headers": {"X-Signature": 5}}, "headers: X-Signature is a int"),
        ({"headers": {"X-Signature": "{timestamp}"}}, "no header has {signature} in it"),
        ({"headers": {"X Signature": "{signature}"}}, "'X Signature' is not a header name"),
        ({"algorithm": "sha3"}, "algorithm='sha3': write one of sha256"),
        ({"encoding": ["hex"]}, "encoding=['hex']: write one of hex"),
        ({"timestamp": "unix"}, "timestamp='unix': write one of seconds"),
        ({"secret": "s3cret-0f-somebody"}, "secret='***': write one of text"),
    ],
)
def test_a_wrong_field_is_named(fields, said):
    with pytest.raises(ConfigurationError) as raised:
        HmacFields.of(fields)
    assert said in str(raised.value)
    assert str(raised.value).startswith("hmac: ")


@pytest.mark.parametrize("form", ["base64", "hex"])
def test_a_secret_that_is_not_in_that_form_is_told_and_not_shown(form):
    with pytest.raises(ConfigurationError, match="secret='") as raised:
        Hmac(HmacFields(secret=form), "n0t-in-that-form!", "", Address("http://a"), headers={})
    assert "n0t-in" not in str(raised.value)


@pytest.mark.parametrize(("form", "key"), [("base64", " "), ("base64", "=="), ("hex", " "), ("text", "  ")])
def test_a_secret_that_is_empty_signs_nothing(form, key):
    with pytest.raises(ConfigurationError, match="hmac: the secret is empty: write it into password"):
        Hmac(HmacFields(secret=form), key, "", Address("http://a"), headers={})


def test_an_api_that_checks_signatures_takes_what_is_sent_and_its_echo_shows_none(api, tmp_path):
    def answer(seen):
        fields = dict(part.split("=") for part in seen.headers["X-Sign"].split(","))
        good = fields["v1"] == digest(f"{fields['t']}.{seen.target}.".encode() + seen.body).hexdigest()
        if good and seen.path.endswith("/3"):
            return web.Response(status=422, text=f"no {seen.headers['X-Sign']}")
        return 200 if good else 401

    api.answer = answer
    settings = ClientSettings(f"{api.url}/v1?t=a")
    fields = HmacFields(signed="{timestamp}.{target}.{body}", headers={"X-Sign": "t={timestamp},v1={signature}"})
    job = make_job(
        api,
        tmp_path,
        50,
        settings=settings,
        auth=Hmac(fields, "s3cret", "", settings.address, headers={}),
        max_failures=1,
    )
    assert counts(run(job)) == [50, 49, 1, 0]
    [sign] = {seen.headers["X-Sign"] for seen in api.seen if seen.path.endswith("/3")}
    kept = "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))
    assert "no t=" in kept
    assert sign.partition("v1=")[2][:8] not in kept


def test_a_signed_get_that_is_redirected_says_why_it_is_not_followed(api, tmp_path):
    api.answer = lambda seen: web.Response(status=302, headers={"Location": "/moved"}) if seen.path == "/x/0" else 200
    settings = ClientSettings(api.url)
    auth = Hmac(HmacFields(), "s3cret", "", settings.address, headers={})
    get = prepared_by(lambda item: Request("GET", f"x/{item.key}", "", None, "k"))
    job = make_job(api, tmp_path, 1, settings=settings, auth=auth, max_failures=1, prepare=get)
    assert counts(run(job)) == [1, 0, 1, 0]
    assert [seen.path for seen in api.seen] == ["/x/0"]
    kept = "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))
    assert "which is not followed, for its signature is of the address that was asked" in kept


@pytest.mark.anyio
async def test_only_what_a_template_uses_is_made(monkeypatch):
    def unused(*_):
        raise AssertionError

    address = Address("https://api.example.com")
    fields = HmacFields.of({"signed": "{body}", "headers": {"X": "{signature}"}})
    auth = Hmac(fields, "s3cret", "me", address, headers={}, now=unused)
    monkeypatch.setattr("secrets.token_hex", unused)
    monkeypatch.setattr("hashlib.new", unused)
    assert dict((await auth.sign(REQUEST)).headers) == {"X": digest(BODY).hexdigest()}
