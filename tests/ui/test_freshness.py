"""What the page "Deliveries" says of one task: decisions over values."""

from datetime import UTC, datetime, timedelta

import pytest

from airflow_async_rest.ui.freshness import Dag, Instance, Run, dead_letters, freshness, row_of, rows_by_day, wait_of
from airflow_async_rest.ui.states import TaskInstanceId

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def dag(next_run=NOW + HOUR, *, paused=False):
    return Dag("sensors", "Sensors", paused, next_run)


def run(outcome, hours_ago, *, by_hand=False, of=None):
    """:param of: hours since the window ended, where that is not when the run could start."""
    return Run(NOW - hours_ago * HOUR, by_hand, outcome, None if of is None else NOW - of * HOUR)


def at(hours_ago):
    return (NOW - hours_ago * HOUR).isoformat()


@pytest.mark.parametrize(
    ("of", "runs", "status", "since"),
    [
        (dag(), [run("delivered", 1)], "on_time", None),
        (dag(), [run("running", 1), run("delivered", 25)], "running", at(1)),
        (dag(), [run("failed", 1), run("delivered", 25)], "late: failed", at(1)),
        (dag(), [run("failed", 1), run("failed", 25), run("delivered", 49)], "late: failed", at(25)),
        (dag(), [run("running", 1), run("failed", 25), run("delivered", 49)], "late: failed", at(25)),
        (
            dag(),
            [run("running", 1), run("running", 25)],
            "late: unfinished",
            at(25),
        ),  # the one before is not done, either
        (dag(), [run("delivered", 1), run("failed", 25)], "on_time", None),  # the last one counts
        (dag(), [run("failed", 1), run("running", 25), run("delivered", 49)], "late: unfinished", at(25)),
        (dag(), [run("failed", 1)], "late: failed", at(1)),  # nothing was ever delivered
        # The next run is due, and the one before is not done, or it is not made.
        (dag(NOW - HOUR), [run("running", 25)], "late: unfinished", at(25)),
        (dag(NOW - HOUR), [run("delivered", 25)], "late: no_run", at(1)),
        (dag(NOW - HOUR / 60), [run("delivered", 25)], "on_time", None),  # the scheduler has a moment
        (dag(NOW - HOUR, paused=True), [run("failed", 25)], "paused", None),
        # What somebody has started by hand is not what the schedule has asked for.
        (dag(), [run("failed", 0, by_hand=True), run("delivered", 1)], "on_time", None),
        # But a window that it has asked for is delivered whoever does it, and its latest run says so.
        (dag(), [run("delivered", 0, by_hand=True, of=1), run("failed", 1, of=1)], "on_time", None),
        (
            dag(),
            [run("failed", 0, by_hand=True, of=1), run("delivered", 1, of=1), run("delivered", 25)],
            "late: failed",
            at(0),
        ),
        (dag(), [run("delivered", 0, by_hand=True, of=25), run("failed", 1, of=1)], "late: failed", at(1)),
        (
            dag(),
            [run("delivered", 0, of=50), run("failed", 1, of=1), run("delivered", 25, of=25)],
            "late: failed",
            at(1),
        ),
        (dag(None), [run("failed", 1, by_hand=True)], "failed", at(1)),
        (dag(None), [run("running", 1, by_hand=True)], "running", at(1)),
        (dag(None), [run("delivered", 1, by_hand=True)], "delivered", None),
        (dag(None), [run("delivered", 1)], "on_time", None),  # by an event, such as an asset's
        (dag(None), [run("failed", 1)], "late: failed", at(1)),
        (dag(), [], "none", None),
        (dag(None), [], "none", None),
    ],
)
def test_a_task_is_late_when_what_the_schedule_has_asked_for_is_not_delivered(of, runs, status, since):
    status, _, why = status.partition(": ")
    assert freshness(of, runs, NOW) == {"status": status, "since": since, "why": why or None}


def instance(state="success", report=None, *, days_ago=0.0, run_id="run", index=-1, replay=None, run_type="scheduled"):
    ended = NOW - timedelta(days=days_ago)
    task = TaskInstanceId("sensors", run_id, "post", index)
    return Instance(task, state, run_type, ended, ended - timedelta(days=1), ended, ended, report, replay)


def report(delivered=10, **more):
    return {"delivered": delivered, "failed": 0, "complete": True, **more}


@pytest.mark.parametrize(
    ("state", "told", "replay", "outcome"),
    [
        ("success", report(), None, "delivered"),
        ("success", None, None, "delivered"),
        ("failed", report(failed=2), None, "failed"),
        ("failed", report(failed=2), {"left": 0}, "delivered"),
        ("failed", report(failed=2), {"left": 1}, "failed"),
        ("failed", report(failed=2, complete=False), {"left": 0}, "failed"),
        ("failed", None, {"left": 0}, "failed"),
        ("upstream_failed", None, None, "failed"),
        ("running", report(), None, "running"),
        ("up_for_reschedule", report(), None, "running"),
        (None, None, None, "running"),
        ("skipped", report(preview=True), None, None),
        ("failed", report(preview=True), None, None),
        ("success", report(preview=True), None, None),  # of a replay
        ("skipped", report(4, complete=False), None, "failed"),  # by the DAG's timeout
        ("skipped", report(4), None, None),
        ("removed", report(4, complete=False), None, None),
        ("skipped", None, None, None),
        ("removed", None, None, None),
    ],
)
def test_an_instance_has_delivered_or_failed_or_is_on_its_way(state, told, replay, outcome):
    assert instance(state, told, replay=replay).outcome == outcome


@pytest.mark.parametrize(("run_type", "status"), [("scheduled", "late"), ("backfill", "late"), ("manual", "on_time")])
def test_a_run_that_a_backfill_has_taken_over_counts_as_before(run_type, status):
    its = [
        instance("failed", run_id="newest", run_type=run_type),
        instance("success", report(), days_ago=1, run_id="before"),
    ]
    assert row_of(dag(), its, NOW)["freshness"]["status"] == status


def test_a_run_by_hand_of_a_window_that_failed_delivers_it():
    its = [
        instance("success", report(), run_id="by_hand", run_type="manual")._replace(end=NOW - 2 * HOUR),
        instance("failed", run_id="failed", days_ago=1 / 12),
    ]
    assert row_of(dag(), its, NOW)["freshness"]["status"] == "on_time"


def failed_before(**more):
    """Return an instance of yesterday with dead letters."""
    told = report(7, failed=3, reasons={"http_422": 3}, window_start=at(48), window_end=at(24))
    return instance("failed", told, days_ago=1, run_id="before")._replace(**more)


@pytest.mark.parametrize(
    ("state", "told", "open_"),
    [
        ("success", report(window_start=at(48), window_end=at(24)), {}),
        ("failed", report(9, failed=1, reasons={"timeout": 1}, window_start=at(48), window_end=at(24)), {"timeout": 1}),
        ("success", report(window_start="2026-03-07T13:00:00+01:00", window_end="2026-03-08T13:00:00+01:00"), {}),
        ("skipped", report(preview=True, window_start=at(48), window_end=at(24)), {"http_422": 3}),
        ("success", report(window_start=at(24), window_end=at(0)), {"http_422": 3}),
        ("success", None, {"http_422": 3}),
    ],
)
def test_what_a_later_run_of_the_window_has_replaced_is_no_open_dead_letter(state, told, open_):
    its = [instance(state, told, run_id="later"), failed_before()]
    assert row_of(dag(), its, NOW)["dead_letters"] == open_


def test_instances_of_one_run_do_not_replace_each_other():
    its = [failed_before(task=TaskInstanceId("sensors", "run", "post", index)) for index in range(2)]
    assert row_of(dag(), its, NOW)["dead_letters"] == {"http_422": 6}


def test_rows_are_counted_by_the_day_on_which_the_task_ended():
    each = [
        instance(report=report(1), days_ago=0.1),
        instance(report=report(2), days_ago=0.9),
        instance(report=report(4, rows_loaded=40), days_ago=1.1),
        instance(report=report(8), days_ago=6.9),
        instance(report=report(16), days_ago=7.1),
        instance(report=report(1_000_000, replay={"sent": 5, "delivered": 4, "failed": 1}), days_ago=2.1),
        instance(report=report("many"), days_ago=0.1),
        instance(report=None, days_ago=0.1),
        instance("running", report(100))._replace(ended_at=None),
        instance(report=report(200), days_ago=-1 / 86_400),
    ]
    assert rows_by_day(each, NOW) == [8, 0, 0, 0, 4, 40, 303]


def ago(days):
    return NOW - timedelta(days=days)


SENT = {"sent": 3, "delivered": 3, "failed": 0}
FEW = {"sent": 2, "delivered": 1, "failed": 1}


@pytest.mark.parametrize(
    ("told", "tries", "earlier", "by_day"),
    [
        # Both tries of today, as somebody sees the window replayed right after its failure.
        (report(1_000, replay=SENT, replays={"2": SENT}), 2, {1: ago(0.2)}, [0, 0, 0, 0, 0, 0, 1_000]),
        (report(1_000, replay=SENT, replays={"2": SENT}), 2, {1: ago(3.1)}, [0, 0, 0, 997, 0, 0, 3]),
        (report(1_000, replay=SENT), 2, {1: ago(3.1)}, [0, 0, 0, 997, 0, 0, 3]),  # of an early version
        # Two replays, and a failure before a retry: the rest counts at the last other try.
        (report(1_000, replay=FEW, replays={"3": SENT, "4": FEW}), 4, {1: ago(5.1), 2: ago(4.1), 3: ago(2.1)},
         [0, 0, 996, 0, 3, 0, 1]),
        # A Clear after a replay: the try that runs last has done all the rest.
        (report(1_000, replays={"2": SENT}), 3, {1: ago(6.1), 2: ago(2.1)}, [0, 0, 0, 0, 3, 0, 997]),
        (report(1_000, replay=SENT, replays={"2": SENT}), 2, {}, [0, 0, 0, 0, 0, 0, 3]),  # nobody knows of the first
        (report(1_000, replay=SENT, replays={"2": SENT}), 2, {1: None}, [0, 0, 0, 0, 0, 0, 3]),
        (report(2, replay=SENT, replays={"2": SENT}), 2, {1: ago(1.1)}, [0, 0, 0, 0, 0, 0, 3]),
        (report(1_000, replay=SENT, replays={"2": SENT}), 2, {1: ago(3.1), 2: ago(2.1)}, [0, 0, 0, 997, 3, 0, 0]),  # cleared
        (report(9, replay="x", replays={"x": SENT, "²": SENT, "9" * 5_000: SENT, "1": {"delivered": "1"}, "7": 5}), 2, {1: ago(1.1)}, [0] * 6 + [9]),
        (report(9, replay=None, replays=[5]), 1, {}, [0] * 6 + [9]),
    ],
)  # fmt: skip
def test_the_rows_of_a_replay_in_the_task_count_beside_those_of_the_tries_before(told, tries, earlier, by_day):
    each = instance(report=told, days_ago=0.1)._replace(tries=tries, earlier=earlier)
    assert rows_by_day([each], NOW) == by_day


@pytest.mark.parametrize(
    ("told", "replay", "open_"),
    [
        (report(failed=3, reasons={"http_422": 2, "timeout": 1}), None, {"http_422": 2, "timeout": 1}),
        (report(failed=0, rows_refused=2, reasons={"row_refused": 2}), None, {"row_refused": 2}),
        (report(failed=3, reasons={"http_422": 3}), {"left": 0}, {}),
        (report(failed=3, reasons={"http_422": 3}), {"left": 1}, {"http_422": 1}),
        (report(failed=3, reasons={"http_422": 2, "timeout": 1}), {"left": 1}, {"left_by_a_replay": 1}),
        (report(failed=3), None, {"": 3}),  # a report without reasons
        (report(failed=0, reasons={"http_422": 3}), None, {}),
        (report(failed="some", reasons={"http_422": 3}), None, {}),
        (report(failed=2, reasons={"<b>": 2, "x": "many"}), None, {"<b>": 2}),
        (None, None, {}),
    ],
)
def test_dead_letters_are_open_until_they_are_delivered(told, replay, open_):
    assert dict(+dead_letters([instance("failed", told, replay=replay)])) == open_


def test_what_a_replay_could_not_deliver_is_a_dead_letter_of_the_task_that_it_was_for():
    told = instance("failed", report(failed=3, reasons={"http_422": 3}), replay={"left": 2})
    again = instance("failed", report(failed=2, reasons={"http_422": 2}))._replace(operator="ReplayDeadLettersOperator")
    assert [dict(dead_letters(each)) for each in ([told], [again])] == [{"http_422": 2}, {}]


def test_it_is_said_for_what_a_task_waits():
    wait = {"since": at(2), "until": at(-2), "why": "the API says that 0 are left"}
    waits = report(waits=[{"since": at(9), "until": at(5), "why": "x"}, wait])
    assert wait_of([instance("success", waits), instance("up_for_reschedule", waits)]) == wait
    assert wait_of([instance("running", waits)]) is None
    other = report(waits=[{"since": 5, "until": ["x"], "why": {"a": "b"}}])
    assert wait_of([instance("up_for_reschedule", other)]) == {"since": None, "until": None, "why": None}
    for other in (None, report(), report(waits=[]), report(waits="x"), report(waits=[5])):
        assert wait_of([instance("up_for_reschedule", other)]) is None


def test_a_row_has_the_last_window_and_not_a_preview():
    own = {"window_start": "2026-01-01T00:00:00+00:00", "window_end": "2026-01-02T00:00:00+00:00"}
    its = [
        instance("skipped", report(preview=True), run_id="previewed", run_type="manual"),
        instance("running", run_id="newest"),
        instance("success", report(7, **own), days_ago=1.5, run_id="before"),
    ]
    row = row_of(dag(), its, NOW)
    assert row["last"] == {
        "run_id": "newest",
        "map_index": -1,
        "state": "running",
        "start": (NOW - timedelta(days=1)).isoformat(),
        "end": NOW.isoformat(),
    }
    standing = {"status": "running", "since": NOW.isoformat(), "why": None}
    assert row["freshness"] == {**standing, "delivered_until": own["window_end"]}
    assert (row["rows"]["day"], row["rows"]["week"], row["since"]) == (0, 7, None)


@pytest.mark.parametrize("wrong", [5, {"a": 1}, "tomorrow", ["x"]])
def test_a_window_that_is_none_is_not_shown(wrong):
    told = instance("success", report(window_start=wrong, window_end=wrong))
    row = row_of(dag(), [told], NOW)
    ends = [row["last"]["end"], row["freshness"]["delivered_until"]]
    assert (row["last"]["start"], ends) == ((NOW - timedelta(days=1)).isoformat(), [NOW.isoformat()] * 2)


def test_a_mapped_task_is_one_row_and_has_failed_where_one_of_its_instances_has():
    its = [instance(report=report(5), run_id="run", index=n) for n in range(2)]
    assert row_of(dag(), its, NOW)["freshness"]["status"] == "on_time"
    row = row_of(dag(), [*its, instance("failed", report(1), index=2)], NOW)
    assert (row["freshness"]["status"], row["rows"]["day"]) == ("late", 11)


@pytest.mark.parametrize(("days_ago", "is_told"), [(2, True), (8, False)])
def test_what_is_not_all_of_the_week_says_since_when(days_ago, is_told):
    since = NOW - timedelta(days=days_ago)
    assert row_of(dag(), [instance()], NOW, since)["since"] == (since.isoformat() if is_told else None)
