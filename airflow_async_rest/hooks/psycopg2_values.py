"""Values from PostgreSQL by psycopg2, which can be told how to load a type, and not what to do when it cannot."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import psycopg2  # type: ignore[import-untyped]
from psycopg2 import extensions

from airflow_async_rest.hooks.json_values import json_reader
from airflow_async_rest.hooks.postgres_types import ArrayType, find_arrays, read_interval

# What loads a type, the type, and arrays of it.
_TIMES = (
    (extensions.PYDATE, 1082, 1182),
    (extensions.PYTIME, 1083, 1183),
    (extensions.PYTIME, 1266, 1270),
    (extensions.PYDATETIME, 1114, 1115),
    (extensions.PYDATETIMETZ, 1184, 1185),
)
_INTERVAL = (1186, 1187)
_JSON = ((114, 199), (3802, 3807))

_Load = Callable[[str, Any], Any]


def prepare(raw: Any, *, embed_json: bool) -> None:
    """Let a connection's cursors load what they can; see :func:`.row_values.prepare_values`."""
    for load, *of_times in _TIMES:
        _register(raw, of_times, _text_where_it_fails(load))
    _register(raw, _INTERVAL, lambda text, cursor: read_interval(text, lambda: extensions.PYINTERVAL(text, cursor)))
    read_json = json_reader(embed=embed_json)
    for oids in _JSON:
        _register(raw, oids, lambda text, _: read_json(text))
    raw.cursor_factory = _Cursor


def _register(raw: Any, oids: Sequence[int], load: _Load) -> None:
    """Let a connection load a type and its arrays."""
    oid, array_oid = oids
    kind = extensions.new_type((oid,), "ASYNC_REST", lambda text, cursor: None if text is None else load(text, cursor))
    extensions.register_type(kind, raw)
    extensions.register_type(extensions.new_array_type((array_oid,), "ASYNC_REST_ARRAY", kind), raw)


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
    """A cursor that knows all types of arrays."""

    _learned = False

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """Fetch rows, having found out about arrays that the driver does not know."""
        if not self._learned:
            self._learned = True
            if self.name:
                super().fetchmany(0)  # so that there is a description
            self._learn()
        rows: list[tuple[Any, ...]] = super().fetchmany(self.arraysize if size is None else size)
        return rows

    def _learn(self) -> None:
        known = extensions.string_types.keys() | self.connection.string_types.keys()
        if not (unknown := {column.type_code for column in self.description or ()} - known):
            return
        # Not of this class. A database that only speaks like PostgreSQL may not have these tables.
        with self.connection.cursor(cursor_factory=extensions.cursor) as cursor:
            cursor.execute("SAVEPOINT async_rest")
            with contextlib.suppress(psycopg2.Error):
                for array in find_arrays(cursor, unknown):
                    extensions.register_type(self._loader(array), self)
            cursor.execute("ROLLBACK TO SAVEPOINT async_rest")

    def _loader(self, array: ArrayType) -> Any:
        if array.delimiter != ",":  # of boxes, which are never in quotes; the driver splits at commas
            return extensions.new_type((array.oid,), "ASYNC_REST_ARRAY", lambda text, _: _split(text, array.delimiter))
        loaders = extensions.string_types | self.connection.string_types
        load = loaders.get(array.element_oid, extensions.UNICODE)
        return extensions.new_array_type((array.oid,), "ASYNC_REST_ARRAY", load)


def _split(text: str | None, delimiter: str) -> list[str | None] | None:
    if text is None or text == "{}":
        return None if text is None else []
    return [None if part == "NULL" else part for part in text[1:-1].split(delimiter)]
