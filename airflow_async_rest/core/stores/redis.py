"""Redis: a client of it, and what its errors mean."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.stores.address import StoreAddress, StoreAwayError

if TYPE_CHECKING:
    from redis.asyncio import Redis

# Of errors that no waiting helps against, those that have no class of their own.
_FOR_GOOD = ("DB index", "The user executing the script")
_ADVICE = {
    "certificate verify failed": "the extra field ssl_ca_certs names the file of the issuer's certificate",
    "PEM lib": "a file that the extra names holds no certificate, or not its key",
    "no certificate or crl": "a file that the extra names holds no certificate",
    "Error 2 connecting": "a file that the extra names is not on this machine",
    "unknown command": "write host and port of a Redis; Sentinel is not asked where one is",
}


def redis_client(address: StoreAddress, bounds: Bounds = USUAL) -> "Redis":
    """Return a client, which connects when it is asked. :raises ConfigurationError: when none is installed."""
    try:
        from redis.asyncio import Redis  # noqa: PLC0415  (only who shares something needs it)
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            f"rate_limit_conn_id={address.conn_id!r} is a Redis, and its client is not installed: install "
            "airflow-provider-async-rest[redis]."
        ) from error
    seconds = bounds.store_answer_seconds
    return Redis(
        host=address.host,
        port=address.port or 6379,
        username=address.user,
        password=address.password,
        db=address.database or 0,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=seconds,
        socket_timeout=seconds,
        **address.options,
    )


@contextlib.contextmanager
def redis_errors(address: StoreAddress, rights: str) -> Iterator[None]:
    """Raise errors of the client as what they mean.

    :param rights: what its user has to be allowed.
    :raises ConfigurationError: when it will never work like this; says what to do.
    :raises StoreAwayError: when there is no answer for now.
    """
    from redis import exceptions as redis  # noqa: PLC0415

    denied = (redis.AuthenticationError, redis.AuthorizationError, redis.NoPermissionError)
    try:
        yield
    except (redis.RedisError, OSError) as error:
        conn_id, said = address.conn_id, address.describe(error)
        advice = next((advice for mark, advice in _ADVICE.items() if mark in str(error)), None)
        if isinstance(error, redis.AskError | redis.ClusterDownError):  # MovedError is one, too
            advice = "a Redis that is a cluster's cannot keep limits: use one that is not"
        if advice is not None:
            raise ConfigurationError(f"rate_limit_conn_id={conn_id!r}: {said}: {advice}.") from None
        if isinstance(error, denied) or any(mark in str(error) for mark in _FOR_GOOD):
            raise ConfigurationError(
                f"rate_limit_conn_id={conn_id!r}: {said}: give login and password of a user who may use "
                f"the database, and {rights}."
            ) from None
        raise StoreAwayError(said) from None
