"""What is relied on of aiohttp and httptools beyond their documentation."""

import ast
import asyncio
import inspect
import re

import aiohttp
import httptools
import pytest
from checkout import REPOSITORY
from servers import running_api

from airflow_async_rest.core.transport.session.watched import Watch


def test_what_replaces_a_sessions_request_is_seen():
    """As aioresponses does."""
    assert inspect.iscoroutinefunction(aiohttp.ClientSession._request)


def test_a_middleware_stands_inside_what_sends_a_request_again():
    source = inspect.getsource(aiohttp.ClientSession._request)
    assert source.index("handler(req)") < source.index("except (ClientOSError, ServerDisconnectedError)")


def test_a_connector_is_asked_for_the_connection_of_each_request():
    class Connector(aiohttp.TCPConnector):
        async def connect(self, *args, **more):
            connection = await super().connect(*args, **more)
            asked.append(connection.transport.get_protocol())
            return connection

    async def exchange(url):
        async with aiohttp.ClientSession(connector=Connector()) as session:
            for _ in range(2):
                async with session.post(url, data=b"{}") as answer:
                    assert await answer.read() == b"{}"

    asked = []
    with running_api() as api:
        asyncio.run(exchange(api.url))
    assert asked[0] is asked[1]


@pytest.mark.parametrize(
    "name", [name for name in vars(asyncio.Protocol) | vars(asyncio.BaseProtocol) if name[0] != "_"]
)
def test_what_the_loop_calls_is_passed_on(name):
    assert name in vars(Watch) or name == "connection_made"  # which has been called when it begins


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 299 Own\r\nX: y\r\nContent-Length: 0\r\n\r\n"]
)
def test_the_parser_knows_the_status_as_soon_as_it_has_come(answer):
    parser = httptools.HttpResponseParser(object())
    assert parser.get_status_code() == 0
    parser.feed_data(answer[:12])
    assert parser.get_status_code() == int(answer[9:12])


def private_names(text):
    """Yield what code uses, or overrides, of aiohttp that is private to it: names, and modules below its own."""
    tree = ast.parse(text)
    extending = [
        node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and "aiohttp." in unparsed(node.bases)
    ]
    inside = {name for extended in extending for name in ast.walk(extended)}
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names if alias.name.startswith("aiohttp."))
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] == "aiohttp":
                yield module
            # Its own attributes are a class's to name, but for one that extends another.
            case ast.Attribute(attr=name) if is_private(name) and (node in inside or unparsed([node.value]) != "self"):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if node in inside and is_private(name):
                yield name


def unparsed(nodes):
    return " ".join(map(ast.unparse, nodes))


def is_private(name):
    return name.startswith("_") and not name.endswith("__")


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("aiohttp.ClientSession._request", ["_request"]),
        ("from aiohttp.client_proto import ResponseHandler", ["aiohttp.client_proto"]),
        ("import aiohttp.http_parser", ["aiohttp.http_parser"]),
        ("from aiohttp import http_parser", ["aiohttp"]),
        ("session._connector", ["_connector"]),
        ("class Own(aiohttp.TCPConnector):\n    async def _wrap_create_connection(self): pass", ["_wrap_create_connection"]),
        ("class Own(aiohttp.TCPConnector):\n    def close(self): self._conns.clear()", ["_conns"]),
        ("class Own(aiohttp.TCPConnector):\n    def __init__(self): super().__init__()", []),
        ("class Own:\n    def _of_its_own(self): self._own = aiohttp.ClientSession()", []),
    ],
)  # fmt: skip
def test_what_is_private_to_aiohttp_is_found(code, names):
    assert list(private_names(code)) == names


def test_no_private_name_of_aiohttp_is_used_but_that():
    texts = [path.read_text() for path in (REPOSITORY / "airflow_async_rest").rglob("*.py")]
    found = [
        name
        for text in texts
        if re.search(r"^\s*(import|from) aiohttp\b", text, re.MULTILINE)
        for name in private_names(text)
    ]
    assert found == ["_request"]
