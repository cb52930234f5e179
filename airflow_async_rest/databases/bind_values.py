"""Values of binds, in the forms that a database's columns compare with."""

from collections.abc import Iterable, Iterator, Mapping, ValuesView
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from airflow_async_rest.core.encoding.foreign_values import is_missing, plain_value
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder, stable_bytes
from airflow_async_rest.core.errors import EncodeError

if TYPE_CHECKING:  # with it comes SQLAlchemy, which does not load where DAG files are parsed
    from airflow_async_rest.databases.dialects.dialect import Dialect


def bind_value(value: Any, dialect: "Dialect") -> Any:
    """Return a bind's value in the form that a database's columns compare with.

    A mapping is JSON, as text, whose type a database takes from what it is compared with; what has many values is a
    list, which is an array to some. An enum's member, or what numpy makes, is its plain value.

    :raises EncodeError: when it has no form.
    """
    if isinstance(value, Mapping):
        return json_text(value)
    values = _values(value)
    if values is not None:
        return [bind_value(each, dialect) for each in values]
    plain = _plain(value)
    if plain is not value:
        return bind_value(plain, dialect)
    if isinstance(value, datetime):
        return dialect.bind_time(_in_utc(value))
    if isinstance(value, str):
        _check_text(value)
    return dialect.bind(value)


def json_text(value: Any) -> str:
    """Return a dict or a list as JSON. :raises EncodeError: when it has no such form."""
    try:
        return JsonEncoder()(value).decode()
    except EncodeError as error:
        why = str(error).partition(";")[0]  # the rest is advice for payloads
        raise EncodeError(f"a {type(value).__name__} that has no JSON form ({why}).") from error


def _values(value: Any) -> Iterable[Any] | None:
    """Return the values of what has many; None for others.

    :raises EncodeError: when a retry would not have them again.
    """
    if isinstance(value, Iterator):
        raise EncodeError(f"a {type(value).__name__} can be read only once: write a list.")
    if isinstance(value, AbstractSet):
        return sorted(value, key=stable_bytes)  # an order that a retry has, too
    return value if isinstance(value, list | tuple | range | ValuesView) else None


def _plain(value: Any) -> Any:
    """Return Python's own value, or list, for an enum's member and for what numpy makes."""
    if isinstance(value, Enum):
        return value.value
    plain: Any = value if isinstance(value, bytes | bytearray | memoryview) else plain_value(value)
    is_time = isinstance(plain, str) and not isinstance(value, str)
    return datetime.fromisoformat(plain) if is_time else plain


def _check_text(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise EncodeError("half a surrogate pair has no UTF-8 form: leave it out.") from None


def _in_utc(value: datetime) -> datetime:
    if is_missing(value):
        raise EncodeError("NaT is not a time: write a time or None.")
    utc = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    return datetime.combine(utc.date(), utc.timetz())  # a plain datetime, not pendulum's
