"""Requests with a signature of a shared secret: what is signed, and which headers it stands in, are templates."""

import base64
import hashlib
import hmac
import re
import secrets
import time
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.requests.address import Address
from airflow_async_rest.core.requests.headers import check_headers, find_header
from airflow_async_rest.core.spelling import hint

_HOLE = re.compile(r"\{(\w+)\}")
# What is meant as one: with spaces, as in a format string, or as in a template of Airflow.
_NO_HOLE = re.compile(r"\{\{\s*\w+\s*\}\}|\{(?!\w+\})[\s\w!.:-]{0,40}\}")
_PARTS = ("timestamp", "nonce", "login", "method", "host", "path", "query", "target", "url", "body", "body_hash")
_SIGNATURE = "signature"
_ALGORITHMS = ("sha256", "sha512", "sha384", "sha1", "md5")
_ENCODINGS: Mapping[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "base64": lambda data: base64.b64encode(data).decode(),
    "base64url": lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
}
_TIMES: Mapping[str, Callable[[float], str]] = {
    "seconds": lambda now: str(int(now)),
    "milliseconds": lambda now: str(int(now * 1000)),
    "iso": lambda now: f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}",
    "http": lambda now: format_datetime(datetime.fromtimestamp(now, UTC), usegmt=True),
}
_SECRETS: Mapping[str, Callable[[str], bytes]] = {
    "text": str.encode,
    "base64": lambda text: _from_base64(text.strip()),
    "hex": lambda text: bytes.fromhex(text.strip()),
}


def _from_base64(text: str) -> bytes:
    """Read either alphabet, with or without the signs at the end."""
    text = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), validate=True)


@dataclass(frozen=True)
class HmacFields:
    """How an API wants its signatures; the defaults are a timestamp and the body, in hexadecimal.

    :param signed: what is signed; ``{timestamp}``, ``{nonce}``, ``{login}``, ``{method}``, ``{host}``, ``{path}``,
        ``{query}``, ``{target}`` (path and query), ``{url}``, ``{body}`` and ``{body_hash}`` are the request's.
    :param headers: header -> what stands in it: the same, and ``{signature}``.
    :param algorithm: the hash, of the signature and of ``{body_hash}``.
    :param encoding: of both: ``hex``, ``base64`` or ``base64url``.
    :param timestamp: ``seconds``, ``milliseconds``, ``iso`` or ``http`` (a date as in a header).
    :param secret: what the secret is written in: ``text``, ``base64`` or ``hex``.
    :raises ConfigurationError: when one is wrong; names it.
    """

    signed: str = "{timestamp}.{body}"
    headers: Mapping[str, str] = field(
        default_factory=lambda: {"X-Timestamp": "{timestamp}", "X-Signature": "{signature}"}
    )
    algorithm: str = "sha256"
    encoding: str = "hex"
    timestamp: str = "seconds"
    secret: str = "text"  # noqa: S105  (how it is written)

    def __post_init__(self) -> None:
        for name, choices in (
            ("algorithm", _ALGORITHMS), ("encoding", _ENCODINGS), ("timestamp", _TIMES), ("secret", _SECRETS),
        ):  # fmt: skip
            if (value := getattr(self, name)) not in tuple(choices):
                shown = "***" if name == "secret" else value  # who writes the secret itself there has only this said
                raise ConfigurationError(f"hmac: {name}={shown!r}: write one of {', '.join(choices)}.")
        _check_template("signed", self.signed, _PARTS)
        if not _HOLE.search(self.signed):
            raise ConfigurationError(
                "hmac: signed has nothing of the request in it: write a template such as {timestamp}.{body}."
            )
        if not isinstance(self.headers, Mapping) or not self.headers:
            raise ConfigurationError('hmac: headers: write a JSON object such as {"X-Signature": "{signature}"}.')
        for name, template in self.headers.items():
            _check_template(f"headers: {name}", template, (*_PARTS, _SIGNATURE))
        if not any("{signature}" in template for template in self.headers.values()):
            raise ConfigurationError("hmac: headers: no header has {signature} in it: put it where the API looks.")
        check_headers(self.headers, "hmac: headers")
        if len({name.lower() for name in self.headers}) < len(self.headers):
            raise ConfigurationError("hmac: headers: one is there twice, and only one of them is sent: leave one out.")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "HmacFields":
        """Read the connection's field."""
        for name in given:
            if name not in cls.__dataclass_fields__:
                known = ", ".join(cls.__dataclass_fields__)
                raise ConfigurationError(
                    f"hmac: there is no {name!r}: write one of {known}.{hint(name, cls.__dataclass_fields__)}"
                )
        return cls(**given)


def _check_template(name: str, template: Any, known: tuple[str, ...]) -> None:
    if not isinstance(template, str):
        raise ConfigurationError(f"hmac: {name} is a {type(template).__name__}: write a text.")
    if found := _NO_HOLE.search(template):
        raise ConfigurationError(
            f"hmac: {name} has {found[0]!r}, which would be taken for text: write one of {_listed(known)}."
        )
    for hole in _HOLE.findall(template):
        if hole not in known:
            raise ConfigurationError(f"hmac: {name} has {{{hole}}}: write one of {_listed(known)}.{hint(hole, known)}")


def _listed(known: tuple[str, ...]) -> str:
    return ", ".join(f"{{{each}}}" for each in known)


class Hmac:
    """Signs requests; an :class:`~airflow_async_rest.core.sending.auth.Auth`.

    :param key: the shared secret, as it is written.
    :param login: who signs, where the API wants to know.
    :param headers: that all requests have; of these, ``Host`` may be another one than the address says.
    :param now: seconds since 1970.
    :raises ConfigurationError: when the secret is not written as ``fields`` say.
    """

    def __init__(
        self,
        fields: HmacFields,
        key: str,
        login: str,
        address: Address,
        *,
        headers: Mapping[str, str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._fields, self._login, self._address, self._now = fields, login, address, now
        self._host = find_header("Host", headers) or address.host_header
        templates = (fields.signed, *fields.headers.values())
        self._used = {hole for template in templates for hole in _HOLE.findall(template)}
        try:
            self._key = _SECRETS[fields.secret](key)
        except (ValueError, NotBase64):
            raise ConfigurationError(
                f"hmac: secret={fields.secret!r}, and the password is not: write text, or the password in that form."
            ) from None
        if not self._key.strip():
            raise ConfigurationError("hmac: the secret is empty: write it into password.")

    async def sign(self, request: Request) -> Request:
        """Return the request with its signature."""
        fields = self._fields
        parts = self._parts(request)
        made = hmac.new(self._key, _fill(fields.signed, parts), fields.algorithm).digest()
        parts[_SIGNATURE] = _ENCODINGS[fields.encoding](made).encode()
        filled = {name: _fill(template, parts) for name, template in fields.headers.items()}
        return request.with_headers({name: text.decode(errors="surrogateescape") for name, text in filled.items()})

    async def refused(self, response: Response) -> bool:  # noqa: ARG002
        """Return False: there is nothing to renew."""
        return False

    def _parts(self, request: Request) -> dict[str, bytes]:
        """Return what the templates have holes for, and the body."""
        fields, body = self._fields, request.body or b""
        target = self._address.target(request.path, request.query)
        path, _, query = target.partition("?")
        texts: dict[str, Callable[[], str]] = {
            "timestamp": lambda: _TIMES[fields.timestamp](self._now()),
            "nonce": lambda: secrets.token_hex(16),
            "login": lambda: self._login,
            "method": lambda: request.method,
            "host": lambda: self._host,
            "path": lambda: path,
            "query": lambda: query,
            "target": lambda: target,
            "url": lambda: self._address.origin + target,
            "body_hash": lambda: _ENCODINGS[fields.encoding](hashlib.new(fields.algorithm, body).digest()),
        }
        return {name: texts[name]().encode() for name in self._used & texts.keys()} | {"body": body}


def _fill(template: str, parts: Mapping[str, bytes]) -> bytes:
    pieces = _HOLE.split(template)
    return b"".join(parts[piece] if place % 2 else piece.encode() for place, piece in enumerate(pieces))
