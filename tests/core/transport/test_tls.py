import asyncio
import shutil
import socket
import ssl
import subprocess
import sys
from contextlib import suppress
from types import SimpleNamespace

import pytest
from certificates import make_certificate
from cryptography.hazmat.primitives import serialization
from servers import running_api
from tables import every_row

from airflow_async_rest.core.errors import ConfigurationError, TlsError
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.client import RestClient
from airflow_async_rest.core.transport.tls import describe_certificate, tls_context, tls_error


def test_a_connection_without_tls_settings_has_the_defaults():
    assert tls_context(ClientSettings("https://x")) is True


def test_files_that_cannot_be_read_name_their_fields():
    with pytest.raises(ConfigurationError, match="'verify' and 'cert'"):
        tls_context(ClientSettings("https://x", verify="/no/such.pem"))


@pytest.fixture
def trusted(tmp_path):
    """A server's certificate; its file, and a directory as OpenSSL wants it."""
    made = make_certificate(tmp_path, "api")
    hashed = tmp_path / "hashed"
    hashed.mkdir()
    shutil.copy(made.path, hashed / "api.pem")
    subprocess.run(["openssl", "rehash", str(hashed)], check=True)
    with running_api(ssl_context=made.server()) as server:
        yield SimpleNamespace(url=server.url, file=made.path, folder=str(hashed))


BUNDLES = [
    ({"REQUESTS_CA_BUNDLE": "{file}"}, {}, True),
    ({"REQUESTS_CA_BUNDLE": "{folder}"}, {}, True),
    ({"CURL_CA_BUNDLE": "{file}"}, {}, True),
    ({"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "{folder}"}, {}, True),
    ({"REQUESTS_CA_BUNDLE": "{file}", "CURL_CA_BUNDLE": "/no/such.pem"}, {}, True),
    ({"REQUESTS_CA_BUNDLE": "{file}"}, {"trust_env": False}, False),
    ({"REQUESTS_CA_BUNDLE": "/no/such.pem"}, {"verify": "{file}"}, True),
    ({"REQUESTS_CA_BUNDLE": "/no/such.pem"}, {"verify": False}, True),
    ({}, {"verify": "{folder}"}, True),
    ({}, {}, False),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("environment", "settings", "is_trusted"), BUNDLES)
async def test_certificates_are_trusted_by_field_or_environment(
    trusted, request_of, each_transport, monkeypatch, environment, settings, is_trusted
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(**vars(trusted)))
    filled = {
        name: value.format(**vars(trusted)) if isinstance(value, str) else value for name, value in settings.items()
    }
    async with RestClient(ClientSettings(trusted.url, **filled), 1) as client:
        if is_trusted:
            assert (await client.send(request_of())).status == 200
        else:
            with pytest.raises(TlsError):
                await client.send(request_of())


def answer_who_has_a_certificate(listening, context):
    """Ask for a client's certificate once its request has come, as servers do for single paths (RFC 8446, 4.6.2)."""
    with listening, context.wrap_socket(listening.accept()[0], server_side=True) as connection:
        connection.recv(65_536)
        with suppress(ssl.SSLError):  # the client has not said that it may be asked
            connection.verify_client_post_handshake()
            connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.settimeout(0.02)
            for _ in range(1_000):
                if connection.getpeercert():
                    break
                with suppress(TimeoutError):  # what comes is no data
                    connection.read(1)
        status = 200 if connection.getpeercert() else 403
        connection.write(b"HTTP/1.1 %d Any\r\nContent-Length: 0\r\n\r\n" % status)


@pytest.mark.anyio
async def test_a_client_certificate_may_be_asked_for_after_the_request(tmp_path, request_of, each_transport):
    issuer, of_server = make_certificate(tmp_path, "issuer", addresses=()), make_certificate(tmp_path, "api")
    of_client = make_certificate(tmp_path, "client", issuer=issuer)
    context = of_server.server(client_ca=issuer)
    context.post_handshake_auth = True
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"https://127.0.0.1:{listening.getsockname()[1]}"
    answering = asyncio.get_running_loop().run_in_executor(None, answer_who_has_a_certificate, listening, context)
    settings = ClientSettings(url, verify=of_server.path, client_certificate=(of_client.path, None))
    async with RestClient(settings, 1) as client:
        assert (await client.send(request_of())).status == 200
    await answering


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_variable_that_names_no_certificates_is_named(name):
    with pytest.raises(ConfigurationError, match=f"check the paths in the environment's {name} .*: /no/such.pem"):
        tls_context(ClientSettings("https://x"), {name: "/no/such.pem"})
    assert tls_context(ClientSettings("http://x"), {name: "/no/such.pem"}) is True


def test_a_directory_that_openssl_would_find_nothing_in_is_told(tmp_path):
    make_certificate(tmp_path, "api")
    with pytest.raises(ConfigurationError, match="'verify' and 'cert'.*") as raised:
        tls_context(ClientSettings("https://x", verify=str(tmp_path)))
    assert "openssl rehash" in str(raised.value)


def test_a_certificate_is_described_by_what_one_compares(tmp_path):
    ca = make_certificate(tmp_path, "Our CA")
    text = describe_certificate(make_certificate(tmp_path, "api", addresses=["10.0.0.1", "::1"], issuer=ca).der)
    assert "it is for 10.0.0.1, ::1 (subject CN=api, issuer CN=Our CA, valid from 20" in text
    assert "signed by itself" in describe_certificate(ca.der)


def test_a_certificate_without_names_says_so(tmp_path):
    assert "it is for no name" in describe_certificate(make_certificate(tmp_path, "api", addresses=()).der)


def test_what_is_no_certificate_has_no_description():
    assert describe_certificate(b"x") == ""


def test_without_the_library_there_is_no_description(tmp_path, monkeypatch):
    der = make_certificate(tmp_path, "api").der
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert describe_certificate(der) == ""


class RaisedError(OSError):
    def __init__(self, reason):
        super().__init__(1, f"[SSL: {reason}] text")
        self.reason = reason


@every_row(
    ("reason", "cause"),
    [
        ("WRONG_VERSION_NUMBER", "not_tls"),
        ("RECORD_LAYER_FAILURE", "not_tls"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "client_certificate"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "client_certificate"),
        ("TLSV1_ALERT_UNKNOWN_CA", "client_certificate"),
        ("NO_PROTOCOLS_AVAILABLE", "tls"),
        (None, "tls"),
    ],
)
def test_openssls_words_have_a_cause(reason, cause):
    assert tls_error(RaisedError(reason)).cause == cause


def test_a_key_with_a_pass_phrase_is_refused_instead_of_asked_for(tmp_path):
    made = make_certificate(tmp_path, "client")
    locked = made.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"pass phrase"),
    )
    (tmp_path / "locked.pem").write_bytes(locked)
    with pytest.raises(ConfigurationError, match="certificate files cannot be read"):
        tls_context(ClientSettings("https://x", client_certificate=(made.path, str(tmp_path / "locked.pem"))))
