"""JSON of what databases return: exact decimals, integers of any size, dates with their offset.

orjson does the work. It is watched in two places: it writes NaN and infinities as ``null`` without a word,
and it refuses integers above 64 bits.
"""

import base64
import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any

import orjson

from airflow_async_rest.core.errors import EncodeError

_IP_TYPES = (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)
_INT64_RANGE = range(-(2**63), 2**64)


def json_encoder(naive_timezone: tzinfo | None = None) -> Callable[[Any], bytes]:
    """Make the function that encodes a payload.

    :param naive_timezone: what a datetime without an offset is taken to be in; default: UTC.
    :return: payload -> JSON bytes; raises :class:`EncodeError` for a value that JSON cannot carry.
    """
    options = orjson.OPT_NAIVE_UTC if naive_timezone is None else orjson.OPT_PASSTHROUGH_DATETIME

    def default(value: Any) -> Any:
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=naive_timezone)).isoformat()
        return _encode_other(value)

    def encode(payload: Any) -> bytes:
        try:
            body = orjson.dumps(payload, default, options)
        except orjson.JSONEncodeError as error:
            body = _encode_rare(payload, default, options, error)
        if b"null" in body:
            _refuse_non_finite(payload)
        return body

    return encode


def _encode_other(value: Any) -> Any:
    """Encode the types of database drivers that orjson does not know."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise EncodeError(f"{value} has no JSON form; return a number, a string or None from transform.")
        return orjson.Fragment(str(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, _IP_TYPES):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise EncodeError(
        f"a {type(value).__module__}.{type(value).__qualname__} has no JSON form; return something else from transform."
    )


def format_duration(value: timedelta) -> str:
    """Write a duration as ISO 8601, exact to the microsecond: ``-P1DT2.5S``."""
    sign, value = ("-", -value) if value < timedelta() else ("", value)
    seconds = (
        f"{value.seconds}.{value.microseconds:06d}".rstrip("0").rstrip(".")
        if value.microseconds
        else str(value.seconds)
    )
    return f"{sign}P{value.days}DT{seconds}S"


def _encode_rare(payload: Any, default: Callable[[Any], Any], options: int, error: Exception) -> bytes:
    """Encode what orjson refused: integers above 64 bits, keys that are not strings. Or say why not."""
    if isinstance(error.__cause__, EncodeError):
        raise error.__cause__
    try:
        return orjson.dumps(_with_big_integers(payload), default, options | orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as second:
        if isinstance(second.__cause__, EncodeError):
            raise second.__cause__ from None
        raise EncodeError(f"the payload has no JSON form: {second}.") from None
    except RecursionError:
        raise EncodeError("the payload contains itself, or is nested too deeply.") from None


def _with_big_integers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_big_integers(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_with_big_integers(entry) for entry in value]
    if isinstance(value, int) and not isinstance(value, bool) and value not in _INT64_RANGE:
        return orjson.Fragment(str(value))
    return value


def _refuse_non_finite(value: Any) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise EncodeError(f"{value} has no JSON form; return a number, a string or None from transform.")
    elif isinstance(value, Mapping):
        for entry in value.values():
            _refuse_non_finite(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            _refuse_non_finite(entry)


def encode_anything(value: Any) -> bytes:
    """Encode for people to read: what has no JSON form is written as text. Never raises for a value's type."""

    def readable(entry: Any) -> Any:  # noqa: PLR0911  (a table of types)
        if isinstance(entry, Mapping):
            return {str(key): readable(inner) for key, inner in entry.items()}
        if isinstance(entry, list | tuple | set | frozenset):
            return [readable(inner) for inner in entry]
        if isinstance(entry, float) and not math.isfinite(entry):
            return str(entry)
        if isinstance(entry, str):
            return entry.encode("utf-8", "replace").decode("utf-8")
        if isinstance(entry, int) and entry not in _INT64_RANGE:
            return orjson.Fragment(str(entry))
        try:
            orjson.dumps(entry, _encode_other, orjson.OPT_NAIVE_UTC)
        except (orjson.JSONEncodeError, EncodeError):
            return repr(entry)[:200]
        return entry

    return orjson.dumps(readable(value), _encode_other, orjson.OPT_NAIVE_UTC)


def stable_bytes(value: Any) -> bytes:
    """Give bytes that are the same for the same value in every process: for digests, not for sending."""
    try:
        return orjson.dumps(value, _encode_other, orjson.OPT_NAIVE_UTC)
    except orjson.JSONEncodeError:
        return encode_anything(value)
