"""Behind a pooler the next client of a session is a stranger: he finds it as it was."""

import contextlib

import pytest
from every_database.loading import MODES
from every_database.test_reading import chunks

pytestmark = [pytest.mark.release, pytest.mark.parametrize("database", ["pgbouncer"], indirect=True)]

SESSIONS = 8
CHANGED = (
    "SELECT name, setting, reset_val FROM pg_settings WHERE setting IS DISTINCT FROM reset_val AND source = 'session'"
)
LEFT = {
    "settings": CHANGED,
    "prepared statements": "SELECT name, statement FROM pg_prepared_statements",
    "cursors": "SELECT name FROM pg_cursors WHERE name <> ''",
    "locks": "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    "temporary tables": "SELECT relname FROM pg_class WHERE relpersistence = 't'",
}


def strangers(database):
    """Yield sessions of the server: as many as there are, each in a transaction."""
    import psycopg

    place = database.connection()
    with contextlib.ExitStack() as opened:
        for _ in range(SESSIONS):
            session = opened.enter_context(
                psycopg.connect(
                    host=place["host"],
                    port=place["port"],
                    user=place["login"],
                    password=place["password"],
                    dbname=place["schema"],
                    prepare_threshold=None,
                )
            )
            session.execute("SELECT 1")
            yield session


def left(database):
    return [
        (what, row) for session in strangers(database) for what, sql in LEFT.items() for row in session.execute(sql)
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_load_leaves_nothing_in_its_sessions(database, load, mode):
    database.create("id {integer} NOT NULL PRIMARY KEY, noted {naive}, label {text}")
    for _ in range(2):  # what is prepared once is in the way of the next one
        rows = [{"id": n, "noted": "2026-11-01T12:00:00Z", "label": "x"} for n in range(1_200)]
        loaded = load(rows, max_failures=len(rows) if mode == "append" else 0, **MODES[mode])
        assert loaded.error is None or mode == "append", loaded.error
        assert left(database) == []


def test_reading_leaves_nothing_in_its_sessions(database):
    many = f"SELECT id FROM {database.series(20_000)}"
    assert sum(map(len, chunks(many))) == 20_000
    assert sum(map(len, chunks(many, count_rows=True))) == 20_000
    given_up = iter(chunks(many, chunk_size=10))
    next(given_up)
    given_up.close()
    assert left(database) == []
