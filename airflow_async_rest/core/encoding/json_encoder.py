"""JSON of what databases return: exact decimals, integers of any size, dates with their offset.

orjson does the work. It is watched in two places: it writes NaN and infinities as ``null`` without a word,
and it refuses integers above 64 bits.
"""

import base64
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from types import NoneType
from typing import Any

import orjson

from airflow_async_rest.core.encoding.durations import format_duration
from airflow_async_rest.core.encoding.foreign_values import foreign_form, is_missing, plain_value
from airflow_async_rest.core.encoding.json_text import comes_back
from airflow_async_rest.core.errors import EncodeError

IP_TYPES = (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)
_ALWAYS_FINITE = frozenset({str, int, bool, NoneType, datetime, date})
# orjson gives up at 254; what is deeper than this is written as text.
_DEEPEST_READABLE = 100
# Stands between payloads that are encoded together: JSON has a line break in no text, and orjson writes none around it.
_BREAK = orjson.Fragment(b"\n")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class JsonEncoder:
    """Encodes payloads: payload -> JSON bytes; raises :class:`EncodeError` for a value that JSON cannot carry.

    :param naive_timezone: what a datetime without an offset is taken to be in; default: UTC.
    """

    __slots__ = ("_default", "_options")

    def __init__(self, naive_timezone: tzinfo | None = None) -> None:
        def default(value: Any) -> Any:
            # First, and with no call that is not needed, because numeric columns are what comes here most.
            if type(value) is Decimal and value.is_finite():
                return orjson.Fragment(str(value))
            if isinstance(value, datetime):
                return _encode_datetime(value, naive_timezone or UTC)
            if isinstance(value, date | time):
                return value.isoformat()
            return _encode_other(value, naive_timezone)

        self._default = default
        self._options = orjson.OPT_NAIVE_UTC if naive_timezone is None else orjson.OPT_PASSTHROUGH_DATETIME

    def __call__(self, payload: Any) -> bytes:
        """Encode a payload. :raises EncodeError: for a value that JSON cannot carry."""
        try:
            body = _trimmed(orjson.dumps(payload, self._default, self._options))
            if b"null" in body:
                _refuse_non_finite(payload)
        except (orjson.JSONEncodeError, EncodeError):
            body = _encode_or_name(payload, self._encode_carefully)
        return body

    def each(self, payloads: Sequence[Any]) -> list[bytes]:
        """Encode many payloads by one call of orjson, unless there is a value that it refuses: in half the time.

        :raises EncodeError: for a value of one of them that JSON cannot carry.
        """
        if len(payloads) > 1:
            try:
                whole = orjson.dumps([part for one in payloads for part in (one, _BREAK)], self._default, self._options)
            except orjson.JSONEncodeError:
                return list(map(self, payloads))
            texts = whole[1:-3].split(b",\n,")
            if len(texts) == len(payloads):
                if b"null" in whole:
                    self._check_nulls(payloads, texts)
                return texts
        return list(map(self, payloads))

    def _check_nulls(self, payloads: Sequence[Any], texts: Sequence[bytes]) -> None:
        for payload, text in zip(payloads, texts, strict=True):
            if b"null" in text:
                try:
                    _refuse_non_finite(payload)
                except EncodeError:
                    self(payload)  # names the column

    def _encode_carefully(self, payload: Any) -> bytes:
        try:
            body = orjson.dumps(payload, self._default, self._options)
        except orjson.JSONEncodeError as error:
            body = _encode_rare(payload, self._default, self._options, error)
        _refuse_non_finite(payload)
        return body


def _encode_or_name(payload: Any, encode: Callable[[Any], bytes]) -> bytes:
    """Encode a payload; when it is one of its values that cannot be, the error names it."""
    try:
        return encode(payload)
    except EncodeError as error:
        for name in payload if isinstance(payload, Mapping) else ():
            try:
                encode(payload[name])
            except Exception:  # noqa: BLE001  (of the author's own mapping, reading a value may raise anything)
                raise EncodeError(f"column {name!r}: {error}") from None
        raise


def _trimmed(data: bytes) -> bytes:
    """Return a copy that takes no more memory than its size.

    orjson cuts its result out of a buffer of 1 KB and more, and what is left of it is of little use while the result
    is kept: with many kept, making one costs 2 us more (twenty times as much for a key) than with this copy.
    """
    return b"%b" % data


def _encode_other(value: Any, naive_timezone: tzinfo | None = None) -> Any:
    """Encode the types of database drivers that orjson does not know."""
    if isinstance(value, Decimal):
        return _encode_decimal(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode("ascii")
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, IP_TYPES):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    return foreign_form(value, naive_timezone)


def _encode_datetime(value: datetime, naive_timezone: tzinfo) -> str:
    if type(value) is not datetime and is_missing(value):  # NaT is a datetime
        raise _no_form(value)
    return (value if value.tzinfo else value.replace(tzinfo=naive_timezone)).isoformat()


def _encode_decimal(value: Decimal) -> orjson.Fragment:
    if not value.is_finite():
        raise _no_form(value)
    return orjson.Fragment(str(value))


def _no_form(value: Any) -> EncodeError:
    return EncodeError(f"{value} has no JSON form; return a number, a string or None from transform.")


def _encode_rare(payload: Any, default: Callable[[Any], Any], options: int, error: Exception) -> bytes:
    """Encode what orjson refused: integers above 64 bits, keys that are not strings, times with an offset.

    Or say why not.
    """
    if isinstance(error.__cause__, EncodeError):
        raise error.__cause__
    try:
        return orjson.dumps(
            _with_forms(payload, default), default, options | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME
        )
    except RecursionError:
        raise EncodeError("the payload contains itself, or is nested too deeply.") from None
    except Exception as second:  # noqa: BLE001  (an integer of more than 4300 digits, or what the author's types raise)
        if isinstance(second.__cause__, EncodeError):
            raise second.__cause__ from None
        raise EncodeError(f"the payload has no JSON form: {second}.") from None


def _with_forms(value: Any, default: Callable[[Any], Any]) -> Any:
    """Return a payload whose integers, and keys, have a form that orjson takes."""
    value = plain_value(value) if getattr(value, "shape", ()) else value  # of an array; numpy's scalars have none
    if isinstance(value, Mapping):
        return {_key(key, default): _with_forms(entry, default) for key, entry in value.items()}
    # orjson takes a tuple, and no type made of it: such a one means something else, and is refused by its name.
    if isinstance(value, list) or type(value) is tuple:
        return [_with_forms(entry, default) for entry in value]
    if isinstance(value, int):
        return value if _fits_64_bits(value) else _big_integer(value)
    if isinstance(value, Enum):
        return _with_forms(value.value, default)
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _with_forms(entry, default) for name, entry in _attributes(value)}
    return value


def _key(key: Any, default: Callable[[Any], Any]) -> Any:
    """Return a dict's key as orjson takes it, where it has one form."""
    if isinstance(key, datetime):
        return default(key)
    if isinstance(key, IP_TYPES) or (isinstance(key, Decimal) and key.is_finite()):
        return str(key)
    if isinstance(key, int) and not isinstance(key, Enum):
        return key if _fits_64_bits(key) else str(int(key))
    return plain_value(key) if hasattr(key, "dtype") else key


def _attributes(value: Any) -> Iterable[tuple[str, Any]]:
    """Yield a dataclass's attributes, but for those that orjson leaves out, too."""
    for attribute in fields(value):
        if not attribute.name.startswith("_"):
            yield attribute.name, getattr(value, attribute.name)


def _fits_64_bits(value: int) -> bool:
    return -(2**63) <= value < 2**64


def _big_integer(value: int) -> orjson.Fragment:
    return orjson.Fragment(str(int(value)))


def _refuse_non_finite(value: Any) -> None:
    if type(value) in _ALWAYS_FINITE:
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _no_form(value)
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            _refuse_non_finite(key)
            _refuse_non_finite(entry)
    else:
        for entry in _parts(value):
            _refuse_non_finite(entry)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, Enum):
        return [value.value]
    if is_dataclass(value):
        return [entry for _, entry in _attributes(value)]
    plain = plain_value(value)
    return [] if plain is value else [plain]


def encode_anything(value: Any) -> bytes:
    """Encode for people to read: what has no JSON form is written as text. Never raises for what a value is."""
    return _dumps(_readable(value, 0))


def _dumps(value: Any) -> bytes:
    return _trimmed(orjson.dumps(value, _encode_other, orjson.OPT_NAIVE_UTC))


def _readable(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _readable_parts(value, depth + 1) if depth < _DEEPEST_READABLE else _description(value)
    if isinstance(value, str):
        return _text(value)
    try:
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)
        if isinstance(value, int) and not _fits_64_bits(value):
            return _big_integer(value)
        written = _dumps(value)
    except (orjson.JSONEncodeError, ValueError):
        return _description(value)
    return written.decode() if type(value) is orjson.Fragment and not comes_back(written) else value


def _readable_parts(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        try:
            pairs = list(value.items())
        except Exception:  # noqa: BLE001  (a mapping of the author's own may raise anything)
            return _description(value)
        return {_text(str(key)): _readable(entry, depth) for key, entry in pairs}
    entries = [_readable(entry, depth) for entry in value]
    # A set's own order is another one in every process.
    return sorted(entries, key=_dumps) if isinstance(value, set | frozenset) else entries


def _text(value: str) -> str:
    """Make a text that UTF-8 can carry; two different ones stay different."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _description(value: Any) -> str:
    try:
        # An address is another one in every process.
        return _text(_ADDRESS.sub("", repr(value))[:200])
    except Exception:  # noqa: BLE001  (a foreign type's repr may raise anything)
        return f"<{type(value).__module__}.{type(value).__qualname__}>"


def stable_bytes(value: Any) -> bytes:
    """Return bytes that are the same for the same value in every process: for digests, not for sending."""
    try:
        return _dumps(value)
    except orjson.JSONEncodeError:
        return encode_anything(value)
