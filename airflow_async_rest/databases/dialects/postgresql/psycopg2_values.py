"""Values from PostgreSQL by psycopg2, which can be told how to load a type, and not what to do when it cannot."""

import contextlib
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import psycopg2  # type: ignore[import-untyped]
from psycopg2 import extensions

from airflow_async_rest.databases.dialects.postgresql.types import find_arrays, read_interval
from airflow_async_rest.databases.values.json_values import json_reader

# What loads a type, the type, and arrays of it.
_TIMES = (
    (extensions.PYDATE, 1082, 1182),
    (extensions.PYTIME, 1083, 1183),
    (extensions.PYTIME, 1266, 1270),
    (extensions.PYDATETIME, 1114, 1115),
    (extensions.PYDATETIMETZ, 1184, 1185),
)
_INTERVAL = (1186, 1187)
_BYTES = (17, 1001)
_JSON = ((114, 199), (3802, 3807))

_OURS, _OUR_ARRAYS = "ASYNC_REST", "ASYNC_REST_ARRAY"
# The names of loaders that read whatever the server writes; they are in C, and most values are theirs.
_SURE = frozenset(
    {"BINARY", "BOOLEAN", "DECIMAL", "FLOAT", "INTEGER", "LONGINTEGER", "ROWID", "STRING", "UNICODE", _OURS}
)

_Load = Callable[[str, Any], Any]


def prepare(raw: Any, *, embed_json: bool) -> None:
    """Let a connection's cursors load what they can; see ``Dialect.prepare_values``."""
    for load, *of_times in _TIMES:
        _register(raw, of_times, _text_where_it_fails(load))
    _register(raw, _INTERVAL, lambda text, cursor: read_interval(text, lambda: extensions.PYINTERVAL(text, cursor)))
    _register(raw, _BYTES, lambda text, cursor: bytes(psycopg2.BINARY(text, cursor)))  # else memory, as no other driver
    read_json = json_reader(embed=embed_json)
    for oids in _JSON:
        _register(raw, oids, lambda text, _: read_json(text))
    raw.cursor_factory = _Cursor


def _register(raw: Any, oids: Sequence[int], load: _Load) -> None:
    """Let a connection load a type and its arrays."""
    oid, array_oid = oids
    kind = extensions.new_type((oid,), _OURS, lambda text, cursor: None if text is None else load(text, cursor))
    extensions.register_type(kind, raw)
    extensions.register_type(extensions.new_array_type((array_oid,), _OUR_ARRAYS, kind), raw)


def _text_where_it_fails(load: _Load) -> _Load:
    def tolerant(text: str, cursor: Any) -> Any:
        # This driver takes these for the last day there is, and for midnight before the day.
        if "infinity" in text or text.startswith("24:"):
            return text
        try:
            return load(text, cursor)
        except (ValueError, OverflowError, psycopg2.Error):
            return text

    return tolerant


class _Cursor(extensions.cursor):  # type: ignore[misc]
    """A cursor that knows all types of arrays, and has a text for what cannot be loaded."""

    _learned = False

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """Fetch rows, having found out about types that the driver does not know, or may fail at."""
        if not self._learned:
            self._learned = True
            if self.name:
                super().fetchmany(0)  # so that there is a description
            self._learn()
        rows: list[tuple[Any, ...]] = super().fetchmany(self.arraysize if size is None else size)
        return rows

    def _learn(self) -> None:
        loaders: dict[int, Any] = extensions.string_types | self.connection.string_types
        oids = {column.type_code for column in self.description or ()}
        for oid in oids & loaders.keys():
            if loaders[oid].name not in _SURE:
                extensions.register_type(_tolerant(oid, loaders[oid]), self)
        if unknown := oids - loaders.keys():
            self._learn_arrays(unknown, loaders)

    def _learn_arrays(self, oids: Collection[int], loaders: dict[int, Any]) -> None:
        # Not of this class. A database that only speaks like PostgreSQL may not have these tables.
        with self.connection.cursor(cursor_factory=extensions.cursor) as cursor:
            cursor.execute("SAVEPOINT async_rest")
            with contextlib.suppress(psycopg2.Error):
                for array in find_arrays(cursor, oids):
                    load = loaders.get(array.element_oid, extensions.UNICODE)
                    of_array = extensions.new_array_type((array.oid,), _OUR_ARRAYS, load)
                    loaders[array.oid] = _tolerant(array.oid, of_array, array.delimiter)
                    extensions.register_type(loaders[array.oid], self)
            cursor.execute("ROLLBACK TO SAVEPOINT async_rest")


def _tolerant(oid: int, load: Any, delimiter: str = ",") -> Any:
    """Return what loads a type as ``load`` does; where that fails, a text, or an array of texts."""
    is_array = load.name.endswith(("ARRAY", "[]"))  # as the driver names them, and its extras
    ways = (load, extensions.UNICODEARRAY) if is_array else (load,)

    def read(text: str | None, cursor: Any) -> Any:
        if text is None:
            return None
        plain = _plain_array(text, delimiter) if is_array else text
        for way in ways:
            with contextlib.suppress(Exception):  # what a loader raises is up to it
                return way(plain, cursor)
        return text

    return extensions.new_type((oid,), _OURS, read)


def _plain_array(text: str, delimiter: str) -> str:
    """Write an array as the driver expects all to be: without its bounds, and with commas."""
    if text.startswith("["):
        text = text.partition("=")[2]
    if delimiter == ",":
        return text

    def plain(part: re.Match[str]) -> str:
        return "," if part[0] == delimiter else part[0] if part[0][0] == '"' or part[0] == "NULL" else f'"{part[0]}"'

    mark = re.escape(delimiter)
    return re.sub(rf'"(?:[^"\\]|\\.)*"|{mark}|[^{{}}"{mark}]+', plain, text)
