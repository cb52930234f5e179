"""dags/sensors_mapped.py: a span of days, a mapped task for each."""

from collections import Counter

import pytest
from dag_runs import THREE_DAYS, dead_letters, ids, ids_of_day, refuse


@pytest.mark.release
def test_every_day_is_a_mapped_task_and_every_row_is_delivered_once(sensors, run_dag):
    run = run_dag("sensors_mapped", **THREE_DAYS)
    assert run.state == "success"
    assert run.states("post_sensors") == ["success"] * 3
    assert ids(sensors.delivered) == ids_of_day(1) + ids_of_day(2) + ids_of_day(3)
    starts = [run.report("post_sensors", day)["window_start"][:10] for day in range(3)]
    assert starts == ["2026-03-01", "2026-03-02", "2026-03-03"]
    assert run.report("replay")["read"] == 0


def test_a_span_of_one_day_of_which_nothing_failed_has_nothing_to_replay(sensors, run_dag):
    run = run_dag("sensors_mapped", start="2026-03-01", end="2026-03-02")
    assert (run.state, run.states("post_sensors"), run.states("replay")) == ("success", ["success"], ["success"])
    assert ids(sensors.delivered) == ids_of_day(1)


@pytest.mark.release
def test_the_replay_sends_what_failed_on_any_day(sensors, run_dag):
    seen_so_far = Counter()

    def refuse_once(seen):
        """Refuse two rows of two days, until they come back in the replay."""
        seen_so_far[seen.path] += 1
        return 422 if seen.path in ("/sensors/7", "/sensors/99") and seen_so_far[seen.path] == 1 else 200

    sensors.answer = refuse_once
    run = run_dag("sensors_mapped", **THREE_DAYS)
    assert run.states("post_sensors") == ["failed", "success", "failed"]
    assert run.state == "success"  # the replay, which comes last, has mended it
    assert ids(sensors.delivered) == ids_of_day(1) + ids_of_day(2) + ids_of_day(3)
    replay = run.report("replay")
    assert (replay["read"], replay["delivered"], replay["dead_letters"]) == (2, 2, None)
    assert dead_letters(run.report("post_sensors", 0)["dead_letters"]) == {}
    keys = [{seen.key for seen in sensors.seen if seen.path == path} for path in ("/sensors/7", "/sensors/99")]
    assert [len(keys_of_row) for keys_of_row in keys] == [1, 1]


@pytest.mark.release
def test_what_is_refused_again_fails_the_run_and_stays_a_dead_letter(sensors, run_dag):
    sensors.answer = refuse(7)
    run = run_dag("sensors_mapped", **THREE_DAYS)
    assert (run.state, run.states("replay")) == ("failed", ["failed"])
    assert run.report("replay")["failed"] == 1
    assert dead_letters(run.report("post_sensors", 0)["dead_letters"]) == {7: "http_422"}


def test_the_limit_holds_over_all_mapped_tasks(dags):
    task = dags["sensors_mapped"].get_task("post_sensors").partial_kwargs
    share = int(task["rate_limit"].removesuffix("/s")) + task["concurrency"]
    assert task["max_active_tis_per_dag"] * share <= 500


@pytest.mark.release
def test_a_window_that_was_not_read_to_its_end_fails_the_run_though_all_dead_letters_are_delivered(sensors, run_dag):
    seen_so_far = Counter()

    def lock_out_a_day(seen):
        """Refuse the credentials of the second day's requests, until they come back in the replay."""
        seen_so_far[seen.path] += 1
        return 401 if ids([seen])[0] in ids_of_day(2) and seen_so_far[seen.path] == 1 else 200

    sensors.answer = lock_out_a_day
    run = run_dag("sensors_mapped", **THREE_DAYS)
    assert run.states("post_sensors") == ["success", "failed", "success"]
    assert [run.report("post_sensors", day)["complete"] for day in range(3)] == [True, False, True]
    assert run.report("replay")["failed"] == 0
    assert (run.states("replay"), run.state) == (["failed"], "failed")


@pytest.mark.release
def test_a_run_with_a_preview_in_its_conf_sends_nothing(sensors, run_dag):
    run = run_dag("sensors_mapped", **THREE_DAYS, preview=2)
    assert (run.state, run.states("post_sensors"), run.states("replay")) == ("success", ["skipped"] * 3, ["success"])
    assert sensors.seen == []
    for day in range(3):
        preview = run.xcom("post_sensors", "preview", day)
        assert [request["url"] for request in preview["requests"]] == [
            f"{sensors.url}/sensors/{number}" for number in ids_of_day(day + 1)[:2]
        ]
        assert run.report("post_sensors", day)["read"] == 0
    assert run_dag("sensors_mapped", **THREE_DAYS).state == "success"
    assert ids(sensors.delivered) == ids_of_day(1) + ids_of_day(2) + ids_of_day(3)
