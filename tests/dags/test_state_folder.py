"""Whole runs whose state lies in a folder."""

import pytest
from dag_runs import THREE_DAYS, after_day, ids, ids_of_day, refuse


@pytest.fixture
def state_path(tmp_path, monkeypatch):
    path = tmp_path / "state"
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", str(path))
    return path


def test_a_run_leaves_its_state_there_and_the_next_one_knows_nothing_of_it(sensors, run_dag, state_path):
    sensors.answer = refuse(7)
    assert run_dag("sensors", after_day(1)).states("post_sensors") == ["failed"]
    assert len([*state_path.rglob("checkpoint.json")]) == 1
    sensors.reset()
    sensors.answer = lambda seen: 200
    assert run_dag("sensors", after_day(1)).states("post_sensors") == ["success"]  # dag.test() gives it another id
    assert ids(sensors.seen) == ids_of_day(1)
    assert (len([*state_path.rglob("checkpoint.json")]), len([*state_path.rglob("settled.json")])) == (1, 1)


@pytest.mark.release
def test_mapped_tasks_each_have_a_folder(sensors, run_dag, state_path):
    run = run_dag("sensors_mapped", **THREE_DAYS)
    assert run.states("post_sensors") == ["success"] * 3
    [task] = state_path.glob("*/*/post_sensors")
    assert sorted(path.name for path in task.iterdir()) == ["0", "1", "2"]
