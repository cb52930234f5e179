"""JSON forms of types that the engine does not import, told by what they have: ranges, arrays and numpy's scalars."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from airflow_async_rest.core.encoding.durations import format_months
from airflow_async_rest.core.errors import EncodeError

_UNIT = re.compile(r".[mM]8\[(\d*)([A-Za-z]+)\]")  # of numpy's types: <m8[ns], <M8[25s]
_MONTHS = {"Y": 12, "M": 1}
_FINE = {unit: Decimal(1).scaleb(-digits) for unit, digits in (("ns", 9), ("ps", 12), ("fs", 15), ("as", 18))}
_SECONDS = _FINE | {
    unit: Decimal(seconds)
    for unit, seconds in (
        ("us", "1e-6"),
        ("ms", "1e-3"),
        ("s", 1),
        ("m", 60),
        ("h", 3600),
        ("D", 86_400),
        ("W", 604_800),
    )
}
_MOST_ZEROS = 1000
_IN_QUOTES = re.compile(r'[\s\[\](),"\\]')


class ValueText(str):
    """The text of a value that is not a text, such as an interval: it can be sent, but not be part of a path."""

    __slots__ = ()


def foreign_form(value: Any, zone: tzinfo | None = None) -> Any:
    """Return what stands for a value in JSON.

    :param zone: what a time without an offset is in; default: UTC.
    :raises EncodeError: when it has no form.
    """
    if hasattr(value, "lower_inc") and hasattr(value, "isempty"):
        return _range_text(value)
    if type(value).__name__.endswith("Multirange") and isinstance(value, Sequence):
        return f"{{{','.join(map(_range_text, value))}}}"
    if isinstance(value, tuple) and getattr(value, "_fields", None) == ("years", "months"):  # Oracle's
        return format_months(*value)
    form = float(value) if isinstance(value, float) else plain_value(value, zone)
    if form is value or type(form) is type(value):
        name = f"{type(value).__module__}.{type(value).__qualname__}"
        raise EncodeError(f"a {name} has no JSON form; return something else from transform.")
    return form


def plain_value(value: Any, zone: tzinfo | None = None) -> Any:
    """Return Python's own value or list for one of numpy's, or an array; another value as it is."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind in {"M", "m"}:
        return list(value) if getattr(value, "ndim", 0) else _numpy_time(value, kind, zone)
    to_python = getattr(value, "tolist", None)
    return to_python() if callable(to_python) else value


def is_missing(value: Any) -> bool:
    """Return whether a value is one of those that do not equal themselves: NaN, NaT."""
    try:
        return bool(value != value)  # noqa: PLR0124
    except Exception:  # noqa: BLE001  (arrays, signalling NaNs, and whatever else a foreign type may raise)
        return False


def _numpy_time(value: Any, kind: str, zone: tzinfo | None) -> Any:
    if is_missing(value):
        raise EncodeError("NaT has no JSON form; return a time, a string or None from transform.")
    unit = _UNIT.fullmatch(value.dtype.str)
    if unit is None:
        raise EncodeError(f"{value!r} has no unit; return a timedelta or a string from transform.")
    return _numpy_duration(value, *unit.groups()) if kind == "m" else _numpy_datetime(value, unit[2], zone)


def _numpy_duration(value: Any, step: str, unit: str) -> timedelta | str:
    count = int(value.astype("i8")) * int(step or 1)
    if unit in _MONTHS:
        return format_months(0, count * _MONTHS[unit])
    near = value.astype("m8[us]")
    if near.astype(value.dtype) == value and isinstance(near.tolist(), timedelta):
        return near.tolist()  # type: ignore[no-any-return]
    seconds = Decimal(count) * _SECONDS[unit]
    return f"{'-' if seconds < 0 else ''}PT{abs(seconds):f}S"


def _numpy_datetime(value: Any, unit: str, zone: tzinfo | None) -> date | str:
    plain = value.tolist()
    if isinstance(plain, date) and not isinstance(plain, datetime):
        return plain
    near = value.astype("M8[us]")
    same = near.astype(value.dtype) == value
    moment = near.tolist()
    # What a datetime cannot hold comes as an integer, or as another time.
    if not isinstance(moment, datetime) or not (same or unit in _FINE):
        return str(value)
    text = moment.isoformat() if same else str(value)
    return text + moment.replace(tzinfo=zone or UTC).isoformat()[len(moment.isoformat()) :]


def _range_text(value: Any) -> str:
    """Write a range as PostgreSQL does."""
    if value.isempty:
        return "empty"
    begin, end = "[" if value.lower_inc else "(", "]" if value.upper_inc else ")"
    return f"{begin}{_bound_text(value.lower)},{_bound_text(value.upper)}{end}"


def _bound_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if not isinstance(value, datetime):
        return _quoted(str(value))
    naive = value.replace(tzinfo=None)
    fraction = f".{value.microsecond:06d}".rstrip("0").rstrip(".")
    offset = value.isoformat()[len(naive.isoformat()) :].removesuffix(":00")
    return f'"{naive.isoformat(" ", "seconds")}{fraction}{offset}"'


def _quoted(text: str) -> str:
    if text and not _IN_QUOTES.search(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '""') + '"'


def decimal_text(value: Decimal) -> str:
    """Write a finite number as databases do: without an exponent, unless it would have a thousand zeros."""
    return format(value, "f") if abs(value.adjusted()) < _MOST_ZEROS else str(value)
