"""What is relied on of aiohttp beyond its documentation: its connections, used without the session around them."""

import asyncio
import inspect

import aiohttp
import pytest
from aiohttp import client_proto
from servers import running_api
from yarl import URL

from airflow_async_rest.core.transport import wire


def test_this_version_is_one_that_the_way_past_the_session_was_tried_with():
    """Another one sends by its session, at a third of the speed: try it, and name it there."""
    assert wire.is_possible()


@pytest.mark.parametrize("version", ["3.11.18", "3.15.0", "4.0.0"])
def test_other_versions_send_by_their_session(version, monkeypatch):
    monkeypatch.setattr(aiohttp, "__version__", version)
    assert not wire.is_possible()


def test_a_session_sends_no_request_again_by_itself_when_told_so():
    assert "self._retry_connection" in inspect.getsource(aiohttp.ClientSession)


def test_what_replaces_a_sessions_request_is_seen():
    """As aioresponses does."""
    assert inspect.iscoroutinefunction(aiohttp.ClientSession._request)


def test_a_connector_makes_its_protocols_with_a_factory():
    async def factory():
        async with aiohttp.TCPConnector() as connector:
            return connector._factory()

    assert isinstance(asyncio.run(factory()), client_proto.ResponseHandler)


def test_a_connector_connects_for_a_request_and_a_protocol_reads_its_answer():
    async def exchange(url: URL):
        async with aiohttp.TCPConnector() as connector:
            request = aiohttp.ClientRequest("POST", url, headers={"X-A": "b"})
            assert request.headers["X-A"] == "b"
            assert request.request_info.url == url
            connection = await connector.connect(request, [], aiohttp.ClientTimeout(sock_connect=10))
            protocol = connection.protocol
            assert (len(protocol), protocol.writing_paused) == (0, False)
            protocol.set_response_params(read_until_eof=True, auto_decompress=False)
            assert protocol.transport.get_write_buffer_size() == 0
            protocol.transport.writelines((b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n", b"{}"))
            message, content = await protocol.read()
            body = b""
            while piece := await content.readany():
                body += piece
            connection.release()
            assert content.is_eof()
            return message.code, message.headers["Content-Type"], body, content._protocol is protocol

    with running_api() as api:
        found = asyncio.run(exchange(URL(api.url)))
        [seen] = api.seen
    assert found == (200, "application/json; charset=utf-8", b"{}", True)
    assert seen.body == b"{}"


def test_a_body_that_has_not_ended_is_known_to_its_protocol():
    async def unfinished():
        protocol = client_proto.ResponseHandler(asyncio.get_running_loop())
        protocol.connection_made(asyncio.Transport())
        protocol.set_response_params(read_until_eof=True, auto_decompress=False)
        protocol.data_received(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        _, content = await protocol.read()
        return protocol._payload is content, content.is_eof(), content.read_nowait()

    assert asyncio.run(unfinished()) == (True, False, b"half")


@pytest.mark.parametrize("name", ["data_received", "set_response_params", "set_exception", "connection_lost"])
def test_the_protocol_calls_what_is_added_to_it(name):
    assert name in vars(client_proto.ResponseHandler)
