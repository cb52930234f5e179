"""The tab Windows by a user's clicks: a real browser before Airflow's own application, and runs that are only in its database."""

import re
from datetime import timedelta

import pytest
from ui.conftest import DAY


def report(delivered, failed=0, **more):
    counts = {"read": delivered + failed, "delivered": delivered, "failed": failed, "skipped": 0, "unfinished": 0}
    reasons = {"reasons": {"http_422": failed} if failed else {}}
    return {**counts, "elapsed_seconds": 2.0, "items_per_second": 5.0, "complete": True, **reasons, **more}


@pytest.fixture
def page_of(open_as):
    """Return the page of a user at the tab of a DAG."""

    def open_tab(dag_id: str, name: str = "ann"):
        page = open_as(name)
        page.goto(f"/dags/{dag_id}/plugin/windows")
        page.get_by_role("table", name="Windows").wait_for()
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
    dialog.get_by_label("Windows").fill("2")
    dialog.get_by_text("Airflow would make 2 runs, from 2026-04-08 to 2026-04-09.").wait_for()
    dialog.get_by_label("Runs at a time").fill("1")
    dialog.get_by_role("button", name="Backfill").press("Enter")
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
    page.get_by_role("button", name=re.compile("^Backfill these")).click()
    dialog = page.get_by_role("alertdialog")
    dialog.get_by_text("You may not start a backfill of this DAG").wait_for()
    assert dialog.get_by_role("button", name="Backfill").is_disabled()
    assert len(runs_of("looked_at")) == 2
