"""dags/sensors_bulk.py: a run delivers its day in a few requests, and each reading is judged by itself."""

import json
from collections import Counter

import pytest
from aiohttp import web
from dag_runs import after_day, dead_letters, ids_of_day


def lines(seen):
    return [json.loads(line) for line in seen.body.splitlines()]


def ids_in(requests):
    return sorted(reading["id"] for seen in requests for reading in lines(seen))


def answer(**statuses):
    """Make an API that stores readings, but for some: ``answer(r50=422)``; those it has stored are counted."""

    def to(seen):
        results = [{"id": r["id"], "status": statuses.get(f"r{r['id']}", 201)} for r in lines(seen)]
        for result in results:
            if result["status"] == 201:
                stored[result["id"]] += 1
            else:
                result["error"] = f"reading {result['id']} cannot be stored"
        return web.json_response(results, status=207)

    stored = Counter()
    to.stored = stored
    return to


@pytest.fixture
def archive(sensors):
    sensors.answer = answer()
    return sensors


@pytest.mark.release
def test_a_run_delivers_the_day_before_its_logical_date_in_one_request(archive, run_dag):
    run = run_dag("sensors_bulk", after_day(2))
    assert run.state == "success"
    assert [(seen.method, seen.path) for seen in archive.seen] == [("POST", "/archive/_bulk")]
    assert ids_in(archive.seen) == ids_of_day(2)
    report = run.report("post_sensors")
    assert (report["read"], report["delivered"], report["requests"], report["complete"]) == (40, 40, 1, True)
    assert report["dead_letters"] is None


@pytest.mark.release
def test_the_body_is_a_line_for_each_row(archive, run_dag):
    run_dag("sensors_bulk", after_day(1))
    seen = archive.seen[0]
    assert seen.headers["Content-Type"] == "application/x-ndjson"
    assert seen.body.endswith(b"\n")
    assert lines(seen)[0] == {"id": 1, "name": "sensor 0", "value": 0.25, "measured_at": "2026-03-01T00:00:00+00:00"}


@pytest.mark.release
def test_a_longer_day_is_cut_into_batches_of_200(archive, postgres, run_dag):
    postgres.execute(
        "INSERT INTO sensors SELECT 1000 + i, 'x', i, '2026-03-01 12:00Z' FROM generate_series(1, 400) AS i"
    )
    report = run_dag("sensors_bulk", after_day(1)).report("post_sensors")
    assert sorted(len(lines(seen)) for seen in archive.seen) == [40, 200, 200]
    assert (report["delivered"], report["requests"]) == (440, 3)


def test_refused_rows_fail_the_run_with_their_own_reason_and_do_not_hold_up_the_others(archive, run_dag):
    archive.answer = answer(r50=422, r70=422)
    run = run_dag("sensors_bulk", after_day(2))
    assert run.state == "failed"
    assert archive.answer.stored == Counter(set(ids_of_day(2)) - {50, 70})
    report = run.report("post_sensors")
    assert (report["delivered"], report["failed"], report["reasons"]) == (38, 2, {"http_422": 2})
    assert report["requests"] == 1
    failed = {item["key"]: item["response_excerpt"] for item in run.xcom("post_sensors", "failed_items")}
    assert failed == {50: "reading 50 cannot be stored", 70: "reading 70 cannot be stored"}
    assert dead_letters(report["dead_letters"]) == {50: "http_422", 70: "http_422"}


@pytest.mark.release
def test_what_is_not_stored_for_a_moment_is_sent_again_without_the_rest(archive, run_dag):
    first, then = answer(r50=503, r70=503), answer()
    archive.answer = lambda seen: first(seen) if len(archive.seen) == 1 else then(seen)
    run = run_dag("sensors_bulk", after_day(2))
    assert run.state == "success"
    assert [len(lines(seen)) for seen in archive.seen] == [40, 2]
    assert first.stored + then.stored == Counter(ids_of_day(2))
    report = run.report("post_sensors")
    assert (report["delivered"], report["retries"], report["requests"]) == (40, 1, 2)


@pytest.mark.release
def test_a_replay_sends_the_refused_rows_in_one_request(archive, run_dag):
    archive.answer = answer(r50=422, r70=422)
    folder = run_dag("sensors_bulk", after_day(2)).report("post_sensors")["dead_letters"]
    archive.reset()
    archive.answer = answer()
    run = run_dag("replay", dead_letters=folder)
    assert run.state == "success"
    assert [ids_in([seen]) for seen in archive.seen] == [[50, 70]]
    assert dead_letters(folder) == {}


def test_both_dags_together_keep_the_limit(dags):
    tasks = [dags[dag_id].get_task("post_sensors") for dag_id in ("sensors", "sensors_bulk")]
    shares = [t.max_active_tis_per_dag * (int(t.rate_limit.removesuffix("/s")) + t.concurrency) for t in tasks]
    assert sum(shares) <= 500
