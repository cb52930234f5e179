"""Item -> Request: endpoint template, JSON body, idempotency key. No I/O."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from itertools import repeat
from typing import Any
from urllib.parse import quote
from uuid import UUID

import orjson

from airflow_async_rest.core.encoding.foreign_values import ValueText, decimal_text, is_missing, plain_value
from airflow_async_rest.core.encoding.json_encoder import IP_TYPES, JsonEncoder, stable_bytes
from airflow_async_rest.core.errors import ConfigurationError, EndpointError
from airflow_async_rest.core.models import NO_VALUES, Item, Request
from airflow_async_rest.core.requests.bodies import JSON, BodyEncoder
from airflow_async_rest.core.requests.templates import parse_template
from airflow_async_rest.core.spelling import hint

METHODS = ("POST", "PUT", "PATCH", "DELETE", "GET")
_TYPES_OF_ONE_TEXT = (str, int, float, UUID, *IP_TYPES)
_NAMES: dict[type, str] = {orjson.Fragment: "JSON value", ValueText: "JSON value or an interval"}
_BODYLESS = frozenset({"GET", "DELETE"})
_LEFT_OVER = re.compile(r"\{\s*([^{}\0]+?)\s*\}")  # in the literals, whose doubled braces are single ones
_NO_ADDRESS = re.compile(r"[\x00-\x1f\x7f]")
_SAFE_IN_TEMPLATE = "/:@!$&'()*+,;=~%?-._"


class EndpointTemplate:
    """A path relative to the connection's base URL, with ``{column}`` placeholders.

    Empty, it is the base URL as it is written; ``/`` is the base URL with a slash at its end.

    Values are percent-encoded, so a row can never leave its place in the path: ``/`` becomes ``%2F``, and a
    value that makes a whole segment empty, ``.`` or ``..`` fails its item.

    :raises ConfigurationError: when the template cannot be read or leaves the base URL.
    """

    def __init__(self, endpoint: str) -> None:
        if not isinstance(endpoint, str):
            raise ConfigurationError(f"endpoint={endpoint!r}: write a path such as 'sensors/{{id}}'.")
        if "://" in endpoint.split("?", 1)[0] or endpoint.startswith("//"):
            raise ConfigurationError(
                f"endpoint={endpoint!r} is a whole URL: put scheme and host into the connection and write "
                "only the path here."
            )
        if endpoint and not endpoint.strip():
            raise ConfigurationError(
                f"endpoint={endpoint!r} is blank: write a path, or '' for the connection's base URL."
            )
        relative = endpoint.lstrip("/")
        if relative != endpoint and not relative.partition("?")[0]:
            relative = f"/{relative}"
        parts = parse_template("endpoint", relative)
        self._parts = [(quote(literal, safe=_SAFE_IN_TEMPLATE), name) for literal, name in parts]
        self.columns = tuple(dict.fromkeys(name for _, name in self._parts if name is not None))
        _check_literals(endpoint, parts)
        if _leaves("".join(literal + ("x" if name is not None else "") for literal, name in self._parts)):
            raise ConfigurationError(
                f"endpoint={endpoint!r} has a segment '.' or '..': write the path below the connection's base URL."
            )

    @property
    def literals(self) -> str:
        """What is the same for all rows, as requests have it; a line break stands for a row's value."""
        return "".join(literal + ("" if name is None else "\n") for literal, name in self._parts)

    def render(self, row: Mapping[str, Any]) -> tuple[str, str]:
        """Fill in a row's values.

        :return: path and query string, both percent-encoded.
        :raises EndpointError: when a value cannot stand in a path.
        """
        text = "".join(
            literal + (quote(text_value(name, row), safe="") if name is not None else "")
            for literal, name in self._parts
        )
        path, _, query = text.partition("?")
        if self.columns and _leaves(path):
            raise EndpointError(f"the row's values make the path {path!r}, which leads to another resource.")
        return path, query


def _check_literals(endpoint: str, parts: Iterable[tuple[str, str | None]]) -> None:
    literals = "".join(literal + ("" if name is None else "\0") for literal, name in parts)
    if left_over := _LEFT_OVER.search(literals):
        raise ConfigurationError(
            f"endpoint={endpoint!r} has {{{left_over[0]}}} left over, which is not filled in here: write a "
            f"column as {{{left_over[1]}}}, and literal braces as %7B and %7D."
        )
    if _NO_ADDRESS.search(endpoint):
        raise ConfigurationError(f"endpoint={endpoint!r} has a line break or another control character: leave it out.")


def _leaves(path: str) -> bool:
    """Return whether a path has a segment that means another place."""
    return any(segment in {".", ".."} for segment in path.partition("?")[0].split("/"))


def text_value(name: str, row: Mapping[str, Any]) -> str:
    """Return a row's value as a URL has it, not encoded yet.

    :raises EndpointError: when it has no single form there.
    """
    value = row.get(name)
    try:
        text = str(value) if type(value) in {str, int} else _text_of(name, value)
    except ValueError:
        raise EndpointError(
            f"column {name!r} is a number of more than 4300 digits, which Python does not write."
        ) from None
    if not text:
        what = "missing" if name not in row else "NULL" if value is None else "empty"
        raise EndpointError(
            f"column {name!r} is {what}, so the request has a gap: leave such rows out, or give it a value."
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise EndpointError(f"column {name!r} is {text!a}, which has no UTF-8 form.") from None
    return text


def _text_of(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Enum):
        return _text_of(name, value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if is_missing(value) or (isinstance(value, float | Decimal) and not Decimal(value).is_finite()):
        raise EndpointError(f"column {name!r} is {value}, so the request has a gap.")
    if isinstance(value, Decimal | datetime | date | time):
        return decimal_text(value) if isinstance(value, Decimal) else value.isoformat()
    if isinstance(value, _TYPES_OF_ONE_TEXT) and not isinstance(value, ValueText):
        return str(value)
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    plain = value if isinstance(value, bytes | bytearray | memoryview) or kind == "m" else plain_value(value)
    if type(plain) is type(value) or isinstance(plain, list):
        # Of other types, str() shows how Python writes them.
        kind = _NAMES.get(type(value), type(value).__name__)
        raise EndpointError(
            f"column {name!r} is a {kind}, which has no single form in a path; make it text in the SQL."
        )
    return _text_of(name, plain)


@dataclass(frozen=True)
class Identity:
    """What an idempotency key is made of, besides the row: whose request this is.

    :param scope: (dag id, task id), or whatever else names the job.
    :param window: (start, end) as ISO 8601, or () when the job has none.
    :param map_index: tells mapped tasks apart where the row's position is used instead of a key.
    """

    scope: tuple[str, ...] = ()
    window: tuple[str, ...] = ()
    map_index: int = -1


class RequestBuilder:
    """Makes each item's request: the same item makes the same request, on every try.

    :param has_key: whether items have a key; else their position is used instead.
    :param encode: makes JSON of payloads.
    :param body_format: and ``headers``: see :class:`~airflow_async_rest.core.requests.bodies.BodyEncoder`.
    :param sends_body: default: for every method but GET and DELETE.
    """

    def __init__(
        self,
        *,
        endpoint: EndpointTemplate,
        method: str,
        encode: JsonEncoder,
        identity: Identity,
        has_key: bool,
        sends_body: bool | None = None,
        body_format: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._method = method
        bodies = BodyEncoder(encode, body_format, headers)
        self._encode = bodies.encode
        # Most payloads are rows, and most rows JSON.
        self._row_type = bodies.content_type_of_rows
        self._encode_rows = encode.each
        self._sends_body = method not in _BODYLESS if sends_body is None else sends_body
        self._fixed = None if endpoint.columns else endpoint.render({})
        place = () if has_key else (identity.map_index,)
        self._seed = hashlib.blake2b(stable_bytes([*identity.scope, *identity.window, *place, method]), digest_size=16)

    def prepare(self, items: Sequence[Item]) -> None:
        """Make the request of each item, which its row and its payload need not be kept for then.

        :raises ItemError: when one of them has no JSON form or does not fill the endpoint.
        """
        for item, request in zip(items, self.build(items), strict=True):
            item.request, item.row, item.payload = request, NO_VALUES, None

    def build(self, items: Sequence[Item]) -> list[Request]:
        """Build the request of each item. :raises ItemError: see :meth:`prepare`."""
        method, bodies = self._method, self._bodies(items)
        targets = repeat(self._fixed) if self._fixed else [self._endpoint.render(item.row) for item in items]
        requests = []
        for item, (path, query), (body, content_type, verbatim) in zip(items, targets, bodies):  # noqa: B905
            key = idempotency_key(self._seed, path, query, item.identity, body or b"")
            requests.append(Request(method, path, query, body, key, content_type, verbatim))
        return requests

    def _bodies(self, items: Sequence[Item]) -> Iterable[tuple[bytes | None, str, bool]]:
        """Make the body of each item, its content type, and whether that is verbatim."""
        if not self._sends_body:
            return repeat((None, JSON, False))
        payloads = [item.payload for item in items]
        if self._row_type is not None and {dict}.issuperset(map(type, payloads)):
            return zip(self._encode_rows(payloads), repeat(self._row_type), repeat(False))
        return map(self._encode, payloads)

    def build_batch(self, items: Sequence[Item], body: bytes, content_type: str) -> Request:
        """Build the request of several items, whose endpoint has no placeholder."""
        path, query = self._endpoint.render({})
        key = idempotency_key(self._seed, path, query, *[item.identity for item in items], body)
        return Request(self._method, path, query, body, key, content_type)


def idempotency_key(seed: "hashlib.blake2b", path: str, query: str, *content: bytes) -> str:
    """Return the key of a request: of its target below the base URL, whose own slash does not count, and content."""
    key = seed.copy()
    key.update(b"\0".join((b"" if path == "/" else path.encode(), query.encode(), *content)))
    return key.hexdigest()


def check_method(method: str) -> str:
    """Return the method in capitals. :raises ConfigurationError: when it is not one of :data:`METHODS`."""
    if not isinstance(method, str) or method.upper() not in METHODS:
        raise ConfigurationError(f"method={method!r}: write one of {', '.join(METHODS)}.{hint(method, METHODS)}")
    return method.upper()


def key_columns(key: str | Iterable[str] | None, argument: str = "key") -> tuple[str, ...]:
    """Return the columns that identify a row. :raises ConfigurationError: when they are not column names."""
    if key is None:
        return ()
    # A set has another order in each process, and so its requests other keys.
    columns: tuple[Any, ...] = tuple(key) if isinstance(key, list | tuple) else (key,)
    if not all(isinstance(column, str) and column.strip() for column in columns):
        raise ConfigurationError(f"{argument}={key!r}: write a column's name, or a list of them.")
    return columns
