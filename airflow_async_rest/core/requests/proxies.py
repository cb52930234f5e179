"""The proxy of a connection: its own, or the environment's, by the rules of requests and curl. No I/O."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import unquote_to_bytes

from yarl import URL

from airflow_async_rest.core.errors import ConfigurationError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(?=//)", re.IGNORECASE)
_OTHER_WAYS = ", or fill in the connection's extra field proxy, or set its trust_env to false for a direct connection"


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy.

    :param url: as aiohttp takes it: of user name and password a character for each byte that it sends.
    :param origin: where it comes from, as errors name it.
    """

    url: URL = field(repr=False)
    origin: str

    @property
    def place(self) -> str:
        """Its URL for people to read: without user name and password."""
        return str(self.url.origin())

    def headers_of_request(self, scheme: str) -> Mapping[str, str]:
        """Return what a request itself tells the proxy: who asks, unless the request goes through a tunnel.

        aiohttp says so by itself, but, as late as in 3.13.0, only with a connection's first request.
        """
        if self.url.user is None or scheme == "https":
            return {}
        credentials = f"{self.url.user}:{self.url.password or ''}".encode("latin-1")
        return {"Proxy-Authorization": f"Basic {base64.b64encode(credentials).decode()}"}


def parse_proxy(value: Any, origin: str) -> Proxy:
    """Read ``http://user:password@host:port``; without a scheme it is http.

    :param origin: where it comes from, as errors name it.
    :raises ConfigurationError: when requests cannot go through it; names the origin, and nothing of the value.
    """
    text = value.strip() if isinstance(value, str) else ""
    scheme = _SCHEME.match(text)
    try:
        url = URL(f"{scheme[1].lower() if scheme else 'http'}://{_place(text)}")
        if credentials := credentials_in(text):
            url = _with_credentials(url, credentials)
        fits = url.scheme in {"http", "https"} and bool(url.host and url.port) and not re.search(r"\s", url.host or "")
    except ValueError:
        fits = False
    if not fits:
        other_ways = "" if origin.endswith("connection's proxy") else _OTHER_WAYS
        raise ConfigurationError(
            f"{origin}: write a URL such as http://proxy.example.com:3128 (of an HTTP proxy: SOCKS and others are not "
            f"supported){other_ways}."
        )
    return Proxy(url, origin)


def credentials_in(proxy: str) -> str:
    """Return ``user:password`` of a proxy's URL, as it is written; a password may have any character."""
    return _SCHEME.sub("", proxy.strip(), count=1).removeprefix("//").rpartition("@")[0]


def _place(text: str) -> str:
    after = _SCHEME.sub("", text, count=1).removeprefix("//").rpartition("@")[2]
    return re.split(r"[/?#]", after, maxsplit=1)[0]


def _with_credentials(url: URL, credentials: str) -> URL:
    # An environment that is not UTF-8 comes with surrogates, for bytes that are sent as they are.
    parts = credentials.encode(errors="surrogateescape").partition(b":")
    login, _, password = (unquote_to_bytes(part).decode("latin-1") for part in parts)
    if ":" in login:
        raise ValueError("the proxy would take the rest of the login for the password")
    return url.with_user(login).with_password(password)


def proxy_of_environment(base_url: str, variables: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that an environment names for a URL; None for a direct connection.

    :raises ConfigurationError: when requests cannot go through it; names the variable.
    """
    url = URL(base_url)
    for kind in (f"{url.scheme}_proxy", "all_proxy"):
        name = _variable(kind, variables)
        if name is not None:
            exempt = is_exempt(url, variables.get("no_proxy") or variables.get("NO_PROXY") or "")
            return None if exempt else parse_proxy(variables[name], f"the environment's {name}")
    return None


def _variable(kind: str, variables: Mapping[str, str]) -> str | None:
    """Return the name of the variable that counts: in lower case first, where an empty one stands for none."""
    name = kind if kind in variables else kind.upper()
    if name == "HTTP_PROXY" and "REQUEST_METHOD" in variables:  # CGI: it is the header Proxy of the client
        return None
    return name if variables.get(name, "").strip() else None


def is_exempt(url: URL, no_proxy: str) -> bool:
    """Return whether ``no_proxy`` lists a URL's host: by name, domain, address or network, each with a port or none."""
    hosts = {host.lower().rstrip(".") for host in (url.host, url.raw_host) if host}
    entries = filter(None, re.split(r"[\s,]+", no_proxy.lower()))
    return any(_matches(entry, host, url.port) for entry in entries for host in hosts)


def _matches(entry: str, host: str, port: int | None) -> bool:
    network, (name, _, of_port) = _network(entry), entry.rpartition(":")
    if network is None and name and of_port.isdigit():
        return int(of_port) == port and _matches(name, host, None)
    try:
        address = ip_address(host)
    except ValueError:
        name = entry.lstrip("*.").rstrip(".")
        return entry == "*" or (bool(name) and (host == name or host.endswith(f".{name}")))
    return entry in {"*", host} or (network is not None and address in network)


def _network(entry: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(re.sub(r"^\[(.*)\](/|$)", r"\1\2", entry), strict=False)
    except ValueError:
        return None
