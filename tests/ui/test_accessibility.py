"""What is ours can be used with the keyboard alone, and by who listens to a page, light and dark: a real browser, and axe."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from node_peers import MODULES, need_peer
from ui.conftest import WITHOUT_THE_HOSTS, opened, press_tab_until
from ui.test_endpoints import report

NOW = datetime.now(UTC)
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
RECENT = {"first": MIDNIGHT - timedelta(days=1), "ended": NOW - timedelta(hours=1), "run_type": "scheduled"}


@pytest.fixture(params=["with the host's components", "without"])
def page_of(request, open_as):
    """Return an empty page, in an Airflow that shares its components with tabs, and in one that does not."""

    def make(**look):
        page = open_as(**look)
        if request.param == "without":
            page.add_init_script(WITHOUT_THE_HOSTS)
        return page

    return make


def test_a_replay_by_keyboard(page_of, failed):
    page = opened(page_of(), failed("by_keys"))
    press_tab_until(page, "[data-primary]")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("alertdialog")
    dialog.get_by_text("Send 7 dead letters again?").wait_for()
    assert page.locator(":focus").inner_text() == "Cancel"
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert page.evaluate("() => document.activeElement.matches('[data-primary]')")
    page.keyboard.press("Enter")
    dialog.get_by_text("Send 7 dead letters again?").wait_for()
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Send 7 items again"
    page.keyboard.press("Enter")
    page.get_by_text("Sending again: 7 dead letters").wait_for()
    page.get_by_text("figures of the previous try").wait_for()
    assert page.complaints == []


def test_the_overview_by_keyboard(page_of, dag_runs):
    from playwright.sync_api import expect

    dag_runs("sensors", ("success", report(12_345)), **RECENT)
    dag_runs("orders", ("failed", report(8, 3, reasons={"http_422": 3})), **RECENT)
    page = page_of()
    page.goto("/plugin/deliveries")
    table = page.get_by_role("table", name="Deliveries")
    table.wait_for()
    press_tab_until(page, "section[aria-label=Deliveries] input[type=search]")
    page.keyboard.type("post")
    press_tab_until(page, "[aria-label=Filters] button:nth-of-type(2)")
    expect(page.locator(":focus")).to_contain_text("on time")
    page.keyboard.press("Enter")
    expect(table.locator("tbody tr")).to_have_count(1, timeout=60_000)
    page.keyboard.press("Enter")
    expect(table.locator("tbody tr")).to_have_count(2, timeout=60_000)
    press_tab_until(page, "[aria-label=Deliveries] th:nth-of-type(5) button")
    page.keyboard.press("Enter")
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Rows, 7 days", timeout=60_000)
    expect(table.locator("tbody tr").first).to_contain_text("sensors", timeout=60_000)
    press_tab_until(page, "tbody tr:nth-of-type(2) td:nth-of-type(3) a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dags/orders/runs/run0/tasks/post/plugin/delivery")
    assert [text for text in page.complaints if "503" not in text] == []


@pytest.mark.release
@pytest.mark.parametrize("width", [1280, 1920])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_in_what_is_ours(page_of, defined, dag_runs, failed, dark, width):
    from airflow.sdk import CronDataIntervalTimetable

    need_peer("axe-core")
    page, found = page_of(width=width, dark=dark), {}
    opened(page, failed("looked_at"))
    found["as it is"] = violations(page, "section[aria-label=Delivery]")
    page.get_by_role("button", name="3", exact=True).click()
    page.get_by_text("Idempotency key").wait_for()
    found["a row is open"] = violations(page, "section[aria-label=Delivery]")
    page.get_by_role("button", name="Group by what the API said").click()
    page.get_by_role("button", name="sensor … was withdrawn").wait_for()
    found["in groups"] = violations(page, "section[aria-label=Delivery]")
    page.locator("[data-primary]").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Cancel").wait_for()
    found["a replay is asked for"] = violations(page, "dialog[open]")

    ended = [("failed", report(8, 3, reasons={"http_422": 3})), ("failed", report(8, complete=False, error="away"))]
    begun = [
        ("running", None, report(3, complete=False)),
        ("queued", None),
        ("success", report(0)),
        ("success", report(10)),
    ]
    dag_runs("holes", *ended, *begun, days=(0, 1, 2, 3, 4, 24))
    defined("holes", CronDataIntervalTimetable("0 0 * * *", timezone="UTC"))
    page.goto("/dags/holes/plugin/windows")
    page.get_by_label("All that can go on (2 windows)").click()
    page.get_by_role("button", name="Resume the windows (2)", disabled=False).wait_for()
    found["Windows"] = violations(page, "section[aria-label=Windows]")
    page.get_by_role("button", name=re.compile("^Backfill these")).click()
    page.get_by_role("alertdialog").get_by_text("Airflow would make 19 runs").wait_for()
    found["a backfill is asked for"] = violations(page, "dialog[open]")

    wait = {"since": NOW.isoformat(), "until": MIDNIGHT.isoformat(), "why": "the quota is gone"}
    dag_runs("waits", ("up_for_reschedule", None, report(4, complete=False, waits=[wait])), **RECENT)
    dag_runs("orders", ("failed", report(8, 3, reasons={"http_422": 3})), **RECENT)
    dag_runs("sensors", ("success", report(12_345)), **RECENT)
    dag_runs("prices", ("success", report(1)), is_paused=True, **RECENT)
    page.goto("/plugin/deliveries")
    page.get_by_role("table", name="Deliveries").get_by_text("paused", exact=True).wait_for()
    found["Deliveries"] = violations(page, "section[aria-label=Deliveries]")
    assert {where: what for where, what in found.items() if what} == {}
    assert page.complaints == []


def violations(page, selector: str) -> list[str]:
    if not page.evaluate("'axe' in globalThis"):
        page.add_script_tag(path=MODULES / "axe-core" / "axe.min.js")
    page.add_style_tag(content="* { transition: none !important }")  # a colour between two is none that anybody reads
    answer = page.evaluate("selector => axe.run(selector)", selector)
    return [
        f"{each['id']}: {node['html'][:150]} ({node['failureSummary'][:200]})"
        for each in answer["violations"]
        for node in each["nodes"][:3]
    ]
