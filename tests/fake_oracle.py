"""Oracle without a server: the driver's own classes as it specifies them, with scripted answers.

What is real: the hook, SQLAlchemy's dialect, the driver's types, errors, variables and column descriptions. What is
played: the network, and so what the database itself would say.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import oracledb
from oracledb import errors, thin_impl
from oracledb.fetch_info import FetchInfo

# Cursors that no test uses any more: to make one takes longer than most tests.
_FREE: list[Any] = []
# What SQLAlchemy asks on a new connection.
_GREETINGS = {"current_schema": "ME", "1.1": "1.1", "v$parameter": "23.4.0"}


@dataclass
class Stored:
    """A value that the driver cannot load; the database can write it, or it is a text of bytes that are no UTF-8."""

    value: str | bytes
    error: Exception


def column(name: str, kind: Any, precision: int = 0, scale: int = 0) -> FetchInfo:
    """Describe a column as the driver does."""
    return FetchInfo._from_impl(
        SimpleNamespace(
            name=name, dbtype=kind, objtype=None, precision=precision, scale=scale, max_size=0, nulls_allowed=True
        )
    )


def error(code: int, message: str = "refused") -> Exception:
    """Make the error that the driver raises for one of the database's."""
    details = errors._Error(f"ORA-{code:05}: {message}", code=code)
    return details.exc_type(details)


def driver_error(number: int, **arguments: Any) -> Exception:
    """Make one of the driver's own errors."""
    return errors._create_exception(number, **arguments)


def real_cursor() -> oracledb.Cursor:
    """A cursor of the driver's own, that is connected to nothing but makes variables."""
    connection = oracledb.Connection.__new__(oracledb.Connection)
    connection._impl = thin_impl.ThinConnImpl()
    return connection.cursor()


def _take_cursor() -> Any:
    """Return a mock of the driver's cursor, as good as new."""
    if _FREE:
        return _FREE.pop()
    cursor = create_autospec(oracledb.Cursor, instance=True, spec_set=True)
    vars(cursor)["born_with"] = {*vars(cursor), "born_with"}
    return cursor


def _give_back(cursor: Any) -> None:
    for name in vars(cursor).keys() - vars(cursor)["born_with"]:  # attributes that have been set
        del vars(cursor)[name]
    cursor.reset_mock(return_value=True, side_effect=True)
    cursor.__exit__.return_value = False
    _FREE.append(cursor)


@dataclass
class FakeOracle:
    """Answers one query; ``cursors`` keeps what was made of it. :meth:`end` ends it."""

    columns: list[FetchInfo] = field(default_factory=list)
    rows: list[tuple] = field(default_factory=list)
    refuse: Exception | None = None
    refuse_query: Exception | None = None
    executed: list[tuple[str, dict]] = field(default_factory=list)
    parsed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connection = create_autospec(oracledb.Connection, instance=True, spec_set=True)
        self.connection.outputtypehandler = None
        self.connection.current_schema = None
        self.connection.version = "23.4.0.24.5"
        self.connection.max_identifier_length = 128
        self.connection.cursor.side_effect = self._new_cursor
        self.cursors: list[Any] = []

    def end(self) -> None:
        for cursor in self.cursors:
            _give_back(cursor)

    @property
    def query(self) -> Any:
        """The cursor that ran the query."""
        return next(cursor for cursor in self.cursors if cursor.fetchmany.called)

    def _new_cursor(self) -> Any:
        cursor = _take_cursor()
        cursor.connection, cursor.arraysize, cursor.description, cursor.outputtypehandler = (
            self.connection,
            100,
            None,
            None,
        )
        cursor.var.side_effect = real_cursor().var
        cursor.__enter__.return_value = cursor
        cursor.parse.side_effect = lambda sql: self._parse(cursor, sql)
        cursor.execute.side_effect = lambda sql, parameters=None: self._execute(cursor, sql, parameters)
        self.cursors.append(cursor)
        return cursor

    def _parse(self, cursor: Any, sql: str) -> None:
        self.parsed.append(sql)
        if self.refuse:
            raise self.refuse
        cursor.description = self.columns or None

    def _execute(self, cursor: Any, sql: str, parameters: Any) -> None:
        greeting = next((answer for part, answer in _GREETINGS.items() if part in sql), None)
        if greeting:
            cursor.description = [column("X", oracledb.DB_TYPE_VARCHAR)]
            cursor.fetchone.return_value = (greeting,)
        elif "trans_id" not in sql:  # SQLAlchemy's way to find out the isolation level; it does without
            self.executed.append((sql, dict(parameters or {})))
            if sql.startswith(("ALTER", "SET")):
                return
            if self.refuse_query:
                raise self.refuse_query
            self._answer(cursor, sql)

    def _answer(self, cursor: Any, sql: str) -> None:
        columns = [_as_selected(info, sql) for info in self.columns]
        cursor.description = columns or None
        converters = [self._converter(cursor, info) for info in columns]
        rows = (tuple(f(value) for f, value in zip(converters, row, strict=True)) for row in list(self.rows))
        cursor.fetchmany.side_effect = lambda size: list(islice(rows, size))
        cursor.fetchone.side_effect = lambda: next(rows, None)

    def _converter(self, cursor: Any, info: FetchInfo) -> Any:
        """What the driver does with a column's values: nothing with NULL."""
        variable = fetched_as(cursor, info)
        convert = variable and variable.outconverter

        def load(value: Any) -> Any:
            if isinstance(value, Stored):
                value = _loaded(value, info, variable)
            elif isinstance(value, datetime) and info.type_code is oracledb.DB_TYPE_VARCHAR:
                value = f" {value.isoformat()}"
            return convert(value) if convert and value is not None else value

        return load


def _as_selected(info: FetchInfo, sql: str) -> FetchInfo:
    """What becomes of a column that a query selects as a text."""
    written = re.search(f'TO_CHAR.*\\) AS "{info.name}"', sql)
    return column(info.name, oracledb.DB_TYPE_VARCHAR) if written else info


def _loaded(stored: Stored, info: FetchInfo, variable: Any) -> str:
    """What the driver makes of a value that is hard to load, where it was told how."""
    if isinstance(stored.value, bytes) and variable and variable._impl.encoding_errors:
        return stored.value.decode(errors=variable._impl.encoding_errors)
    if isinstance(stored.value, bytes) or info.type_code is not oracledb.DB_TYPE_VARCHAR:
        raise stored.error
    return stored.value


def fetched_as(cursor: Any, info: FetchInfo) -> Any:
    """Ask the handler in force, as the driver does, for a column's variable; None: the driver's own choice."""
    handler = cursor.outputtypehandler or cursor.connection.outputtypehandler
    impl = info._impl
    return handler(cursor, impl.name, impl.dbtype, impl.max_size, impl.precision, impl.scale)
