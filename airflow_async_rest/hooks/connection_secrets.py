"""What of a connection is secret, and must be in no log, report or error."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

# What is no secret: masking "application/json" would blank it out of every text.
_PUBLIC_HEADERS = frozenset({"accept", "accept-language", "cache-control", "content-type", "user-agent"})
# Below this a "secret" such as "on" would blank out half of every text.
_SHORTEST_SECRET = 4


def collect_secrets(headers: Mapping[str, str], proxy: Any, *others: str) -> frozenset[str]:
    """Give the secrets of a connection, and have Airflow mask them in its logs.

    :param others: the password, and what is made of it.
    """
    secrets = _secrets_in_headers(headers) | _secrets_in_url(proxy) | set(others)
    secrets = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
    _mask_in_logs(secrets)
    return frozenset(secrets)


def _secrets_in_headers(headers: Mapping[str, str]) -> set[str]:
    """Any header may be a secret, but for a few; of ``Bearer abc`` the ``abc`` alone is one, too."""
    values = [value for name, value in headers.items() if name.lower() not in _PUBLIC_HEADERS]
    return {*values, *(value.partition(" ")[2].strip() for value in values)}


def _secrets_in_url(url: Any) -> set[str]:
    if not isinstance(url, str) or "@" not in url:
        return set()
    credentials = url.rpartition("@")[0].rpartition("/")[2]
    password = credentials.partition(":")[2]
    return {credentials, password, unquote(password)}


def _mask_in_logs(secrets: Iterable[str]) -> None:
    """Airflow masks a connection's password by itself; what is made of it, it has to be told."""
    from airflow.sdk.log import mask_secret  # noqa: PLC0415

    for secret in secrets:
        mask_secret(secret)
