"""The page "Deliveries" over all DAGs: which tasks are found, who sees them, and what it costs."""

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from ui.test_endpoints import report

NOW = datetime.now(UTC)
RECENT = {"first": NOW - timedelta(days=1, hours=2), "ended": NOW - timedelta(hours=1), "run_type": "scheduled"}


def page(client, **query):
    answer = client.get("/async-rest/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def rows(client, **query):
    """Return the rows of the tests' own DAGs, by DAG and task."""
    return {(row["dag_id"], row["task_id"]): row for row in page(client, **query)["rows"]}


@contextmanager
def counted(engine=None):
    """Count the statements of a database; by default, of Airflow's."""
    from airflow import settings
    from sqlalchemy import event

    engine = engine or settings.engine
    seen = []

    def note(connection, cursor, statement, *_):
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_whoever_has_not_logged_in_gets_nothing(client_of, dag_runs):
    dag_runs("hidden", ("success", report(10)))
    assert client_of(None).get("/async-rest/deliveries").status_code == 401


def test_a_row_says_how_a_task_does(client_of, dag_runs):
    failed = report(8, 3, reasons={"http_422": 2, "timeout": 1})
    dag_runs("does", ("failed", failed), _dag_display_property_value="What it does", **RECENT)
    [row] = page(client_of("vic"))["rows"]
    start = RECENT["first"]
    run_after = start + timedelta(days=1)
    assert row == {
        "dag_id": "does",
        "dag_name": "What it does",
        "task_id": "post",
        "last": {
            "run_id": "run0",
            "map_index": -1,
            "state": "failed",
            "start": start.isoformat(),
            "end": run_after.isoformat(),
        },
        "freshness": {"status": "late", "since": run_after.isoformat(), "why": "failed", "delivered_until": None},
        "rows": {"day": 8, "week": 8, "by_day": [0, 0, 0, 0, 0, 0, 8]},
        "dead_letters": {"http_422": 2, "timeout": 1},
        "wait": None,
        "since": None,
    }


def test_a_task_that_runs_or_waits_has_its_progress(client_of, dag_runs):
    wait = {"since": "2026-03-01T00:00:00+00:00", "until": "2026-03-02T00:00:00+00:00", "why": "the quota is gone"}
    dag_runs("waits", ("up_for_reschedule", None, report(4, complete=False, waits=[wait])), **RECENT)
    row = rows(client_of("vic"))["waits", "post"]
    assert (row["wait"], row["rows"]["day"], row["freshness"]["status"]) == (wait, 4, "running")


def test_a_replay_in_the_task_takes_no_rows_from_the_day(client_of, dag_runs):
    """Of a window that was replayed right after its failure; Airflow remembers when the first try ended."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.taskinstancehistory import TaskInstanceHistory
    from airflow.utils.session import create_session
    from sqlalchemy import select, update

    replay = {"sent": 3, "delivered": 3, "failed": 0}
    dag_runs("replayed", ("success", report(1_000, replay=replay, replays={"2": replay})), **RECENT)
    with create_session() as session:
        task = session.scalar(select(TaskInstance).where(TaskInstance.dag_id == "replayed"))
        task.end_date = NOW - timedelta(hours=2)
        TaskInstanceHistory.record_ti(task, session=session)
        its = TaskInstance.dag_id == "replayed"
        session.execute(update(TaskInstance).where(its).values(try_number=2, end_date=NOW - timedelta(hours=1)))
    assert rows(client_of("vic"))["replayed", "post"]["rows"] == {
        "day": 1_000,
        "week": 1_000,
        "by_day": [0] * 6 + [1_000],
    }


@pytest.mark.parametrize(
    ("more", "is_found"),
    [
        ({"operator": "SqlToRestOperator", "key": "x"}, True),
        ({"operator": "RestToSqlOperator", "key": "x"}, True),
        ({"operator": "ReplayDeadLettersOperator", "key": "x"}, True),
        ({"operator": "MyOwnOperator"}, True),  # by what it has left
        ({"operator": "_PythonDecoratedOperator"}, True),
        ({"operator": "PythonOperator", "key": "x"}, False),
        ({"is_stale": True}, False),  # its file is gone
    ],
)
def test_a_task_is_found_by_its_operator_or_by_what_it_has_left(client_of, dag_runs, more, is_found):
    dag_runs("found", ("success", report(3)), **{**RECENT, **more})
    assert bool(rows(client_of("vic"))) == is_found


def test_a_replay_has_no_dead_letters_of_its_own_and_its_preview_has_delivered_nothing(client_of, dag_runs):
    failed = report(8, 3, reasons={"http_422": 3}, dead_letters="file:///dead_letters/sensors")
    preview = report(0, preview=True, read=3, unfinished=3, reasons={"http_422": 3}, dead_letters=["file:///x"])
    dag_runs("replays", ("failed", failed), ("success", preview), operator="ReplayDeadLettersOperator", **RECENT)
    row = rows(client_of("vic"))["replays", "post"]
    assert (row["dead_letters"], row["freshness"]["status"], row["last"]["run_id"]) == ({}, "late", "run0")


def test_a_task_that_the_timeout_of_its_dag_has_stopped_is_late(client_of, dag_runs):
    two_days = {**RECENT, "first": NOW - timedelta(days=2, hours=2)}
    dag_runs("stopped", ("success", report(3)), ("skipped", None, report(4, complete=False)), **two_days)
    dag_runs("skips", ("success", report(3)), ("skipped", None), **two_days)
    found = rows(client_of("vic"))
    statuses = [found[dag_id, "post"]["freshness"]["status"] for dag_id in ("stopped", "skips")]
    assert (statuses, found["stopped", "post"]["last"]["run_id"]) == (["late", "on_time"], "run1")


@pytest.mark.parametrize(("summary", "status"), [("@continuous", "running"), ("0 0 * * *", "late")])
def test_what_runs_continuously_is_not_late_while_it_runs(client_of, dag_runs, summary, status):
    due = {"next_dagrun_create_after": NOW - timedelta(hours=1), "timetable_summary": summary}
    days = {**RECENT, "first": NOW - timedelta(days=2, hours=2)}
    dag_runs("runs", ("success", report(3)), ("running", None, report(1)), **days, **due)
    assert rows(client_of("vic"))["runs", "post"]["freshness"]["status"] == status


def test_a_function_that_returns_something_else_has_its_progress(client_of, dag_runs):
    other = {"operator": "_PythonDecoratedOperator", **RECENT}
    dag_runs("returns", ("success", {"file": "x"}, report(5)), **other)
    dag_runs("nothing", ("success", ["x"], "of another program"), **other)
    found = rows(client_of("vic"))
    assert [found[dag_id, "post"]["rows"]["day"] for dag_id in ("returns", "nothing")] == [5, 0]


def test_a_function_that_has_left_nothing_this_time_is_known_from_before(client_of, dag_runs):
    dag_runs("before", ("success", report(3)), ("failed", None), operator="_PythonDecoratedOperator", **RECENT)
    row = rows(client_of("vic"))["before", "post"]
    assert (row["last"]["state"], row["freshness"]["status"]) == ("failed", "late")


def test_a_task_that_the_last_run_does_not_have_is_gone(client_of, dag_runs):
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    dag_runs("renamed", ("success", report(3)), ("success", None), **RECENT)
    with create_session() as session:
        its = (TaskInstance.dag_id == "renamed", TaskInstance.run_id == "run1")
        session.execute(update(TaskInstance).where(*its).values(task_id="post_all"))
    assert [*rows(client_of("vic"))] == [("renamed", "post_all")]


def test_a_task_with_many_instances_takes_nothing_from_others(client_of, dag_runs):
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import insert, select
    from uuid6 import uuid7

    dag_runs("daily", ("failed", report(3, 2)), **{**RECENT, "first": NOW - timedelta(days=200)})
    dag_runs("many", *[("success", report(1))] * 180, **{**RECENT, "first": NOW - timedelta(days=181)})
    of_run = {"dag_id": "many", "task_id": "post", "state": "success", "operator": "SqlToRestOperator"}
    more = {"pool": "default_pool", "try_number": 1}
    with create_session() as session:
        runs = session.scalars(select(DagRun.run_id).where(DagRun.dag_id == "many")).all()
        its = [
            {"id": uuid7(), "run_id": run_id, "map_index": index, **of_run, **more}
            for run_id in runs
            for index in range(115)
        ]
        session.execute(insert(TaskInstance.__table__), its)
    answer = page(client_of("vic"))
    found = {row["dag_id"]: row for row in answer["rows"]}
    assert (found["daily"]["rows"]["week"], found["daily"]["since"]) == (3, None)
    assert answer["truncated"] is True
    assert found["many"]["last"]["run_id"] == "run179"


def test_an_old_run_that_a_backfill_has_made_lately_does_not_stand_for_all_since(client_of, dag_runs):
    first = NOW - timedelta(days=6)
    half_hours = [number / 48 for number in range(205)]
    dag_runs("often", *[("success", report(1))] * 205, days=half_hours, **{**RECENT, "first": first})
    late = {**RECENT, "first": NOW - timedelta(days=30), "run_type": "backfill"}
    dag_runs("often", ("failed", report(3, 2, reasons={"http_422": 2})), days=[-1], **late)
    row = rows(client_of("vic"))["often", "post"]
    assert row["since"] == (first + timedelta(days=1 + half_hours[5])).isoformat()
    assert (row["rows"]["week"], row["dead_letters"]) == (203, {"http_422": 2})


def test_what_is_not_read_of_a_task_is_said_and_who_waits_is_known(client_of, dag_runs):
    """Functions that return no report are known by their progress alone, which is read for some of each."""
    functions = {"operator": "_PythonDecoratedOperator", **RECENT, "first": NOW - timedelta(days=100)}
    for number in range(20):
        dag_runs(f"function{number}", *[("success", {"x": 1}, report(10))] * 60, **functions)
    wait = {"since": None, "until": NOW.isoformat(), "why": "the quota is gone"}
    waiting = ("up_for_reschedule", None, report(4, complete=False, waits=[wait]))
    dag_runs("waiter", waiting, first=NOW - timedelta(days=300), run_type="scheduled")
    found = {row["dag_id"]: row for row in page(client_of("vic"))["rows"]}
    assert found["waiter"]["wait"] == wait
    ended = RECENT["ended"].isoformat()
    assert {found[f"function{number}"]["since"] for number in range(20)} == {ended}
    assert len({found[f"function{number}"]["rows"]["week"] for number in range(20)}) == 1


def test_reports_that_a_backend_keeps_are_read_for_each_task(client_of, dag_runs, tmp_path, monkeypatch):
    from airflow.providers.common.io.xcom import backend

    monkeypatch.setenv(
        "AIRFLOW__CORE__XCOM_BACKEND", "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend"
    )
    monkeypatch.setenv("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH", f"file://{tmp_path}")
    backend._get_base_path.cache_clear()
    (tmp_path / "report.json").write_text(json.dumps(report(10)))
    reference = ("success", f"file://{tmp_path}/report.json")
    for number in range(8):
        dag_runs(f"kept{number}", *[reference] * 130, **{**RECENT, "first": NOW - timedelta(days=135)})
    found = page(client_of("vic"))["rows"]
    backend._get_base_path.cache_clear()
    assert {(row["rows"]["week"], row["since"]) for row in found} == {(1_250, RECENT["ended"].isoformat())}


def test_pages_go_through_all_dags(client_of, dag_runs):
    for number in range(5):
        dag_runs(f"page{number}", ("success", report(number)), **RECENT)
        dag_runs(f"other{number}", ("success", None), operator="EmptyOperator", key="x")
    found, after = [], ""
    while after is not None:
        answer = page(client_of("vic"), limit=2, after=after)
        assert len(answer["rows"]) <= 2
        found += [row["dag_id"] for row in answer["rows"]]
        after = answer["next"]
    assert found == [f"page{number}" for number in range(5)]


@pytest.mark.parametrize("others", [100, 101])
def test_pages_go_on_after_many_dags_that_have_no_such_task(client_of, dag_runs, others):
    for number in range(others):
        dag_runs(f"other{number:03}")
    dag_runs("the_one", ("success", report(3)), **RECENT)
    first = page(client_of("vic"))
    assert (first["rows"], first["next"]) == ([], "other099")
    second = page(client_of("vic"), after=first["next"])
    assert ([row["dag_id"] for row in second["rows"]], second["next"]) == (["the_one"], None)


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 51}, {"limit": "x"}])
def test_a_page_has_a_bound(client_of, wrong):
    answer = client_of("vic").get("/async-rest/deliveries", params=wrong)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", "limit"])


def test_a_page_costs_the_same_queries_whatever_there_is(client_of, dag_runs):
    client = client_of("vic")
    seen = []
    for number in range(3):
        progress = report(1, waits=[])
        for dag in range(10):
            days = [("failed", report(3, 2, reasons={"http_422": 2})) for _ in range(5)]
            dag_runs(f"cost{number}_{dag}", *days, ("running", None, progress), **RECENT)
        with counted() as statements:
            assert len(page(client)["rows"]) == 10 * (number + 1)
        seen.append(len(statements))
    assert seen[0] == seen[1] == seen[2] <= 12, seen


def test_nobody_sees_a_dag_that_airflow_would_not_show(client_of, dag_runs, only):
    for name in ("mine", "theirs"):
        dag_runs(name, ("failed", report(3, 1)), **RECENT)
    only(lambda dag_id, entity: dag_id != "theirs")
    client = client_of("vic")
    assert {row["dag_id"] for row in page(client)["rows"]} == {"mine"}
    assert "theirs" not in client.get("/async-rest/deliveries", params={"limit": 1}).text
    assert "theirs" not in client.get("/async-rest/deliveries", params={"after": "thei", "dag_id": "mine"}).text


def test_who_may_read_a_dag_and_not_its_xcom_sees_no_row_of_it(client_of, dag_runs, only):
    for name in ("mine", "theirs"):
        dag_runs(name, ("failed", report(3, 1)), **RECENT)
    only(lambda dag_id, entity: dag_id != "theirs" or entity != "XCOM")
    assert {row["dag_id"] for row in page(client_of("vic"))["rows"]} == {"mine"}


def test_who_may_see_no_xcom_at_all_is_refused(client_of, dag_runs, only):
    dag_runs("mine", ("success", report(3)), **RECENT)
    only(lambda dag_id, entity: entity != "XCOM")
    assert client_of("ann").get("/async-rest/deliveries").status_code == 403
