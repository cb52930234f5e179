"""Payload -> the body of a request: JSON, a form, or a text as it is. No I/O."""

import base64
import codecs
import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson

from airflow_async_rest.core.encoding.foreign_values import decimal_text
from airflow_async_rest.core.encoding.json_text import comes_back
from airflow_async_rest.core.errors import ConfigurationError, EncodeError
from airflow_async_rest.core.models import Request
from airflow_async_rest.core.requests.headers import find_header, parse_content_type
from airflow_async_rest.core.spelling import hint

BODY_FORMATS = ("json", "form", "text")
AS_IS = (str, bytes, bytearray, memoryview)
JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_TEXT, _BYTES = "text/plain; charset=utf-8", "application/octet-stream"
Encode = Callable[[Any], bytes]


class Body(NamedTuple):
    """A body; see :class:`~airflow_async_rest.core.models.Request` for what its parts mean there."""

    data: bytes
    content_type: str
    verbatim: bool


class BodyEncoder:
    """Makes the bodies of requests that have one item each.

    :param encode: payload -> JSON.
    :param body_format: one of :data:`BODY_FORMATS`; None: what is text or bytes is sent as it is, all else as JSON.
    :param headers: of the job, and of the connection; a content type among them is kept where the format lets it.
    :raises ConfigurationError: when there is no such format, or no such charset.
    """

    def __init__(
        self, encode: Encode, body_format: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._encode = encode
        self._body_format = check_body_format(body_format)
        self._header = find_header("Content-Type", headers or {})
        self._kind, self._charset = _kind_and_charset(self._header)
        self._is_utf_8 = codecs.lookup(self._charset).name in {"utf-8", "ascii"}
        self._json = self._header if self._header and (body_format is None or self._kind == "json") else JSON

    @property
    def content_type_of_rows(self) -> str | None:
        """The content type of dicts, if they are sent as plain JSON."""
        return self._json if self._body_format in {None, "json"} and self._is_utf_8 else None

    def encode(self, payload: Any) -> Body:
        """Make the body of a payload.

        :raises EncodeError: when it has no form in that format.
        """
        if self._body_format == "json" or (self._body_format is None and not isinstance(payload, AS_IS)):
            data = self._encode(payload)
            return Body(data if self._is_utf_8 else self._written(data.decode()), self._json, False)
        if isinstance(payload, AS_IS):
            data = self._written(payload) if isinstance(payload, str) else bytes(payload)
            return Body(data, self._content_type(payload), True)
        if self._body_format == "form":
            return Body(self._form(payload), self._content_type(payload), True)
        raise EncodeError(f"body_format='text' takes a text or bytes, not a {type(payload).__name__}: return one.")

    def _written(self, text: str) -> bytes:
        """Return a text in the charset that the content type names."""
        try:
            return text.encode(self._charset)
        except UnicodeEncodeError as error:
            raise EncodeError(f"the text cannot be written in {self._charset}: {error.reason}.") from None

    def _content_type(self, payload: Any) -> str:
        if self._body_format == "form":
            return self._header if self._header is not None and self._kind == "form" else _FORM
        if self._header is not None and (self._body_format is None or self._kind == "text"):
            return self._header
        if not isinstance(payload, str):
            return _BYTES
        return JSON if self._body_format is None and _is_json(payload) else _TEXT

    def _form(self, payload: Any) -> bytes:
        if not isinstance(payload, Mapping):
            raise EncodeError(f"body_format='form' takes a flat dict or a text, not a {type(payload).__name__}.")
        pairs = [(name, text) for name, value in payload.items() for text in self._texts(name, value)]
        try:
            return urlencode(pairs, encoding=self._charset, errors="strict").encode()
        except UnicodeEncodeError as error:
            raise EncodeError(f"the form cannot be written in {self._charset}: {error.reason}.") from None

    def _texts(self, name: Any, value: Any) -> Iterator[str]:
        """Yield the values of a field of a form, as they are in JSON; one without a value is left out."""
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, Decimal) and one.is_finite():
                yield decimal_text(one)
                continue
            try:
                text = self._encode(one).decode()
            except EncodeError as error:
                raise EncodeError(f"column {name!r}: {error}") from None
            if text.startswith(("{", "[")):
                raise EncodeError(f"column {name!r} is not a single value, and a form is flat: make it a text.")
            if text != "null":
                yield orjson.loads(text) if text.startswith('"') else text


def check_body_format(body_format: Any) -> str | None:
    """Return the format. :raises ConfigurationError: when no format has that name."""
    if body_format is not None and body_format not in BODY_FORMATS:
        raise ConfigurationError(
            f"body_format={body_format!r}: write one of {', '.join(map(repr, BODY_FORMATS))}, or leave it out: a text "
            f"or bytes are sent as they are then, and all else as JSON.{hint(body_format, BODY_FORMATS)}"
        )
    return body_format  # type: ignore[no-any-return]


def is_json_type(content_type: str) -> bool:
    """Return whether a content type is one of JSON: ``application/json``, ``application/vnd.api+json``."""
    return _kind_and_charset(content_type)[0] == "json"


def _kind_and_charset(header: str | None) -> tuple[str, str]:
    kind, charset = parse_content_type(header or "")
    try:
        codecs.lookup(charset)
    except LookupError:
        raise ConfigurationError(
            f"headers: 'Content-Type' names the charset {charset!r}, which is unknown: write utf-8."
        ) from None
    if kind == _FORM:
        return "form", charset
    return "json" if kind.endswith(("/json", "+json")) else "text", charset


def _is_json(text: str) -> bool:
    """Return whether a text is an object or an array of JSON."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except ValueError:
        return False
    except RecursionError:  # as deep as that, it has been JSON so far
        return True
    return True


def _refuse(name: str) -> Any:
    raise ValueError(name)  # NaN and the infinities are Python's, not JSON's


def without_texts(transform: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Make a transform that refuses to return text or bytes, which would be put into a batch in quotes."""

    def checked(row: dict[str, Any]) -> Any:
        payload = transform(row)
        if isinstance(payload, AS_IS):
            raise EncodeError(
                f"transform returned {'text' if isinstance(payload, str) else 'bytes'}, but a batch is made of values "
                "for JSON: return a dict; or say body_format='json' if the API takes a list of texts."
            )
        return payload

    return checked


def stored_body(request: Request) -> dict[str, Any]:
    """Return what a dead letter keeps of a body: JSON as it is, and a body of the author's own as a text.

    :return: ``payload``; ``content_type``, where another than that of JSON was sent; and ``body`` where the payload is
        the body's text: ``"text"``, ``"base64"``, or ``"json"`` that would not come back when it is parsed.
    """
    kept: dict[str, Any] = {"payload": None}
    if request.body is None:
        return kept
    if request.verbatim or request.content_type != JSON:
        kept["content_type"] = request.content_type
    if not request.verbatim:
        if comes_back(request.body):
            return {**kept, "payload": orjson.Fragment(request.body)}
        return {**kept, "payload": request.body.decode(), "body": "json"}
    try:
        return {**kept, "payload": request.body.decode(), "body": "text"}
    except UnicodeDecodeError:
        return {**kept, "payload": base64.b64encode(request.body).decode(), "body": "base64"}


def kept_payload(record: Mapping[str, Any]) -> Any:
    """Return the payload of a dead letter: text or bytes where it is the body itself."""
    payload: Any = record.get("payload")
    if record.get("body") == "json":
        return orjson.Fragment(payload)
    return base64.b64decode(payload) if record.get("body") == "base64" else payload


def kept_body(record: Mapping[str, Any], encode: Encode) -> Body | None:
    """Return the body that a dead letter keeps; None where the request had none."""
    payload, content_type = kept_payload(record), record.get("content_type") or JSON
    if record.get("body") in ("text", "base64"):
        return Body(payload.encode() if isinstance(payload, str) else payload, content_type, True)
    return None if payload is None else Body(encode(payload), content_type, False)
