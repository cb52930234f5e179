"""What is relied on of aiohttp and httptools beyond their documentation."""

import asyncio
import inspect

import aiohttp
import httptools
import pytest
from checkout import REPOSITORY
from servers import running_api

from airflow_async_rest.core.transport.session import Watch


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


def test_no_private_name_of_aiohttp_is_used_but_that():
    texts = [path.read_text() for path in (REPOSITORY / "airflow_async_rest").rglob("*.py")]
    assert sum(text.count("SLF001") for text in texts if "import aiohttp" in text) == 1
