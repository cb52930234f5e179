"""Stores of a shared limit over TLS, as their Airflow connections say."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from certificates import make_certificate
from limit_stores import address_of, far_away, pooled, running_redis, store_at
from programs import free_port

from airflow_async_rest.connections.limits.store import store_address
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.limits.limits import parse_limits
from airflow_async_rest.core.stores.address import StoreAwayError

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder():
    """One that whoever a server runs as may read."""
    with TemporaryDirectory() as made:
        yield Path(made)


@pytest.fixture
def certificates(folder):
    """The issuer, a server of its own, and another issuer that knows neither."""
    issuer = make_certificate(folder, "issuer", addresses=())
    return issuer, make_certificate(folder, "server", issuer=issuer), make_certificate(folder, "other", addresses=())


async def taken(conn_id: str) -> int:
    """How many places a store gives, asked for four of a limit that nobody else knows."""
    store = store_at(store_address(conn_id), uuid4().hex, parse_limits("100/s, 500/d"))
    try:
        await store.open(lambda _: None)
        return (await store.take(4, 4)).places
    finally:
        await store.close()


@pytest.fixture
def redis_over_tls(certificates):
    """The port of a Redis that listens for nothing but TLS, beside the one by which a test sees that it is up."""
    issuer, server, _ = certificates
    port = free_port()
    files = ("--tls-cert-file", server.path, "--tls-key-file", server.path, "--tls-ca-cert-file", issuer.path)
    try:
        with running_redis("--tls-port", str(port), *files, "--tls-auth-clients", "no"):
            yield port
    except TimeoutError:
        pytest.skip("redis-server is built without TLS")


async def test_redis_keeps_limits_over_tls(connect, certificates, redis_over_tls):
    issuer, _, other = certificates
    place = {"conn_type": "redis", "host": "127.0.0.1", "port": redis_over_tls}
    connect("limits", **place, extra=json.dumps({"ssl": True, "ssl_ca_certs": issuer.path}))
    assert await taken("limits") == 4
    connect("unchecked", **place, extra=json.dumps({"ssl": True, "ssl_cert_reqs": "none"}))
    assert await taken("unchecked") == 4
    for number, extra in enumerate(({"ssl": True}, {"ssl": True, "ssl_ca_certs": other.path})):
        connect(f"stranger_{number}", **place, extra=json.dumps(extra))
        with pytest.raises(ConfigurationError, match="ssl_ca_certs names the file of the issuer's certificate"):
            await taken(f"stranger_{number}")


async def test_redis_over_tls_that_is_asked_without_is_away(connect, redis_over_tls):
    connect("limits", conn_type="redis", host="127.0.0.1", port=redis_over_tls)
    with pytest.raises(StoreAwayError, match=f"redis at 127.0.0.1:{redis_over_tls}"):
        await taken("limits")


async def test_postgresql_keeps_limits_over_tls(connect, certificates, postgres, folder):
    issuer, server, other = certificates
    _let_read(folder, postgres.socket_folder)
    files = {"client_tls_cert_file": server.path, "client_tls_key_file": server.path}
    with pooled(postgres, client_tls_sslmode="require", **files) as pooler:
        place = {"conn_type": "postgres", "host": "127.0.0.1", "port": pooler.port, "login": "postgres"}
        place |= {"schema": postgres.database}

        def of(conn_id: str, **tls) -> str:
            connect(conn_id, **place, extra=json.dumps(tls))
            return conn_id

        assert await taken(of("required", sslmode="require")) == 4
        assert await taken(of("verified", sslmode="verify-full", sslrootcert=issuer.path)) == 4
        with pytest.raises(ConfigurationError, match="certificate verify failed.* its extra names"):
            await taken(of("stranger", sslmode="verify-full", sslrootcert=other.path))
        with pytest.raises(ConfigurationError, match="SSL required"):
            await taken(of("without", sslmode="disable"))


@pytest.mark.parametrize(
    "tls",
    [
        {"sslmode": "require"},
        {"sslmode": "verify-full", "sslrootcert": "/no/such"},
        {"sslmode": "require", "sslcert": "/no/such"},
        {"sslmode": "verify-ca", "sslrootcert": __file__},
        {"sslmode": "require", "sslcert": __file__, "sslkey": __file__},
    ],
)
async def test_postgresql_that_can_never_be_reached_over_tls_is_told(connect, postgres, tls):
    connect("limits", conn_type="postgres", host="127.0.0.1", port=1, login="postgres", extra=json.dumps(tls))
    options = store_address("limits").options
    async with far_away(address_of(postgres), 0.0) as address:
        with pytest.raises(ConfigurationError, match="correct that connection's fields, or the files of certificates"):
            await store_at(replace(address, options=options), "api", parse_limits("1/s")).open(lambda _: None)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"ssl_ca_certs": "/no/such"}, "is not on this machine"),
        ({"ssl_ca_certs": __file__}, "holds no certificate"),
        ({"ssl_certfile": __file__, "ssl_keyfile": __file__}, "holds no certificate, or not its key"),
    ],
)
async def test_redis_that_can_never_be_reached_over_tls_is_told(connect, files, said):
    with running_redis() as redis:
        place = {"conn_type": "redis", "host": "127.0.0.1", "port": redis.port}
        connect("limits", **place, extra=json.dumps({"ssl": True, **files}))
        with pytest.raises(ConfigurationError, match=said):
            await taken("limits")


def _let_read(folder: Path, like: str) -> None:
    owner = Path(like).stat()
    for one in (folder, *folder.iterdir()):
        shutil.chown(one, owner.st_uid, owner.st_gid)
