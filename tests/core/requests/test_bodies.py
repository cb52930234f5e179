"""What the body of a request is, and its content type; and what a dead letter keeps of it."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import orjson
import pytest
from tables import every_row

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import ConfigurationError, EncodeError
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.models import DeadLetter, Item, Request
from airflow_async_rest.core.requests.bodies import Body, BodyEncoder, kept_body, kept_payload, without_texts
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity, RequestBuilder

JSON, FORM, TEXT = "application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-8"
BYTES, XML, API = "application/octet-stream", "application/xml", "application/vnd.api+json"
DEEP = "[" * 100_000 + "]" * 100_000


def body_of(payload, body_format=None, content_type=None) -> Body:
    headers = {"Accept": "*/*"} | ({"content-type": content_type} if content_type else {})
    return BodyEncoder(JsonEncoder(), body_format, headers).encode(payload)


@every_row(
    ("payload", "content_type", "sent", "sent_type"),
    [
        ({"a": 1}, None, b'{"a":1}', JSON),
        ({"a": 1}, API, b'{"a":1}', API),
        ({"a": "ä"}, f"{JSON}; charset=iso-8859-1", b'{"a":"\xe4"}', f"{JSON}; charset=iso-8859-1"),
        ([1], None, b"[1]", JSON),
        (7, None, b"7", JSON),
        (False, None, b"false", JSON),
        ("a=1&b=2", None, b"a=1&b=2", TEXT),
        ("a=1&b=2", FORM, b"a=1&b=2", FORM),
        ("<a>é</a>", None, "<a>é</a>".encode(), TEXT),
        ("<a>é</a>", XML, "<a>é</a>".encode(), XML),
        ("<a>é</a>", "text/xml; charset=ISO-8859-1", b"<a>\xe9</a>", "text/xml; charset=ISO-8859-1"),
        ('{"a": 1}', None, b'{"a": 1}', JSON),
        (' [\n1, "x"] ', None, b' [\n1, "x"] ', JSON),
        ('{"a": 1}', API, b'{"a": 1}', API),
        ('{"a": 1E400, "b": 123456789012345678901234567890}', None, None, JSON),
        (DEEP, None, DEEP.encode(), JSON),
        ('{"a": NaN}', None, b'{"a": NaN}', TEXT),
        ('{"a": 1} {"b": 2}', None, b'{"a": 1} {"b": 2}', TEXT),
        ('{"a": 1', None, b'{"a": 1', TEXT),
        ('"a"', None, b'"a"', TEXT),
        ("7", None, b"7", TEXT),
        ("null", None, b"null", TEXT),
        ("", None, b"", TEXT),
        (b"\x00\xff", None, b"\x00\xff", BYTES),
        (b'{"a": 1}', None, b'{"a": 1}', BYTES),
        (b'{"a": 1}', JSON, b'{"a": 1}', JSON),
        (bytearray(b"x"), None, b"x", BYTES),
        (memoryview(b"x"), "image/png", b"x", "image/png"),
        (b"", None, b"", BYTES),
    ],
)
def test_text_and_bytes_are_sent_as_they_are_and_all_else_as_json(payload, content_type, sent, sent_type):
    body = body_of(payload, content_type=content_type)
    expected = payload.encode() if sent is None else sent
    assert (body.data, body.content_type) == (expected, sent_type)
    assert type(body.data) is bytes
    assert body.verbatim == isinstance(payload, str | bytes | bytearray | memoryview)


ROW = {
    "id": 7,
    "name": "a&b é",
    "none": None,
    "ok": True,
    "price": Decimal("1.50"),
    "day": date(2026, 3, 1),
    "at": datetime(2026, 3, 1, tzinfo=UTC),
    "naive": datetime(2026, 3, 1),  # noqa: DTZ001
    "for": timedelta(seconds=90),
    "tags": ["x", None, 2],
    "json": orjson.Fragment(b'"t"'),
}
AS_FORM = (
    b"id=7&name=a%26b+%C3%A9&ok=true&price=1.50&day=2026-03-01&at=2026-03-01T00%3A00%3A00%2B00%3A00"
    b"&naive=2026-03-01T00%3A00%3A00%2B00%3A00&for=P0DT90S&tags=x&tags=2&json=t"
)


@every_row(
    ("body_format", "payload", "content_type", "sent", "sent_type"),
    [
        ("json", {"a": 1}, None, b'{"a":1}', JSON),
        ("json", {"a": 1}, XML, b'{"a":1}', JSON),
        ("json", {"a": 1}, API, b'{"a":1}', API),
        ("json", "text", None, b'"text"', JSON),
        ("json", '{"a": 1}', FORM, b'"{\\"a\\": 1}"', JSON),
        ("form", ROW, None, AS_FORM, FORM),
        ("form", {"a": "1"}, JSON, b"a=1", FORM),
        ("form", {"a": "1"}, f"{FORM}; charset=utf-8", b"a=1", f"{FORM}; charset=utf-8"),
        ("form", {}, None, b"", FORM),
        ("form", {5: "x y"}, None, b"5=x+y", FORM),
        ("form", "a=1&b=2", JSON, b"a=1&b=2", FORM),
        ("form", {"n": "ä"}, f"{FORM}; charset=iso-8859-1", b"n=%E4", f"{FORM}; charset=iso-8859-1"),
        ("form", {"lat": Decimal("0E-7"), "lon": Decimal("1E+3")}, None, b"lat=0.0000000&lon=1000", FORM),
        ("form", b"a=1", None, b"a=1", FORM),
        ("text", "<a/>", None, b"<a/>", TEXT),
        ("text", "<a/>", XML, b"<a/>", XML),
        ("text", '{"a": 1}', None, b'{"a": 1}', TEXT),
        ("text", '{"a": 1}', JSON, b'{"a": 1}', TEXT),
        ("text", "a=1", FORM, b"a=1", TEXT),
        ("text", b"\xff", None, b"\xff", BYTES),
        ("text", b"\xff", "image/png", b"\xff", "image/png"),
    ],
)
def test_the_format_that_is_said_comes_before_the_header(body_format, payload, content_type, sent, sent_type):
    body = body_of(payload, body_format, content_type)
    assert (body.data, body.content_type) == (sent, sent_type)


@every_row(
    ("body_format", "payload", "content_type", "message"),
    [
        ("form", {"a": {"b": 1}}, None, "column 'a' is not a single value"),
        ("form", {"a": [[1]]}, None, "column 'a' is not a single value"),
        ("form", {"a": orjson.Fragment(b'{"b":1}')}, None, "column 'a' is not a single value"),
        ("form", {"a": float("nan")}, None, "column 'a': nan has no JSON form"),
        ("form", {"a": object()}, None, "column 'a'"),
        ("form", [("a", 1)], None, "takes a flat dict or a text, not a list"),
        ("form", 5, None, "takes a flat dict or a text, not a int"),
        ("text", {"a": 1}, None, "body_format='text' takes a text or bytes, not a dict"),
        ("text", 5, None, "not a int"),
        ("form", {"a": "€"}, f"{FORM}; charset=latin-1", "the form cannot be written in latin-1"),
        (None, {"a": "€"}, f"{JSON}; charset=latin-1", "the text cannot be written in latin-1"),
        (None, "\ud800", None, "the text cannot be written in utf-8"),
        (None, "€", "text/plain; charset=latin-1", "the text cannot be written in latin-1"),
    ],
)
def test_a_payload_that_has_no_such_form_fails_alone(body_format, payload, content_type, message):
    with pytest.raises(EncodeError) as caught:
        body_of(payload, body_format, content_type)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("body_format", "content_type", "message"),
    [
        ("xml", None, "body_format='xml': write one of 'json', 'form', 'text'"),
        ("JSON", None, "body_format='JSON'"),
        (True, None, "body_format=True"),
        ([], None, "body_format=[]"),
        (None, "text/plain; charset=klingon", "'Content-Type' names the charset 'klingon'"),
    ],
)
def test_what_is_no_format_is_said_before_the_first_request(body_format, content_type, message):
    with pytest.raises(ConfigurationError) as caught:
        body_of({}, body_format, content_type)
    assert message in str(caught.value)


def test_a_batch_takes_no_text():
    checked = without_texts(lambda row: row["value"])
    assert checked({"value": None}) is None
    assert checked({"value": {"a": 1}}) == {"a": 1}
    for value in ("text", '{"a": 1}', b"x", ""):
        with pytest.raises(EncodeError, match="but a batch is made of values for JSON: return a dict"):
            checked({"value": value})


@pytest.mark.parametrize("content_type", [None, API, XML, "text/xml; charset=ISO-8859-1"])
@pytest.mark.parametrize(
    ("body_format", "payload"),
    [
        (None, {"a": Decimal("1.10"), "b": 2**70}),
        (None, json.dumps({"a": 1, "b": "é"}, indent=2)),
        (None, "line 1\nline 2\r\n é\x00\x85"),
        (None, ""),
        (None, b""),
        (None, b"\x00\xff\n"),
        (None, b'{"a": 1}'),
        ("json", "text"),
        ("form", ROW),
        ("text", "<a>é</a>"),
    ],
)
def test_a_dead_letter_keeps_the_very_body_and_its_content_type(tmp_path, body_format, payload, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    builder = RequestBuilder(
        endpoint=EndpointTemplate("x"),
        method="POST",
        encode=JsonEncoder(),
        identity=Identity(),
        has_key=True,
        body_format=body_format,
        headers=headers,
    )
    item = Item(0, 7, {}, payload, b"7")
    [request] = builder.build([item])
    folder = DeadLetterFolder(tmp_path, 1)
    folder.write([DeadLetter.of(item, "http_422", request=request)])
    [record] = folder.iter_records()
    assert kept_body(record, JsonEncoder()) == Body(request.body, request.content_type, request.verbatim)
    if request.verbatim and isinstance(payload, bytes):
        assert kept_payload(record) == (payload if record["body"] == "base64" else payload.decode())


def test_a_dead_letter_of_before_is_the_json_that_it_holds():
    record = {"payload": "text"}
    assert kept_body(record, JsonEncoder()) == Body(b'"text"', JSON, verbatim=False)
    assert kept_body({"payload": None}, JsonEncoder()) is None


def test_the_key_of_a_request_is_of_the_body_alone():
    def key_of(payload, **how):
        item = Item(0, 7, {}, payload, b"7")
        settings = {"endpoint": EndpointTemplate("x"), "method": "POST", "encode": JsonEncoder(), "has_key": True}
        return RequestBuilder(**settings, identity=Identity(), **how).build([item])[0].idempotency_key

    assert key_of({"a": 1}) == key_of('{"a":1}') == key_of({"a": 1}, headers={"Content-Type": API})
    assert isinstance(Request("GET", "x", "", None, "k").content_type, str)
