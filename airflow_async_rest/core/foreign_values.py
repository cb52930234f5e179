"""JSON forms of types that the engine does not import, told by what they have: ranges, arrays and numpy's scalars."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from airflow_async_rest.core.durations import format_months
from airflow_async_rest.core.errors import EncodeError

_IN_QUOTES = re.compile(r'[\s\[\](),"\\]')


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
    form = plain_value(value, zone)
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
    """Tell whether a value is one of those that do not equal themselves: NaN, NaT."""
    try:
        return bool(value != value)  # noqa: PLR0124
    except Exception:  # noqa: BLE001  (arrays, signalling NaNs, and whatever else a foreign type may raise)
        return False


def _numpy_time(value: Any, kind: str, zone: tzinfo | None) -> Any:
    if is_missing(value):
        raise EncodeError("NaT has no JSON form; return a time, a string or None from transform.")
    # What a datetime cannot hold comes as an integer.
    near = value.astype(f"{kind}8[us]").tolist()
    same = near is not None and value == value.astype(f"{kind}8[us]")
    if kind == "m":
        if same and isinstance(near, timedelta):
            return near
        raise EncodeError(f"{value!r} has no JSON form; return a timedelta or a string from transform.")
    plain = value.tolist()
    if isinstance(plain, date) and not isinstance(plain, datetime):
        return plain
    if not isinstance(near, datetime):
        return str(value)
    text = near.isoformat() if same else str(value)
    return text + near.replace(tzinfo=zone or UTC).isoformat()[len(near.isoformat()) :]


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
