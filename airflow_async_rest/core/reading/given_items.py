"""Items that an author gives to ``deliver``, ``fetch`` or ``items=``, as chunks of rows."""

import dataclasses
import sqlite3
from collections.abc import AsyncIterable, Awaitable, Generator, Iterable, Mapping, Sized
from typing import Any

from airflow_async_rest.core.encoding.chunk_sizes import chunked
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.reading.source import Expected

_CHUNK = 1000
# What makes rows of a table, by the libraries that have one: polars, pyarrow, and pandas as the last.
_TO_ROWS = {"to_dicts": "to_dicts()", "to_pylist": "to_pylist()", "iloc": 'to_dict("records")'}


class GivenItems:
    """Items that an author gives, as chunks of rows.

    :raises ConfigurationError: when they are no iterable of rows; says what to give instead.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        _refuse_table(items, "items is")
        if not isinstance(items, Iterable) or isinstance(items, str | bytes | bytearray | memoryview | Mapping):
            raise ConfigurationError(f"items is a {type(items).__name__}: {_instead_of(items)}.")
        if isinstance(items, sqlite3.Cursor):  # of which its own thread alone may read
            raise ConfigurationError(
                "items is a cursor of sqlite3: give its rows, cursor.fetchall(), of a connection with "
                "row_factory=sqlite3.Row."
            )
        self._items = items

    def __iter__(self) -> Generator[list[Mapping[str, Any]], None, None]:
        """Yield chunks of rows; see :func:`_row_of`."""
        rows = (item if isinstance(item, dict) else _row_of(item) for item in _named(self._items))
        yield from chunked(rows, _CHUNK)

    def expected(self) -> Expected | None:
        """Return how many there are, when that is known beforehand."""
        return Expected(len(self._items), "given") if isinstance(self._items, Sized) else None

    def cancel(self) -> None:
        """Do nothing: the items are the author's."""


def _named(items: Iterable[Any]) -> Iterable[Any]:
    """Return items; plain tuples of a database's cursor have their columns' names."""
    names = [column[0] for column in getattr(items, "description", None) or ()] if hasattr(items, "fetchmany") else []
    if not names:
        return items
    return (dict(zip(names, item, strict=True)) if type(item) is tuple else item for item in items)


def _refuse_table(value: Any, what: str) -> None:
    """Refuse a table, which would be iterated by its columns."""
    method = next((name for name in _TO_ROWS if hasattr(value, name)), None)
    if method and hasattr(value, "columns"):
        raise ConfigurationError(f"{what} a {type(value).__name__}: give its rows, df.{_TO_ROWS[method]}.")


def _instead_of(items: Any) -> str:
    if isinstance(items, AsyncIterable):
        return "give a list, [item async for item in items]"
    if isinstance(items, Awaitable):
        return "give what it returns, await items"
    if isinstance(items, Mapping):
        return "give a list or another iterable of dicts, [items] if it is one of them"
    return "give a list or another iterable of dicts"


def _row_of(item: Any) -> Mapping[str, Any]:
    """Make a row of an item: by its names, where it has some; else ``{"item": item}``.

    Names have: mappings, named tuples and rows of SQLAlchemy, SQLite's rows, numpy's records, dataclasses, models of
    pydantic and attrs, and pandas' Series.

    :raises ConfigurationError: when it is a table, or a row of one in the company of its label.
    """
    if isinstance(item, Mapping):
        return item
    if callable(by_name := getattr(item, "_asdict", None)):
        return dict(by_name())
    if isinstance(item, sqlite3.Row):
        return dict(item)
    if fields := _field_names(item):
        return {name: getattr(item, name) for name in fields}
    if columns := getattr(getattr(item, "dtype", None), "names", None):
        return {name: item[name] for name in columns}
    _refuse_table(item, "one of the items is")
    if isinstance(item, tuple) and len(item) == 2 and hasattr(item[1], "iloc"):  # noqa: PLR2004
        raise ConfigurationError(
            'an item is a pair of a label and a Series, as iterrows() yields it: give df.to_dict("records").'
        )
    return item.to_dict() if hasattr(item, "iloc") and hasattr(item, "to_dict") else {"item": item}


def _field_names(item: Any) -> list[str]:
    """Return the names of the fields of a class that declares some."""
    kind = type(item)
    if dataclasses.is_dataclass(kind):
        return [each.name for each in dataclasses.fields(kind)]
    by_attrs, by_pydantic = (getattr(kind, name, None) for name in ("__attrs_attrs__", "model_fields"))
    if by_attrs:
        return [each.name for each in by_attrs]
    return list(by_pydantic) if isinstance(by_pydantic, Mapping) else []
