"""An Airflow connection of type redis or postgres -> where tasks share a limit, and their tokens."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from airflow_async_rest.compat import names
from airflow_async_rest.compat.names import conf
from airflow_async_rest.connections.connection import RestConnection, find_connection, plain_flag
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.limits.shared.postgres_store import PostgresStore
from airflow_async_rest.core.limits.shared.redis_store import RedisStore
from airflow_async_rest.core.limits.shared.store import (
    LimitStore,
)
from airflow_async_rest.core.signing.oauth2 import TokenEndpoint, TokenSource
from airflow_async_rest.core.signing.shared_tokens import SharedTokens, Sharing
from airflow_async_rest.core.stores.address import StoreAddress
from airflow_async_rest.core.stores.postgres_tokens import PostgresTokens
from airflow_async_rest.core.stores.redis_tokens import RedisTokens
from airflow_async_rest.core.stores.tokens import TokenStore

STORES: Mapping[str, Callable[..., LimitStore]] = {"redis": RedisStore, "postgres": PostgresStore}
_FLAGS = frozenset({"ssl", "ssl_check_hostname"})
_PATHS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_ca_path"})
_REQUIRED = ("none", "optional", "required")
_OF_POSTGRES = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "target_session_attrs", "options"})
REFRESH_TOKEN = "oauth2_refresh_token"  # noqa: S105  (a kind of signing in)
_TOKEN_STORES: Mapping[str, Callable[..., TokenStore]] = {"redis": RedisTokens, "postgres": PostgresTokens}
# Who has other ones gets other tokens. A new secret of the client goes on with the same refresh token.
_OF_REFRESH = ("token_url", "refresh_token")
_OF_TOKEN = (
    "auth_type", "token_url", "scope", "audience", "client_auth", "token_params", "private_key", "key_id", "jwt_claims",
)  # fmt: skip
_ROUNDS = 100_000  # so that nobody who sees the store finds out a short secret by trying: about 30 ms


def store_id(hook: RestConnection) -> str | None:
    """Return the id of the connection of the store, that of airflow.cfg where there is no other; None without one."""
    own: str | None = hook.options().get("rate_limit_conn_id")
    return own or conf.get("async_rest", "rate_limit_conn_id", fallback="").strip() or None


def store_address(conn_id: str) -> StoreAddress:
    """Return where a connection of type ``redis`` or ``postgres`` leads.

    :raises ConfigurationError: when there is none of that name, it is of another type, or has a field that is wrong.
    """
    connection = find_connection("rate_limit_conn_id", conn_id)
    kind = connection.conn_type
    if kind not in STORES:
        tls = ', with {"ssl": true} in its extra for TLS' if kind == "rediss" else ""
        raise ConfigurationError(
            f"rate_limit_conn_id={conn_id!r} is a connection of type {kind!r}: use one of type redis or postgres{tls}."
        )
    host, extra = connection.host or "localhost", _extra(conn_id, connection)
    if "://" in host or host.count(":") == 1:
        raise _wrong(conn_id, "host", host, "write the host alone; the port has a field of its own")
    database, options = _of_kind[kind](conn_id, connection, extra)
    return StoreAddress(
        conn_id=conn_id,
        kind=kind,
        host=host,
        port=connection.port,
        user=connection.login or None,
        password=connection.password or None,
        database=database or None,
        options=options,
    )


def _extra(conn_id: str, connection: Any) -> Mapping[str, Any]:
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise _wrong(conn_id, "extra", "***", "write a JSON object")
    return extra


def _of_redis(conn_id: str, connection: Any, extra: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    database = str(next((value for value in (extra.get("db"), connection.schema) if value not in (None, "")), 0))
    if not (database.isascii() and database.isdigit()):
        raise _wrong(conn_id, "db", database, "write the number of a database of that Redis, such as 0")
    options: dict[str, Any] = {}
    for name, value in extra.items():
        if name.startswith(("sentinel", "cluster", "startup_nodes")) and value:
            advice = "neither Sentinel nor a cluster is asked: write host and port of one Redis, and leave this out"
            raise _wrong(conn_id, name, "***", advice)
        if name in _FLAGS:
            options[name] = plain_flag(value)
            if not isinstance(options[name], bool):
                raise _wrong(conn_id, name, value, "write true or false")
        elif name in _PATHS and value:
            options[name] = str(value)
        elif name == "ssl_cert_reqs" and value:
            if value not in _REQUIRED:
                raise _wrong(conn_id, name, value, f"write one of {', '.join(_REQUIRED)}")
            options[name] = value
    return database, options


def _of_postgres(conn_id: str, connection: Any, extra: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    if plain_flag(extra.get("iam")) is True:
        advice = "its passwords are over soon: use a connection with login and password"
        raise _wrong(conn_id, "iam", extra["iam"], advice)
    settings = {name: value for name, value in extra.items() if name in _OF_POSTGRES and value}
    return connection.schema, {"dsn": f"postgresql://?{urlencode(settings)}"} if settings else {}


_of_kind = {"redis": _of_redis, "postgres": _of_postgres}


def _wrong(conn_id: str, field: str, value: Any, advice: str) -> ConfigurationError:
    return ConfigurationError(f"rate_limit_conn_id={conn_id!r}: that connection's {field}={value!r}: {advice}.")


def token_source(hook: RestConnection, endpoint: TokenEndpoint, on_secret: Callable[[str], None]) -> TokenSource:
    """Return what gets a connection's tokens: its endpoint, or what its tasks share where there is a place for it.

    :param on_secret: called with each refresh token.
    :raises ConfigurationError: when they have to share and cannot; says what to write.
    """
    refresh_token, conn_id = refresh_token_of(hook), store_id(hook)
    fernet = _fernet() if conn_id else None
    if conn_id is None or fernet is None:
        if refresh_token:
            raise _unshared(conn_id)
        return endpoint
    address = store_address(conn_id)
    sharing = Sharing(
        store=_TOKEN_STORES[address.kind](address),
        key=_key_of(hook, refresh_token),
        encrypt=fernet.encrypt,
        decrypt=lambda data: _decrypted(fernet.decrypt, data),
    )
    say = logging.getLogger(__name__).warning
    return SharedTokens(endpoint, sharing, refresh_token=refresh_token, on_secret=on_secret, say=say)


def _unshared(conn_id: str | None) -> ConfigurationError:
    """Say why a refresh token cannot be kept."""
    if conn_id is None:
        return ConfigurationError(
            f"auth_type={REFRESH_TOKEN!r} needs rate_limit_conn_id: a refresh token may be used up with each use, so "
            "all tasks find the next one in one place: write the id of a connection of type postgres or redis."
        )
    return ConfigurationError(
        f"auth_type={REFRESH_TOKEN!r} needs a fernet_key in [core] of airflow.cfg, the same for all workers: the "
        "next refresh token is kept encrypted."
    )


def _fernet() -> Any:
    """Return what Airflow encrypts passwords with; None where it has no key, one that is none, or this elsewhere."""
    try:
        fernet = names.get_fernet()
    except (AttributeError, names.AirflowException):
        return None
    return fernet if fernet.is_encrypted else None


def refresh_token_of(hook: RestConnection) -> str:
    """Return the connection's own refresh token; empty where it signs in by something else.

    :raises ConfigurationError: when there is none, and should be.
    """
    if hook.auth_type() != REFRESH_TOKEN:
        return ""
    token = hook.text_option("refresh_token")
    if not token:
        raise ConfigurationError(
            f"auth_type={REFRESH_TOKEN!r} needs refresh_token: sign in once, as the API's pages say, and write the "
            "refresh token that you get."
        )
    return token


def _key_of(hook: RestConnection, refresh_token: str) -> str:
    """Return a hash of what tokens are given for: the same for all connections with the same credentials."""
    options, connection = hook.options(), hook.connection
    fields = [options.get(name) for name in (_OF_REFRESH if refresh_token else _OF_TOKEN)]
    told = json.dumps([fields, connection.login, None if refresh_token else connection.password], sort_keys=True)
    return hashlib.pbkdf2_hmac("sha256", told.encode(), b"async_rest", _ROUNDS).hex()


def _decrypted(decrypt: Callable[[bytes], bytes], data: bytes) -> bytes:
    from cryptography.fernet import InvalidToken  # noqa: PLC0415  (when it is used)

    try:
        return decrypt(data)
    except InvalidToken as error:
        raise ValueError from error
