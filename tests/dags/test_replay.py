"""dags/replay.py: dead letters of other runs, sent again by hand."""

import pytest
from dag_runs import THREE_DAYS, after_day, dead_letters, ids, refuse


@pytest.fixture
def failed_day(sensors, run_dag) -> str:
    """The dead-letter folder of a run, two of whose rows the API refused; now it accepts them."""
    sensors.answer = refuse(50, 70)
    folder = run_dag("sensors", after_day(2)).report("post_sensors")["dead_letters"]
    sensors.answer = lambda seen: 200
    return folder


def test_dead_letters_are_sent_as_they_were_and_resolved(sensors, failed_day, run_dag):
    first = {seen.path: (seen.key, seen.body) for seen in sensors.seen}
    sensors.reset()
    run = run_dag("replay", dead_letters=failed_day)
    assert run.state == "success"
    assert ids(sensors.delivered) == [50, 70]
    assert all((seen.key, seen.body) == first[seen.path] for seen in sensors.delivered)
    report = run.report("replay")
    assert (report["read"], report["delivered"], report["dead_letters"]) == (2, 2, None)
    assert dead_letters(failed_day) == {}
    sensors.reset()
    assert run_dag("replay", dead_letters=failed_day).report("replay")["read"] == 0
    assert sensors.seen == []


@pytest.mark.release
def test_a_preview_counts_and_sends_nothing(sensors, failed_day, run_dag):
    sensors.reset()
    run = run_dag("replay", dead_letters=failed_day, preview_only=True)
    assert run.state == "success"
    assert (run.states("preview"), run.states("replay")) == (["success"], ["skipped"])
    assert run.xcom("preview")["reasons"] == {"http_422": 2}
    assert sensors.seen == []
    assert dead_letters(failed_day) == {50: "http_422", 70: "http_422"}


@pytest.mark.release
def test_a_list_of_folders_is_replayed_together(sensors, run_dag):
    sensors.answer = refuse(7, 99)
    days = run_dag("sensors_mapped", **THREE_DAYS)
    folders = [days.report("post_sensors", day)["dead_letters"] for day in range(3)]
    sensors.reset()
    sensors.answer = refuse(99)
    run = run_dag("replay", dead_letters=folders)
    assert run.state == "failed"
    report = run.report("replay")
    assert (report["delivered"], report["failed"]) == (1, 1)
    assert ids(sensors.delivered) == [7]
    assert (dead_letters(folders[0]), folders[1], dead_letters(folders[2])) == ({}, None, {99: "http_422"})
