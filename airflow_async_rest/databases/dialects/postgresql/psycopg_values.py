"""Values from PostgreSQL by psycopg 3.

Its cursors here are its own, but that they load again what could not be loaded: the server's text of a page of rows is
still there then. Of dates and times that Python does not have, the text is the value.
"""

import contextlib
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import psycopg
from psycopg.adapt import AdaptersMap, Loader, Transformer
from psycopg.pq import Format
from psycopg.rows import tuple_row
from psycopg.types import TypeInfo
from psycopg.types.array import register_array
from psycopg.types.datetime import IntervalLoader
from psycopg.types.string import TextLoader

from airflow_async_rest.databases.dialects.postgresql.types import ArrayType, find_arrays, read_interval
from airflow_async_rest.databases.values.json_values import json_reader
from airflow_async_rest.databases.values.row_values import Missing, marked

_TIMES = ("date", "time", "timetz", "timestamp", "timestamptz")

_Row = tuple[Any, ...]


def prepare(raw: "psycopg.Connection[Any]", *, embed_json: bool) -> None:
    """Let a connection's cursors load what they can; see ``Dialect.prepare_values``."""
    raw.adapters.register_loader("interval", _IntervalLoader)
    for name in ("json", "jsonb"):
        raw.adapters.register_loader(name, _json_loader(json_reader(embed=embed_json)))
    if embed_json:
        raw.adapters.register_loader("record", TextLoader)  # else a tuple of texts, whatever its columns are
    raw.cursor_factory = _ClientCursor
    raw.server_cursor_factory = _ServerCursor


class _IntervalLoader(IntervalLoader):
    def load(self, data: Any) -> Any:
        return read_interval(bytes(data).decode("ascii"), lambda: super(_IntervalLoader, self).load(data))


def _json_loader(read: Callable[[str], Any]) -> type[Loader]:
    class JsonLoader(TextLoader):
        def load(self, data: Any) -> Any:
            return read(str(super().load(data)))

    return JsonLoader


def _text_where_it_fails(loader: type[Any]) -> type[Loader]:
    class TolerantLoader(TextLoader):
        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._load = loader(oid, context).load

        def load(self, data: Any) -> Any:
            try:
                return self._load(data)
            except Exception:  # noqa: BLE001  (what a loader raises is up to it)
                return super().load(data)

    return TolerantLoader


class _Context(NamedTuple):
    adapters: AdaptersMap
    connection: "psycopg.Connection[Any]"


class _Page:
    """Rows of a cursor's result, loaded apart from it.

    :param tolerant: whether a value that cannot be loaded is its text.
    """

    def __init__(self, cursor: "psycopg.Cursor[Any]", *, tolerant: bool) -> None:
        assert cursor.pgresult is not None  # noqa: S101  (for the type checker)
        self._result = cursor.pgresult
        self._encoding = cursor.connection.info.encoding
        adapters = AdaptersMap(cursor.adapters)
        for oid in self._types(adapters) if tolerant else ():
            if loader := adapters.get_loader(oid, Format.TEXT):
                adapters.register_loader(oid, _text_where_it_fails(loader))
        self._transformer = Transformer(_Context(adapters, cursor.connection))
        self._transformer.set_pgresult(self._result)

    def _types(self, adapters: AdaptersMap) -> set[int]:
        """Return the types of values: of columns, of arrays' elements, and of ranges' bounds, which may be times."""
        columns = {self._result.ftype(column) for column in range(self._result.nfields)}
        known = {oid: info.oid for oid in columns if (info := adapters.types.get(oid))}
        return {known.get(oid, oid) for oid in columns} | {adapters.types[name].oid for name in _TIMES}

    def load(self, first: int, last: int) -> list[_Row]:
        """Load rows. :raises Exception: what a loader raises."""
        return self._transformer.load_rows(first, last, tuple)

    def load_partly(self, first: int, last: int) -> list[_Row]:
        """Load rows, where each value can be missing."""
        columns = range(self._result.nfields)
        return [marked(self._value(row, column) for column in columns) for row in range(first, last)]

    def _value(self, row: int, column: int) -> Any:
        data = self._result.get_value(row, column)
        if data is None:
            return None
        try:
            return self._transformer.get_loader(self._result.ftype(column), Format.TEXT).load(data)
        except Exception as error:  # noqa: BLE001  (what a loader raises is up to it)
            try:
                return bytes(data).decode(self._encoding)
            except UnicodeDecodeError:
                return Missing(str(error), bytes(data))


class _Cursor(psycopg.Cursor[Any]):
    """A cursor that knows all types of arrays, and loads again what could not be loaded."""

    _knows_more = False

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        """Execute a statement, and find out about arrays that the driver does not know."""
        super().execute(query, params, **options)
        unknown = {column.type_code for column in self.description or ()}
        unknown = {oid for oid in unknown if self.adapters.types.get(oid) is None}
        for array in self._find_arrays(unknown) if unknown else ():
            info = TypeInfo(array.name, array.element_oid, array.oid, delimiter=array.delimiter)
            register_array(info, self)
            self._knows_more = True
        return self

    def _find_arrays(self, oids: Collection[int]) -> list[ArrayType]:
        # In a separate transaction: a database that only speaks like PostgreSQL may not have these tables.
        with (
            contextlib.suppress(psycopg.Error),
            self.connection.transaction(),
            psycopg.Cursor(self.connection, row_factory=tuple_row) as cursor,
        ):
            return find_arrays(cursor, oids)
        return []

    def _load(self, first: int, last: int) -> list[_Row]:
        try:
            return _Page(self, tolerant=False).load(first, last)
        except Exception:  # noqa: BLE001  (what a loader raises is up to it)
            page = _Page(self, tolerant=True)
        try:
            return page.load(first, last)
        except Exception:  # noqa: BLE001
            return page.load_partly(first, last)


class _ServerCursor(_Cursor, psycopg.ServerCursor[Any]):
    def fetchmany(self, size: int = 0) -> list[_Row]:
        """Fetch rows, loaded as far as they can be."""
        before = self.pgresult
        try:
            rows = super().fetchmany(size)
        except Exception:
            if self.pgresult is before:  # nothing has come
                raise
        else:
            if not self._knows_more:
                return rows
        return self._load(0, self.pgresult.ntuples if self.pgresult else 0)


class _ClientCursor(_Cursor):
    _next = 0

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        """Execute a statement, whose rows are read from the first one on."""
        self._next = 0
        return super().execute(query, params, **options)

    def fetchmany(self, size: int = 0) -> list[_Row]:
        """Return rows, loaded as far as they can be."""
        first, there = self._next, self.pgresult.ntuples if self.pgresult else 0
        self._next = min(first + (size or self.arraysize), there)
        return self._load(first, self._next)
