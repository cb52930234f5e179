"""Under Airflow's scheduler: a quota that is gone is waited for without a slot, and no try outlives another's beginning."""

import asyncio
import json
import math
import os
import select
import time
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import psutil
import pytest
from aiohttp import web
from checkout import REPOSITORY
from scheduling import running_airflow
from servers import running_api
from tasks import ids

from airflow_async_rest.core.account.checkpoint import Checkpoint

pytestmark = [pytest.mark.release]
SOON_SECONDS = 20.0  # ten times what is promised: the machine may be busy
AFTER_SUSPENSION_SECONDS = 30.0  # once the machine goes on, which may be busy: to its end it would be thrice that
CHECKPOINT_SECONDS = 10.0  # a second on a machine that is not busy


@pytest.fixture(scope="module")
def server():
    with running_api() as server:
        yield server


@pytest.fixture(scope="module")
def airflow(server, postgres, tmp_path_factory):
    with postgres.open(autocommit=True) as connection:
        connection.execute("CREATE DATABASE scheduled")
    home = tmp_path_factory.mktemp("airflow")
    settings = {
        "PYTHONPATH": str(REPOSITORY),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "scheduled"),
        "AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH": str(home / "dead_letters"),
        "AIRFLOW_CONN_SEARCH_API": json.dumps({"conn_type": "async_rest", "host": server.url}),
        "AIRFLOW_CONN_SOURCE_DB": json.dumps(postgres.connection()),
    }
    with running_airflow(home, replace(postgres, database="scheduled"), ["quota", "suspended"], settings) as airflow:
        yield airflow


class Quota:
    """500 requests, and more so many seconds after the last of them, which the others are told."""

    each, seconds = 500, 8.0

    def __init__(self):
        self.ends, self.left = 0.0, 0

    def __call__(self, seen):
        if self.left <= 0 and seen.at >= self.ends:
            self.left = self.each
        self.left -= 1
        if self.left >= 0:
            self.ends = seen.at + self.seconds
            return 200
        return web.Response(status=429, headers={"Retry-After": f"{math.ceil(self.ends - seen.at)}"})


def test_a_window_beyond_the_quota_takes_four_sittings_and_no_retry(airflow, server):
    server.answer = Quota()
    airflow.command("dags", "trigger", "quota", "--run-id", "beyond")
    airflow.wait_until(lambda: airflow.task("quota")[0] == "up_for_reschedule")
    assert airflow.stored("quota", "beyond", "progress")["waits"]
    assert airflow.ended("quota", tries=1) == "success"
    assert sorted(ids(server.delivered)) == list(range(1, 2001))
    [(report,)] = airflow.select("value FROM xcom WHERE dag_id = 'quota' AND key = 'return_value'")
    report = json.loads(report) if isinstance(report, str) else report
    assert [report[name] for name in ("read", "delivered", "failed", "dead_letters")] == [2000, 2000, 0, None]
    assert (report["complete"], report["requests"], len(report["waits"])) == (True, len(server.seen), 3)
    assert airflow.select("count(*) FROM task_reschedule") == [(3,)]


def test_a_task_whose_supervisor_is_killed_has_ended_soon_after(airflow, server):
    server.reset()
    server.answer = lambda seen: 200 if len(server.delivered) < 100 else "hang"
    airflow.command("dags", "trigger", "quota", "--run-id", "orphaned")
    server.wait_for(lambda api: len(api.delivered) >= 100, 240)
    [(pid,)] = airflow.select("pid FROM task_instance WHERE run_id = 'orphaned'")
    ended = os.pidfd_open(pid)
    psutil.Process(psutil.Process(pid).ppid()).kill()
    assert select.select([ended], [], [], SOON_SECONDS)[0]
    os.close(ended)


class Machine:
    """All that runs a task, but for the scheduler: its process, and those that have started it."""

    def __init__(self, pid: int) -> None:
        task, scheduler = psutil.Process(pid), os.getsid(pid)
        self.processes = [task, *takewhile(lambda parent: parent.pid != scheduler, task.parents())]

    def suspend(self) -> float:
        for process in reversed(self.processes):
            process.suspend()
        return time.monotonic()

    def go_on(self) -> float:
        at = time.monotonic()
        for process in self.processes:
            process.resume()
        return at


class Slow:
    """What an API of 200 requests a second takes, until it need not be slow any more."""

    seconds = 0.02

    async def __call__(self, seen):
        await asyncio.sleep(self.seconds)
        return 200


def rows_of(server, number: int, before: float = math.inf) -> list[int]:
    """Which rows a try has sent."""
    return ids(seen for seen in server.seen if seen.headers["X-Try"] == str(number) and seen.at < before)


def test_a_machine_that_is_gone_for_a_while_has_no_two_tries_sending(airflow, server):
    server.reset()
    server.answer = api = Slow()
    airflow.command("dags", "trigger", "suspended", "--run-id", "gone")
    server.wait_for(lambda api: len(api.delivered) >= 3000, 240)  # which takes longer than a checkpoint
    [(pid,)] = airflow.select("pid FROM task_instance WHERE run_id = 'gone'")
    machine, ended = Machine(pid), os.pidfd_open(pid)
    stopped_at = machine.suspend()
    kept = Checkpoint.from_json(airflow.stored("suspended", "gone", "checkpoint"))
    server.wait_for(lambda api: len(rows_of(api, 2)) >= 100, 240)
    assert {process.status() for process in machine.processes} == {psutil.STATUS_STOPPED}
    went_on_at = machine.go_on()
    assert select.select([ended], [], [], AFTER_SUSPENSION_SECONDS)[0]
    os.close(ended)
    api.seconds = 0
    assert airflow.ended("suspended", tries=2) == "success"

    sent_on = max(seen.at for seen in server.seen if seen.headers["X-Try"] == "1") - went_on_at
    again = set(rows_of(server, 1)) & set(rows_of(server, 2))
    print(f"two tries at once for {max(0.0, sent_on):.2f} s; {len(again)} of 20000 rows sent by both")
    assert sent_on < AFTER_SUSPENSION_SECONDS
    settled = set(range(1, kept.position + 1)) - {index + 1 for index in kept.unfinished}
    assert settled.isdisjoint(rows_of(server, 2))
    assert set(rows_of(server, 1, stopped_at - CHECKPOINT_SECONDS)) <= settled
    assert set(ids(server.delivered)) == set(range(1, 20001))
    [(report,)] = airflow.select("value FROM xcom WHERE run_id = 'gone' AND key = 'return_value'")
    report = json.loads(report) if isinstance(report, str) else report
    assert [report[name] for name in ("read", "delivered", "failed", "unfinished")] == [20000, 20000, 0, 0]
