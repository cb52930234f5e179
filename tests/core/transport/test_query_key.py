"""A key that goes along in the query of every request, and is nobody else's to see."""

import json

import pytest
from aiohttp import web
from servers import running_api
from tables import every_row
from yarl import URL

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.fetching.request import FetchRequestBuilder
from airflow_async_rest.core.models import Item, Request
from airflow_async_rest.core.pages import Page
from airflow_async_rest.core.requests.address import Address
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity
from airflow_async_rest.core.transport.client import ClientSettings, RestClient

KEY = ("api key", "s3cret/&=1")
SENT = "api%20key=s3cret%2F%26%3D1"
REQUEST = Request("GET", "x", "", None, "k")


@pytest.mark.parametrize(
    ("base_url", "query", "target"),
    [
        ("http://api", "", f"/x?{SENT}"),
        ("http://api", "a=1", f"/x?a=1&{SENT}"),
        ("http://api?v=2", "a=1", f"/x?v=2&a=1&{SENT}"),
        ("http://api?v=2&api%20key=old", "", f"/x?v=2&{SENT}"),
        ("http://api", "api+key=own&a=1", "/x?api+key=own&a=1"),
    ],
)
def test_it_is_the_last_parameter_of_every_request(base_url, query, target):
    assert Address(base_url, KEY).target("x", query) == target


@every_row(
    ("link", "query"),
    [
        ("/v1/x?page=2", "page=2"),
        (f"/v1/x?page=2&{SENT}", "page=2"),
        ("/v1/x?api+key=s3cret/%26%3d1&page=2", "page=2"),
        ("/v1/x?api%20key=***&page=2", "page=2"),
        ("/v1/x?page=2&api%20key", "page=2"),
        ("/v1/x?page=2&a=&b", "page=2&a=&b"),
    ],
)
def test_a_link_to_the_next_page_is_asked_for_with_it_once(link, query):
    def build(query_key):
        how = {"query": None, "body": None, "encode": JsonEncoder(), "identity": Identity()}
        builder = FetchRequestBuilder(
            base_url="http://api/v1", endpoint=EndpointTemplate("x"), method="GET", query_key=query_key, **how
        )
        return builder.build(Item(0, 0, {}, None), Page(link=link))

    request = build(KEY)
    assert request.query == query
    assert Address("http://api/v1", KEY).target(request.path, request.query) == f"/v1/x?{query}&{SENT}"
    assert request.idempotency_key == build((KEY[0], "another")).idempotency_key


@pytest.mark.parametrize("location", ["/y?a=1", "/y?a=1#part", f"/y?{SENT}&a=1", "/y?api+key=old&a=1"])
@pytest.mark.anyio
async def test_a_redirect_is_followed_with_it(api, each_transport, location):
    api.answer = lambda seen: web.Response(status=302, headers={"Location": location}) if seen.path == "/x" else 200
    async with RestClient(ClientSettings(api.url, query_key=KEY), 1) as client:
        assert (await client.send(REQUEST)).status == 200
    assert [URL(f"?{seen.query}", encoded=True).query_string for seen in api.seen] == [
        URL(f"?{query}", encoded=True).query_string for query in (SENT, f"a=1&{SENT}")
    ]


@pytest.mark.anyio
async def test_it_goes_to_no_other_origin(api):
    with running_api() as other:
        api.answer = lambda seen: web.Response(status=307, headers={"Location": f"{other.url}/x"})
        async with RestClient(ClientSettings(api.url, query_key=KEY), 1) as client:
            assert (await client.send(REQUEST)).status == 307
        assert other.seen == []


@pytest.mark.anyio
async def test_a_redirect_to_a_slash_is_no_page_of_a_login(api):
    def answer(seen):
        if seen.path == "/x":
            return web.Response(status=301, headers={"Location": "/x/"})
        return web.Response(text="<html>", content_type="text/html")

    api.answer = answer
    async with RestClient(ClientSettings(f"{api.url}?v=2", query_key=KEY), 1) as client:
        await client.send(Request("GET", "x", "", None, "k"))
    assert [seen.path for seen in api.seen] == ["/x", "/x/"]


def test_it_is_in_no_representation():
    settings = ClientSettings("http://api", query_key=KEY)
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in settings.place
    assert "s3cret" not in json.dumps(settings.base_url)
