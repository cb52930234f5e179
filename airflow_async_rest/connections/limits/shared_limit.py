"""A connection's limits -> what makes a job keep to them: by itself, or together with all who share them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_async_rest.connections.auth_types import TOKENS
from airflow_async_rest.connections.connection import RestConnection
from airflow_async_rest.connections.extra import parsed
from airflow_async_rest.connections.limits.store import STORES, store_address, store_id
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.limits.limiter import Limiter, MakeLimiter
from airflow_async_rest.core.limits.limits import Limits, Rate, parse_limits
from airflow_async_rest.core.limits.quotas import COMMON, QuotaHeaders
from airflow_async_rest.core.limits.rate_limit import RateLimiter, parse_rate_limit
from airflow_async_rest.core.limits.shared.limiter import SharedLimiter
from airflow_async_rest.core.stores.address import StoreAddress
from airflow_async_rest.core.watching.log import Log

# How much of the limit is handed out at once, at most.
_BLOCK_SECONDS = 0.05
_LONGEST_KEY = 200


@dataclass(frozen=True, kw_only=True)
class SharedLimit:
    """A limit that a connection's tasks share.

    :param address: of its store.
    :param key: of all who share it.
    """

    address: StoreAddress
    key: str
    limits: Limits


@dataclass(frozen=True, kw_only=True)
class Limiting:
    """How a job is held to its limits.

    :param rate: the strictest limit that is paced, for people to see; None without one.
    :param make: makes the limiter of one run.
    :param shared: the connection's, where tasks share it.
    """

    rate: Rate | None
    make: MakeLimiter
    shared: SharedLimit | None = None


def limiting_of(hook: RestConnection, own: Any, *, longest_seconds: float, log: Log) -> Limiting:
    """Return how a job is held to its own limits, and to those that its connection shares.

    Without a store, the task's own limit wins over the connection's; with one both hold.

    :param own: the task's ``rate_limit``.
    :param longest_seconds: that a day's limit which is used up is waited for.
    :raises ConfigurationError: when a field or the argument is wrong; names it.
    """
    options, of_task = hook.options(), parse_limits(None if own == "" else own)
    shared, conn_id = parse_limits(options.get("rate_limit")), _store_of(hook, options)
    if conn_id is None:
        return Limiting(rate=parse_rate_limit(own or options.get("rate_limit")), make=RateLimiter)
    if not shared and not of_task.days:
        return Limiting(rate=of_task.pace, make=RateLimiter)
    address, key = store_address(conn_id), _key_of(hook, options)
    fallback = parse_rate_limit(options.get("rate_limit_fallback"), "rate_limit_fallback")

    def share(limits: Limits, of: str, before: Limiter) -> Limiter:
        return SharedLimiter(
            STORES[address.kind](address, of, limits, block_seconds=_BLOCK_SECONDS),
            limits,
            key=of,
            before=before,
            own=of_task.rates,
            fallback=RateLimiter(fallback) if fallback else None,
            say=log.warning,
            longest_seconds=longest_seconds,
        )

    def make(_: tuple[int, float] | None) -> Limiter:
        limiter: Limiter = RateLimiter(of_task.pace)
        if of_task.days:  # of all tasks of the connection that write the same
            limiter = share(Limits(days=of_task.days), f"{key}: {own}", limiter)
        return share(shared, key, limiter) if shared else limiter

    of_all = SharedLimit(address=address, key=key, limits=shared) if shared else None
    return Limiting(rate=Limits(of_task.rates + shared.rates).pace, make=make, shared=of_all)


def _store_of(hook: RestConnection, options: Mapping[str, Any]) -> str | None:
    """Return the id of the store's connection; None where nothing is shared."""
    own = options.get("rate_limit_conn_id")
    if own is not None and options.get("rate_limit") is None and hook.auth_type() not in TOKENS:
        raise _wrong(hook, "rate_limit_conn_id", own, "it says where rate_limit is kept: write a rate_limit, too")
    conn_id = store_id(hook)
    for name in ("rate_limit_key", "rate_limit_fallback"):
        if conn_id is None and options.get(name) is not None:
            advice = "it is about a limit that tasks share: say in rate_limit_conn_id where it is kept"
            raise _wrong(hook, name, options[name], advice)
    return conn_id


def _key_of(hook: RestConnection, options: Mapping[str, Any]) -> str:
    key = options.get("rate_limit_key", hook.http_conn_id)
    if not isinstance(key, str) or not 1 <= len(key.strip()) <= _LONGEST_KEY:
        raise _wrong(hook, "rate_limit_key", key, "write a name that all connections to one API share")
    return key.strip()


def quota_headers_of(hook: RestConnection) -> tuple[QuotaHeaders, ...]:
    """Return the names of the headers in which the API tells what remains of its limit.

    :raises ConfigurationError: when the connection's are wrong.
    """
    names = parsed(hook.options().get("rate_limit_headers"))
    if names is None:
        return COMMON
    known = {"remaining", "reset", "limit"}
    if (
        not isinstance(names, Mapping)
        or not {"remaining", "reset"} <= names.keys() <= known
        or not all(isinstance(name, str) and name.strip() for name in names.values())
    ):
        example = '{"remaining": "X-Quota-Left", "reset": "X-Quota-Reset", "limit": "X-Quota"}'
        raise _wrong(hook, "rate_limit_headers", names, f"write a JSON object such as {example}")
    return (QuotaHeaders(**{word: name.strip() for word, name in names.items()}),)


def _wrong(hook: RestConnection, field: str, value: Any, advice: str) -> ConfigurationError:
    return ConfigurationError(f"connection {hook.http_conn_id!r}: {field}={value!r}: {advice}.")
