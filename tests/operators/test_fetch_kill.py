"""SIGKILL while rows are fetched, staged and merged: the table is that of a run that nobody disturbed."""

import random

import fetch_tasks
import pytest
from aiohttp import web
from fetch_tasks import ITEMS
from task_runner import Supervisor, run_try, spawn_try
from tasks import staging_tables_of

pytestmark = pytest.mark.release

LOCK = 20261101
WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted
"""


def count_of(pages, item):
    """How many pages an item has."""
    return 1 if pages == "one" else 150 if item == 30 else 1 + item % 9


def answering(mode, pages):
    """Make the API that gives two rows a page, of which each has other columns; in an upsert, one of them again."""

    def answer(seen):
        item, page = int(seen.path.rpartition("/")[2]), int(seen.query.partition("=")[2] or 0)
        page -= seen.query.startswith("page")  # which is 1 at first
        rows = [{"number": n, "at": at(n)} for n in (2 * page, 2 * page + 1)]
        rows[0]["a"] = 10
        rows[1] |= {"a": None, "b": 20}
        if mode == "upsert":
            rows.append({"number": 2 * page, "at": at(2 * page), "b": 30})
        following = str(page + 1) if page + 1 < count_of(pages, item) else None
        return web.json_response({"data": {"items": rows}, "next": following, "pages": count_of(pages, item)})

    return answer


def at(number):
    return f"2026-11-01 {5 + number // 60:02}:{number % 60:02}:00+00"


@pytest.fixture(params=["one", "many", "many, side by side"])
def pages(request, monkeypatch):
    """How many pages items have."""
    monkeypatch.setenv("PAGES", request.param)
    return request.param


@pytest.fixture(params=["append", "replace_window", "upsert"])
def mode(request, pages, postgres, places, connect, monkeypatch):
    """Each load mode, with a table that has rows already, and that a lock can keep from taking more."""
    monkeypatch.setenv("LOAD_MODE", request.param)
    connect("warehouse", **postgres.connection())
    places.answer = answering(request.param, pages)
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads, killed",
        "CREATE TABLE killed (id bigint, number int, at timestamptz, a int DEFAULT -1, b int NOT NULL DEFAULT -2, kept text)",
        *(["ALTER TABLE killed ADD PRIMARY KEY (id, number)"] if request.param == "upsert" else []),
        "INSERT INTO killed VALUES (1, 0, '2026-11-01 23:00Z', 0, 0, 'old'), (-1, 0, '2026-10-31 00:00Z', 0, 0, 'old')",
        f"CREATE OR REPLACE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM "
        f"pg_advisory_xact_lock_shared({LOCK}); RETURN NEW; END $$",
        "CREATE TRIGGER waits BEFORE INSERT ON killed FOR EACH STATEMENT EXECUTE FUNCTION waits()",
    )
    return request.param


def expected(mode: str, pages: str) -> set:
    values = [(10, 30 if mode == "upsert" else -2), (None, 20)]
    rows = {
        (i, n, at(n), *values[n % 2], "old" if (mode, i, n) == ("upsert", 1, 0) else None)
        for i in range(1, ITEMS[pages] + 1)
        for n in range(2 * count_of(pages, i))
    }
    old = {(-1, 0, "2026-10-31 00:00:00+00", 0, 0, "old")}
    return rows | old | ({(1, 0, "2026-11-01 23:00:00+00", 0, 0, "old")} if mode == "append" else set())


def test_ten_sigkills_neither_lose_nor_double_a_row(mode, pages, places, postgres, supervisor, monkeypatch):
    chance = random.Random(f"{mode} {pages}")
    items = ITEMS[pages]
    requests = sum(count_of(pages, item) for item in range(1, items + 1))
    moments = [*sorted(chance.sample(range(1, requests), 7)), requests]
    asked: set[str] = set()
    tries = 0

    def start():
        nonlocal tries
        tries += 1
        monkeypatch.setenv("STATE_STORE_SECONDS", str(0.3 * (tries % 2)))
        return spawn_try("fetch_tasks", supervisor.path, tries)

    def end(process):
        process.kill()
        process.join()
        places.wait_until_left()
        asked.update(seen.target for seen in places.seen)
        places.seen.clear()

    for moment in moments:  # the last one: all is fetched, and some of it not staged, or the merge begins
        process = start()
        places.wait_for_targets(moment, asked)
        end(process)
    with postgres.open(autocommit=True) as held:
        if set(postgres.execute("SELECT id FROM killed")) <= {(1,), (-1,)}:  # the last kill came before the commit
            held.execute(f"SELECT pg_advisory_lock({LOCK})")
            process = start()
            while held.execute(WAITING).fetchone() == (0,):  # within the final transaction
                assert process.is_alive(), "it ended before its merge"
            end(process)
    monkeypatch.setenv("DIES_BEFORE_SUCCESS", "yes")
    process = start()
    process.join()  # all is loaded, and Airflow does not know
    assert process.exitcode == -9
    monkeypatch.delenv("DIES_BEFORE_SUCCESS")
    monkeypatch.setenv("XCOM_FAILS", "yes")
    places.seen.clear()
    process = start()
    process.join()  # nor does it now
    assert (process.exitcode, places.seen) == (1, [])
    monkeypatch.delenv("XCOM_FAILS")
    monkeypatch.delenv("STATE_STORE_SECONDS")
    state, error = run_try(fetch_tasks.make_task(), Supervisor(supervisor.path), tries + 1)
    assert (state, error) == ("success", None)
    rows = postgres.execute("SELECT id, number, at::text, a, b, kept FROM killed")
    assert len(rows) == len(set(rows))
    assert set(rows) == expected(mode, pages)
    assert postgres.execute(staging_tables_of("scheduled__2026-11-01")) == []
    assert postgres.execute("SELECT count(*) FROM async_rest_loads") == [(0,)]
    report = Supervisor(supervisor.path).report
    assert (report["read"], report["delivered"], report["rows_loaded"]) == (items, items, 2 * requests)
