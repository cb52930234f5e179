"""What a function ``sign`` has returned: whether it can be sent, and what of it is secret. Pure."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.models import Request
from airflow_async_rest.core.requests.headers import CREDENTIAL_HEADER, check_headers

_WHAT_SIGNS = "what signs a request"  # as errors name it
# What a request is made of that can be sent.
_PARTS: Mapping[str, Any] = {"headers": Mapping | None, "query": str, "path": str, "body": bytes | None}
# Between the parts of a header that has several, and what a signature among them is made of.
_SEVERAL = re.compile(r"[\s,;\"]")
_SCHEME = re.compile(r"[A-Za-z0-9-]{1,20} +(?=\S)")
_PART = re.compile(r"[A-Za-z0-9+/_.~%-]+=*")
_SHORTEST = 4  # below this a "secret" would blank out half of every text
# Characters that a signature has at least, and dates and names of headers have not.
_LONG = 21
# Ends what AWS says a signature is for, and what its errors name.
_SCOPE = "/aws4_request"

_NO_TARGET = re.compile(r"[\x00-\x20\x7f#]")


def check_signed(signed: Any, known: Mapping[str, str] | None = None) -> None:
    """Check what a function ``sign`` has returned.

    :param known: headers that were checked before: those of a token are the same for all requests.
    :raises ConfigurationError: when it cannot be sent; says what to return.
    """
    if not isinstance(signed, Request):
        raise _no_request(f"a {type(signed).__name__}")
    for name, kind in _PARTS.items():
        if not isinstance(value := getattr(signed, name), kind):
            raise _no_request(f"a request whose {name} is a {type(value).__name__}")
    for name in ("path", "query"):
        if _NO_TARGET.search(getattr(signed, name)):
            raise _no_request(f"a request whose {name} has a space, a control character or a '#' that is not encoded")
    if signed.headers != known:
        check_headers(signed.headers or {}, _WHAT_SIGNS)


def _no_request(found: str) -> ConfigurationError:
    return ConfigurationError(
        f"{_WHAT_SIGNS}: 'sign' has returned {found}: return the request with more headers, such as "
        "request.with_headers({'X-Signature': signature})."
    )


def secrets_of(request: Request, signed: Request) -> set[str]:
    """Find what is secret of what a request was signed with."""
    before = request.headers or {}
    new = [(name, value) for name, value in (signed.headers or {}).items() if before.get(name) != value]
    if signed.query != request.query:
        known = parse_qsl(request.query, keep_blank_values=True)
        new += [("key", value) for name, value in parse_qsl(signed.query) if (name, value) not in known]
    return {secret for name, value in new for secret in _secrets_in(name, value)}


def _secrets_in(name: str, value: str) -> set[str]:
    scheme = _SCHEME.match(value)
    said = value[scheme.end() :] if scheme else value
    parts = [said]
    if _SEVERAL.search(said):
        parts = [part for part in _PART.findall(said) if not part.endswith(_SCOPE)]
    longest = {max(parts, key=len, default="")} if CREDENTIAL_HEADER.search(name) else set()
    return {part for part in {*longest, *(part for part in parts if len(part) >= _LONG)} if len(part) >= _SHORTEST}
