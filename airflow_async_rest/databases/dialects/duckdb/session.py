"""A driver's connection as PEP 249 has it: with cursors, one statement at a time, true counts and savepoints.

The driver's own cursors are connections, which do not see what the transaction has done; it runs any number of
statements at once; and DuckDB has no savepoints: after an error a transaction can only be rolled back. A transaction
of ours is the only one that writes, so that rolling back to a savepoint can be beginning again, and doing again what
was done before it.
"""

import contextlib
import threading
from collections.abc import Sequence
from typing import Any

import duckdb
from duckdb import StatementType

from airflow_async_rest.databases.dialects.duckdb.odd_values import OddValues

_CHANGE_NOTHING = frozenset({StatementType.SELECT, StatementType.EXPLAIN})
_COUNTED = frozenset(
    {
        StatementType.INSERT,
        StatementType.UPDATE,
        StatementType.DELETE,
        StatementType.MERGE_INTO,
        StatementType.CREATE,
        StatementType.COPY,
    }
)
_COUNT = "Count"
_WAIT_SECONDS = 300  # for the transaction of another load in this process, which may be a large merge
_writing: dict[str, threading.Lock] = {}


class Session:
    """A connection.

    :param raw: the driver's.
    """

    def __init__(self, raw: duckdb.DuckDBPyConnection) -> None:
        self._raw = raw
        self._done: list[tuple[str, Sequence[Any]]] = []  # since the transaction has begun
        self._savepoints: dict[str, int] = {}
        self._writes: threading.Lock | None = None
        self.reader: Cursor | None = None

    def cursor(self) -> "Cursor":
        """Return a cursor of this connection, and of its transaction."""
        return Cursor(self)

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Run one statement. :return: its type."""
        statements = self._raw.extract_statements(sql)
        if len(statements) != 1:
            raise duckdb.ProgrammingError(f"{len(statements) or 'no'} statements where there should be one")
        kind = statements[0].type
        self._raw.execute(sql, parameters)
        if kind not in _CHANGE_NOTHING and (self._done or kind == StatementType.TRANSACTION):
            self._done.append((sql, parameters))
        return kind

    def columns_of(self, sql: str, parameters: Sequence[Any]) -> list[tuple[str, str]]:
        """Return names and types of a query's columns, without running it; none of what is no query."""
        statements = self._raw.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != StatementType.SELECT:
            return []
        return [(name, str(type_)) for name, type_, *_ in self._raw.execute(f"DESCRIBE {sql}", parameters).fetchall()]

    @property
    def raw(self) -> Any:
        """The driver's connection, which has the result of what ran last."""
        return self._raw

    def begin_to_write(self, file: str) -> None:
        """Begin a transaction that writes, when no other of this process does so.

        :raises duckdb.OperationalError: when another lasts too long.
        """
        writes = _writing.setdefault(file, threading.Lock())
        if not writes.acquire(timeout=_WAIT_SECONDS):
            raise duckdb.OperationalError(f"another load of this process writes to {file} since {_WAIT_SECONDS} s")
        self._writes = writes
        try:
            self.run("BEGIN TRANSACTION")
        except BaseException:
            self._end()
            raise

    def commit(self) -> None:
        """End the transaction, if there is one."""
        if self._done:
            self._raw.commit()
        self._end()

    def rollback(self) -> None:
        """Undo the transaction, if there is one."""
        with contextlib.suppress(duckdb.Error):
            if self._done:
                self._raw.rollback()
        self._end()

    def _end(self) -> None:
        self._done, self._savepoints, writes, self._writes = [], {}, self._writes, None
        if writes is not None:
            writes.release()

    def save(self, name: str) -> None:
        """Set a savepoint."""
        self._savepoints[name] = len(self._done)

    def return_to(self, name: str) -> None:
        """Undo what was done since a savepoint."""
        done = self._done[: self._savepoints[name]]
        self._raw.rollback()
        for sql, parameters in done:
            self._raw.execute(sql, parameters)
        self._done = done

    def interrupt(self) -> None:
        """Cancel the statement that is running; from another thread."""
        self._raw.interrupt()

    def close(self) -> None:
        """End the connection."""
        self.rollback()
        self._raw.close()


class Cursor:
    """What a statement gives. Its rows are gone when the connection's next statement runs."""

    arraysize = 1

    def __init__(self, session: Session) -> None:
        self._session = session
        self.description: Any = None
        self.rowcount = -1
        self._odd: OddValues | None = None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement."""
        self._session.reader = self
        self.description, self.rowcount = None, -1
        kind, raw = self._session.run(sql, parameters), self._session.raw
        names = [column[0] for column in raw.description or ()]
        if kind in _COUNTED and names == [_COUNT]:
            self.rowcount = next(iter(raw.fetchall()), (-1,))[0]
        elif kind in _CHANGE_NOTHING or kind in _COUNTED or names not in (["Success"], [_COUNT]):
            self.description = raw.description

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a query whose values are all to be as they are."""
        columns: list[tuple[str, str]] = []
        with contextlib.suppress(duckdb.Error):  # which the query itself has, too
            columns = self._session.columns_of(sql, parameters)
        odd = OddValues.of(sql, columns)
        self.execute(odd.sql if odd else sql, parameters)
        if odd:
            self._odd, self.description = odd, self.description[:-1]

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each of some rows."""
        for row in rows:
            self.execute(sql, row)

    def fetchmany(self, count: int | None = None) -> Any:
        """Return the next rows."""
        self._check()
        rows = self._session.raw.fetchmany(count or self.arraysize)
        return self._odd.without(rows) if self._odd else rows

    def fetchone(self) -> Any:
        """Return the next row."""
        return next(iter(self.fetchmany(1)), None)

    def fetchall(self) -> Any:
        """Return all rows that are left."""
        self._check()
        rows = self._session.raw.fetchall()
        return self._odd.without(rows) if self._odd else rows

    def _check(self) -> None:
        if self._session.reader is not self:
            raise duckdb.InternalError("another statement has run since, and these rows are gone")

    def close(self) -> None:
        """Be done with it."""
