"""The tab Delivery by a user's clicks and keys: a real browser before Airflow's own application, and dead letters in a folder."""

import re
from datetime import UTC, datetime

import pytest
from node_peers import MODULES, need_peer
from ui.conftest import DAY

from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.models import DeadLetter, Item, Request

AT = int(DAY.timestamp())
WITHOUT_THE_HOSTS = "Object.defineProperty(globalThis, 'ChakraUI', {get: () => undefined, set: () => {}})"
REPORT = {
    "window_start": "2026-03-01T00:00:00+00:00",
    "window_end": "2026-03-02T00:00:00+00:00",
    "read": 100,
    "delivered": 93,
    "failed": 7,
    "skipped": 0,
    "unfinished": 0,
    "retries": 2,
    "requests": 102,
    "complete": True,
    "elapsed_seconds": 20.0,
    "items_per_second": 4.7,
    "reasons": {"http_422": 6, "timeout": 1},
    "replay": None,
    "latency_ms": {"p50": 3.0, "p95": 9.0, "p99": 20.0},
    "error": "7 of 100 items failed (6 http_422, 1 timeout)",
    "waits": [{"since": "2026-03-01T00:10:00+00:00", "until": "2026-03-01T01:10:00+00:00", "why": "it is gone"}],
    "api": "https://api.example.com/v1",
}
PROGRESS = {
    **REPORT,
    "target": "Delivering to PUT sensors/{id} at https://api.example.com/v1",
    "history": [[AT + second, second * 5, second // 3] for second in range(0, 21, 2)],
    "updated_at": "2026-03-01T02:00:00+00:00",
}


@pytest.fixture
def failed(defined, dag_runs, tmp_path, monkeypatch):
    """A window with seven dead letters, and its tab's path: ``failed(dag_id)``, and with a sample of them in XCom."""
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "dead_letters"))

    def make(dag_id: str, sample=(), more=None) -> str:
        own = tmp_path / "dead_letters" / dag_id / "run0" / "post" / "-1"
        DeadLetterFolder(own, 1).write([letter(index) for index in range(7)])
        report = {**REPORT, "dead_letters": f"file://{own}", **(more or {})}
        ended = datetime(2026, 3, 2, 1, tzinfo=UTC)
        dag_runs(dag_id, ("failed", report, {**PROGRESS, **report}), ended=ended, sample=sample, fileloc="dag.py")
        defined(dag_id, None)
        return f"/dags/{dag_id}/runs/run0/tasks/post/plugin/delivery"

    return make


def letter(index: int) -> DeadLetter:
    request = Request("PUT", f"sensors/{index}", "", b'{"id": 1}', f"key{index}")
    reason, said = ("http_422", f'{{"detail": "sensor {index} was withdrawn"}}') if index else ("timeout", "no answer")
    return DeadLetter.of(
        Item(index, index, {"id": index}, None), reason, request=request, status=422, attempts=1, detail=said
    )


def opened(page, path):
    page.goto(path)
    page.get_by_role("table", name="Dead letters").wait_for()
    page.locator("[data-primary]:enabled").wait_for()
    return page


def test_what_goes_where_and_what_the_api_said(open_as, failed):
    page = opened(open_as(), failed("said"))
    tab = page.get_by_role("region", name="Delivery")
    assert tab.get_by_text("PUT", exact=False).first.inner_text() == "PUT https://api.example.com/v1/sensors/{id}"
    assert tab.get_by_text("sensor 3 was withdrawn").is_visible()
    assert tab.get_by_text("delivered: highest 5.0 · failed: highest 0.5").is_visible()
    assert tab.get_by_text("Failed", exact=True).count() == 2  # the figure, and the try in the history
    page.get_by_role("button", name="Group by what the API said").click()
    groups = page.get_by_role("table", name="Dead letters by what the API said")
    groups.get_by_role("row").nth(2).wait_for()
    assert [row.inner_text().split("\t") for row in groups.get_by_role("row").all()[1:]] == [
        ["sensor … was withdrawn", "http_422", "6"],
        ["no answer", "timeout", "1"],
    ]
    groups.get_by_role("button", name="sensor … was withdrawn").click()
    page.get_by_role("button", name="Send these 6 again (filtered)").wait_for()
    page.get_by_role("button", name="“sensor … was withdrawn”").click()
    page.get_by_role("button", name="http_422").click()
    page.get_by_role("button", name="Send the same requests again (7)").wait_for()
    history = page.get_by_role("table", name="History")
    assert history.get_by_text("1 h: it is gone").is_visible()
    assert page.complaints == []


def test_groups_that_are_awaited_missing_or_none_say_so(open_as, failed):
    page = opened(open_as(), failed("groups"))
    page.route(
        "**/dead-letters/groups?*", lambda route: route.fulfill(status=403, json={"detail": "It is not for you."})
    )
    group = page.get_by_role("button", name="Group by what the API said")
    group.click()
    page.get_by_text("The groups cannot be shown").wait_for()
    assert page.get_by_text("It is not for you.").is_visible()
    page.unroute("**/dead-letters/groups?*")
    page.route("**/dead-letters/groups?*", lambda _: None)  # it is never answered
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("searchbox", name="Search the dead letters").fill("nothing has this")
    page.get_by_role("status").get_by_text("Loading").wait_for()
    page.unroute("**/dead-letters/groups?*")
    group.click()
    group.click()
    page.get_by_role("heading", name="No match").wait_for()


@pytest.mark.parametrize("chosen", ["the groups", "a kind"])
def test_where_the_endpoint_goes_away_the_sample_is_shown_whatever_was_chosen(open_as, failed, chosen):
    page = opened(
        open_as(), failed("away", sample=[{"key": 3, "reason": "http_422", "method": "PUT", "detail": "out"}])
    )
    page.get_by_role("button", name="Group by what the API said").click()
    kind = page.get_by_role("button", name="sensor … was withdrawn")
    kind.wait_for()
    if chosen == "a kind":
        kind.click()
        page.get_by_role("button", name="Send these 6 again (filtered)").wait_for()
    page.route("**/async-rest/dead-letters?*", lambda route: route.fulfill(status=503, json={"detail": "It is away."}))
    page.get_by_role("searchbox", name="Search the dead letters").fill("out")
    page.get_by_text("Only a sample of 1, from XCom").wait_for()
    page.get_by_role("table", name="Dead letters", exact=True).wait_for()
    assert not page.get_by_role("button", name="“sensor … was withdrawn”").is_visible()
    page.unroute("**/async-rest/dead-letters?*")


def test_dead_letters_that_are_not_written_yet_are_not_called_missing(open_as, defined, dag_runs):
    running = {**PROGRESS, "complete": False, "error": None}
    dag_runs("young", ("running", None, {**running, "dead_letters": "file:///nowhere"}), fileloc="dag.py")
    defined("young", None)
    page = open_as()
    page.goto("/dags/young/runs/run0/tasks/post/plugin/delivery")
    page.get_by_role("heading", name="Not written yet").wait_for()
    assert page.get_by_text("Dead letters are written at 100 items, or after 30 seconds.").is_visible()
    assert page.complaints == []


@pytest.mark.parametrize("host", ["with the host's components", "without"])
def test_a_replay_by_keyboard(open_as, failed, host):
    page = open_as()
    if host == "without":
        page.add_init_script(WITHOUT_THE_HOSTS)
    opened(page, failed("by_keys"))
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
    assert page.locator(":focus").inner_text() == "Send 7 again"
    page.keyboard.press("Enter")
    page.get_by_text("Sending again: 7 dead letters").wait_for()
    page.get_by_text("figures of the try before").wait_for()
    assert page.complaints == []


def test_figures_of_an_earlier_try_say_so_and_its_replay_is_in_the_history(open_as, failed, dag_runs):
    """XCom could not be written since; and the page is loaded for the first time."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    path = failed("older", more={"replays": {"1": {"sent": 9, "delivered": 2, "failed": 7}}})
    began = {"start_date": datetime(2999, 1, 1, tzinfo=UTC)}
    with create_session() as session:
        session.execute(update(TaskInstance).where(TaskInstance.dag_id == "older").values(**began))
    page = opened(open_as(), path)
    page.get_by_text("What is shown here is older than the last try, which has left no report").wait_for()
    assert page.get_by_text("It failed; its log says why").is_visible()
    page.get_by_role("table", name="History").get_by_text("sent again 9: 2 delivered, 7 failed again").wait_for()
    assert page.get_by_text(REPORT["error"]).count() == 0
    assert page.complaints == []


def press_tab_until(page, selector: str) -> None:
    for _ in range(100):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the Tab key does not lead to {selector}")


def test_on_a_phone_one_line_says_what_it_is_made_for(open_as, failed):
    path = failed("small")
    line = "This is made for desktops"
    assert opened(open_as(width=390), path).get_by_text(line).is_visible()
    wide = opened(open_as(width=1920), path)
    assert not wide.get_by_text(line).is_visible()
    tab = wide.get_by_role("region", name="Delivery")
    table = tab.get_by_role("table", name="Dead letters")
    assert table.bounding_box()["width"] > 0.9 * tab.bounding_box()["width"]


@pytest.mark.release
@pytest.mark.parametrize("host", ["with the host's components", "without"])
@pytest.mark.parametrize("width", [1280, 1920])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_in_what_is_ours(open_as, failed, dark, width, host):
    need_peer("axe-core")
    path, page = failed("looked_at"), open_as(width=width, dark=dark)
    if host == "without":
        page.add_init_script(WITHOUT_THE_HOSTS)
    opened(page, path)
    page.add_script_tag(path=MODULES / "axe-core" / "axe.min.js")
    found = {"as it is": violations(page, "section[aria-label=Delivery]")}
    page.get_by_role("button", name="3", exact=True).click()
    page.get_by_text("Idempotency key").wait_for()
    found["a row is open"] = violations(page, "section[aria-label=Delivery]")
    page.get_by_role("button", name="Group by what the API said").click()
    page.get_by_role("button", name="sensor … was withdrawn").wait_for()
    found["in groups"] = violations(page, "section[aria-label=Delivery]")
    page.locator("[data-primary]").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Cancel").wait_for()
    found["a question is asked"] = violations(page, "dialog[open]")
    page.keyboard.press("Escape")
    page.goto(re.sub("/runs/.*", "/plugin/windows", path))
    page.get_by_role("table", name="Windows").wait_for()
    page.add_script_tag(path=MODULES / "axe-core" / "axe.min.js")
    found["Windows"] = violations(page, "section[aria-label=Windows]")
    assert {where: what for where, what in found.items() if what} == {}
    assert page.complaints == []


def violations(page, selector: str) -> list[str]:
    page.add_style_tag(content="* { transition: none !important }")  # a colour between two is none that anybody reads
    answer = page.evaluate("selector => axe.run(selector)", selector)
    return [
        f"{each['id']}: {node['html'][:150]} ({node['failureSummary'][:200]})"
        for each in answer["violations"]
        for node in each["nodes"][:3]
    ]
