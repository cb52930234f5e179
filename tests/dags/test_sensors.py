"""dags/sensors.py: a run delivers its day."""

import pytest
from dag_runs import after_day, dead_letters, ids, ids_of_day, refuse


def test_a_run_delivers_the_day_before_its_logical_date(sensors, run_dag):
    run = run_dag("sensors", after_day(2))
    assert run.state == "success"
    assert ids(sensors.delivered) == ids_of_day(2)
    report = run.report("post_sensors")
    assert (report["read"], report["delivered"]) == (40, 40)
    assert (report["window_start"], report["window_end"]) == ("2026-03-02T00:00:00+00:00", "2026-03-03T00:00:00+00:00")
    assert report["dead_letters"] is None


@pytest.mark.release
def test_the_payload_is_the_row(sensors, run_dag):
    run_dag("sensors", after_day(1))
    first = min(sensors.delivered, key=lambda seen: seen.json()["id"])
    assert (first.method, first.path) == ("PUT", "/sensors/1")
    assert first.json() == {"id": 1, "name": "sensor 0", "value": 0.25, "measured_at": "2026-03-01T00:00:00+00:00"}


def test_refused_rows_fail_the_run_and_are_in_xcom_and_in_the_dead_letters(sensors, run_dag):
    sensors.answer = refuse(50, 70)
    run = run_dag("sensors", after_day(2))
    assert run.state == "failed"
    assert ids(sensors.delivered) == [i for i in ids_of_day(2) if i not in (50, 70)]
    report = run.report("post_sensors")
    assert (report["delivered"], report["failed"], report["reasons"]) == (38, 2, {"http_422": 2})
    assert [item["key"] for item in run.xcom("post_sensors", "failed_items")] == [50, 70]
    assert dead_letters(report["dead_letters"]) == {50: "http_422", 70: "http_422"}


@pytest.mark.release
def test_what_fails_for_a_moment_is_sent_again(sensors, run_dag):
    sensors.answer = lambda seen: 200 if sum(seen.path == other.path for other in sensors.seen) > 1 else 503
    run = run_dag("sensors", after_day(1))
    assert run.state == "success"
    report = run.report("post_sensors")
    assert (report["delivered"], report["retries"], report["requests"]) == (40, 40, 80)
