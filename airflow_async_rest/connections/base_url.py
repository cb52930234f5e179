"""Host, schema and port of an Airflow connection -> its base URL. Pure."""

import re
from ipaddress import ip_address
from urllib.parse import quote

from airflow_async_rest.core.errors import ConfigurationError

_SCHEME = re.compile(r"(?:([a-z][a-z0-9+.-]*):)?//", re.IGNORECASE)
# As Schema these can only be meant as one; anything else may be the path of a connection's URI.
_SCHEMES = re.compile(r"h+t+p+s*|s?ftps?|wss|tcp|tls|ssl", re.IGNORECASE)


def build_base_url(host: str, schema: str, port: int | None, default_scheme: str) -> str:
    """Return the base URL; the client's settings check whether it can be one.

    Airflow puts the path of a connection's URI into the schema.

    :param host: with or without a scheme, a port, a path and a query.
    :raises ConfigurationError: when a field can only be a mistake; names it.
    """
    given, place, path, query = _split(host.strip())
    scheme, more_path, more_query = _read_schema(schema.strip())
    if more_path:
        path = f"{path.rstrip('/')}/{more_path.lstrip('/')}"
    query = "&".join(filter(None, (query, more_query)))
    place = _with_port(_bracketed(place), port)
    return f"{given or scheme or default_scheme}://{place}{path}" + (f"?{query}" if query else "")


def _split(host: str) -> tuple[str, str, str, str]:
    """Return scheme, host and port, path, and query with what follows."""
    scheme = _SCHEME.match(host)
    rest = host[scheme.end() :] if scheme else host
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in place:
        raise ConfigurationError(
            "the connection's host='***': put user name and password into Login and Password, not into Host."
        )
    if place.endswith(":") and not place.endswith("::"):
        raise ConfigurationError(
            "the connection's Host has a ':' where none is expected: write https://api.example.com."
        )
    path, _, query = rest[len(place) :].partition("?")
    return (scheme[1] or "").lower() if scheme else "", place, path, query


def _read_schema(schema: str) -> tuple[str, str, str]:
    """Return scheme, path and query, of which there is one scheme or one path, or nothing."""
    scheme = re.sub(r":/*$", "", schema)
    if _SCHEMES.fullmatch(scheme):
        return scheme.lower(), "", ""
    if "://" in schema or schema.lower().startswith(("http:", "https:", "http/", "https/")):
        raise ConfigurationError("the connection's Schema takes http or https only: write the whole URL into Host.")
    path, _, query = schema.partition("?")
    return "", quote(path, safe="/:@!$&'()*+,;=~%-._#\\"), query


def _bracketed(place: str) -> str:
    """Put a bare IPv6 address into the brackets that it has in a URL; a zone is written as it is elsewhere."""
    if "[" in place:
        return place.replace("%25", "%")
    try:
        return f"[{place}]" if ip_address(place.replace("%25", "%")).version == 6 else place  # noqa: PLR2004
    except ValueError:
        return place


def _with_port(place: str, port: int | None) -> str:
    return f"{place}:{port}" if port and ":" not in place.rpartition("]")[2] else place
