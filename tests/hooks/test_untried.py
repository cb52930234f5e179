"""A database that nobody has tried: what of its driver is needed, and what its errors mean."""

import pytest

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.databases.dialects.registry import TRIED, dialect_named


class Error(Exception):
    """As PEP 249 has every driver call its errors."""


class OperationalError(Error):
    pass


class ProgrammingError(Error):
    pass


class BareCursor:
    """Has what a cursor cannot be without."""

    __slots__ = ("_fetched", "_rows", "closed", "description", "told")
    rowcount = -1

    def __init__(self, rows):
        self._rows, self._fetched, self.told, self.description, self.closed = rows, 0, [], None, False

    def execute(self, statement, parameters):
        if isinstance(self._rows, Exception):
            raise self._rows
        self.told.append((statement, tuple(parameters)))
        self.description = [("id", None, None, None, None, None, None)]

    def fetchmany(self, size):
        some = self._rows[self._fetched : self._fetched + size]
        self._fetched += len(some)
        if some and isinstance(some[-1], Exception):
            raise some[-1]
        return some

    def close(self):
        self.closed = True


class BareConnection:
    """Can do no more than make its cursor, commit, and be closed."""

    __slots__ = ("__weakref__", "commits", "is_open", "made")

    def __init__(self, rows):
        self.made, self.commits, self.is_open = BareCursor(rows), 0, True

    def cursor(self):
        return self.made

    def commit(self):
        self.commits += 1

    def close(self):
        self.is_open = False


@pytest.fixture
def bare(connect, untried, monkeypatch):
    """Read rows by a driver that can do very little: ``bare(rows)`` returns the connection, and what is read."""
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    connect("source_db", conn_type="sqlite", host="nowhere.db")

    def read(rows, placeholder="%s", sql="SELECT id FROM t WHERE id > :low AND label LIKE 'a%'", **options):
        connection = BareConnection(rows)
        monkeypatch.setattr(SqliteHook, "placeholder", placeholder)
        monkeypatch.setattr(SqliteHook, "get_conn", lambda self: connection)
        return connection, ChunkedSqlHook("source_db").iter_chunks(sql, {"low": 1}, 2, **options)

    return read


@pytest.mark.parametrize(
    ("placeholder", "statement"),
    [
        ("%s", "SELECT id FROM t WHERE id > %s AND label LIKE 'a%%'"),
        ("?", "SELECT id FROM t WHERE id > ? AND label LIKE 'a%'"),
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
def test_a_driver_that_can_do_very_little_is_enough(bare, placeholder, statement, read_only):
    connection, chunks = bare([(2,), (3,), (4,)], placeholder, read_only=read_only)
    assert list(chunks) == [[{"id": 2}, {"id": 3}], [{"id": 4}]]
    assert connection.made.told == [(statement, (1,))]
    assert (connection.commits, connection.made.closed, connection.is_open) == (not read_only, True, False)


REFUSED, AS_IT_IS = ConfigurationError, None
ERRORS = {
    "a wrong SQL": (ProgrammingError("no such table"), REFUSED, "the database refuses the sql: no such table"),
    "an error of no class": (LookupError("nothing"), REFUSED, "the database refuses the sql: nothing"),
    "a server that is away": (OperationalError("gone"), AS_IT_IS, "gone"),
    "no network": (ConnectionResetError("reset"), AS_IT_IS, "reset"),
    "a row that fails": (
        [(1,), ProgrammingError("division")],
        REFUSED,
        "the sql failed after 1 row: division. It runs, so one",
    ),
    "a value that fails": ([(1,), ValueError("year 0")], REFUSED, r"cannot be read further \(year 0\)"),
}


@pytest.mark.parametrize(("rows", "kind", "words"), ERRORS.values(), ids=ERRORS.keys())
def test_what_its_driver_raises_is_told_by_the_classes_that_all_drivers_have(bare, rows, kind, words):
    connection, chunks = bare(rows)
    with pytest.raises(Exception, match=words) as raised:
        list(chunks)
    assert isinstance(raised.value, ConfigurationError) is (kind is REFUSED)
    assert not connection.is_open


NAMES = {
    "postgres": "PostgreSQL",
    "postgresql": "PostgreSQL",
    "oracle": "Oracle",
    "sqlite": "SQLite",
    "mysql": "MySQL",
    "mariadb": "MariaDB",
    "redshift": "Untried",
    "": "Untried",
}


@pytest.mark.parametrize(("name", "title"), NAMES.items())
def test_a_database_is_found_by_its_connections_type_and_by_sqlalchemys_name(name, title):
    dialect = dialect_named(name)
    assert dialect.title == title
    assert dialect.is_tried is (title != "Untried")
    assert dialect.title in (*TRIED, "Untried")


def test_an_untried_database_has_its_own_quotes_where_they_are_known():
    assert dialect_named("redshift").quotes.e
    assert dialect_named("bigquery").quotes.backslashes
    assert dialect_named("nobody_knows").quotes == dialect_named("any").quotes
