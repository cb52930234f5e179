"""Celery's executor for real: of two workers one is killed in the middle of a backfill of 30 windows, eight at once."""

import asyncio
import json
import os
import secrets
from base64 import urlsafe_b64encode
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from checkout import skip_or_fail
from limit_stores import running_redis
from scheduling import processes_of, running_airflow

from airflow_async_rest.tasks.storage.folders import open_folder

DAYS = [f"2026-03-{day:02}" for day in range(1, 31)]
ROWS, CONCURRENCY, AT_ONCE, SLOTS = 300, 4, 8, 4
REFUSED = {7, 107, 207}  # of each window, by their place in it
HALF = 150
FREE = AT_ONCE  # the first windows run to their end
# A worker that is gone is known by the silence of its tasks.
SETTINGS = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CORE__PARALLELISM": str(AT_ONCE),
    "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "dags"),
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "90",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
}
WORKER = ("celery", "worker", "--concurrency", str(SLOTS), "--skip-serve-logs")
ORPHANS_END_WITHIN_SECONDS = 60  # it takes two where the machine is not busy
LONGEST_SECONDS = 600  # on a busy machine; usually half of that for the whole test


def window_and_place(seen) -> tuple[str, int]:
    _, day, number = seen.path.split("/")
    return day, (int(number) - 1) % ROWS


class Rows:
    """What the API does with rows: some are refused, and the second half of a window waits, but for the first windows."""

    def __init__(self, api) -> None:
        self._api, self._let_go = api, asyncio.Event()
        api.answer = self.answer

    async def answer(self, seen) -> int:
        day, place = window_and_place(seen)
        if place >= HALF and day > DAYS[FREE - 1]:
            await self._let_go.wait()
        return 422 if place in REFUSED else 200

    def let_go(self) -> None:
        self._api.loop.call_soon_threadsafe(self._let_go.set)


@pytest.fixture
def workers(api, postgres, tmp_path):
    """Airflow with two workers, which share nothing with it but what docs/workers.md says. :return: it, and them."""
    if find_spec("airflow.providers.celery") is None:
        skip_or_fail("apache-airflow-providers-celery is not installed")
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis())
        postgres.execute(
            "CREATE TABLE month AS SELECT i AS id, '2026-03-01Z'::timestamptz + (i - 1) * interval '1 day' / "
            f"{ROWS} AS measured_at FROM generate_series(1, {ROWS * len(DAYS)}) AS i"
        )
        with postgres.open(autocommit=True) as connection:
            connection.execute("CREATE DATABASE airflow_with_celery")
        settings = SETTINGS | {
            "AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH": str(tmp_path / "dead_letters"),
            "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{redis.port}/0",
            "AIRFLOW__CORE__FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW_CONN_SEARCH_API": json.dumps(
                {"conn_type": "async_rest", "host": api.url, "extra": {"request_timeout_seconds": LONGEST_SECONDS}}
            ),
            "AIRFLOW_CONN_SOURCE_DB": json.dumps(postgres.connection()),
        }
        database = replace(postgres, database="airflow_with_celery")
        airflow = stack.enter_context(running_airflow(tmp_path, database, ["month"], settings))
        homes = {name: str(tmp_path / name) for name in ("one", "two")}
        yield (
            airflow,
            [airflow.run(name, *WORKER, "--celery-hostname", name, AIRFLOW_HOME=home) for name, home in homes.items()],
        )


def tasks_of(airflow, *columns: str) -> list[tuple]:
    """Each window, and columns of its task."""
    return airflow.select(
        f"to_char(dag_run.logical_date AT TIME ZONE 'UTC', 'YYYY-MM-DD'), {', '.join(columns)} FROM dag_run "
        "JOIN task_instance USING (dag_id, run_id) LEFT JOIN xcom "
        "ON xcom.dag_run_id = dag_run.id AND xcom.key = 'return_value' ORDER BY 1"
    )


def all_are_held(airflow, api) -> dict[str, int] | None:
    """The processes of the tasks, once all of these wait for the API, and have written down what came before."""
    tasks = {day: pid for day, state, pid in tasks_of(airflow, "task_instance.state", "pid") if state == "running"}
    settled = HALF - sum(place < HALF for place in REFUSED)
    kept = airflow.select(
        f"count(*) FROM task_state_store WHERE key = 'checkpoint' AND value LIKE '%\"delivered\": {settled}%'"
    )
    return tasks if len(tasks) == AT_ONCE and api.in_flight == AT_ONCE * CONCURRENCY and kept == [(AT_ONCE,)] else None


def all_have_ended(airflow) -> bool:
    return {state for (state,) in airflow.select("state FROM dag_run")} <= {"success", "failed"}


@pytest.mark.release
def test_a_worker_that_is_killed_in_the_middle_of_a_backfill_costs_no_row(workers, api):
    airflow, (one, _) = workers
    rows = Rows(api)
    span = ("--from-date", DAYS[0], "--to-date", DAYS[-1])
    airflow.command("backfill", "create", "--dag-id", "month", *span, "--max-active-runs", str(AT_ONCE))
    tasks = airflow.wait_until(lambda: all_are_held(airflow, api), LONGEST_SECONDS)
    lost = {day for day, pid in tasks.items() if os.getsid(pid) == one.pid}
    airflow.kill_group(one)
    airflow.wait_until(lambda: not processes_of([one]), ORPHANS_END_WITHIN_SECONDS)
    rows.let_go()
    assert len(lost) == SLOTS

    airflow.wait_until(lambda: all_have_ended(airflow), LONGEST_SECONDS)
    assert_the_books_are_right(airflow, api, lost)
    assert_little_was_sent_twice(api, lost)


def assert_the_books_are_right(airflow, api, lost) -> None:
    """Every row arrived or is a dead letter, and each report says so."""
    everything = {(day, place) for day in DAYS for place in range(ROWS)}
    refused = {(day, place) for day in DAYS for place in REFUSED}
    assert set(map(window_and_place, api.delivered)) == everything - refused
    found = tasks_of(airflow, "task_instance.state", "try_number", "value")
    assert [day for day, *_ in found] == DAYS
    counts = {"read": ROWS, "delivered": ROWS - len(REFUSED), "failed": len(REFUSED), "skipped": 0, "unfinished": 0}
    for day, state, tries, report in found:
        assert (day, state, tries) == (day, "success", 2 if day in lost else 1)
        assert (day, {name: report[name] for name in counts}) == (day, counts)
        assert (day, report["resumed_from"] is None) == (day, day not in lost)
        assert (day, set(open_folder(report["dead_letters"]).read())) == (day, REFUSED)


def assert_little_was_sent_twice(api, lost) -> None:
    """What killed tasks had in flight, and no more; by its key the API could tell."""
    keys = {seen.path: seen.key for seen in api.seen}
    assert len(set(keys.values())) == len(keys) == ROWS * len(DAYS)
    assert all(keys[seen.path] == seen.key for seen in api.seen)
    again = Counter(
        day
        for (day, place), times in Counter(map(window_and_place, api.seen)).items()
        if times > 1 and place not in REFUSED
    )
    print(f"sent twice, of {ROWS} rows in each of {sorted(lost)}: {dict(again)}")
    assert set(again) <= lost
    assert max(again.values(), default=0) <= CONCURRENCY
