"""An Airflow connection of type redis or postgres -> where tasks share a limit, and their tokens, too."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from airflow_async_rest.compat.names import conf
from airflow_async_rest.connections.connection import RestConnection, find_connection
from airflow_async_rest.connections.extra import plain_flag
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.limits.shared.postgres_store import PostgresStore
from airflow_async_rest.core.limits.shared.redis_store import RedisStore
from airflow_async_rest.core.limits.shared.store import LimitStore
from airflow_async_rest.core.stores.address import StoreAddress

STORES: Mapping[str, Callable[..., LimitStore]] = {"redis": RedisStore, "postgres": PostgresStore}
_FLAGS = frozenset({"ssl", "ssl_check_hostname"})
_PATHS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_ca_path"})
_REQUIRED = ("none", "optional", "required")
_OF_POSTGRES = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "target_session_attrs", "options"})


def store_id(hook: RestConnection) -> str | None:
    """Return the id of the connection of the store, that of airflow.cfg where there is no other; None without one."""
    own: str | None = hook.options().get("rate_limit_conn_id")
    return own or conf.get("async_rest", "rate_limit_conn_id", fallback="").strip() or None


def store_address(conn_id: str) -> StoreAddress:
    """Return where a connection of type ``redis`` or ``postgres`` leads.

    :raises ConfigurationError: when no connection has that name, or it is of another type or has a wrong field.
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
        advice = "write the host alone; port, login and password have fields of their own"
        raise _wrong(conn_id, "host", "***" if "@" in host else host, advice)
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
        advice = "its passwords expire soon: use a connection with login and password"
        raise _wrong(conn_id, "iam", extra["iam"], advice)
    settings = {name: value for name, value in extra.items() if name in _OF_POSTGRES and value}
    return connection.schema, {"dsn": f"postgresql://?{urlencode(settings)}"} if settings else {}


_of_kind = {"redis": _of_redis, "postgres": _of_postgres}


def _wrong(conn_id: str, field: str, value: Any, advice: str) -> ConfigurationError:
    return ConfigurationError(f"rate_limit_conn_id={conn_id!r}: that connection's {field}={value!r}: {advice}.")
