"""The tabs as people use them: a real browser, Airflow, the demo's API, and readings on their way.

The tests of this file follow each other on one stage, as a day at work does.
"""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from ui.browser import browsing, find_chromium, open_page

from demo.airflow_client import Airflow, TaskRuns
from demo.database import ids_by_day
from demo.stage import children, set_up

DAG, TASK = "sensors", "post_sensors"
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
TUESDAY, SATURDAY = 1, 5  # days with readings that the API refuses
THURSDAY = 3  # is left out at first
REFUSED = {3_000, 4_321}


@pytest.fixture(scope="module")
def stage():
    """The demo's database, API and Airflow, with a user who may do everything and one who may look."""
    find_chromium()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEMO_USERS", "ann:admin,vic:viewer")
        with children(0) as started, set_up(started, lambda text: None) as made:
            made.airflow.wait_for_dag(DAG)
            yield made


@pytest.fixture(scope="module")
def browser(stage):
    with browsing() as made:
        yield made


@pytest.fixture(scope="module")
def page(browser, stage):
    """The page of the user who may do everything."""
    return open_page(browser, stage.airflow_url, stage.airflow.token)


@pytest.fixture(scope="module")
def viewer(stage):
    with Airflow(stage.airflow_url, "vic") as airflow:
        yield airflow


def run_day(stage, number: int) -> None:
    """Make the run of a day of the week; 0 is Monday."""
    start = MONDAY + timedelta(days=number)
    times = {"data_interval_start": start.isoformat(), "data_interval_end": (start + timedelta(days=1)).isoformat()}
    body = {"dag_run_id": f"day-{number}", "logical_date": start.isoformat(), **times}
    stage.airflow.insist("POST", "dags", DAG, "dagRuns", json=body)


def path_of(number: int) -> str:
    return f"/dags/{DAG}/runs/day-{number}/tasks/{TASK}/plugin/delivery"


def photograph(page, name: str) -> None:
    """Keep a picture, where SCREENSHOTS names a folder: those of the README are made with SCREENSHOTS=docs."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.fixture(scope="module")
def backfill(stage):
    """All days but Thursday: made, and not begun, because the DAG is not switched on."""
    for number in range(7):
        if number != THURSDAY:
            run_day(stage, number)


def test_the_bar_moves_while_rows_are_posted(stage, page, backfill):
    page.goto(path_of(TUESDAY))
    page.get_by_role("heading", name="It has not run yet").wait_for()
    stage.airflow.switch_on(DAG)
    bar = page.get_by_role("progressbar", name="Items done")
    bar.wait_for()
    seen = [int(bar.get_attribute("aria-valuenow"))]
    for _ in range(4):
        page.wait_for_function(
            "before => Number(document.querySelector('[aria-label=\"Items done\"]').ariaValueNow) > before",
            arg=seen[-1],
        )
        seen.append(int(bar.get_attribute("aria-valuenow")))
    assert seen == sorted(set(seen))
    assert page.get_by_text(re.compile(r"[\d,]+ of about [\d,]+ items")).is_visible()
    tab = page.get_by_role("region", name="Delivery")
    for word in ("Delivered", "Retries", "In flight", "p95"):
        assert tab.get_by_text(word).first.is_visible(), word
    photograph(page, "delivery-running")
    assert page.complaints == []


def test_failed_items_appear_with_their_reasons(stage, page, backfill):
    page.goto(path_of(TUESDAY))
    page.get_by_role("heading", name=re.compile(r"^2 of [\d,]+ items failed$")).wait_for()
    table = page.get_by_role("table", name="Dead letters")
    table.wait_for()
    keys = table.locator("button[aria-expanded]")
    assert {int(re.sub(r"\D", "", text)) for text in keys.all_inner_texts()} == REFUSED
    assert table.get_by_text("http_422").count() == 2
    page.get_by_role("button", name=re.compile("3,?000")).press("Enter")
    assert page.get_by_text("sensors/3000").first.is_visible()
    assert page.get_by_text('"id": 3000').first.is_visible()
    photograph(page, "delivery-failed")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="CSV").click()
    assert len(Path(downloading.value.path()).read_text().splitlines()) == 3
    page.get_by_role("searchbox").fill("4321")
    page.wait_for_function("() => document.querySelectorAll('button.key').length === 1")
    page.get_by_role("button", name="Replay these 1 (filtered)").wait_for()
    assert page.complaints == []


def test_a_viewer_sees_it_all_and_can_send_nothing(stage, browser, viewer, backfill):
    page = open_page(browser, stage.airflow_url, viewer.token)
    page.goto(path_of(TUESDAY))
    page.get_by_role("table", name="Dead letters").wait_for()
    button = page.get_by_role("button", name="Replay all 2")
    page.get_by_text("You may not clear this task").wait_for()
    assert button.is_disabled()
    with httpx.Client(base_url=stage.airflow_url, trust_env=False, timeout=60) as anybody:
        headers = {"Authorization": f"Bearer {viewer.token}"}
        task = f"/api/v2/dags/{DAG}/dagRuns/day-{TUESDAY}/taskInstances/{TASK}"
        asked = anybody.put(f"{task}/state-store/replay", json={"value": {"reasons": None}}, headers=headers)
        body = {"dry_run": False, "dag_run_id": f"day-{TUESDAY}", "task_ids": [TASK]}
        cleared = anybody.post(f"/api/v2/dags/{DAG}/clearTaskInstances", json=body, headers=headers)
        assert (asked.status_code, cleared.status_code) == (403, 403)
        which = {"dag_id": DAG, "run_id": f"day-{TUESDAY}", "task_id": TASK}
        assert anybody.get("/async-rest/dead-letters", params=which, headers=headers).status_code == 200
        for path in ("dead-letters", "dead-letters/download", "windows"):
            assert anybody.get(f"/async-rest/{path}", params=which).status_code == 401
    # The browser itself writes the 403 of the question whether the user may clear the task.
    assert [text for text in page.complaints if "403" not in text] == []


def test_the_rejected_handful_is_replayed_once_the_api_takes_it(stage, page, backfill):
    stage.api.post("/_accept")
    before = stage.api.get("/_stats").json()["requests"]
    page.goto(path_of(TUESDAY))
    runs = TaskRuns(stage.airflow, DAG, f"day-{TUESDAY}")
    others_end(stage)
    before = stage.api.get("/_stats").json()["requests"]
    page.get_by_role("button", name="Replay all 2").click()
    dialog = page.get_by_role("alertdialog")
    dialog.get_by_text("Send 2 dead letters again?").wait_for()
    dialog.get_by_role("button", name="Send 2 again").click()
    page.get_by_text("2 delivered, 0 failed again.").wait_for()
    assert page.get_by_role("table", name="Dead letters").count() == 0
    assert page.get_by_role("heading", name=re.compile(r"^All [\d,]+ items delivered$")).is_visible()
    report = runs.xcom(TASK)
    day = ids_by_day(stage.socket_folder)["2026-03-03"]
    assert (report["read"], report["delivered"], report["failed"]) == (len(day), len(day), 0)
    assert report["replay"] == {"sent": 2, "delivered": 2, "failed": 0}
    stored = stage.api.get("/_ids").json()["times_stored"]
    assert {stored.get(str(number)) for number in day} == {1}
    assert stage.api.get("/_stats").json()["requests"] - before < 20  # these two, and what the flaky API made again
    assert page.complaints == []


def others_end(stage) -> None:
    for _ in stage.looks():
        if all(run["state"] in {"success", "failed"} for run in stage.airflow.runs(DAG)):
            return


def test_the_days_tab_shows_the_week_and_the_gap_in_it(stage, page, backfill):
    others_end(stage)
    page.goto(f"/dags/{DAG}/plugin/windows")
    calendar = page.get_by_label("Windows over time")
    calendar.wait_for()
    assert page.get_by_text("1 window between the others was never run").is_visible()
    cells = calendar.locator("a, [role=img]")
    labels = [cell.get_attribute("aria-label") for cell in cells.all()]
    assert len(labels) == 7, labels
    [gap] = [label for label in labels if "never run" in label]
    assert "2026-03-05" in gap
    assert labels.index(gap) == THURSDAY
    photograph(page, "windows-gap")
    run_day(stage, THURSDAY)
    page.wait_for_function("() => !document.body.innerText.includes('was never run')")
    others_end(stage)
    page.reload()
    calendar.wait_for()
    labels = [cell.get_attribute("aria-label") for cell in cells.all()]
    assert len(labels) == 7, labels
    assert not [label for label in labels if "never run" in label]
    assert page.get_by_role("table", name="Windows").locator("tbody tr").count() == 7
    cells.nth(TUESDAY).click()
    page.wait_for_url(f"**{path_of(TUESDAY)}")
    page.get_by_role("heading", name=re.compile("items delivered$")).wait_for()
    assert page.complaints == []


def test_another_operators_task_has_an_empty_state(stage, page, backfill):
    letters = TaskRuns(stage.airflow, DAG, f"day-{SATURDAY}").xcom(TASK)["dead_letters"]
    stage.airflow.switch_on("replay")
    run = stage.airflow.run("replay", {"dead_letters": letters, "preview_only": True})
    for _ in stage.looks():
        if run.state() in {"success", "failed"}:
            break
    [made] = stage.airflow.runs("replay")
    page.goto(f"/dags/replay/runs/{made['dag_run_id']}/tasks/is_to_be_sent/plugin/delivery")
    page.get_by_role("heading", name="Nothing to show for this task").wait_for()
    assert page.complaints == []
