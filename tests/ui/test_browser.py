"""The demo's verdict, and then the tabs as people use them: a real browser, Airflow, and readings on their way.

The tests of this file follow each other on one stage, as a day at work does: starting Airflow is slow.
"""

import io
import os
import re
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from rich.console import Console
from ui.browser import browsing, open_page, photograph

from demo.__main__ import work
from demo.airflow_client import Airflow, TaskRuns
from demo.backfill import ENDED
from demo.database import ids_by_day
from demo.facts import DayRun
from demo.stage import children, set_up

pytestmark = pytest.mark.release
DAG, TASK = "sensors", "post_sensors"
REFUSED = {13_000, 13_001, 13_579}  # Saturday's
MONDAY, TUESDAY, THURSDAY = "2026-03-02", "2026-03-03", "2026-03-05"
SEND_AGAIN = "Send the same requests again"


@pytest.fixture(scope="module", params=["airflow", "folder"])
def stage(request, tmp_path_factory):
    """The demo's database, API and Airflow, with a user who may do everything and one who may look.

    The state of the tasks is in Airflow's own store, or in a folder.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEMO_USERS", "ann:admin,vic:viewer")
        if request.param == "folder":
            patch.setenv("DEMO_STATE_PATH", str(tmp_path_factory.mktemp("state")))
        with children(0) as started, set_up(started, lambda text: None) as made:
            yield made


@dataclass(frozen=True)
class Worked:
    """What the demo has done: all claims hold or not, its screen, and Saturday, whose refused rows it has left."""

    good: bool
    screen: str
    saturday: DayRun

    def path(self, run_id: str | None = None) -> str:
        """Where the tab of a run's task is; default: Saturday's."""
        return f"/dags/{DAG}/runs/{run_id or self.saturday.run_id}/tasks/{TASK}/plugin/delivery"


@pytest.fixture(scope="module")
def worked(stage):
    screen = io.StringIO()
    good, day = work(stage, Console(file=screen, width=150), keep_a_day=True)
    return Worked(good, screen.getvalue(), day)


@pytest.fixture(scope="module")
def browser(worked):
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


def run_of(stage, day: str) -> dict:
    """The run of a day, as Airflow tells of it."""
    [run] = [run for run in stage.airflow.runs(DAG) if run["data_interval_start"].startswith(day)]
    return run


def wait_for_end(stage, day: str) -> None:
    for _ in stage.looks():
        if run_of(stage, day)["state"] in ENDED:
            return


def lead_to(stage, host: str) -> None:
    """Change the connection of the API."""
    fields = {"connection_id": "search_api", "conn_type": "async_rest", "host": host, "extra": '{"trust_env": false}'}
    stage.airflow.insist("PATCH", "connections", "search_api", json=fields)


def test_all_of_the_demos_claims_hold(worked):
    assert worked.good, worked.screen
    if folder := os.environ.get("DEMO_STATE_PATH"):
        assert list(Path(folder).rglob("settled.json"))


def test_failed_items_appear_with_their_reasons(stage, page, worked):
    page.goto(worked.path())
    page.get_by_role("heading", name=re.compile(r"^3 of [\d,]+ items failed$")).wait_for()
    table = page.get_by_role("table", name="Dead letters")
    table.wait_for()
    keys = table.locator("button[aria-expanded]")
    assert {int(re.sub(r"\D", "", text)) for text in keys.all_inner_texts()} == REFUSED
    assert table.get_by_text("http_422").count() == 3
    page.get_by_role("button", name=re.compile("13,?579")).press("Enter")
    page.get_by_text("sensors/13579").first.wait_for()
    page.get_by_text('"id": 13579').first.wait_for()
    page.get_by_text("is of a sensor that was withdrawn").first.wait_for()
    page.locator("[data-primary]:enabled").wait_for()
    photograph(page, "delivery-failed", 1700)
    with page.expect_download() as downloading:
        page.get_by_role("link", name="CSV").click()
    assert len(Path(downloading.value.path()).read_text().splitlines()) == 4
    page.get_by_role("searchbox").fill("13579")
    page.wait_for_function("() => document.querySelectorAll('button.key').length === 1")
    page.get_by_role("button", name="Send this one again (filtered)").wait_for()
    assert page.complaints == []


def test_a_viewer_sees_it_all_and_can_send_nothing(stage, browser, viewer, worked):
    page = open_page(browser, stage.airflow_url, viewer.token)
    page.goto(worked.path())
    page.get_by_role("table", name="Dead letters").wait_for()
    buttons = [page.get_by_role("button", name=name) for name in (SEND_AGAIN, "Resume the window")]
    page.get_by_text("You may not clear this task").first.wait_for()
    assert [button.is_disabled() for button in buttons] == [True, True]
    run_id = worked.saturday.run_id
    with httpx.Client(base_url=stage.airflow_url, trust_env=False, timeout=60) as anybody:
        headers = {"Authorization": f"Bearer {viewer.token}"}
        task = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/{TASK}"
        asked = anybody.put(f"/async-rest{task}/state-store/replay", json={"value": {"reasons": None}}, headers=headers)
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [TASK]}
        cleared = anybody.post(f"/api/v2/dags/{DAG}/clearTaskInstances", json=body, headers=headers)
        assert (asked.status_code, cleared.status_code) == (403, 403)
        which = {"dag_id": DAG, "run_id": run_id, "task_id": TASK}
        assert anybody.get("/async-rest/dead-letters", params=which, headers=headers).status_code == 200
        for path in ("dead-letters", "dead-letters/download", "windows"):
            assert anybody.get(f"/async-rest/{path}", params=which).status_code == 401
    # The browser itself writes the 403 of the question whether the user may clear the task.
    assert [text for text in page.complaints if "403" not in text] == []


def test_the_rejected_handful_is_replayed_now_that_the_api_takes_it(stage, page, worked):
    before = stage.api.get("/_stats").json()["requests"]
    page.goto(worked.path())
    page.get_by_role("button", name=f"{SEND_AGAIN} (3 items)").click()
    dialog = page.get_by_role("alertdialog")
    dialog.get_by_text("Send 3 dead letters again?").wait_for()
    photograph(page, "delivery-replay", 900)
    dialog.get_by_role("button", name="Send 3 items again").click()
    page.get_by_text("3 delivered, 0 failed again.").wait_for()
    assert page.get_by_role("table", name="Dead letters").count() == 0
    assert page.get_by_role("button", name="Reload the page").is_visible()  # Airflow's header shows the try before
    assert page.get_by_role("heading", name=re.compile(r"^All [\d,]+ items delivered$")).is_visible()
    assert page.get_by_text("3 of them later").is_visible()
    history = page.get_by_role("table", name="History")
    assert history.get_by_text("3 sent again: 3 delivered, 0 failed again").is_visible()
    page.get_by_role("table", name="Delivered later").locator("tr.resolved").nth(2).wait_for()
    photograph(page, "delivery-later", 1300)
    report = TaskRuns(stage.airflow, DAG, worked.saturday.run_id).xcom(TASK)
    day = ids_by_day(stage.socket_folder)[worked.saturday.day]
    assert (report["read"], report["delivered"], report["failed"]) == (len(day), len(day), 0)
    assert report["replay"] == {"sent": 3, "delivered": 3, "failed": 0}
    stored = stage.api.get("/_ids").json()["times_stored"]
    assert {stored.get(str(number)) for number in day} == {1}
    assert stage.api.get("/_stats").json()["requests"] - before < 20  # these three, and what the flaky API made again
    assert page.complaints == []


def test_what_another_dag_has_delivered_later_says_by_whom_in_both_tabs(stage, page, worked):
    page.goto(f"/dags/{DAG}/plugin/windows")
    calendar = page.get_by_label("Windows over time")
    calendar.wait_for()
    labels = [cell.get_attribute("aria-label") for cell in calendar.locator("[data-outcome=later]").all()]
    assert {label[:10] for label in labels} >= {TUESDAY, THURSDAY}
    assert any("delivered later by replay" in label for label in labels)
    row = page.get_by_role("table", name="Windows").get_by_role("row").filter(has_text=TUESDAY).first
    row.get_by_role("link", name=re.compile("^replay, ")).click()
    page.wait_for_url("**/dags/replay/runs/**/plugin/delivery")
    page.goto(worked.path(run_of(stage, TUESDAY)["dag_run_id"]))
    page.get_by_text("A replay by another task has delivered what failed").wait_for()
    assert page.get_by_role("heading", name=re.compile(r"^All [\d,]+ items delivered$")).is_visible()
    assert (
        page.get_by_role("table", name="History").get_by_role("link", name=re.compile("^Replay: replay, ")).is_visible()
    )
    page.get_by_role("table", name="Delivered later").locator("tr.resolved").nth(1).wait_for()
    assert page.get_by_role("button", name=SEND_AGAIN).count() == 0
    assert page.get_by_role("alert").count() == 0
    assert page.complaints == []


def test_why_it_failed_comes_first_and_the_window_is_resumed_when_that_is_mended(stage, page, worked):
    run_id = run_of(stage, MONDAY)["dag_run_id"]
    lead_to(stage, f"{stage.api_url}/nowhere")
    run = TaskRuns(stage.airflow, DAG, run_id)
    run.clear(TASK)
    for _ in stage.looks():
        if run.task(TASK)["state"] in ENDED:
            break
    page.goto(worked.path(run_id))
    alert = page.get_by_role("alert")
    alert.get_by_text("at least 90 % of the last 200 items failed, the last one with http_404").wait_for()
    assert alert.get_by_text("Next: resume the window.").is_visible()
    page.locator("[data-primary]:enabled").wait_for()
    photograph(page, "delivery-why", 1100)
    alert.get_by_role("link", name="Open the log").click()
    page.wait_for_url(re.compile(f"/tasks/{TASK}$"))
    page.get_by_text("at least 90 % of the last 200 items failed").first.wait_for()
    lead_to(stage, stage.api_url)
    page.goto(worked.path(run_id))
    ways = page.get_by_role("group", name="What can be done").get_by_role("button")
    ways.nth(1).wait_for()
    page.get_by_text("The API's connection changed since").first.wait_for()
    assert ways.nth(0).inner_text().startswith("Resume the window")
    assert ways.nth(1).inner_text().startswith(SEND_AGAIN)
    ways.nth(0).click()
    page.get_by_role("alertdialog").get_by_role("button", name="Resume").click()
    page.get_by_role("heading", name=re.compile(r"^All [\d,]+ items delivered$")).wait_for()
    assert page.get_by_role("alert").count() == 0
    assert page.complaints == []


def test_the_bar_moves_while_rows_are_posted(stage, page, worked):
    run_id = run_of(stage, MONDAY)["dag_run_id"]
    stage.airflow.insist("PATCH", "dags", DAG, json={"is_paused": True})
    TaskRuns(stage.airflow, DAG, run_id).clear(TASK)
    page.goto(worked.path(run_id))
    page.get_by_text("figures of the previous try").wait_for()
    stage.airflow.switch_on(DAG)
    bar = page.get_by_role("progressbar", name="Items done")
    page.get_by_text(re.compile(r"^[\d,]+ of about [\d,]+ items$")).wait_for()
    seen = [int(bar.get_attribute("aria-valuenow"))]
    for _ in range(4):
        page.wait_for_function(
            "before => Number(document.querySelector('[aria-label=\"Items done\"]').ariaValueNow) > before",
            arg=seen[-1],
        )
        seen.append(int(bar.get_attribute("aria-valuenow")))
    assert seen == sorted(set(seen))
    tab = page.get_by_role("region", name="Delivery")
    for word in ("Delivered", "Retries", "In flight", "p95"):
        assert tab.get_by_text(word).first.is_visible(), word
    page.reload()  # Airflow's own header is of before the task began
    page.get_by_text(re.compile(r"^[\d,]+ of about [\d,]+ items$")).wait_for()
    photograph(page, "delivery-running", 720)
    page.get_by_role("heading", name=re.compile(r"^All [\d,]+ items delivered$")).wait_for()
    assert page.complaints == []


def test_the_dags_tab_shows_the_week_and_a_gap_in_it(stage, page, worked):
    thursday = run_of(stage, THURSDAY)
    with httpx.Client(base_url=stage.airflow_url, trust_env=False, timeout=60) as admin:
        headers = {"Authorization": f"Bearer {stage.airflow.token}"}
        gone = admin.delete(f"/api/v2/dags/{DAG}/dagRuns/{thursday['dag_run_id']}", headers=headers)
        assert gone.status_code == 204
    page.goto(f"/dags/{DAG}/plugin/windows")
    calendar = page.get_by_label("Windows over time")
    calendar.wait_for()
    assert page.get_by_text("5 March 2026: never run").is_visible()
    cells = calendar.locator("a, [role=img]")
    labels = [cell.get_attribute("aria-label") for cell in cells.all()]
    assert len(labels) == 7, labels
    [gap] = [label for label in labels if "never run" in label]
    assert THURSDAY in gap
    assert labels.index(gap) == 3
    photograph(page, "windows-gap", 960)
    again = {name: thursday[name] for name in ("logical_date", "data_interval_start", "data_interval_end")}
    stage.airflow.insist("POST", "dags", DAG, "dagRuns", json=again)
    page.wait_for_function("() => !document.body.innerText.includes(': never run')")
    wait_for_end(stage, THURSDAY)
    page.reload()
    calendar.wait_for()
    labels = [cell.get_attribute("aria-label") for cell in cells.all()]
    assert len(labels) == 7, labels
    assert not [label for label in labels if "never run" in label]
    assert page.get_by_role("table", name="Windows").locator("tbody tr").count() == 8  # and the sum
    cells.nth(5).click()
    page.wait_for_url(f"**{worked.path()}")
    page.get_by_role("heading", name=re.compile("items delivered$")).wait_for()
    assert page.complaints == []


def test_a_preview_shows_the_requests_that_were_not_sent(stage, page, worked):
    window = {"window_start": f"{MONDAY}T00:00Z", "window_end": f"{THURSDAY}T00:00Z"}
    asked = {"logical_date": None, "conf": {"preview": 2, **window}}
    run_id = stage.airflow.call("POST", "dags", DAG, "dagRuns", json=asked)["dag_run_id"]
    run = TaskRuns(stage.airflow, DAG, run_id)
    for _ in stage.looks():
        if run.state() in ENDED:
            break
    assert run.task(TASK)["state"] == "skipped"
    page.goto(worked.path(run_id))
    page.get_by_text("A preview: nothing was sent").wait_for()
    shown = page.locator("pre").all_inner_texts()
    assert len(shown) == 2
    assert all("Idempotency-Key: " in text and '"id":' in text for text in shown)
    assert page.complaints == []


def test_another_operators_task_has_an_empty_state(stage, page, worked):
    [run] = stage.airflow.runs("replay")
    page.goto(f"/dags/replay/runs/{run['dag_run_id']}/tasks/is_to_be_sent/plugin/delivery")
    page.get_by_role("heading", name="Nothing to show for this task").wait_for()
    assert page.complaints == []
