"""The tab Windows by a user's clicks: a real browser before Airflow's own application, and runs that are only in its database."""

import re
from datetime import timedelta

import pytest
from ui.browser import photograph
from ui.conftest import DAY


def report(delivered, failed=0, **more):
    counts = {"read": delivered + failed, "delivered": delivered, "failed": failed, "skipped": 0, "unfinished": 0}
    reasons = {"reasons": {"http_422": failed} if failed else {}}
    return {**counts, "elapsed_seconds": 2.0, "items_per_second": delivered / 2, "complete": True, **reasons, **more}


@pytest.fixture
def page_of(open_as):
    """Return the page of a user at the tab of a DAG."""

    def open_tab(dag_id: str, name: str = "ann"):
        page = open_as(name)
        page.goto(f"/dags/{dag_id}/plugin/windows")
        page.get_by_role("table", name="Windows", exact=True).wait_for()
        return page

    return open_tab


def runs_of(dag_id: str) -> list:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        return list(session.scalars(select(DagRun.logical_date).where(DagRun.dag_id == dag_id)))


def test_a_long_stretch_is_one_line_and_is_backfilled_by_keyboard(page_of, defined, dag_runs):
    from airflow.sdk import CronDataIntervalTimetable

    dag_runs("old_days", *[("success", report(10))] * 3, days=(0, 1, 40))
    defined("old_days", CronDataIntervalTimetable("0 0 * * *", timezone="UTC"))
    page = page_of("old_days")
    assert page.get_by_role("heading", name="All 3 windows delivered").is_visible()
    assert page.get_by_text("3 March to 9 April 2026: never run").first.is_visible()
    assert page.locator(".cell").count() == 4
    button = page.get_by_role("button", name="Backfill these: 3 March to 9 April 2026")
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("alertdialog")
    dialog.get_by_text("Airflow would make 38 runs, from 2026-03-03 to 2026-04-09.").wait_for()
    assert dialog.get_by_text("2026-04-09", exact=True).evaluate("date => date.getClientRects().length") == 1
    photograph(page, "windows-backfill", 800)
    dialog.get_by_label("Windows").fill("2")
    dialog.get_by_text("Airflow would make 2 runs, from 2026-04-08 to 2026-04-09.").wait_for()
    dialog.get_by_label("Run again what is there").select_option("failed")
    dialog.get_by_label("Runs at a time").fill("1")
    dialog.get_by_role("button", name="Backfill", disabled=False).press("Enter")
    page.get_by_text("Backfill of 3 March to 9 April 2026: 2 runs").wait_for()
    assert sorted(runs_of("old_days"))[2:4] == [DAY + timedelta(days=days) for days in (38, 39)]
    page.get_by_text("3 March to 7 April 2026: never run").first.wait_for()
    page.get_by_role("button", name=re.compile("^Backfill these")).click()
    page.get_by_role("alertdialog").get_by_text("Airflow would make 36 runs").wait_for()
    page.get_by_role("alertdialog").get_by_role("button", name="Backfill").click()
    page.get_by_text("A backfill of this DAG is running already").wait_for()
    assert [text for text in page.complaints if "409" not in text] == []


def test_who_may_not_backfill_is_told_so(page_of, defined, dag_runs):
    from airflow.sdk import CronDataIntervalTimetable

    dag_runs("looked_at", *[("success", report(10))] * 2, days=(0, 2))
    defined("looked_at", CronDataIntervalTimetable("0 0 * * *", timezone="UTC"))
    page = page_of("looked_at", "vic")
    page.get_by_role("button", name=re.compile("^Backfill this")).click()
    dialog = page.get_by_role("alertdialog")
    dialog.get_by_text("You may not start a backfill of this DAG").wait_for()
    assert dialog.get_by_role("button", name="Backfill").is_disabled()
    assert len(runs_of("looked_at")) == 2


def cleared(dag_id: str) -> list[str]:
    """Return the runs whose task has been cleared, and nobody has run it since."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        its = (TaskInstance.dag_id == dag_id, TaskInstance.state.is_(None))
        return list(session.scalars(select(TaskInstance.run_id).where(*its).order_by(TaskInstance.run_id)))


def clears_of(page):
    """Return what waits for the next Clear that Airflow has answered, and returns its run; the database is left alone."""
    runs = []

    def is_clear(answer) -> bool:
        return answer.url.endswith("/clearTaskInstances") and not answer.request.post_data_json["dry_run"]

    def note(answer) -> None:
        if is_clear(answer):
            assert answer.ok, answer.text()
            runs.append(answer.request.post_data_json["dag_run_id"])

    def next_run() -> str:
        while not runs:
            page.wait_for_event("response", is_clear)
        return runs.pop(0)

    page.on("response", note)
    return next_run


def end(dag_id: str, run_id: str, state: str, report: dict) -> None:
    """Do what a worker does: the task ends, and leaves its report."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import delete, insert, select, update

    with create_session() as session:
        place = {"dag_id": dag_id, "run_id": run_id, "task_id": "post", "map_index": -1}
        session.execute(delete(XComModel).filter_by(**place, key="return_value"))
        id_ = session.scalar(select(DagRun.id).filter_by(dag_id=dag_id, run_id=run_id))
        value = {**place, "dag_run_id": id_, "key": "return_value", "value": report}
        session.execute(insert(XComModel.__table__).values(**value))
        session.execute(update(TaskInstance).filter_by(**place).values(state=state))


def requests_of(dag_id: str) -> dict[str, str]:
    """Return what tasks were asked to send again: run -> request."""
    from airflow.models.task_state_store import TaskStateStoreModel as Store
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.execute(select(Store.run_id, Store.value).where(Store.dag_id == dag_id, Store.key == "replay"))
        return dict(found.tuples().all())


@pytest.mark.release
def test_all_amber_windows_are_sent_again_four_at_a_time_and_one_that_fails_stops_no_other(page_of, defined, dag_runs):
    from airflow.sdk import CronDataIntervalTimetable

    latency = ({"p50": 4.0, "p95": p95, "p99": 9.5} for p95 in (5.2, 6.0, 9.0, 7.4, 8.1, 6.6))
    amber = [("failed", report(8, 2, latency_ms=each, requests=10)) for each in latency]
    dag_runs("amber", *amber, ("failed", report(8, 1, reasons={"timeout": 1})), ("success", report(10)))
    defined("amber", CronDataIntervalTimetable("0 0 * * *", timezone="UTC"))
    page = page_of("amber")
    clears = clears_of(page)
    table = page.get_by_role("table", name="Windows", exact=True)
    assert table.get_by_role("row").filter(has_text="All 8").inner_text().split("\t")[2:5] == [
        "66",
        "13",
        "http_422 12, timeout 1",
    ]
    assert page.get_by_role("img", name="Failed in each window: highest 2; http_422 12, timeout 1").is_visible()
    assert page.get_by_text("highest 2 failed").is_visible()
    page.get_by_role("group", name="Failed", exact=True).get_by_role("button", name="http_422").click()
    page.get_by_label("All that can go on (6 windows)").press("Space")
    page.get_by_text("6 chosen").wait_for()
    page.get_by_role("button", name="Send the same requests again (6 windows)", disabled=False).press("Enter")
    dialog = page.get_by_role("alertdialog")
    dialog.get_by_text("send 12 requests that failed for http_422 as they were").wait_for()
    for wrong in ("0", "", "17"):
        dialog.get_by_label("Windows at a time").fill(wrong)
        dialog.get_by_text("Write a whole number from 1 to 16.").wait_for()
        assert dialog.get_by_role("button", name="Send again").is_disabled()
    dialog.get_by_label("Windows at a time").fill("4")
    dialog.get_by_role("button", name="Send again").press("Enter")
    first = [clears() for _ in range(4)]
    page.get_by_text("4 at work, 2 to come").wait_for()
    assert cleared("amber") == sorted(first)
    page.get_by_text("2 chosen").wait_for()  # those at work can be chosen no more
    photograph(page, "windows-together", 1500)
    bad = {"replay": {"sent": 2, "delivered": 0, "failed": 2}}
    end("amber", first[0], "failed", report(8, 2, **bad))
    for number in range(1, 6):
        run_id = first[number] if number < 4 else clears()
        end("amber", run_id, "success", report(10, replay={"sent": 2, "delivered": 2, "failed": 0}))
    page.get_by_text("Ended: 6 windows").wait_for()
    assert page.get_by_text("5 done, 1 failed").is_visible()
    told = page.get_by_role("table", name="Windows together")
    assert told.get_by_text("2 delivered, 0 failed again.").count() == 5
    assert told.get_by_text("0 delivered, 2 failed again.").count() == 1
    assert all('"http_422"' in request for request in requests_of("amber").values())
    assert len(requests_of("amber")) == 6
    assert page.complaints == []


@pytest.mark.release
def test_windows_are_resumed_by_days_and_a_viewer_may_not(page_of, defined, dag_runs):
    from airflow.sdk import CronDataIntervalTimetable

    dag_runs("stopped", *[("failed", report(8, complete=False, error="the API is away"))] * 4)
    defined("stopped", CronDataIntervalTimetable("0 0 * * *", timezone="UTC"))
    looks = page_of("stopped", "vic")
    looks.get_by_label("All that can go on (4 windows)").press("Space")
    looks.get_by_text("You may not clear this task").wait_for()
    assert looks.get_by_role("button", name="Resume the windows (4)").is_disabled()
    page = page_of("stopped")
    clears = clears_of(page)
    page.get_by_label("From", exact=True).fill("2026-03-02")
    page.get_by_label("to", exact=True).fill("2026-03-03")
    page.get_by_role("heading", name="Runs (2)").wait_for()
    page.get_by_role("checkbox", name="Choose 2026-03-03 → 2026-03-04").press("Space")
    page.get_by_role("checkbox", name="Choose 2026-03-02 → 2026-03-03").press("Space")
    page.get_by_role("button", name="Resume the windows (2)", disabled=False).press("Enter")
    page.get_by_role("alertdialog").get_by_role("button", name="Resume 2 windows").press("Enter")
    run_ids = [clears(), clears()]
    page.get_by_text("2 at work").wait_for()
    page.get_by_role("table", name="Windows together").get_by_role("link").first.click()
    page.wait_for_url("**/plugin/delivery")
    page.go_back()
    page.get_by_text("2 at work").wait_for()  # it goes on meanwhile
    assert sorted(run_ids) == cleared("stopped") == ["run1", "run2"]
    for run_id in run_ids:
        end("stopped", run_id, "success", report(10))
    page.get_by_text("Ended: 2 windows").wait_for()
    assert page.get_by_role("table", name="Windows together").get_by_text("10 delivered, 0 failed.").count() == 2
    assert requests_of("stopped") == {}
    assert page.complaints == []
