import asyncio
import base64
import gzip
import socket
import ssl
import zlib
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from types import NoneType, SimpleNamespace

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from servers import raw_server, reading, running_api
from tables import every_row

from airflow_async_rest.core.errors import (
    AnswerUnreadableError,
    ConfigurationError,
    ConnectionFailedError,
    ProxyCredentialsError,
    RequestTimeoutError,
    TlsError,
)
from airflow_async_rest.core.transport import client as client_module
from airflow_async_rest.core.transport.client import ClientSettings, RestClient

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("each_transport")]


async def connected(base_url, job_headers, request, **settings):
    async with RestClient(ClientSettings(base_url, **settings), 4, job_headers) as client:
        return await client.send(request)


async def send(base_url, request, **settings):
    return await connected(base_url, None, request, **settings)


async def test_a_request_arrives_as_it_was_built(api, request_of):
    api.answer = lambda seen: web.Response(status=201, body=b'{"a":1}', headers={"X-Id": "5"})
    request = request_of(method="PUT", path="x/a%2Fb%3F%23/%2e", query="q=%26&r=1", body=b'{"v":1.10}')
    response = await connected(api.url + "/base/", {"X-Job": "j"}, request, headers={"X-Connection": "c"})
    [seen] = api.seen
    assert (seen.method, seen.path, seen.query, seen.body) == (
        "PUT",
        "/base/x/a%2Fb%3F%23/%2e",
        "q=%26&r=1",
        b'{"v":1.10}',
    )
    assert {**seen.headers, "X-Job": "j", "X-Connection": "c", "Idempotency-Key": "k"} == seen.headers
    assert seen.headers["Content-Type"] == "application/json"
    assert (response.status, response.headers["x-id"], response.json()) == (201, "5", {"a": 1})
    assert response.elapsed_seconds > 0


@pytest.mark.parametrize(
    ("of_connection", "of_job", "sent"),
    [
        ({}, {}, "application/json"),
        ({"content-type": "application/vnd.api+json"}, {}, "application/vnd.api+json"),
        ({}, {"content-type": "application/x-ndjson"}, "application/x-ndjson"),
        ({"Content-Type": "text/a"}, {"content-type": "text/b"}, "text/b"),
    ],
)
async def test_a_content_type_of_ones_own_is_sent_once(api, request_of, of_connection, of_job, sent):
    seen_types = []
    api.answer = lambda seen: (
        seen_types.append([v for n, v in seen.headers.items() if n.lower() == "content-type"]) or 200
    )
    await connected(api.url, of_job, request_of(), headers=of_connection)
    assert seen_types == [[sent]]


async def test_a_request_without_a_body_has_no_content_type(api, request_of):
    await send(api.url, request_of(method="DELETE", body=None))
    assert "Content-Type" not in api.seen[0].headers
    assert api.seen[0].body == b""


@pytest.mark.parametrize(("header", "present"), [("X-Dedup", True), (None, False)])
async def test_the_idempotency_header_is_the_connections(api, request_of, header, present):
    await connected(
        api.url,
        {"idempotency-key": "mine"} if header is None else {"x-dedup": "mine"},
        request_of(),
        idempotency_header=header,
    )
    found = {name.lower(): value for name, value in api.seen[0].headers.items()}
    assert (found.get("x-dedup") == "k") is present
    assert found.get("idempotency-key") == (None if present else "mine")


async def test_paths_of_different_rows_are_not_mixed_up(api, request_of):
    async with RestClient(ClientSettings(api.url), 4) as client:
        for path, query in (("a", ""), ("b", ""), ("a", "x=1"), ("a", "")):
            await client.send(request_of(path=path, query=query))
    assert [(seen.path, seen.query) for seen in api.seen] == [("/a", ""), ("/b", ""), ("/a", "x=1"), ("/a", "")]


async def test_as_many_requests_are_in_flight_as_there_are_connections(api, request_of):
    together = asyncio.Barrier(8)

    async def answer(seen):
        await together.wait()
        return 200

    api.answer = answer
    async with RestClient(ClientSettings(api.url), 8) as client:
        await asyncio.gather(*(client.send(request_of()) for _ in range(16)))
        assert client._session._session.connector.limit == 8
    assert api.peak >= 8


async def test_a_silent_server_is_a_timeout(api, request_of):
    api.answer = lambda seen: "hang"
    with pytest.raises(RequestTimeoutError):
        await send(api.url, request_of(), request_timeout_seconds=0.05)


async def test_a_server_that_does_not_take_the_connection_is_a_timeout(request_of):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as waiting:
        for _ in range(4):  # more than its queue holds, so that the next one waits
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        async with asyncio.timeout(60):
            with pytest.raises(RequestTimeoutError):
                await send(f"http://127.0.0.1:{server.getsockname()[1]}", request_of(), connect_timeout_seconds=0.05)


async def test_an_answer_that_never_ends_is_a_timeout(api, request_of):
    async def answer(seen):
        body = asyncio.StreamReader()
        body.feed_data(b"{")
        return web.Response(body=body, headers={"Content-Length": "100"})

    api.answer = answer
    with pytest.raises(RequestTimeoutError):
        await send(api.url, request_of(), request_timeout_seconds=0.1)


async def test_a_reset_is_a_failed_connection_and_no_second_request(api, request_of):
    api.answer = lambda seen: "reset" if len(api.seen) > 1 else 200
    async with RestClient(ClientSettings(api.url), 1) as client:
        await client.send(request_of(method="PUT"))
        with pytest.raises(ConnectionFailedError):
            await client.send(request_of(method="PUT"))
    assert len(api.seen) == 2


async def test_a_server_that_is_not_there_is_a_failed_connection(request_of):
    with running_api() as gone:
        pass
    with pytest.raises(ConnectionFailedError):
        await send(gone.url, request_of())


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"",
        b"HTTP/1.1 2",
    ],
)
async def test_what_is_no_http_is_a_failed_connection(request_of, raw):
    with raw_server(raw) as port, pytest.raises(ConnectionFailedError) as caught:
        await send(f"http://127.0.0.1:{port}", request_of())
    assert caught.value.sent


HEAD = b"HTTP/1.1 201 Created\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (HEAD + b"X: " + b"a" * 70_000 + b"\r\n" + EMPTY, AnswerUnreadableError),
        (HEAD + b"".join(b"X-%d: a\r\n" % number for number in range(1_100)) + EMPTY, AnswerUnreadableError),
        (HEAD + b"no colon\r\n" + EMPTY, AnswerUnreadableError),
        (HEAD + b"Content-Length: x\r\n\r\n", AnswerUnreadableError),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", AnswerUnreadableError),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", AnswerUnreadableError),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", AnswerUnreadableError),
        (HEAD + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n\xff\xfe", AnswerUnreadableError),
        (HEAD + b"Content-Length: 1001\r\n\r\n" + b"x" * 1_001, AnswerUnreadableError),
        (HEAD + b"Content-Length: 9\r\n\r\nab", ConnectionFailedError),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", ConnectionFailedError),
        (HEAD + b"Content-", ConnectionFailedError),
    ],
    ids=range(12),
)
async def test_an_answer_whose_rest_cannot_be_read_has_a_status(request_of, raw, kind):
    with raw_server(raw) as port:
        response = await send(f"http://127.0.0.1:{port}", request_of(), max_response_bytes=1_000)
    assert (response.status, type(response.broken), response.body) == (201, kind, b"")


@pytest.mark.parametrize(
    "before", [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n"]
)
async def test_what_comes_before_an_answer_does_not_hide_its_status(request_of, before):
    with raw_server(before + HEAD + b"X: " + b"a" * 70_000 + b"\r\n" + EMPTY) as port:
        response = await send(f"http://127.0.0.1:{port}", request_of())
    assert (response.status, type(response.broken)) == (201, AnswerUnreadableError)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 Connection established\r\nX: y", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000]
)
async def test_a_proxys_answer_to_the_wish_for_a_tunnel_is_none_of_the_api(request_of, answer):
    with raw_server(answer) as port, pytest.raises(ConnectionFailedError):
        await send("https://api.example.com", request_of(), proxy=f"http://127.0.0.1:{port}")


async def test_a_proxy_that_asks_who_asks_is_known_by_its_status_alone(request_of):
    broken = b"HTTP/1.1 407 Who\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"
    with raw_server(broken) as port, pytest.raises(ProxyCredentialsError):
        await send("http://api.example.com", request_of(), proxy=f"http://127.0.0.1:{port}")


async def test_an_answer_that_comes_too_slowly_has_a_status(request_of, clock):
    begins = HEAD + b"Content-Length: 9\r\n\r\nab"

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begins)
        await asyncio.to_thread(was_read.wait, 60)
        clock.now += 60.1
        await reader.read()
        writer.close()

    with reading(len(begins)) as was_read:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            response = await send(url, request_of())
    assert (response.status, type(response.broken)) == (201, RequestTimeoutError)


async def test_headers_of_up_to_64_kb_are_read(request_of):
    many = b"".join(b"X-%d: a\r\n" % number for number in range(500))
    with raw_server(HEAD + b"Link: " + b"a" * 60_000 + b"\r\n" + many + EMPTY) as port:
        response = await send(f"http://127.0.0.1:{port}", request_of())
    assert (response.status, len(response.headers["Link"]), response.broken) == (201, 60_000, None)


async def test_nothing_was_sent_to_whom_there_is_no_connection(request_of):
    with running_api() as gone:
        pass
    with pytest.raises(ConnectionFailedError) as caught:
        await send(gone.url, request_of())
    assert not caught.value.sent


@pytest.mark.parametrize("encoding", [None, "gzip", "deflate"])
@pytest.mark.parametrize(("size", "fits"), [(1_000, True), (1_001, False), (1_000_000, False)])
async def test_an_answer_larger_than_the_bound_is_not_kept(api, request_of, encoding, size, fits):
    pack = {None: bytes, "gzip": gzip.compress, "deflate": zlib.compress}[encoding]
    headers = {"Content-Encoding": encoding} if encoding else {}
    api.answer = lambda seen: web.Response(body=pack(b"x" * size), headers=headers)
    response = await send(api.url, request_of(), max_response_bytes=1_000)
    assert (response.body, response.broken is None) == (b"x" * size if fits else b"", fits)
    assert fits or "max_response_mb" in str(response.broken)


async def test_an_answer_without_a_length_has_the_same_bound(api, request_of):
    async def answer(seen):
        async def pieces():
            for _ in range(1_000):
                yield b"x" * 100

        return web.Response(body=pieces())

    api.answer = answer
    response = await send(api.url, request_of(), max_response_bytes=1_000)
    assert (response.status, type(response.broken)) == (200, AnswerUnreadableError)


def redirect(status, location):
    return lambda seen: web.Response(status=status, headers={"Location": location}) if seen.path == "/x" else 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_redirect_is_an_answer_for_all_but_get(api, request_of, method, status):
    api.answer = redirect(status, "/y")
    assert (await send(api.url, request_of(method=method))).status == status
    assert len(api.seen) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/y?a=1", "y?a=1", "{url}/y?a=1"])
async def test_a_get_follows_within_the_same_host(api, request_of, status, location):
    api.answer = redirect(status, location.format(url=api.url))
    response = await send(api.url, request_of(method="GET", body=None), headers={"Authorization": "t"})
    assert response.status == 200
    assert [(seen.path, seen.query, seen.headers["Authorization"]) for seen in api.seen] == [
        ("/x", "", "t"),
        ("/y", "a=1", "t"),
    ]


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ({"Authorization": "Bearer t"}, ["/x", "/y"]),
        ({}, ["/x", "/y"]),
        ({"X-Signature": "s"}, ["/x"]),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=a"}, ["/x"]),
        ({"Authorization": "Bearer t", "DPoP": "p"}, ["/x"]),
    ],
)
async def test_a_get_whose_signature_is_of_its_address_is_not_redirected(api, request_of, headers, asked):
    api.answer = redirect(307, "/y")
    response = await send(api.url, request_of(method="GET", body=None).with_headers(headers))
    assert [seen.path for seen in api.seen] == asked
    assert (response.request is not None) is (len(asked) == 1)


@pytest.mark.parametrize("location", ["http://127.0.0.2/y", "//other/y", "https://127.0.0.1/y", "ftp://x", "", None])
async def test_a_get_goes_nowhere_else(api, request_of, location):
    api.answer = lambda seen: web.Response(status=302, headers={} if location is None else {"Location": location})
    assert (await send(api.url, request_of(method="GET", body=None))).status == 302
    assert len(api.seen) == 1


async def test_redirects_in_a_circle_end(api, request_of):
    api.answer = lambda seen: web.Response(status=302, headers={"Location": "/x"})
    assert (await send(api.url, request_of(method="GET", body=None))).status == 302
    assert len(api.seen) == 6


@pytest.mark.parametrize(("kind", "status"), [("application/json", 200), ("text/html", 302)])
async def test_a_redirect_may_lead_to_a_compressed_answer(api, request_of, kind, status):
    def answer(seen):
        if seen.path == "/x":
            return web.Response(status=302, headers={"Location": "/y"})
        return web.Response(body=gzip.compress(b'{"a":1}'), headers={"Content-Encoding": "gzip", "Content-Type": kind})

    api.answer = answer
    response = await send(api.url, request_of(method="GET", body=None))
    assert (response.status, response.broken) == (status, None)
    assert response.body == (b'{"a":1}' if status == 200 else b"")


@pytest.mark.parametrize("body", [b'{"a":1}', b"no gzip"])
async def test_what_a_redirect_leads_to_is_an_answer_whether_it_can_be_read_or_not(api, request_of, monkeypatch, body):
    def answer(seen):
        if seen.path == "/x":
            return web.Response(status=302, headers={"Location": "/y"})
        encoding = {"Content-Encoding": "gzip"} if body == b"no gzip" else {}
        return web.Response(body=body, headers={**encoding, "Content-Type": "application/json", "X-Page": "2"})

    async def wait_for_the_limit():
        now[0] += 100.0

    api.answer, now = answer, [1.0]
    monkeypatch.setattr(client_module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    async with RestClient(ClientSettings(api.url), 1) as client:
        client.before_redirect = wait_for_the_limit
        response = await client.send(request_of(method="GET", body=None))
    assert (response.status, response.headers["X-Page"], now) == (200, "2", [101.0])
    assert isinstance(response.broken, AnswerUnreadableError if body == b"no gzip" else NoneType)
    assert response.elapsed_seconds == 0.0  # what was waited for the limit is no time of the API's


@pytest.mark.parametrize(("cookies", "sent_back"), [(False, None), (True, "session=1")])
async def test_cookies_are_kept_only_when_asked_for(api, request_of, cookies, sent_back):
    api.answer = lambda seen: web.Response(headers={"Set-Cookie": "session=1"})
    async with RestClient(ClientSettings(api.url, cookies=cookies), 1) as client:
        await client.send(request_of())
        await client.send(request_of())
    assert api.seen[1].headers.get("Cookie") == sent_back


@pytest.mark.parametrize(
    ("trust_env", "environment", "through"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"no_proxy": "other,api.invalid"}, False),
        (True, {"no_proxy": "*.invalid"}, False),
        (True, {"http_proxy": "{place}"}, True),
        (True, {"http_proxy": "", "ALL_PROXY": "HTTP://{place}"}, True),
    ],
)
async def test_the_proxy_of_the_environment_is_used_where_trusted(
    api, request_of, monkeypatch, trust_env, environment, through
):
    for name in ("http_proxy", "no_proxy", "HTTP_PROXY", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"http_proxy": api.url, **environment}.items():
        monkeypatch.setenv(name, value.format(place=api.url.partition("://")[2]))
    sending = send("http://api.invalid/base", request_of(), trust_env=trust_env, request_timeout_seconds=5)
    if through:
        await sending
        assert api.seen[0].path == "http://api.invalid/base/x"
    else:
        with pytest.raises((ConnectionFailedError, RequestTimeoutError)):
            await sending
        assert api.seen == []


@pytest.mark.parametrize("proxy", ["socks5://user:s3cret@127.0.0.1:1080", "http://user:s3cret@[::1", "http://"])
def test_a_wrong_proxy_of_the_environment_is_an_error_of_the_settings_without_its_password(monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(ConfigurationError, match="the environment's http_proxy: write a URL") as raised:
        RestClient(ClientSettings("http://api.invalid"), 1)
    assert "cret" not in str(raised.value)


PASSWORDS = [
    ("user:pass", b"user:pass"),
    ("\u017dan:h\xe9s l\u00f3", "\u017dan:h\xe9s l\u00f3".encode()),
    ("user:a%2Fb%C4%8D%", "user:a/b\u010d%".encode()),
    ("user:a/b#c?d@e:f", b"user:a/b#c?d@e:f"),
    ("user:%E9", b"user:\xe9"),
    ("user", b"user:"),
]


@pytest.mark.parametrize(("credentials", "sent"), PASSWORDS)
async def test_a_proxy_is_told_who_asks_with_every_request(api, request_of, credentials, sent):
    settings = ClientSettings("http://api.invalid", proxy=api.url.replace("://", f"://{credentials}@"))
    async with RestClient(settings, 1) as client:
        for _ in range(2):
            await client.send(request_of())
    assert [base64.b64decode(seen.headers["Proxy-Authorization"].removeprefix("Basic ")) for seen in api.seen] == [
        sent,
        sent,
    ]


@pytest.mark.parametrize(("credentials", "sent"), PASSWORDS)
async def test_a_proxy_is_told_who_wants_a_tunnel(request_of, credentials, sent):
    asked = []

    async def serve(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Who asks?\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        proxy = f"{credentials}@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(ProxyCredentialsError):
            await send("https://api.invalid", request_of(), proxy=proxy)
    [(first, *lines)] = [head.decode().split("\r\n") for head in asked]
    assert first == "CONNECT api.invalid:443 HTTP/1.1"
    assert f"Proxy-Authorization: Basic {base64.b64encode(sent).decode()}" in lines


@pytest.mark.parametrize("proxied", [True, False])
async def test_a_407_is_the_proxys_where_there_is_one(api, request_of, proxied):
    api.answer = lambda seen: 407
    if proxied:
        with pytest.raises(
            ProxyCredentialsError, match="the proxy answers 407 Proxy Authentication Required"
        ) as raised:
            await send("http://api.invalid", request_of(), proxy=api.url)
        assert (raised.value.reason, raised.value.cause) == ("proxy", "proxy_credentials")
    else:
        assert (await send(api.url, request_of(), trust_env=False)).status == 407


async def test_a_proxy_of_the_connection_comes_before_that_of_the_environment(api, request_of, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    await send("http://api.invalid", request_of(), proxy=api.url.replace("://", "://user:pass@"))
    assert api.seen[0].headers["Proxy-Authorization"] == "Basic dXNlcjpwYXNz"


async def test_a_netrc_file_does_not_come_between_the_connection_and_the_api(api, request_of, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("default login other password person\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    await send(api.url, request_of(), headers={"Authorization": "Bearer mine"})
    await send(api.url, request_of())
    assert [seen.headers.get("Authorization") for seen in api.seen] == ["Bearer mine", None]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(path)


@pytest.fixture
def secure_api(certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with running_api(ssl_context=context) as server:
        yield server


async def test_a_certificate_that_is_not_trusted_is_an_error_of_its_own(secure_api, request_of):
    with pytest.raises(TlsError, match="certificate is not trusted"):
        await send(secure_api.url, request_of())
    assert secure_api.seen == []


async def test_a_certificate_can_be_trusted_by_file_or_not_be_checked(secure_api, certificate, request_of):
    for verify in (certificate, False):
        assert (await send(secure_api.url, request_of(), verify=verify)).status == 200


async def test_a_client_shows_its_certificate(certificate, request_of):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    context.load_cert_chain(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with running_api(ssl_context=context) as server:
        shown = await send(server.url, request_of(), verify=certificate, client_certificate=(certificate, None))
        assert shown.status == 200
        with pytest.raises((ConnectionFailedError, TlsError)):
            await send(server.url, request_of(), verify=certificate)


async def test_https_to_a_server_that_speaks_http_is_an_error_of_its_own(api, request_of):
    with pytest.raises(TlsError):
        await send(api.url.replace("http:", "https:"), request_of())


@pytest.mark.parametrize("files", [{"verify": "/no/such.pem"}, {"client_certificate": ("/no/such.pem", None)}])
async def test_certificate_files_that_cannot_be_read_are_told_before_the_first_request(files):
    with pytest.raises(ConfigurationError, match="'verify' and 'cert'"):
        await RestClient(ClientSettings("https://127.0.0.1", **files), 1).__aenter__()


async def test_a_file_that_is_no_certificate_is_told_before_the_first_request(tmp_path):
    (tmp_path / "x.pem").write_text("no certificate")
    with pytest.raises(ConfigurationError, match="'verify' and 'cert'"):
        await RestClient(ClientSettings("https://127.0.0.1", verify=str(tmp_path / "x.pem")), 1).__aenter__()


async def test_a_client_is_used_inside_its_block(request_of):
    with pytest.raises(RuntimeError, match="async with"):
        await RestClient(ClientSettings("http://127.0.0.1"), 1).send(request_of())


@pytest.mark.parametrize("status", [200, 204, 404, 503])
async def test_any_status_is_an_answer(mocked, request_of, status):
    mocked.post("http://api.invalid/x", status=status, payload={"a": 1})
    response = await send("http://api.invalid", request_of())
    assert (response.status, response.json()) == (status, {"a": 1})


@every_row(
    "url",
    ["", "api.example.com", "https://", "ftp://x", "file:///etc", "http://x:port", "http://x:99999", "http://[::1",
     "https://x#y", "https://x/?a=1#y", "https://user:pass@x", "https://:s3cret@x:port", "https://user:s3cret/pass@x",
     "https://a b", "https://x/a b", "https://x/a\n", "https://x\\y", "https://x\u200by", "https://a..b",
     "https://xn--zz--", f"https://{'a' * 64}.example", "ftp://x?key=s3cret"],
)  # fmt: skip
def test_a_wrong_base_url_names_what_to_fill_in(url):
    with pytest.raises(ConfigurationError, match="base URL") as raised:
        ClientSettings(url)
    assert "pass" not in str(raised.value).replace("Password", "")
    assert "s3cret" not in str(raised.value)


@every_row(
    ("name", "value"),
    [("X-A", "a\r\nX-B: b"), ("X-A", "token\n"), ("X-A", "a\0"), ("X-A", None), ("X-A", 5), ("X A", "a"), ("", "a"), ("X:", "a"), ("X\r\nY", "a"), (5, "a")],
)  # fmt: skip
def test_a_header_that_would_forge_another_is_refused_without_its_value(name, value):
    with pytest.raises(ConfigurationError, match="the connection's headers") as raised:
        ClientSettings("http://x", headers={name: value})
    assert "token" not in str(raised.value)


ADDRESSES = [
    ("", "", "", "/"),
    ("", "a/b", "q=1", "/a/b?q=1"),
    ("/services/T0/B0", "", "", "/services/T0/B0"),
    ("/services/T0/B0", "", "id=7", "/services/T0/B0?id=7"),
    ("/services/T0/B0", "/", "id=7", "/services/T0/B0/?id=7"),
    ("/v1", "x", "", "/v1/x"),
    ("/v1/", "x", "", "/v1/x"),
    ("/v1/", "", "", "/v1/"),
    ("/v1/", "/", "", "/v1/"),
    ("/v%2F1/\u010d", "x", "", "/v%2F1/%C4%8D/x"),
    ("?api-version=2024", "", "", "/?api-version=2024"),
    ("/api?api-version=2024", "", "", "/api?api-version=2024"),
    ("/api?api-version=2024", "x", "id=7", "/api/x?api-version=2024&id=7"),
    ("/api/?a=%2F+%2B\u010d&b", "", "id=7", "/api/?a=%2F+%2B%C4%8D&b&id=7"),
    ("/api?api-version=2024&k=1", "x", "api%2Dversion=2025", "/api/x?k=1&api%2Dversion=2025"),
    ("/api?tag=a&tag=b&", "x", "", "/api/x?tag=a&tag=b"),
    ("/api?", "x", "", "/api/x"),
]


@every_row(("base", "path", "query", "target"), ADDRESSES)
@every_row("method", ["POST", "GET"])
async def test_the_address_is_that_of_the_connection_and_of_the_request(request_of, method, base, path, query, target):
    first_lines = []

    async def serve(reader, writer):
        first_lines.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode())
        await reader.readexactly(0 if method == "GET" else 2)  # closed with a body unread, it would be a reset
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{base}"
        await send(url, request_of(method=method, path=path, query=query, body=None if method == "GET" else b"{}"))
    assert first_lines == [f"{method} {target} HTTP/1.1"]


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({"Host": "virtual.example.com"}, ["virtual.example.com"]),
        ({"Connection": "close", "TE": "trailers"}, ["close"]),
        ({"connection": "Keep-Alive", "Keep-Alive": "timeout=5"}, ["Keep-Alive"]),
    ],
)
async def test_headers_that_change_nothing_of_the_message_are_sent_once(api, request_of, headers, sent):
    seen_values = []
    api.answer = lambda seen: (
        seen_values.append([v for n, v in seen.headers.items() if n.lower() == next(iter(headers)).lower()]) or 200
    )
    async with RestClient(ClientSettings(api.url, headers=headers), 1) as client:
        for _ in range(2):
            assert (await client.send(request_of(body=b'{"a": 1}'))).status == 200
    assert seen_values == [sent, sent]
    assert api.stored() == {b'{"a": 1}': 2}


def test_a_header_may_have_tabs_and_any_letters():
    assert ClientSettings("http://x", headers={"X-A": "a\tč"}).headers == {"X-A": "a\tč"}


def test_an_idempotency_header_is_a_headers_name():
    with pytest.raises(ConfigurationError, match="idempotency_header"):
        ClientSettings("http://x", idempotency_header="Idempotency Key")


@every_row(
    ("secrets", "text", "redacted"),
    [
        ({"s3cret"}, "no s3cret, s3cret!", "no ***, ***!"),
        ({"s3cret", "s3cret-longer"}, "s3cret-longer", "***"),
        ({'pa"ss\\1'}, '{"you": "pa\\"ss\\\\1"}', '{"you": "***"}'),
        ({"a&b/c"}, "?token=a%26b%2Fc", "?token=***"),
        ({"žluť"}, '{"a": "\\u017elu\\u0165"}', '{"a": "***"}'),
        ({"a/b+c=d"}, '{"a": "a\\/b+c=d"}', '{"a": "***"}'),
        ({"a/b+c"}, "?token=a%2fb%2bc", "?token=***"),
        ({"a b&c"}, "?token=a+b%26c", "?token=***"),
        ({"a&b'c"}, "<p>a&amp;b&#39;c a&amp;b&#x27;c</p>", "<p>*** ***</p>"),
        ({"žluť"}, '{"a": "\\u017Elu\\u0165"}', '{"a": "***"}'),
        ({""}, "text", "text"),
        (set(), "text", "text"),
    ],
)
def test_secrets_are_taken_out_of_texts(secrets, text, redacted):
    assert ClientSettings("http://x", secrets=frozenset(secrets)).redact(text) == redacted


def test_no_secret_is_in_the_representation():
    settings = ClientSettings(
        "http://x", headers={"A": "s3cret"}, proxy="http://u:s3cret@p", secrets=frozenset({"s3cret"})
    )
    assert "s3cret" not in repr(settings)
