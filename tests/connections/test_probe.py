import asyncio
import socket
import threading

import pytest
from aiohttp import web
from certificates import make_certificate
from servers import running_api

from airflow_async_rest.connections.probe import Patience, probe
from airflow_async_rest.core.errors import ConfigurationError, RequestTimeoutError, SendError, StoppedError, TlsError
from airflow_async_rest.core.models import Response
from airflow_async_rest.core.requests.settings import ClientSettings


def test_one_get_goes_to_the_base_url_as_a_task_would_send_it(api):
    finding = probe(ClientSettings(f"{api.url}/v1", headers={"Authorization": "Bearer t"}))
    [seen] = api.seen
    assert (seen.method, seen.path, seen.body, seen.headers["Authorization"]) == ("GET", "/v1", b"", "Bearer t")
    assert isinstance(finding.outcome, Response)
    assert finding.outcome.status == 200


@pytest.mark.anyio
async def test_it_may_be_called_where_an_event_loop_runs(api):
    assert asyncio.get_running_loop().is_running()
    assert probe(ClientSettings(api.url)).outcome.status == 200


def test_an_error_is_what_was_found():
    assert isinstance(probe(ClientSettings("http://nothing.invalid", trust_env=False)).outcome, SendError)


def test_a_connection_that_is_wrong_is_an_error():
    with pytest.raises(ConfigurationError):
        probe(ClientSettings("https://127.0.0.1", verify="/no/such.pem"))


@pytest.mark.parametrize("through_proxy", [False, True])
def test_the_certificate_of_a_server_is_read_without_sending_it_anything(tmp_path, through_proxy):
    made = make_certificate(tmp_path, "api")
    with running_api(ssl_context=made.server()) as server, tunnel_to(server.url) as proxy:
        settings = ClientSettings(
            server.url, headers={"Authorization": "Bearer t"}, proxy=proxy if through_proxy else None
        )
        finding = probe(settings)
        assert server.seen == []
    assert isinstance(finding.outcome, TlsError)
    assert finding.certificate == made.der


def tunnel_to(url):
    """A proxy that opens tunnels to one server."""
    import contextlib

    def pump(source, target):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(listening):
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                client.recv(65536)  # CONNECT
                server = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=pump, args=(server, client))
                back.start()
                pump(client, server)
                back.join()
                client.close()
                server.close()

    @contextlib.contextmanager
    def running():
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=serve, args=(listening,), daemon=True)
            thread.start()
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            listening.shutdown(socket.SHUT_RDWR)
        thread.join(60)

    return running()


def test_a_server_that_never_answers_ends_with_the_connections_timeout(api):
    api.answer = lambda seen: "hang"
    finding = probe(ClientSettings(api.url, request_timeout_seconds=0.05))
    assert isinstance(finding.outcome, RequestTimeoutError)


def test_timeouts_longer_than_a_person_waits_are_cut(api):
    api.answer = lambda seen: "hang"
    settings = ClientSettings(api.url, request_timeout_seconds=3600, connect_timeout_seconds=3600)
    finding = probe(settings, Patience(request_seconds=1.0))  # a machine may stand still for half of it
    assert str(finding.outcome) == "no complete answer within 1 s (request_timeout_seconds)"


def test_redirects_in_a_circle_that_are_slow_each_are_bounded_together(api):
    async def answer(seen):
        await asyncio.sleep(0.04)
        return web.Response(status=302, headers={"Location": "/"})

    api.answer = answer
    patience = Patience(request_seconds=0.08, margin_seconds=0)
    assert isinstance(probe(ClientSettings(api.url), patience).outcome, RequestTimeoutError)


class Slow:
    """Signs too late: its coroutine waits, or a thread that it has begun, or the event loop itself."""

    def __init__(self, what_waits):
        self.ended, self.what_waits = threading.Event(), what_waits

    async def sign(self, request):
        if self.what_waits == "loop":
            self.ended.wait(60)
        await (asyncio.to_thread(self.ended.wait, 60) if self.what_waits == "thread" else asyncio.sleep(60))
        return request

    async def refused(self, response):
        return False


@pytest.mark.parametrize(
    ("what_waits", "patience", "seconds"),
    [
        ("coroutine", Patience(request_seconds=5, signing_seconds=0.05), "0.05"),
        ("thread", Patience(request_seconds=5, signing_seconds=0.05), "0.05"),
        ("loop", Patience(0.02, 0.01, 0.01, 0.02), "0.06"),
    ],
)
def test_what_signs_too_slowly_is_told_apart_from_the_api(api, what_waits, patience, seconds):
    auth = Slow(what_waits)
    try:
        with pytest.raises(StoppedError, match=f"nothing to sign .* within {seconds} s, and the API was not asked"):
            probe(ClientSettings(api.url), patience, auth)
        assert not auth.ended.is_set()
        assert api.seen == []
    finally:
        auth.ended.set()


def test_a_name_server_that_hangs_does_not_hold_the_test(monkeypatch):
    ended = threading.Event()

    def hang(*_, flags=0, **__):
        if flags != socket.AI_NUMERICHOST:  # which asks no server
            ended.wait(60)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        finding = probe(ClientSettings("http://api.invalid", trust_env=False), Patience(request_seconds=0.05))
        assert str(finding.outcome) == "no connection within 0.05 s (connect_timeout_seconds)"
        assert not ended.is_set()
    finally:
        ended.set()
