"""What the tests ask of a database, whichever it is."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from loads import Database as Loads

SERVER_ZONE = "America/Los_Angeles"


class Database:
    """A database of a test's own, empty at first, whose server is in another zone than UTC.

    :cvar types: what it calls the types that tests write: {integer}, {number} (38 digits, 18 of them behind the point),
        {text}, {short} (5 characters), {naive} and {aware} (times without and with a zone), {day}, {json}, {binary}.
    :cvar cannot: what of it no test can show -> why.
    :cvar writing: what gives rows, and changes some.
    :cvar slow: what takes half a minute, or longer.
    """

    types: Mapping[str, str]
    cannot: Mapping[str, str] = {}
    writing = "DELETE FROM things RETURNING id"
    slow: str
    slow_seconds = 30

    def connection(self) -> dict[str, Any]:
        """Return the fields of the Airflow connection to it."""
        raise NotImplementedError

    def execute(self, *statements: str) -> list[tuple]:
        """Run statements, by the database's own driver, in UTC; return the rows of the last one."""
        raise NotImplementedError

    def series(self, count: int) -> str:
        """Return what to write after FROM for the numbers from 1 to ``count`` in a column ``id``, made one by one."""
        raise NotImplementedError

    def fails_after(self, count: int) -> str:
        """Return an expression of the series' ``id`` that fails in each row after so many."""
        return f"{2**63 - 1 - count} + id"

    @contextmanager
    def impatient(self) -> Iterator[None]:
        """Let new sessions be ended by the server when nothing is read for a second."""
        yield

    @property
    def wrong_password(self) -> dict[str, Any]:
        """Fields of a connection that it does not let in."""
        return self.connection() | {"password": "wrong"}

    def needs(self, *abilities: str) -> None:
        """Skip a test where the database cannot do something."""
        for ability in abilities:
            if ability in self.cannot:
                pytest.skip(self.cannot[ability])

    def create(self, columns: str, table: str = "things") -> None:
        """Make a table: of columns whose types are written {integer}, {text}, ..."""
        self.execute(f"CREATE TABLE {table} ({columns.format_map(self.types)})")

    def literal(self, kind: str, text: str) -> str:
        """Write a value in SQL. :param text: of a time, in UTC: ``2026-11-01 00:00:00``."""
        quoted = "'" + text.replace("'", "''") + "'"
        match kind:
            case "naive":
                return f"TIMESTAMP {quoted}"
            case "aware":
                return f"TIMESTAMP WITH TIME ZONE '{text}+00:00'"
            case "day":
                return f"DATE {quoted}"
            case "integer" | "number":
                return text
            case "binary":
                return f"X{quoted}"
        return quoted

    def insert(self, rows: list[dict[str, tuple[str, str]]], table: str = "things") -> None:
        """Insert rows: column -> (kind, text), as of :meth:`literal`."""
        self.execute(
            *(
                f"INSERT INTO {table} ({', '.join(row)}) SELECT {', '.join(self.literal(*value) for value in row.values())}"
                for row in rows
            )
        )

    def rows(self, columns: str = "*", table: str = "things") -> list[tuple]:
        """Return a table's rows, in order of their first column."""
        return [tuple(row) for row in self.execute(f"SELECT {columns} FROM {table} ORDER BY 1")]

    def left_behind(self) -> list[str]:
        """Return the names of the staging tables that are there."""
        sql = "SELECT table_name FROM information_schema.tables WHERE lower(table_name) LIKE 'async_rest_stg%'"
        return [name for (name,) in self.execute(sql)]

    def loader(self, **plan: Any) -> Any:
        """Make the loader of a task's try, of the connection ``warehouse``."""
        return Loads("", self.execute).loader(**plan)
