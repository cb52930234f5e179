"""What real sockets do -> the cause and the text of the error."""

import asyncio
import errno
import socket
import threading

import pytest
from certificates import make_certificate
from servers import raw_server, running_api

from airflow_async_rest.core.errors import (
    ConnectionFailedError,
    ProxyCredentialsError,
    RequestTimeoutError,
    SendError,
    TlsError,
)
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.client import RestClient

pytestmark = pytest.mark.anyio
REFUSED = f"[Errno {errno.ECONNREFUSED}] Connect call failed ('127.0.0.1', 9)"

# What ends a request that the API may have got, and acted on.
AFTER_SENDING = {"disconnected", "reset", "request_timeout", "no_http", "only_tls"}


@pytest.fixture
def failure(request_of, each_transport):
    """Send one request, and give the error that it ends with, which knows whether the API may have got it."""

    async def send(base_url, **settings) -> SendError:
        async with RestClient(ClientSettings(base_url, trust_env=False, **settings), 1) as client:
            with pytest.raises(SendError) as raised:
                await client.send(request_of())
        assert raised.value.sent is (raised.value.cause in AFTER_SENDING)
        return raised.value

    return send


def shape(error):
    return type(error), error.cause


@pytest.fixture
def closed_port():
    with socket.socket() as taken:  # and nobody listens
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def test_a_name_that_is_not_found_is_named(failure):
    error = await failure("https://nothing.invalid/v1")
    assert shape(error) == (ConnectionFailedError, "name_not_found")
    assert "the host name nothing.invalid is not found" in str(error)


async def test_a_refused_connection_names_host_and_port(failure, closed_port):
    error = await failure(f"http://127.0.0.1:{closed_port}")
    assert shape(error) == (ConnectionFailedError, "refused")
    assert str(error) == f"127.0.0.1:{closed_port} refuses the connection"


@pytest.mark.parametrize(
    ("told", "cause", "text"),
    [
        (("[Errno 101] Network is unreachable", REFUSED), "refused", "refuses the connection"),
        ((REFUSED, "[Errno 113] No route to host"), "refused", "refuses the connection"),
        (
            ("[Errno 101] Network is unreachable", "[Errno 113] No route to host"),
            "unreachable",
            "cannot be reached (Multiple exceptions: [Errno 101] Network is unreachable, [Errno 113] No route to host)",
        ),
        ((), "unreachable", "cannot be reached (OSError)"),
    ],
)
async def test_of_several_addresses_it_is_said_what_they_do(failure, monkeypatch, told, cause, text):
    async def none(*args, **kwargs):
        raise OSError(*filter(None, (told and f"Multiple exceptions: {', '.join(told)}",)))

    monkeypatch.setattr("aiohappyeyeballs.start_connection", none)
    error = await failure("http://127.0.0.1:9")
    assert (*shape(error), str(error)) == (ConnectionFailedError, cause, f"127.0.0.1:9 {text}")


@pytest.mark.parametrize("each_transport", ["own"], indirect=True)
async def test_an_address_without_a_way_does_not_hide_that_another_one_refuses(failure, monkeypatch, closed_port):
    look_up = socket.getaddrinfo

    def getaddrinfo(host, port, *args, flags=0, **more):
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        no_way = (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", "/nothing/is/here")  # fails at once, and never goes out
        return [no_way, *look_up("127.0.0.1", port, type=socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    error = await failure(f"http://api.example.com:{closed_port}")
    assert str(error) == f"api.example.com:{closed_port} refuses the connection"


async def test_what_the_network_says_is_told(failure, monkeypatch):
    async def unreachable(*args, **kwargs):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("aiohappyeyeballs.start_connection", unreachable)
    error = await failure("http://127.0.0.1:9")
    assert shape(error) == (ConnectionFailedError, "unreachable")
    assert str(error) == "127.0.0.1:9 cannot be reached (Network is unreachable)"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_is_not_taken_for_the_api(failure, closed_port, scheme):
    error = await failure(f"{scheme}://api.invalid", proxy=f"http://user:pr0xy@127.0.0.1:{closed_port}")
    assert shape(error) == (ConnectionFailedError, "proxy")
    assert str(error) == f"the proxy 127.0.0.1:{closed_port} refuses the connection"


async def test_a_proxy_whose_name_is_not_found_is_not_taken_for_the_api(failure):
    error = await failure("https://api.invalid", proxy="http://nothing.invalid:3128")
    assert shape(error) == (ConnectionFailedError, "proxy")
    assert "nothing.invalid of the proxy is not found" in str(error)


@pytest.mark.parametrize(
    ("line", "kind", "cause"),
    [
        ("407 Proxy Authentication Required", ProxyCredentialsError, "proxy_credentials"),
        ("403 Forbidden", ConnectionFailedError, "proxy"),
    ],
)
async def test_a_proxy_that_opens_no_tunnel_says_why(failure, line, kind, cause):
    with raw_server(f"HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n".encode()) as port:
        error = await failure("https://api.invalid", proxy=f"http://127.0.0.1:{port}")
    assert shape(error) == (kind, cause)
    assert str(error) == f"the proxy answers {line}"


async def test_a_timeout_says_which_one_it_was(api, failure, clock):
    api.answer = lambda seen: "hang"
    asking = asyncio.create_task(failure(api.url, request_timeout_seconds=0.05))
    await asyncio.to_thread(api.wait_for, lambda api: api.seen)
    clock.now += 0.06
    error = await asking
    assert shape(error) == (RequestTimeoutError, "request_timeout")
    assert str(error) == "no complete answer within 0.05 s (request_timeout_seconds)"


async def test_a_handshake_that_does_not_end_is_a_connect_timeout(failure):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = await failure(f"https://127.0.0.1:{silent.getsockname()[1]}", connect_timeout_seconds=0.05)
    assert shape(error) == (RequestTimeoutError, "connect_timeout")
    assert str(error) == "no connection within 0.05 s (connect_timeout_seconds)"


@pytest.fixture
async def silent_name_server(monkeypatch):
    """No name is found, nor not found; it ends before the loop, which waits for its threads."""
    ends = threading.Event()

    def getaddrinfo(*args, flags=0, **more):
        if not flags & socket.AI_NUMERICHOST:
            ends.wait(60)
        raise socket.gaierror(socket.EAI_NONAME, "no address")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    ends.set()


@pytest.mark.usefixtures("silent_name_server")
async def test_a_name_server_that_hangs_is_a_connect_timeout(failure):
    error = await failure("http://api.example.com", connect_timeout_seconds=0.05, request_timeout_seconds=5)
    assert (*shape(error), error.sent) == (RequestTimeoutError, "connect_timeout", False)
    assert str(error) == "no connection within 0.05 s (connect_timeout_seconds)"


@pytest.mark.usefixtures("silent_name_server")
@pytest.mark.parametrize("each_transport", ["aiohttp"], indirect=True)
async def test_a_time_for_requests_that_is_shorter_than_that_for_connections_is_named(failure):
    error = await failure("http://api.example.com", request_timeout_seconds=0.05)
    assert (*shape(error), error.sent) == (RequestTimeoutError, "connect_timeout", False)
    assert str(error) == "no connection within 0.05 s (request_timeout_seconds)"


@pytest.mark.parametrize("each_transport", ["aiohttp"], indirect=True)
async def test_who_waits_for_a_place_among_the_connections_has_sent_nothing(api, request_of, each_transport, clock):
    api.answer = lambda seen: "hang"
    settings = ClientSettings(api.url, connect_timeout_seconds=10, request_timeout_seconds=30)
    async with RestClient(settings, 1) as client:
        sending = [asyncio.create_task(client.send(request_of())) for _ in range(2)]
        await asyncio.to_thread(api.wait_for, lambda api: api.seen)
        clock.now += 11  # more than the second one has
        await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
        clock.now += 20
        errors = await asyncio.gather(*sending, return_exceptions=True)
    found = [(error.cause, error.sent) for error in errors]
    assert found == [("request_timeout", True), ("connect_timeout", False)]
    assert len(api.seen) == 1


async def test_a_handshake_has_as_long_as_the_connection(failure, monkeypatch):
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    def create_connection(*args, ssl_handshake_timeout=None, **more):
        return connect(*args, ssl_handshake_timeout=ssl_handshake_timeout or 0.05, **more)  # 60 s else

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(loop, "create_connection", create_connection)
        error = await failure(f"https://127.0.0.1:{silent.getsockname()[1]}", connect_timeout_seconds=0.3)
    assert (*shape(error), error.sent) == (RequestTimeoutError, "connect_timeout", False)


async def test_https_to_a_server_of_http_is_told_apart(api, failure):
    assert shape(await failure(api.url.replace("http:", "https:"))) == (TlsError, "not_tls")


@pytest.mark.parametrize(
    ("raw", "cause"),
    [(b"", "disconnected"), (b"220 mail.example.com ESMTP\r\n", "no_http"), (b"\x15\x03\x03\x00\x02\x02\x46", "only_tls")],
)  # fmt: skip
async def test_what_answers_without_http_has_a_cause(failure, raw, cause):
    with raw_server(raw) as port:
        error = await failure(f"http://127.0.0.1:{port}")
    assert shape(error) == (ConnectionFailedError, cause)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("days", "addresses", "trusted", "cause"),
    [
        ((-1, 1), ["127.0.0.1"], False, "certificate_self_signed"),
        ((-2, -1), ["127.0.0.1"], True, "certificate_expired"),
        ((1, 2), ["127.0.0.1"], True, "certificate_early"),
        ((-1, 1), ["127.0.0.2"], True, "certificate_name"),
    ],
)
async def test_a_certificate_that_is_not_trusted_has_a_cause(failure, tmp_path, days, addresses, trusted, cause):
    made = make_certificate(tmp_path, "api", days=days, addresses=addresses)
    with running_api(ssl_context=made.server()) as server:
        error = await failure(server.url, verify=made.path if trusted else True)
    assert shape(error) == (TlsError, cause)


async def test_an_unknown_issuer_is_told_apart_from_a_certificate_of_its_own(failure, tmp_path):
    made = make_certificate(tmp_path, "api", issuer=make_certificate(tmp_path, "ca"))
    with running_api(ssl_context=made.server()) as server:
        assert shape(await failure(server.url)) == (TlsError, "certificate_issuer")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_a_missing_client_certificate_is_told(failure, tmp_path, version):
    import ssl

    made = make_certificate(tmp_path, "api")
    context = made.server(client_ca=made)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", context) as port:
        told, errors = (TlsError, "client_certificate"), []
        # In TLS 1.3 a server refuses after the handshake, while the request is on its way to it; that may break the
        # connection before the refusal is read. The engine's attempts, or the next connection test, tell it then.
        while len(errors) < 8 or (told not in map(shape, errors) and len(errors) < 200):
            errors.append(await failure(f"https://127.0.0.1:{port}", verify=made.path))
    assert told in map(shape, errors)
    if version == "TLSv1_2":
        assert {shape(error) for error in errors} == {told}
    assert {shape(error) for error in errors} <= {
        told,
        (ConnectionFailedError, "disconnected"),
        (ConnectionFailedError, "reset"),
    }
