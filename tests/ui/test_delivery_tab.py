"""The tab Delivery by a user's clicks: a real browser before Airflow's own application, and dead letters in a folder."""

import json
from datetime import UTC, datetime

import pytest
from ui.conftest import AT, HOSTILE, PROGRESS, REPORT, letter, opened


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
    page.get_by_role("button", name="Send these 6 items again (filtered)").wait_for()
    page.get_by_role("button", name="“sensor … was withdrawn”").click()
    page.get_by_role("button", name="http_422").click()
    page.get_by_role("button", name="Send the same requests again (7 items)").wait_for()
    history = page.get_by_role("table", name="History")
    assert history.get_by_text("1 h: it is gone").is_visible()
    assert page.complaints == []


@pytest.mark.release
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


@pytest.mark.release
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
        page.get_by_role("button", name="Send these 6 items again (filtered)").wait_for()
    page.route("**/async-rest/dead-letters?*", lambda route: route.fulfill(status=503, json={"detail": "It is away."}))
    page.get_by_role("searchbox", name="Search the dead letters").fill("out")
    page.get_by_text("Only a sample of 1, from XCom").wait_for()
    page.get_by_role("table", name="Dead letters", exact=True).wait_for()
    assert not page.get_by_role("button", name="“sensor … was withdrawn”").is_visible()
    page.unroute("**/async-rest/dead-letters?*")


@pytest.mark.parametrize(
    ("told", "title", "todo"),
    [
        ({"error": "the endpoint needs a column 'idd', which the rows do not have", "reasons": {}, "failed": 0, "read": 0},
         "the endpoint needs a column 'idd'", "Correct that, and resume the window. Nothing was sent."),
        (None, "It failed before it started", "Its log says why."),
        ({"error": "144 of 144 items failed (144 connection): Connection refused", "reasons": {"connection": 144},
          "delivered": 0, "failed": 144, "read": 144}, "Connection refused", "look at whether the API is up"),
    ],
)  # fmt: skip
def test_why_it_failed_is_the_first_thing_with_what_to_do_and_the_log(open_as, defined, dag_runs, told, title, todo):
    report = told and {**REPORT, "replay": None, **told}
    dag_runs("why", ("failed", report, *([{**PROGRESS, **report}] if report else [])), fileloc="dag.py")
    defined("why", None)
    page = open_as()
    page.goto("/dags/why/runs/run0/tasks/post/plugin/delivery")
    box = page.get_by_role("alert")
    box.get_by_text(title).wait_for()
    assert box.get_by_text(todo).is_visible()
    tab = page.get_by_role("region", name="Delivery")
    assert tab.locator("[role=alert], h2").first.get_attribute("role") == "alert"
    assert tab.get_by_text("went on").count() + tab.get_by_text("goes on where it stopped").count() == 0
    box.get_by_role("link", name="Open the log").click()
    page.wait_for_url("**/dags/why/runs/run0/tasks/post")
    # The browser itself writes that there are no files of dead letters here.
    assert [text for text in page.complaints if "503" not in text] == []


@pytest.mark.release
def test_after_a_replay_of_half_a_window_no_failure_is_told_below_a_success(open_as, defined, dag_runs):
    half = {**REPORT, "complete": False, "read": 60, "delivered": 60, "failed": 0, "reasons": {}}
    half |= {"replay": {"sent": 7, "delivered": 7, "failed": 0}, "delivered_later": 7}
    dag_runs("half", ("failed", half, {**PROGRESS, **half}), fileloc="dag.py")
    defined("half", None)
    page = open_as()
    page.goto("/dags/half/runs/run0/tasks/post/plugin/delivery")
    page.get_by_text("The dead letters are delivered; the window is not read to its end").wait_for()
    page.get_by_text("7 delivered, 0 failed again.").wait_for()
    page.get_by_role("heading", name="60 delivered so far").wait_for()
    assert page.get_by_role("alert").count() == 0
    [way] = page.get_by_role("group", name="What can be done").get_by_role("button").all()
    assert way.inner_text() == "Resume the window"
    # The browser itself writes that there are no files of dead letters here.
    assert [text for text in page.complaints if "503" not in text] == []


def test_a_wait_and_a_shared_limit_have_their_place(open_as, defined, dag_runs):
    wait = {"since": "2026-03-01T00:10:00+00:00", "until": "2026-03-01T01:10:00+00:00", "why": "10,000 a day are gone"}
    shared = {"used": 0.25, "used_by_all": 0.8, "waiting": 3, "store": "reached"}
    now = {**PROGRESS, "complete": False, "error": None, "failed": 0, "reasons": {}, "replay": None}
    running = {**now, "waits": [], "shared_limit": shared, "rate_limit": {"count": 100, "seconds": 1}, "in_flight": 4}
    dag_runs(
        "limits", ("running", None, running), ("up_for_reschedule", None, {**now, "waits": [wait]}), fileloc="d.py"
    )
    defined("limits", None)
    page = open_as()
    page.goto("/dags/limits/runs/run0/tasks/post/plugin/delivery")
    page.get_by_text("80 %").wait_for()
    assert page.get_by_text("25 % by this task, 3 waiting").is_visible()
    page.goto("/dags/limits/runs/run1/tasks/post/plugin/delivery")
    page.get_by_text("The quota is gone: the task starts again at 2026-03-01 01:10:00").wait_for()
    assert page.get_by_text("Since 2026-03-01 00:10:00: 10,000 a day are gone.").is_visible()
    assert page.complaints == []


def test_what_others_have_written_is_shown_as_text_in_both_tabs(open_as, failed):
    key, reason, said = (HOSTILE.format(each) for each in ("key", "reason", "said"))
    made = letter(0, key=key, reason=reason, said=json.dumps({"detail": said}))
    page = opened(open_as(), failed("hostile", letters=[made], reasons={reason: 1}))
    table = page.get_by_role("table", name="Dead letters")
    for text in (key, reason, said):
        assert table.get_by_text(text, exact=True).is_visible(), text
    table.get_by_role("button").first.click()
    page.get_by_text("Idempotency key").wait_for()
    page.get_by_role("button", name="Group by what the API said").click()
    page.get_by_role("button", name="<img src=x onerror=").click()
    page.locator("[data-primary]:enabled").click()
    page.get_by_role("alertdialog").get_by_text("“<img src=x onerror=").wait_for()
    page.goto("/dags/hostile/plugin/windows")
    page.get_by_role("table", name="Windows").get_by_text(f"{reason} 1").first.wait_for()
    assert page.locator("section[aria-label] img").count() == 0
    assert page.evaluate("globalThis.taken") is None
    assert page.complaints == []


def test_a_replay_that_would_send_nothing_has_no_button_and_a_task_that_fails_says_so_while_it_runs(
    open_as, defined, dag_runs
):
    never = {
        **REPORT,
        "reasons": {"schema": 7},
        "error": "7 of 100 items failed (7 schema)",
        "dead_letters": ["file:///x"],
    }
    failing = {**PROGRESS, "complete": False, "error": None, "history": [[AT, 0, 0], [AT + 20, 100, 93]]}
    runs = ("failed", never, never), ("running", None, failing)
    dag_runs("replays", *runs, operator="ReplayDeadLettersOperator", fileloc="dag.py")
    defined("replays", None)
    page = open_as()
    page.goto("/dags/replays/runs/run0/tasks/post/plugin/delivery")
    page.get_by_role("alert").get_by_text("a replay cannot make requests of them").wait_for()
    page.get_by_role("heading", name="What failed (7)").wait_for()
    assert page.get_by_role("group", name="What can be done").count() == 0
    page.goto("/dags/replays/runs/run1/tasks/post/plugin/delivery")
    page.get_by_text("Most of it fails: 93 of 100 items in the last 20 s").wait_for()
    assert page.get_by_text("So far: http_422 6, timeout 1.").is_visible()


def test_dead_letters_that_are_not_written_yet_are_not_called_missing(open_as, defined, dag_runs):
    running = {**PROGRESS, "complete": False, "error": None}
    dag_runs("young", ("running", None, {**running, "dead_letters": "file:///nowhere"}), fileloc="dag.py")
    defined("young", None)
    page = open_as()
    page.goto("/dags/young/runs/run0/tasks/post/plugin/delivery")
    page.get_by_role("heading", name="Not written yet").wait_for()
    assert page.get_by_text("Dead letters are written at 100 items, or after 30 seconds.").is_visible()
    assert page.complaints == []


def test_on_a_phone_one_line_says_what_it_is_made_for(open_as, failed):
    path = failed("small")
    line = "This is made for desktops"
    assert opened(open_as(width=390), path).get_by_text(line).is_visible()
    wide = opened(open_as(width=1920), path)
    assert not wide.get_by_text(line).is_visible()
    tab = wide.get_by_role("region", name="Delivery")
    table = tab.get_by_role("table", name="Dead letters")
    assert table.bounding_box()["width"] > 0.9 * tab.bounding_box()["width"]


def test_figures_of_an_earlier_try_say_so_and_its_replay_is_in_the_history(open_as, failed, dag_runs):
    """XCom could not be written since; and the page is loaded for the first time."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    path = failed("older", replays={"2": {"sent": 9, "delivered": 2, "failed": 7}})
    began = {"start_date": datetime(2999, 1, 1, tzinfo=UTC), "try_number": 2}
    with create_session() as session:
        session.execute(update(TaskInstance).where(TaskInstance.dag_id == "older").values(**began))
    page = opened(open_as(), path)
    page.get_by_text("What is shown here is older than the last try, which has left no report").wait_for()
    assert page.get_by_text("It failed; its log says why").is_visible()
    page.get_by_role("table", name="History").get_by_text("9 sent again: 2 delivered, 7 failed again").wait_for()
    assert page.get_by_text(REPORT["error"]).count() == 0
    assert page.complaints == []
