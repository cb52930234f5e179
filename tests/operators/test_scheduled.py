"""Under Airflow's scheduler: a quota that is gone is waited for without a slot, and no task outlives its supervisor."""

import json
import math
import os
import select
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from aiohttp import web
from checkout import REPOSITORY
from scheduling import running_airflow
from servers import running_api
from tasks import ids

pytestmark = [pytest.mark.release]
SOON_SECONDS = 2.0


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
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "scheduled"),
        "AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH": str(home / "dead_letters"),
        "AIRFLOW_CONN_SEARCH_API": json.dumps({"conn_type": "async_rest", "host": server.url}),
        "AIRFLOW_CONN_SOURCE_DB": json.dumps(postgres.connection()),
    }
    with running_airflow(home, replace(postgres, database="scheduled"), ["quota"], settings) as airflow:
        yield airflow


class Quota:
    """500 requests in so many seconds; the others are told when there are more."""

    each, seconds = 500, 8.0

    def __init__(self):
        self.ends, self.left = 0.0, 0

    def __call__(self, seen):
        if seen.at >= self.ends:
            self.ends, self.left = seen.at + self.seconds, self.each
        self.left -= 1
        if self.left >= 0:
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
    server.wait_for(lambda api: len(api.delivered) >= 100, 90)
    [(pid,)] = airflow.select("pid FROM task_instance WHERE run_id = 'orphaned'")
    ended = os.pidfd_open(pid)
    psutil.Process(psutil.Process(pid).ppid()).kill()
    assert select.select([ended], [], [], SOON_SECONDS)[0]
    os.close(ended)
