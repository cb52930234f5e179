"""What people read on the pages of versions without tabs: all of it, page by page."""

import html
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import airflow
import pytest
from ui.node import evaluated
from ui.pages.test_pages import BY_A_REPLAY, MADE_AGAIN

from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.models import DeadLetter, Item, Request
from airflow_async_rest.ui import pages

STARTED, ENDED = datetime(2026, 3, 3, 23, 58, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC)
HEAD = ["Airflow's page of this task, with its log · All windows of paged"]
_FOOT = (
    f"Times are in UTC. This is Airflow {airflow.__version__}: from 3.1 on, there are tabs instead of this page, with charts, "
    "filters, and a button that sends again what failed."
)
FOOT = [_FOOT]
WAIT = {"since": "2026-03-04T12:00:00+00:00", "until": "2026-03-04T13:00:00+00:00", "why": "10,000 a day are gone"}
WINDOW = {"window_start": "2026-03-01T00:00:00+00:00", "window_end": "2026-03-02T00:00:00+00:00"}
OF_WINDOW = " · window 2026-03-01 00:00:00 to 2026-03-02 00:00:00"
COLUMNS = "Key | Reason | What the API said | Request | Attempts | Failed at"
GONE, NO_SLOT = "The quota is gone: the task starts again at", "The task holds no slot, and no retry is used."
_LINE = r"</?(?:p|h1|h2|li|tr|dl|main|footer|title|div|body|table|ul|nav)\b[^>]*>|<br>"


def report(delivered: int, failed: int = 0, **more) -> dict:
    """Return what the pages show of a report, and no more of it."""
    return {"read": delivered + failed, "delivered": delivered, "failed": failed, **more}


def words(page: str) -> list[str]:
    """Return the lines that a reader sees, the cells of a table and the figures side by side."""
    body = page[page.index("<body>") :]
    lines = re.sub(
        _LINE, "\n", re.sub(r"\s+", " ", re.sub(r"</t[dh]>\s*<t[dh][^>]*>", " | ", body)).replace("</dt><dd>", ": ")
    )
    seen = [re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", line))).strip() for line in lines.split("\n")]
    return [line for line in seen if line]


@pytest.fixture
def shown(client_of, dag_runs):
    """Show a page of the only run of ``paged``, of a task with a state, a report and progress."""

    def show(page: str, state, report=None, progress=None, *, ended=None, sample=(), **dag) -> list[str]:
        dag_runs("paged", (state, report, *([progress] if progress else [])), ended=ended, sample=sample, **dag)
        task = {"dag_id": "paged", "run_id": "run0", "task_id": "post"}
        return words(client_of("vic").get(f"{page}/content", params=task).text)

    return show


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path))
    made = DeadLetterFolder(tmp_path.joinpath("paged", "run0", "post", "-1"), 1)
    request = Request("PUT", "sensors/1", "", b"{}", "key")
    about = {"status": 422, "attempts": 2, "detail": "no such sensor"}
    made.write([DeadLetter.of(Item(1, 17, {}, None), "http_422", request=request, **about)])
    made.uri = f"file://{tmp_path}/paged/run0/post/-1"
    return made


def test_a_task_that_failed_says_why_what_to_do_and_which_items(shown, folder):
    told = report(
        8, 1, **WINDOW, complete=True, reasons={"http_422": 1}, dead_letters=folder.uri, error="1 of 9 items failed"
    )
    [letter] = folder.iter_records()
    failed_at = letter["failed_at"][:19].replace("T", " ")
    assert shown("delivery", "failed", told, ended=ENDED) == [
        *HEAD,
        "post: failed",
        f"paged, run0 · try 1 · ended 2026-03-04 00:00:00{OF_WINDOW}",
        "1 of 9 items failed",
        f"Send the same requests {BY_A_REPLAY}; or {MADE_AGAIN}",
        "items read: 9",
        "delivered: 8",
        "failed: 1",
        "What failed (1)",
        "http_422: 1",
        COLUMNS,
        f"17 | http_422 | no such sensor | PUT sensors/1 | 2 | {failed_at}",
        *FOOT,
    ]


def test_what_was_delivered_later_has_no_error_and_says_when(shown, folder):
    folder.write([{"index": 1, "resolved": True}])
    folder.add_replay({"dag_id": "replay"}, 1, 0)
    at = folder.replays()[0]["at"][:19].replace("T", " ")
    told = report(8, 1, complete=True, reasons={"http_422": 1}, dead_letters=folder.uri, error="1 of 9 items failed")
    assert shown("delivery", "failed", told, ended=ENDED) == [
        *HEAD,
        "post: failed",
        "paged, run0 · try 1 · ended 2026-03-04 00:00:00",
        "items read: 9",
        "delivered: 8",
        "failed: 1",
        "What failed (1)",
        "http_422: 1",
        "No dead letter is left: they were delivered later.",
        "Sent again by other tasks",
        f"{at}: 1 delivered, 0 failed again, 0 left",
        *FOOT,
    ]


@pytest.mark.parametrize(
    ("state", "report", "progress", "ended", "lines"),
    [
        ("running", None, None, None, ["post: running", "paged, run0 · try 1", "There are no figures yet."]),
        (None, None, None, None, ["post: not queued yet", "paged, run0 · try 1", "There are no figures yet."]),
        ("upstream_failed", None, None, ENDED, [
            "post: upstream failed", "paged, run0 · try 1 · ended 2026-03-04 00:00:00", "The task has left no report and no progress.",
        ]),
        ("failed", None, None, ENDED, [
            "post: failed", "paged, run0 · try 1 · ended 2026-03-04 00:00:00",
            "Its log says more. When that is put right, clear the task.", "The task has left no report and no progress.",
        ]),
        ("failed", None, report(5, updated_at="2026-03-03T23:59:00Z"), ENDED, [
            "post: failed", "paged, run0 · try 1 · ended 2026-03-04 00:00:00",
            "What is shown here is older than the end of the last try, which has left no report. It is from 2026-03-03 23:59:00.",
            "Clear the task: it goes on where it stopped, with what failed and what is missing.",
            "items read: 5", "delivered: 5", "failed: 0",
        ]),
        ("skipped", report(0, preview=True), None, ENDED, [
            "post: skipped", "paged, run0 · try 1 · ended 2026-03-04 00:00:00",
            "This was a preview: nothing was sent. 0 dead letters would be sent again.", "items read: 0", "delivered: 0", "failed: 0",
        ]),
        ("up_for_reschedule", None, report(3, waits=[WAIT], updated_at="2026-03-04T00:00:00Z"), None, [
            "post: up for reschedule", "paged, run0 · try 1",
            f"{GONE} 2026-03-04 13:00:00. Since 2026-03-04 12:00:00: 10,000 a day are gone. {NO_SLOT}",
            "items read: 3", "delivered: 3", "failed: 0",
        ]),
        ("up_for_reschedule", None, report(3, waits=[{"until": 5}]), None, [
            "post: up for reschedule", "paged, run0 · try 1",
            f"{GONE} a time that is not known. {NO_SLOT}",
            "items read: 3", "delivered: 3", "failed: 0",
        ]),
        ("running", None, report(3, 1, updated_at="2026-03-04T00:00:00Z", history=[[0, 0, 0], [2, 4, 1]], reasons={"timeout": 1}), None, [
            "post: running", "paged, run0 · try 1", "items read: 4", "delivered: 3", "failed: 1", "What failed (1)", "timeout: 1",
            "Not written yet: dead letters are written at 100 items, or after 30 seconds.",
        ]),
    ],
)  # fmt: skip
def test_a_task_says_how_it_stands(shown, state, report, progress, ended, lines):
    assert shown("delivery", state, report, progress, ended=ended) == [*HEAD, *lines, *FOOT]


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ([{"method": "PUT", "url": "x"}], "nothing was sent. The first requests are in the task's XCom, as preview."),
        ([{"answer": {}}, {"answer": "?"}, None],
         "1 request was sent, to see the answer. The first requests are in the task's XCom, as preview."),
        (None, "nothing was sent. 2 dead letters would be sent again."),
    ],
)  # fmt: skip
def test_a_preview_says_whether_a_request_was_sent(application, requests, said):
    from airflow_async_rest.ui.pages.facts import Facts
    from airflow_async_rest.ui.states import TaskInstanceId

    told = {"read": 2, "delivered": 0, "preview": True}
    facts = Facts(TaskInstanceId("d", "r", "t"), "skipped", 1, None, ENDED, None, told, ENDED, True, requests)
    assert facts.preview == f"This was a preview: {said}"
    assert facts._replace(figures=told | {"preview": 1}).preview is None


def test_the_windows_of_a_dag_are_a_table(client_of, dag_runs):
    loaded = report(9, rows_loaded=30, rows_refused=2, reasons={"row_refused": 2}, **WINDOW)
    dag_runs(
        "paged",
        ("success", report(9)),
        ("up_for_retry", loaded),
        ("failed", report(0, 3, error="3 of 3 items failed", reasons={"http_422": 3})),
        (None, None),
    )
    assert words(client_of("vic").get("windows/content", params={"dag_id": "paged"}).text) == [
        "Windows of paged",
        "Window | Task | State | Read | Delivered, or loaded | Failed | Reasons, or the error",
        "2026-03-04 00:00:00 to 2026-03-05 00:00:00 | post | | | | |",
        "2026-03-03 00:00:00 to 2026-03-04 00:00:00 | post | failed | 3 | 0 | 3 | 3 of 3 items failed",
        "2026-03-01 00:00:00 to 2026-03-02 00:00:00 | post | up for retry | 9 | 30 | 2 | row_refused",
        "2026-03-01 00:00:00 to 2026-03-02 00:00:00 | post | success | 9 | 9 | 0 |",
        *FOOT,
    ]


def test_where_nothing_was_delivered_the_windows_say_so(client_of):
    html_ = client_of("vic").get("windows/content", params={"dag_id": "nothing_here"}).text
    assert words(html_) == ["Windows of nothing_here", "No task of this DAG has delivered or fetched anything.", *FOOT]


def test_what_there_is_not_says_how_to_come_here(client_of):
    html_ = client_of("vic").get("delivery/content", params={"dag_id": "nothing_here"}).text
    assert words(html_) == [
        "There is no such page, or no such task instance",
        "Its run may have been deleted. Open this page by the link that a task has in Airflow's UI.",
        *FOOT,
    ]


FRAME = Path(pages.__file__).with_name("frame.html").read_text()


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (200, "text/html; charset=utf-8", None),
        (404, "text/html", None),  # a page, too
        (401, "application/json", "Log in to Airflow, and load this page again."),
        (403, "application/json", "You may not see what tasks of this DAG leave (XCom)."),
        (500, "text/plain", "Airflow answers with 500."),
        (None, None, "Airflow does not answer."),
    ],
)
def test_the_frame_says_why_there_is_no_page(status, kind, said):
    [script] = re.findall(r"<script>(.*?)</script>", FRAME, re.DOTALL)
    assert "Loading …" in FRAME
    stands_for = f"""(async () => {{
      const told = {{ textContent: null }};
      let isReplaced = false;
      globalThis.localStorage = {{ getItem: () => "token" }};
      globalThis.location = {{ pathname: "/async-rest/pages/delivery/", search: "?dag_id=d" }};
      globalThis.document = {{ cookie: "", getElementById: () => told, adoptNode: (it) => it,
        documentElement: {{ replaceWith: () => (isReplaced = true) }} }};
      globalThis.DOMParser = class {{ parseFromString() {{ return {{ documentElement: {{}} }}; }} }};
      const [status, kind] = {json.dumps([status, kind])};
      globalThis.fetch = async (url, {{ headers }}) => {{
        if (url !== "/async-rest/pages/delivery/content?dag_id=d" || headers.Authorization !== "Bearer token") throw Error(url);
        if (status === null) throw new TypeError("Failed to fetch");
        return {{ status, headers: new Headers({{ "content-type": kind }}), text: async () => "" }};
      }};
      (0, eval)({json.dumps(script)});
      await new Promise((resolve) => setTimeout(resolve));
      return [told.textContent, isReplaced];
    }})()"""
    assert evaluated("format.js", stands_for) == [said, said is None]
