"""dags/fetch_readings.py: a run fetches its day, page by page, and replaces what the table had of it."""

from datetime import timedelta

import httpx
import pytest
from aiohttp import web

from demo.api_rules import Settings
from demo.week import DAYS

TUESDAY, WEDNESDAY = DAYS[1], DAYS[2]  # the runs of these dates have the day before as their window


def after(day):
    """The logical date whose run has a day as its window: the midnight that ends it."""
    return day + timedelta(days=1)


@pytest.fixture
def rows(postgres):
    """Rows of a table, in order, of one day or of all."""

    def give(table, day=None):
        where = f"WHERE measured_at >= '{day}' AND measured_at < '{after(day)}'" if day else ""
        return postgres.execute(f"SELECT id, name, value, measured_at FROM {table} {where} ORDER BY id")

    return give


def staging(postgres):
    return postgres.execute(r"SELECT tablename FROM pg_tables WHERE tablename LIKE 'async\_rest\_stg\_%'")


def stats(url):
    return httpx.get(f"{url}/_stats", trust_env=False).json()["listing"]


def test_a_run_fetches_every_row_of_the_day_before_its_logical_date_whatever_fails(week, rows, postgres, run_dag):
    run = run_dag("fetch_readings", after(TUESDAY))
    assert run.state == "success"
    same = rows("readings") == rows("sensors", TUESDAY)
    assert same  # not in the assertion itself: a difference would print all of them
    report = run.report("fetch_readings")
    assert (report["read"], report["delivered"], report["complete"]) == (24, 24, True)
    assert (report["rows_loaded"], report["rows_refused"]) == (len(rows("readings")), 0)
    assert (report["window_start"], report["window_end"]) == ("2026-03-03T00:00:00+00:00", "2026-03-04T00:00:00+00:00")
    seen = stats(week)
    assert (report["requests"], report["retries"]) == (seen["requests"], sum(seen["faults"].values()))
    assert report["retries"] > 0
    assert staging(postgres) == []


@pytest.mark.release
def test_a_day_that_is_fetched_again_replaces_itself_and_leaves_the_others_alone(week, rows, postgres, run_dag):
    for day in (TUESDAY, WEDNESDAY):
        assert run_dag("fetch_readings", after(day)).state == "success"
    postgres.execute(
        f"UPDATE readings SET value = 0 WHERE id % 10 = 0 AND measured_at < '{WEDNESDAY}'",
        f"DELETE FROM readings WHERE id % 10 = 1 AND measured_at < '{WEDNESDAY}'",
        f"INSERT INTO readings VALUES (1000001, 'stray', 1, '{TUESDAY}'), (1000002, 'kept', 1, '{after(WEDNESDAY)}')",
    )
    assert run_dag("fetch_readings", after(TUESDAY)).state == "success"
    same = rows("readings") == [
        *rows("sensors", TUESDAY),
        *rows("sensors", WEDNESDAY),
        *rows("readings", after(WEDNESDAY)),
    ]
    assert same
    assert [number for number, *_ in rows("readings", after(WEDNESDAY))] == [1_000_002]


@pytest.mark.release
def test_a_day_of_which_an_hour_cannot_be_fetched_fails_and_the_table_stays_as_it_was(
    week, rows, postgres, api, connect, run_dag
):
    postgres.execute(f"INSERT INTO readings VALUES (1000001, 'old', 1, '{TUESDAY}')")
    before = rows("readings")
    connect("search_api", conn_type="async_rest", host=api.url)
    new = {"id": 1, "name": "new", "value": 1, "measured_at": f"{TUESDAY}"}
    page = {"data": {"items": [new]}, "meta": {"next_cursor": None}}
    api.answer = lambda seen: 422 if seen.query.startswith("from=2026-03-03T07") else web.json_response(page)
    run = run_dag("fetch_readings", after(TUESDAY))
    assert run.state == "failed"
    report = run.report("fetch_readings")
    assert (report["delivered"], report["reasons"], report["rows_loaded"]) == (23, {"http_422": 1}, 0)
    assert rows("readings") == before


def test_the_limit_holds_over_all_runs_of_a_backfill(dags):
    task = dags["fetch_readings"].get_task("fetch_readings")
    share = int(task.rate_limit.removesuffix("/s")) + task.concurrency
    assert task.max_active_tis_per_dag * share <= Settings().listing_per_second
