"""Rows out of every database: windows, streams, cancellation, patience."""

import asyncio
import re
import threading
import time
from datetime import UTC, datetime

import pytest
from every_database.loading import load_rows

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

WINDOW = {"window_start": datetime(2026, 11, 1, tzinfo=UTC), "window_end": datetime(2026, 11, 2, tzinfo=UTC)}
EDGES = [
    "2026-10-31 23:59:59",
    "2026-11-01 00:00:00",
    "2026-11-01 00:00:01",
    "2026-11-01 23:59:59",
    "2026-11-02 00:00:00",
]
DAYS = ["2026-10-31", "2026-11-01", "2026-11-02"]
MANY = 200_000


def chunks(sql, parameters=None, **arguments):
    return ChunkedSqlHook("source_db").chunks(sql, parameters, **arguments)


def ids(sql, parameters=None, **arguments):
    return [row["id"] for chunk in chunks(sql, parameters, **arguments) for row in lowered(chunk)]


def lowered(chunk):
    """Return rows with names in small letters: some databases know no others than large ones."""
    return [{name.lower(): value for name, value in row.items()} for row in chunk]


@pytest.mark.parametrize(("kind", "times"), [("naive", EDGES), ("aware", EDGES), ("day", DAYS)])
def test_a_window_has_its_first_moment_and_not_its_end(database, kind, times):
    if kind == "day":
        database.needs("days")
    database.create(f"id {{integer}}, noted {{{kind}}}")
    database.insert([{"id": ("integer", str(n)), "noted": (kind, text)} for n, text in enumerate(times)])
    sql = "SELECT id FROM things WHERE noted >= :window_start AND noted < :window_end ORDER BY id"
    assert ids(sql, WINDOW) == list(range(1, len(times) - 1))


def test_the_rows_before_one_that_fails_are_there(database):
    database.needs("streaming")
    streamed = iter(chunks(f"SELECT id, {database.fails_after(MANY)} AS other FROM {database.series(MANY + 9)}"))
    next(streamed)
    with pytest.raises(ConfigurationError, match="the sql failed after [0-9,]+ rows") as failed:
        list(streamed)
    read = int(re.search("after ([0-9,]+) rows", str(failed.value))[1].replace(",", ""))
    assert MANY - 5_000 <= read <= MANY


def test_all_rows_of_many_are_read_once(database):
    assert ids(f"SELECT id FROM {database.series(20_001)} ORDER BY id", chunk_size=1_000) == list(range(1, 20_002))


@pytest.mark.release
def test_a_reader_may_wait_longer_than_the_server(database):
    with database.impatient():
        _read_slowly(database, 2.5)


@pytest.mark.release
@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_reader_may_wait_longer_than_the_server_as_it_comes(database):
    _read_slowly(database, 75)


def _read_slowly(database, seconds):
    streamed = iter(chunks(f"SELECT id, '{'x' * 200}' AS label FROM {database.series(MANY)}"))
    read = len(next(streamed))
    threading.Event().wait(seconds)  # as long as an API may take: nobody can tell when the server's clock has run down
    assert read + sum(map(len, streamed)) == MANY


@pytest.mark.release
def test_a_load_may_wait_longer_than_the_server(database, api, supervisor):
    database.create("id {integer}, label {text}")
    slow = _once_slow(2.5)
    with database.impatient():
        loaded = load_rows(api, supervisor, [{"id": n, "label": "x"} for n in range(3_000)], wrapped=slow)
    assert loaded.state == "success", loaded.error
    assert len(database.rows("id")) == 3_000


def _once_slow(seconds):
    """Let the API take its time once, when much has been answered."""

    def wrap(answer):
        seen_so_far = []

        async def slow(seen):
            seen_so_far.append(seen)
            if len(seen_so_far) == 2_500:
                await asyncio.sleep(seconds)
            return answer(seen)

        return slow

    return wrap


def test_cancel_ends_a_long_statement(database):
    database.needs("cancelling")
    reading, ended = chunks(database.slow), []

    def read():
        try:
            list(reading)
        except Exception as error:  # noqa: BLE001
            ended.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    until = time.monotonic() + database.slow_seconds
    while thread.is_alive() and time.monotonic() < until:
        thread.join(0.2)  # before the statement runs there is nothing to cancel
        reading.cancel()
    assert not thread.is_alive(), "the statement runs on"
    assert ended, "the statement came to its end"
    assert not isinstance(ended[0], ConfigurationError)


def test_what_only_reads_changes_nothing(database):
    database.needs("reading writes")
    database.create("id {integer}")
    database.insert([{"id": ("integer", "1")}])
    with pytest.raises(ConfigurationError, match="the database refuses the sql"):
        list(chunks(database.writing))
    assert database.rows() == [(1,)]


def test_what_may_write_is_committed(database):
    database.needs("reading writes")
    database.create("id {integer}")
    database.insert([{"id": ("integer", "1")}])
    list(chunks(database.writing, read_only=False))
    assert database.rows() == []
