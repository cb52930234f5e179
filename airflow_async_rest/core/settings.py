"""What connections and authors set, checked before anything is sent. No I/O."""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from json import dumps
from typing import Any
from urllib.parse import quote, urlsplit

from yarl import URL

from airflow_async_rest.core.errors import ConfigurationError

ADAPTIVE = "adaptive"
_LARGEST_CONCURRENCY = 1000
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_NOT_IN_HEADER_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True)
class ClientSettings:
    """Where and how to connect. Everything secret is also in ``secrets``, so that :meth:`redact` finds it.

    :param base_url: ``https://host:port/path``, without user name and password.
    :param headers: sent with every request, authentication included.
    :param idempotency_header: name of the header for the request's key; None sends none.
    :param verify: True, False (do not check the server's certificate), or the path of a CA file.
    :param client_certificate: (certificate file, key file or None).
    :param trust_env: take the proxy from ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``.
    :param max_response_bytes: the largest answer to read.
    """

    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    idempotency_header: str | None = "Idempotency-Key"
    connect_timeout_seconds: float = 10.0
    request_timeout_seconds: float = 60.0
    verify: bool | str = True
    client_certificate: tuple[str, str | None] | None = None
    trust_env: bool = True
    proxy: str | None = field(default=None, repr=False)
    cookies: bool = False
    max_response_bytes: int = 10_000_000
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    def __post_init__(self) -> None:
        check_base_url(self.base_url)
        if self.proxy is not None:
            check_proxy(self.proxy)
        check_headers(self.headers, "the connection's headers")
        if self.idempotency_header:
            check_headers({self.idempotency_header: ""}, "the connection's idempotency_header")

    def redact(self, text: str) -> str:
        """Take the connection's secrets out of a text (an API may echo them)."""
        for secret in self._forms_of_secrets:
            text = text.replace(secret, "***")
        return text

    @cached_property
    def _forms_of_secrets(self) -> list[str]:
        """Secrets as an answer may spell them: as they are, inside JSON, inside a URL; the longest first."""
        spelled = {
            form for secret in self.secrets for form in (secret, dumps(secret)[1:-1], quote(secret, safe="")) if form
        }
        return sorted(spelled, key=len, reverse=True)


def check_base_url(url: str) -> None:
    """Check that a path can be added to a URL. :raises ConfigurationError: when not; names what to fill in."""
    try:
        parts = urlsplit(url)
        _ = parts.port, URL(url)
    except ValueError as error:
        raise ConfigurationError(f"the connection's base URL cannot be read ({error}): check Host and Port.") from None
    if "@" in parts.netloc:
        raise ConfigurationError("the connection's base URL has a user name: fill in Login and Password instead.")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"the connection's base URL is {url!r}: fill in Host, and http or https as Schema.")
    if parts.query or parts.fragment:
        raise ConfigurationError("the connection's base URL has a '?' or '#': Host takes host and path only.")


def check_proxy(url: Any, what: str = "the connection's proxy") -> None:
    """Check that requests can go through a proxy. :raises ConfigurationError: when not; without its password."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except (ValueError, TypeError, AttributeError):
        fits = False
    if not fits:
        raise ConfigurationError(
            f"{what}: write a URL such as http://proxy.example.com:3128; in a password, '/' is written %2F."
        )


def check_headers(headers: Mapping[str, str], what: str) -> None:
    """Check that headers can be sent. :raises ConfigurationError: when not; names the header, not its value."""
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError(f"{what}: {name!r} is no name of a header; write one such as 'X-Request-Source'.")
        if not isinstance(value, str) or _NOT_IN_HEADER_VALUE.search(value):
            raise ConfigurationError(
                f"{what}: the value of {name!r} is no text, or has a line break or another control character in it."
            )


def parse_max_failures(value: int | str) -> int | float:
    """Read ``0``, ``25`` (items) or ``"1%"`` (share of the rows read).

    :return: an int of items, or a float share of 0 to 1.
    :raises ConfigurationError: when it is anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        text = value.strip()
        if text.isdigit():
            return int(text)
        with contextlib.suppress(ValueError):
            share = float(text.removesuffix("%")) / 100
            if text.endswith("%") and 0 <= share <= 1:
                return share
    raise ConfigurationError(f"max_failures={value!r}: write a number of items, such as 25, or a share, such as '1%'.")


def parse_concurrency(value: Any) -> int | None:
    """Read a number of requests, or ``"adaptive"``.

    :return: None for the latter.
    :raises ConfigurationError: when it is anything else.
    """
    if isinstance(value, str):
        text = value.strip()
        if text == ADAPTIVE:
            return None
        value = int(text) if text.isdigit() else value
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST_CONCURRENCY:
        raise ConfigurationError(
            f"concurrency={value!r}: write a whole number from 1 to {_LARGEST_CONCURRENCY}, or 'adaptive'."
        )
    return value
