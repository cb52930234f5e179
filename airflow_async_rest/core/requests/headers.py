"""Headers that connections and authors set, checked before anything is sent; and what those of answers say. Pure."""

import re
from collections.abc import Mapping
from email.message import Message
from functools import lru_cache
from typing import Any

from airflow_async_rest.core.errors import ConfigurationError

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
# What the name of a header says to be one.
CREDENTIAL_HEADER = re.compile(r"auth|key|token|secret|cookie|password|session|signature", re.IGNORECASE)
SURROGATE = re.compile(r"[\ud800-\udfff]")
_NOT_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# What says where a message ends, or what its connection is used for, is for the client to say: a length set by hand
# cuts bodies, and what is left of them is taken for the next request. With the values that change nothing.
_OF_THE_MESSAGE: Mapping[str, tuple[str, ...]] = {
    "content-length": (),
    "transfer-encoding": (),
    "trailer": (),
    "upgrade": (),
    "te": ("trailers",),
    "connection": ("close", "keep-alive"),
}
_LINK = re.compile(r"<([^>]*)>([^<]*)")
_NEXT = re.compile(r""";\s*rel\s*=\s*(?:(["'])(?:[^"']*\s)?next(?:\s[^"']*)?\1|next(?=\s*[;,]|\s*$))""", re.IGNORECASE)
_PACKED = frozenset({"gzip", "x-gzip", "deflate", "br", "compress", "x-compress", "zstd"})


def check_headers(headers: Mapping[str, str], what: str) -> None:
    """Check that headers can be sent. :raises ConfigurationError: when not; names the header, not its value."""
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationError(f"{what}: {name!r} is not a header name; write one such as 'X-Request-Source'.")
        if not isinstance(value, str) or _NOT_IN_VALUE.search(value):
            raise ConfigurationError(
                f"{what}: the value of {name!r} is not a text, or has a line break or another control character in it."
            )
        if SURROGATE.search(value):
            raise ConfigurationError(
                f"{what}: the value of {name!r} has half a surrogate pair, which has no UTF-8 form."
            )
        if value.strip().lower() not in _OF_THE_MESSAGE.get(name.lower(), (value.strip().lower(),)):
            raise ConfigurationError(
                f"{what}: {name!r} says how a message is sent, which is known only as it is sent: leave it out."
            )


def find_header(name: str, headers: Mapping[str, str]) -> str | None:
    """Return the value of a header, whatever its case; of several, the last one's."""
    return next((value for each, value in reversed(list(headers.items())) if each.lower() == name.lower()), None)


def lines_of(headers: Mapping[str, Any], name: str) -> list[Any]:
    """Return the value of each line in which an answer has a header."""
    if hasattr(headers, "getall"):
        return list(headers.getall(name, []))
    return [] if (value := headers.get(name)) is None else [value]


def joined(headers: Mapping[str, str], name: str) -> str:
    """Return a header that is a list, in however many lines it came (RFC 9110, section 5.3); empty without one."""
    return ", ".join(lines_of(headers, name))


@lru_cache(maxsize=16)  # an API has few
def parse_content_type(header: str) -> tuple[str, str]:
    """Return type and charset. For any header the standard library's parser of mail is the right one."""
    message = Message()
    message["Content-Type"] = header
    return message.get_content_type() if header else "", message.get_content_charset() or "utf-8"


def check_content_encoding(headers: Mapping[str, str], what: str) -> None:
    """Check that headers do not call bodies compressed. :raises ConfigurationError: when they do; names the header."""
    for name, value in headers.items():
        if name.lower() == "content-encoding" and not _PACKED.isdisjoint(re.split(r"[\s,]+", value.lower())):
            raise ConfigurationError(
                f"{what}: {name!r} calls the body compressed, but bodies are sent as they are: leave it out. Only a "
                "function as Batch(format=...) can compress them; then it stands in the task's own headers."
            )


def creates_only(*headers: Mapping[str, str] | None) -> bool:
    """Return whether requests say that what they create must not be there yet; later headers win."""
    values = {name.lower(): value for some in headers for name, value in (some or {}).items()}
    return values.get("if-none-match", "").strip() == "*"


def text_headers(headers: Any) -> dict[str, str]:
    """Read the headers of an operator. :raises ConfigurationError: when they cannot be sent; names the argument."""
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"headers is a {type(headers).__name__}: write a dict such as {{'X-Team': 'search'}}.")
    unset = [name for name, value in headers.items() if value is None]
    if unset:
        raise ConfigurationError(f"headers: {unset[0]!r} is None: write a text, or leave the header out.")
    texts = {
        name: str(value).strip() if isinstance(value, int | float | str) else value for name, value in headers.items()
    }
    check_headers(texts, "headers")
    return texts


def next_link(headers: Mapping[str, str]) -> str | None:
    """Return the URL of the next page that a header ``Link`` has (RFC 8288), if any."""
    for target, parameters in _LINK.findall(joined(headers, "Link")):
        if _NEXT.search(parameters):
            return str(target)
    return None
