"""demo/airflow_client.py and demo/standalone.py, where Airflow does not do as it should: nothing waits for ever."""

import subprocess
import sys
from unittest.mock import Mock

import pytest

from demo import standalone
from demo.airflow_client import Airflow, AirflowError, TaskRuns


@pytest.fixture
def airflow():
    made = Airflow("http://127.0.0.1:1", poll_seconds=0, found_seconds=0)
    made.call = Mock()
    made.find = Mock(return_value={})
    yield made
    made.__exit__()


def test_a_backfill_is_asked_for_again_while_sqlite_is_busy(airflow):
    airflow.call.side_effect = [AirflowError("Database is locked", 503), AirflowError("Database is locked", 503), {}]
    airflow.backfill("sensors", "2026-03-02", "2026-03-08", 7)
    assert airflow.call.call_count == 3


@pytest.mark.parametrize(
    "ask",
    [
        lambda airflow: airflow.switch_on("sensors"),
        lambda airflow: TaskRuns(airflow, "sensors", "monday").clear("post_sensors"),
    ],
)
def test_other_changes_are_asked_for_again_too(airflow, ask):
    airflow.call.side_effect = [AirflowError('{"reason": "Database error"}', 500), {}]
    ask(airflow)
    assert airflow.call.call_count == 2


@pytest.mark.parametrize(
    ("text", "status", "times"),
    [("no", 503, 60), ("Database error", 500, 60), ("no", 500, 1), ("no", 409, 1), ("no", None, 1)],
)
def test_a_backfill_that_cannot_be_made_is_an_error(airflow, text, status, times):
    airflow.call.side_effect = AirflowError(text, status)
    with pytest.raises(AirflowError, match=text):
        airflow.backfill("sensors", "2026-03-02", "2026-03-08", 7)
    assert airflow.call.call_count == times


def test_a_dag_that_is_not_found_is_an_error_with_what_airflow_cannot_import(airflow):
    airflow.find.return_value = None
    airflow.call.return_value = {"import_errors": [{"stack_trace": "SyntaxError: sensors.py"}]}
    with pytest.raises(AirflowError, match="no DAG sensors; it cannot import: .*SyntaxError: sensors.py"):
        airflow.switch_on("sensors")


def test_no_answer_at_all_is_an_error():
    with pytest.raises(AirflowError, match="does not answer GET /auth/token"), Airflow("http://127.0.0.1:1"):
        pass


def test_a_part_of_airflow_that_ends_is_noticed(tmp_path, monkeypatch):
    parts = "import subprocess, sys; part = subprocess.Popen([sys.executable, '-c', 'input()']); print(); input()"
    process = subprocess.Popen([sys.executable, "-c", parts], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        process.stdout.readline()
        monkeypatch.setattr(standalone, "start", lambda home, url: process)
        monkeypatch.setattr(standalone, "wait_until_ready", lambda airflow, url: None)
        line = Mock()
        line.say.side_effect = lambda message: standalone.psutil.Process(process.pid).children()[0].kill()
        with pytest.raises(RuntimeError, match="a part of Airflow has ended"):
            standalone.run(tmp_path, 0, line)
        process.communicate("\n")
