import pytest
from exchanges import answering, serving
from tables import every_row
from yarl import URL

from airflow_async_rest.core.transport.client import ClientSettings, RestClient
from airflow_async_rest.core.transport.redirects import is_page, redirect_advice, redirect_target

ASKED = "http://api.example.com/v1/items"


@every_row(
    ("location", "change"),
    [
        ("https://api.example.com/v1/items", "write https in the connection's Schema, or in its Host"),
        ("/v1/items/", "write the endpoint with a slash at its end"),
        ("http://api.example.com/v1/items/?page=1", "write the endpoint with a slash at its end"),
        ("https://www.example.com/v1/items", "write www.example.com as the connection's Host"),
        ("/login?next=/v1/items", "the API wants a login"),
        ("http://[", "check the connection's Host and the endpoint"),
        ("http://api.example.com:80/v1/items/", "write the endpoint with a slash at its end"),
        ("http://api.example.com/v1/items", "the same path: where the API wants its cookies back, switch 'cookies' on"),
        ("/v1/items?page=1", "the same path"),
        ("http://api.example.com:80/v2", "write that path as the endpoint"),
        ("javascript:alert(1)", "check the connection's Host and the endpoint"),
    ],
)
def test_what_to_change_because_of_a_redirect_is_said(location, change):
    assert change in redirect_advice(URL(ASKED), location)


def test_a_slash_that_is_too_much_is_named():
    assert "without a slash" in redirect_advice(URL(ASKED + "/"), ASKED)


def test_an_address_shows_no_tokens():
    text = redirect_advice(URL(ASKED), "https://me:secret@sso.example.com/login?token=abc#def")
    assert "'https://***@sso.example.com/login'" in text
    assert "secret" not in text
    assert "abc" not in text


@every_row(
    ("status", "location", "target"),
    [
        (302, "/v2/items", "http://api.example.com/v2/items"),
        (308, "http://api.example.com/x", "http://api.example.com/x"),
        (302, "https://api.example.com/v1/items", None),
        (302, "http://other.example.com/", None),
        (302, "http://[", None),
        (302, "javascript:alert(1)", None),
        (302, "mailto:team@api.example.com", None),
        (302, None, None),
        (304, "/v2/items", None),
    ],
)
def test_a_redirect_leads_no_further_than_the_host(status, location, target):
    found = redirect_target(URL(ASKED), status, {"Location": location} if location else {})
    assert found == (None if target is None else URL(target))


@every_row(
    ("location", "target"),
    [
        ("/x?signature=a%2Fb%2B%41&of=c%20d+e", "/x?signature=a%2Fb%2B%41&of=c%20d+e"),
        ("/%zz?a[]=1", "/%zz?a[]=1"),
        ("/caf\udce9", "/caf%E9"),  # as ISO 8859-1 has it
        ("/caf\u00e9?\u00fc", "/caf%C3%A9?%C3%BC"),
        ("/a b\t", "/a%20b"),
        ("/x#part", "/x"),
        ("http://api.example.com?a=1", "/?a=1"),
        ("HTTP://API.example.com:80/x", "/x"),
        ("../x", "/x"),
        ("?a=1", "/v1/items?a=1"),
    ],
)
def test_a_redirect_leads_to_what_is_written(location, target):
    found = redirect_target(URL(ASKED), 302, {"Location": location})
    assert str(found) == f"http://api.example.com{target}"


@every_row(
    ("ended", "kind", "body", "accept", "page"),
    [
        ("/login", "text/html; charset=utf-8", b"", "", True),
        ("/login", "TEXT/HTML", b"", "application/json", True),
        ("/sso/start", "application/xhtml+xml", b"", "*/*", True),
        ("/login", "", b"\n<!DOCTYPE html><title>", "", True),
        ("/login", "text/plain", b"<html>", "", True),
        ("/login", "", b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a --><html>", "", True),
        ("/v1/items?login=1", "text/html", b"", "", True),
        ("/login", "text/html", b"", "text/html, */*", False),
        ("/v1/items/", "text/html", b"", "", False),
        ("/v2/items", "application/json", b"[]", "", False),
        ("/v2/items", "text/csv", b"a,b", "", False),
    ],
)
def test_a_page_for_people_is_told_from_an_answer(ended, kind, body, accept, page):
    headers = {"Content-Type": kind} if kind else {}
    assert is_page(URL(ASKED), URL(ASKED).join(URL(ended)), headers, body, accept) is page


@pytest.mark.parametrize(
    ("location", "is_signed", "is_why"),
    [("/y", True, True), ("/y", False, False), ("https://other.example.com/y", True, False), ("http://[", True, False)],
)
def test_a_signature_is_named_where_it_is_why_a_redirect_is_not_followed(location, is_signed, is_why):
    text = redirect_advice(URL(ASKED), location, is_signed=is_signed)
    assert ("not followed, for its signature is of the address that was asked: " in text) is is_why


@pytest.mark.anyio
async def test_the_headers_of_a_redirect_are_not_those_of_the_answer_after_it(request_of):
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n"
    async with (
        serving(answering(redirect, b"HTTP/1.1 503 Busy\r\nno header\r\n\r\n")) as url,
        RestClient(ClientSettings(url), 1) as client,
    ):
        response = await client.send(request_of(method="GET", body=None))
    assert (response.status, dict(response.headers), response.broken is None) == (503, {}, False)
