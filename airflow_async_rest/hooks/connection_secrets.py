"""What of a connection is secret, and must be in no log, report or error."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from airflow_async_rest.core.proxies import credentials_in

# What is no secret: masking "application/json" would blank it out of every text.
_PUBLIC_HEADERS = frozenset({"accept", "accept-language", "cache-control", "content-type", "user-agent"})
# Below this a "secret" such as "on" would blank out half of every text.
_SHORTEST_SECRET = 4


_CREDENTIAL = re.compile(r"key|token|secret|sig|password|auth|code", re.IGNORECASE)
_SHORTEST_SECRET_IN_QUERY = 8  # shorter ones are versions and the like


def collect_secrets(headers: Mapping[str, str], proxy: Any, base_url: str, *others: str) -> frozenset[str]:
    """Give the secrets of a connection, and have Airflow mask them in its logs.

    :param others: the password, and what is made of it.
    """
    secrets = _secrets_in_headers(headers) | _secrets_in_proxy(proxy) | _secrets_in_query(base_url) | set(others)
    secrets = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
    _mask_in_logs(secrets)
    return frozenset(secrets)


def _secrets_in_headers(headers: Mapping[str, str]) -> set[str]:
    """Any header may be a secret, but for a few; of ``Bearer abc`` the ``abc`` alone is one, too."""
    values = [value for name, value in headers.items() if name.lower() not in _PUBLIC_HEADERS]
    return {*values, *(value.partition(" ")[2].strip() for value in values)}


def _secrets_in_proxy(url: Any) -> set[str]:
    credentials = credentials_in(url) if isinstance(url, str) else ""
    password = credentials.partition(":")[2]
    return {credentials, password, unquote(password)}


def _secrets_in_query(url: str) -> set[str]:
    """Return what a base URL's query identifies with, such as ``?code=...``: as it is written, and decoded."""
    pairs = [pair.partition("=") for pair in url.partition("?")[2].split("&")]
    values = {value for name, _, value in pairs if _CREDENTIAL.search(unquote(name))}
    return {form for value in values for form in (value, unquote(value)) if len(form) >= _SHORTEST_SECRET_IN_QUERY}


def _mask_in_logs(secrets: Iterable[str]) -> None:
    """Airflow masks a connection's password by itself; what is made of it, it has to be told."""
    from airflow.sdk.log import mask_secret  # noqa: PLC0415

    for secret in secrets:
        mask_secret(secret)
