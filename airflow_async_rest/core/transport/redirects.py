"""Redirects: which are followed, where one ends on a page for people, and what to change because of one. Pure."""

import re
from collections.abc import Mapping
from urllib.parse import quote, urljoin, urlsplit

from yarl import URL

from airflow_async_rest.core.redaction import Redaction

STATUSES = frozenset({301, 302, 303, 307, 308})
_NO_SECRETS = Redaction()
_OF_URLS = ":/?#[]@!$&'()*+,;=%"  # beside letters, digits, and what quote() keeps anyway
_PAGES = ("text/html", "application/xhtml+xml")
_BEGINS_A_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|<\?xml[^>]*>|<!--.*?-->)*<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL
)


def redirect_target(url: URL, status: int, headers: Mapping[str, str]) -> URL | None:
    """Find out where an answer redirects to, within the same host; None for nowhere."""
    location = headers.get("Location")
    if status not in STATUSES or not location:
        return None
    try:
        is_within = _same_origin(url.join(URL(location)), url)
        # It stays as it is written: who reads it again may want the very bytes, of a signature or in another charset.
        written = quote(location.strip().encode("utf-8", "surrogateescape"), safe=_OF_URLS)
        target = urlsplit(urljoin(str(url), written))
    except ValueError:
        return None
    query = f"?{target.query}" if target.query else ""
    return URL(f"{url.origin()}{target.path or '/'}{query}", encoded=True) if is_within else None


def is_page(asked: URL, ended: URL, headers: Mapping[str, str], body: bytes, accept: str) -> bool:
    """Return whether a redirected request has ended on a page for people, such as one to log in.

    :param asked: the address of the request.
    :param ended: the one that has answered.
    :param headers: of that answer, and ``body`` its body.
    :param accept: of the request: who asks for pages gets one.
    """
    if _same_place(asked, ended) or any(kind in accept for kind in _PAGES):
        return False
    return headers.get("Content-Type", "").lower().startswith(_PAGES) or bool(_BEGINS_A_PAGE.match(body))


def _same_origin(one: URL, other: URL) -> bool:
    return str(one.origin()) == str(other.origin())  # yarl calls them different where one names the usual port


def _same_place(asked: URL, ended: URL) -> bool:
    return (asked.path.rstrip("/"), asked.query_string) == (ended.path.rstrip("/"), ended.query_string)


def shown_target(location: str, redaction: Redaction) -> str:
    """Write down where a redirect points to: without what may carry a token or a password, or steers a terminal."""
    target = re.split(r"[?#]", redaction.redact(location))[0]
    return redaction.excerpt(re.sub(r"[^ -~]", "", re.sub(r"//[^/]*@", "//***@", target)))


def redirect_advice(asked: URL, location: str, redaction: Redaction = _NO_SECRETS, *, is_signed: bool = False) -> str:
    """Say where a request is redirected to, and what to change.

    :param asked: the address of the request.
    :param location: the answer's header.
    :param is_signed: whether the request was; then it is followed nowhere.
    """
    why = ""
    try:
        target = asked.join(URL(location))
        change = _change(asked, target)
        if is_signed and _same_origin(target, asked):
            why = ", for its signature is of the address that was asked"
    except ValueError:
        change = "check the connection's Host and the endpoint"
    return f"the API redirects to {shown_target(location, redaction)!r}, which is not followed{why}: {change}"


def _change(asked: URL, target: URL) -> str:
    if (asked.host, asked.path) == (target.host, target.path) and (asked.scheme, target.scheme) == ("http", "https"):
        return "write https in the connection's Schema, or in its Host"
    if _same_origin(asked, target) and asked.path == target.path:
        return "that is the same path: where the API wants its cookies back, switch 'cookies' on in the connection"
    if _same_origin(asked, target) and asked.path.rstrip("/") == target.path.rstrip("/"):
        slash = "with" if target.path.endswith("/") else "without"
        return f"write the endpoint {slash} a slash at its end"
    if asked.host != target.host:
        return f"if the API lives there, write {target.host} as the connection's Host"
    if not _same_origin(asked, target):
        return f"if the API lives there, write {target.origin()} as the connection's Host"
    return "write that path as the endpoint; or the API wants a login, and shows its page"
