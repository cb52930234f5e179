"""The page "Deliveries", in a real browser and Airflow's own application, as people use it."""

from datetime import UTC, datetime, timedelta

import pytest
from ui.browser import photograph
from ui.conftest import HOSTILE
from ui.test_endpoints import report

NOW = datetime.now(UTC)
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
RECENT = {"first": MIDNIGHT - timedelta(days=1), "ended": NOW - timedelta(hours=1), "run_type": "scheduled"}


@pytest.fixture
def page(open_as, without_others):
    return open_as("vic")


def wait_for_names(page, *names):
    """Wait until the table shows these tasks, in this order."""
    from playwright.sync_api import expect

    shown = page.get_by_role("table", name="Deliveries").locator("tbody tr td:first-child a")
    expect(shown).to_have_text(names, timeout=120_000)


def test_who_looks_after_all_deliveries_finds_what_is_late_and_what_failed(page, dag_runs):
    dag_runs("sensors", ("success", report(12_345)), **RECENT)
    dag_runs("orders", ("failed", report(8, 3, reasons={"http_422": 2, "timeout": 1})), **RECENT)
    wait = {"since": NOW.isoformat(), "until": (MIDNIGHT + timedelta(days=1)).isoformat(), "why": "the quota is gone"}
    dag_runs("prices", ("up_for_reschedule", None, report(4, complete=False, waits=[wait])), **RECENT)
    page.goto("/")
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="Deliveries").click()
    page.wait_for_url("**/plugin/deliveries")
    table = page.get_by_role("table", name="Deliveries")
    table.wait_for()
    wait_for_names(page, "orders", "prices", "sensors")  # what to look at first
    photograph(page, "deliveries", 620)
    orders = table.get_by_role("row").filter(has_text="orders")
    for text in ("late", "no window delivered yet", "http_422 2", "timeout 1"):
        assert orders.get_by_text(text, exact=True).is_visible(), text
    assert table.get_by_role("row").filter(has_text="sensors").get_by_text("12,345").count() == 2
    assert table.get_by_text("the quota is gone").is_visible()

    table.get_by_role("columnheader", name="Rows, 7 days").click(position={"x": 2, "y": 2})  # the cell's corner
    wait_for_names(page, "sensors", "orders", "prices")
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Rows, 7 days")
    table.get_by_role("button", name="Rows, 7 days").press("Enter")
    wait_for_names(page, "prices", "orders", "sensors")

    filters = page.get_by_role("group", name="Filters")
    filters.get_by_role("button", name="dead letters").click()
    wait_for_names(page, "orders")
    filters.get_by_role("button", name="dead letters").click()
    page.get_by_role("searchbox", name="Search").fill("SENS")
    wait_for_names(page, "sensors")
    page.get_by_role("searchbox", name="Search").fill("nobody")
    page.get_by_role("heading", name="No match").wait_for()
    page.get_by_role("searchbox", name="Search").fill("")

    orders.get_by_role("link").nth(1).click()
    page.wait_for_url("**/dags/orders/runs/run0/tasks/post/plugin/delivery")
    page.get_by_role("heading", name="3 of 11 items failed").wait_for()
    page.go_back()
    table.wait_for()
    table.get_by_role("link", name="sensors").click()
    page.wait_for_url("**/dags/sensors/plugin/windows")
    # The browser itself writes that there are no files of dead letters here.
    assert [text for text in page.complaints if "503" not in text] == []


def test_what_others_have_named_is_shown_as_text(page, dag_runs):
    name, reason = HOSTILE.format("name"), HOSTILE.format("reason")
    wait = {"since": "x", "until": "<b>", "why": HOSTILE.format("why")}
    failed = report(8, 3, reasons={reason: 3}, window_start=HOSTILE.format("start"), window_end="javascript:x")
    dag_runs("hostile", ("up_for_reschedule", failed | {"waits": [wait]}), _dag_display_property_value=name, **RECENT)
    page.goto("/plugin/deliveries")
    table = page.get_by_role("table", name="Deliveries")
    table.wait_for()
    for text in (name, f"{reason} 3", wait["why"]):
        assert table.get_by_text(text, exact=True).is_visible(), text
    assert page.locator("section[aria-label=Deliveries] img").count() == 0
    assert page.evaluate("globalThis.taken") is None
    assert page.complaints == []


def test_without_a_delivery_it_says_what_would_be_here(page):
    page.goto("/plugin/deliveries")
    page.get_by_role("heading", name="No deliveries yet").wait_for()
    assert page.complaints == []
