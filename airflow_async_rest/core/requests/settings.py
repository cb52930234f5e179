"""What connections and authors set, checked before anything is sent. No I/O."""

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.redaction import Redaction
from airflow_async_rest.core.requests.address import Address, check_base_url
from airflow_async_rest.core.requests.headers import check_content_encoding, check_headers
from airflow_async_rest.core.requests.proxies import Proxy, parse_proxy, proxy_of_environment

ADAPTIVE = "adaptive"
TRANSPORTS = ("own", "aiohttp")
_LARGEST_CONCURRENCY = 1000
MOST_PREVIEWED = 100  # requests: XCom takes as many
_PROXY_FIELD = "the connection's proxy"


@dataclass(frozen=True)
class ClientSettings:
    """Where and how to connect. Everything secret is also in ``secrets``, so that :meth:`redact` finds it.

    :param base_url: ``https://host:port/path?query``, without user name and password; the query goes along with every
        request.
    :param headers: sent with every request, authentication included.
    :param query_key: name and value of a parameter that identifies: it goes along with every request, and nobody else
        has it.
    :param idempotency_header: name of the header for the request's key; None sends none.
    :param verify: True, False (do not check the server's certificate), or the path of a CA file, or of a directory of
        them as OpenSSL wants it.
    :param client_certificate: (certificate file, key file or None).
    :param trust_env: take the proxy from ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, and the
        certificates to trust from ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE``.
    :param max_response_bytes: the largest answer to read.
    :param trust_close: whether a body without a length is whole when the server has closed the connection.
    :param transport: what sends, one of ``TRANSPORTS``: our own connections, or aiohttp's session.
    :param private_values: values of headers that may be anything: kept out of texts where they stand whole.
    :param later_values: asked for more of them, for each text.
    """

    base_url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query_key: tuple[str, str] | None = field(default=None, repr=False)
    idempotency_header: str | None = "Idempotency-Key"
    connect_timeout_seconds: float = 10.0
    request_timeout_seconds: float = 60.0
    verify: bool | str = True
    client_certificate: tuple[str, str | None] | None = None
    trust_env: bool = True
    proxy: str | None = field(default=None, repr=False)
    cookies: bool = False
    max_response_bytes: int = 10_000_000
    trust_close: bool = False
    transport: str = "own"
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    private_values: frozenset[str] = field(default=frozenset(), repr=False)
    later_values: Callable[[], frozenset[str]] = field(default=frozenset, repr=False)

    def __post_init__(self) -> None:
        check_base_url(self.base_url)
        if self.proxy is not None:
            parse_proxy(self.proxy, _PROXY_FIELD)
        check_headers(self.headers, "the connection's headers")
        check_content_encoding(self.headers, "the connection's headers")
        if self.idempotency_header:
            check_headers({self.idempotency_header: ""}, "the connection's idempotency_header")

    @cached_property
    def address(self) -> Address:
        """The base URL, taken apart."""
        return Address(self.base_url, self.query_key)

    @property
    def place(self) -> str:
        """The base URL for people to read: without its query, which may hold a key."""
        return self.base_url.partition("?")[0]

    @property
    def longest_seconds(self) -> float:
        """What one request may take, until it is answered or given up."""
        return self.connect_timeout_seconds + self.request_timeout_seconds

    def find_proxy(self, variables: Mapping[str, str]) -> Proxy | None:
        """Return the proxy that requests go through: the connection's own, else the environment's; None for neither.

        :param variables: of the environment.
        :raises ConfigurationError: when requests cannot go through it; names where it comes from.
        """
        if self.proxy is not None:
            return parse_proxy(self.proxy, _PROXY_FIELD)
        return proxy_of_environment(self.base_url, variables) if self.trust_env else None

    @cached_property
    def redaction(self) -> Redaction:
        """Takes the secrets out of texts: an API may echo them."""
        return Redaction(self.secrets, self.private_values, self.later_values)

    def redact(self, text: str) -> str:
        """Take the secrets out of a text."""
        return self.redaction.redact(text)


def parse_max_failures(value: int | str) -> int | float:
    """Read ``0``, ``25`` (items) or ``"1%"`` (share of the rows read).

    :return: an int of items, or a float share of 0 to 1.
    :raises ConfigurationError: when it is anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        text = value.strip()
        if (number := _whole_number(text)) is not None:
            return number
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
        value = value if (number := _whole_number(text)) is None else number
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST_CONCURRENCY:
        raise ConfigurationError(
            f"concurrency={value!r}: write a whole number from 1 to {_LARGEST_CONCURRENCY}, or 'adaptive'."
        )
    return value


def _whole_number(text: str) -> int | None:
    """Read the digits of a number that may be meant here; None for anything else."""
    return int(text) if re.fullmatch(r"\s*[0-9]{1,9}\s*", text) else None


def parse_preview(name: str, value: Any, most: int) -> int | None:
    """Read how many requests of a preview are shown, or sent.

    :param name: of the argument, or where else it stands.
    :param most: requests; 1 for the argument that sends one.
    :return: None where it is not given.
    :raises ConfigurationError: when it is no such number.
    """
    if value is None:
        return None
    number = _whole_number(value) if isinstance(value, str) else value
    if type(number) is not int or not 1 <= number <= most:
        raise ConfigurationError(
            f"{name}={value!r}: write how many requests to show, from 1 to {most}; to send all, leave it out."
            if most > 1
            else f"{name}={value!r}: write 1, which sends one request of a preview, or leave it out."
        )
    return number
