"""The pages of versions without tabs, and the links that lead there: what they say, and to whom."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from tables import every_row
from ui.node import ran
from ui.test_endpoints import report
from ui.test_selection import UNWRITTEN

from airflow_async_rest.compat.ui import page_url, task_path
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.models import DeadLetter, Item, Request

ENDED = datetime(2026, 3, 4, tzinfo=UTC)
TASK = {"dag_id": "paged", "run_id": "run0", "task_id": "post"}
HOSTILE = '<script>alert("x")</script>'
CUT = {"complete": False, "read": 7, "failed": 1}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The dead letters of the first run of ``paged``: 51, of which the API said something that would be a script."""
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path))
    made = DeadLetterFolder(tmp_path.joinpath("paged", "run0", "post", "-1"), 1)
    about = {"status": 422, "attempts": 1, "detail": HOSTILE}
    made.write(
        [
            DeadLetter.of(
                Item(index, f"row {index}{HOSTILE}", {}, None),
                "http_422",
                request=Request("PUT", f"sensors/{index}", "", b"{}", f"key{index}"),
                **about,
            )
            for index in range(51)
        ]
    )
    return f"file://{tmp_path}/paged/run0/post/-1"


def test_a_page_shows_what_became_of_a_task_and_what_failed(client_of, dag_runs, folder):
    dag_runs("paged", ("failed", report(900, 51, dead_letters=folder, error=f"51 failed: {HOSTILE}")), ended=ENDED)
    client = client_of("vic")
    first, second = (client.get("delivery/content", params={**TASK, "offset": offset}).text for offset in (0, 50))
    for part in ("post: failed", "<dd>900</dd>", "51 failed: ", "What failed (51)", "sensors/0", "1 to 50 of 51"):
        assert part in first, first
    assert "sensors/50" in second
    assert "sensors/50" not in first
    assert ("offset=50" in first, "offset=0" in second) == (True, True)
    assert HOSTILE not in first
    assert 'http-equiv="refresh"' not in first


def test_a_task_that_is_not_done_is_looked_at_again(client_of, dag_runs):
    dag_runs("paged", ("running", None, {"read": 5, "delivered": 4, "updated_at": "2026-03-04T00:00:00Z"}))
    page = client_of("vic").get("delivery/content", params=TASK).text
    assert 'http-equiv="refresh" content="5"' in page
    assert "<dd>4</dd>" in page


@pytest.mark.parametrize(("failed", "history", "number", "waits", "is_unwritten"), UNWRITTEN)
def test_a_task_that_runs_is_not_told_that_its_storage_is_wrong_before_it_has_written(
    application, failed, history, number, waits, is_unwritten
):
    from airflow_async_rest.ui.pages.facts import Facts
    from airflow_async_rest.ui.states import TaskInstanceId

    told = {"read": 200, "delivered": 0, "failed": failed, "history": history, "waits": waits}
    task = TaskInstanceId(**TASK)
    facts = Facts(task, "running", number, ENDED, None, "SqlToRestOperator", told, ENDED, is_last=False)
    assert facts.is_unwritten is is_unwritten
    assert facts._replace(state="failed").is_unwritten is False


@pytest.mark.parametrize(
    ("state", "history", "said"),
    [
        ("running", [[0, 0, 0], [60, 1_100, 1_090]], "Most of it fails: 1,090 of 1,100 items in the last 60 seconds."),
        ("running", [[0, 0, 0], [60, 100, 50]], None),
        ("running", [[0, 200, 200], [60, 300, 200]], None),
        ("running", [[0, 0, 0], [60, 4, 4]], None),
        ("running", [], None),
        ("running", [["x"], [60, 4, "x"]], None),
        ("running", [[-1e308, 0, 0], [1e308, 1e308, 1e308]], None),
        ("running", [[0, 0, 0], [60, 10**400, 10**400]], None),
        ("failed", [[0, 0, 0], [60, 100, 90]], None),
    ],
)
def test_a_task_of_which_most_fails_says_so_while_it_runs(client_of, dag_runs, state, history, said):
    dag_runs("paged", (state, None, report(9, 0, updated_at="2026-03-04T00:00:00Z", history=history)))
    page = client_of("vic").get("delivery/content", params=TASK).text
    assert ("Most of it fails" in page, (said or "") in page) == (said is not None, True)


@pytest.mark.parametrize("seconds", [4, 60])
def test_dead_letters_that_are_not_written_yet_are_said_to_come(client_of, dag_runs, tmp_path, monkeypatch, seconds):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path))
    told = report(9, 5, updated_at="2026-03-04T00:00:00Z", history=[[0, 0, 0], [2, 9, 5], [seconds, 14, 5]])
    dag_runs("paged", ("running", None, told))
    page = client_of("vic").get("delivery/content", params=TASK).text
    assert ("Not written yet" in page, "finds no dead-letter files" in page) == (seconds == 4, seconds == 60)


BEGAN, EARLIER, LATER = (datetime(year, 1, 1, tzinfo=UTC) for year in (2999, 2998, 3000))


@pytest.mark.parametrize(
    ("progress", "older", "delivered"),
    [
        (None, "older than the last try", 9),
        ({"updated_at": EARLIER.isoformat(), "error": "of then"}, "older than the last try", 8),
        ({"updated_at": LATER.isoformat()}, "older than the end of the last try", 8),
        ({"updated_at": LATER.isoformat(), "error": "of now"}, None, 8),
    ],
)
def test_a_report_of_an_earlier_try_is_said_to_be_one(client_of, dag_runs, progress, older, delivered):
    """As where XCom could not be written since."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    stored = [{"read": 8, "delivered": 8, **progress}] if progress else []
    dag_runs("paged", ("failed", report(9), *stored), ended=ENDED)
    assert "older than" not in client_of("vic").get("delivery/content", params=TASK).text
    with create_session() as session:
        of_dag = update(TaskInstance).where(TaskInstance.dag_id == "paged")
        session.execute(of_dag.values(start_date=BEGAN, try_number=2))
    page = client_of("vic").get("delivery/content", params=TASK).text
    assert ("older than" in page) == bool(older)
    assert (older or "of now") in page
    assert "of then" not in page
    assert f"<dt>delivered</dt><dd>{delivered}</dd>" in page


def test_the_report_of_the_first_try_is_its_own_whatever_the_clock_of_its_worker_says(client_of, dag_runs):
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    dag_runs("paged", ("failed", report(9), {"read": 8, "delivered": 8, "updated_at": LATER.isoformat()}), ended=ENDED)
    with create_session() as session:
        session.execute(update(TaskInstance).where(TaskInstance.dag_id == "paged").values(start_date=BEGAN))
    page = client_of("vic").get("delivery/content", params=TASK).text
    assert ("older than" in page, "<dt>delivered</dt><dd>9</dd>" in page) == (False, True)


@pytest.mark.parametrize(
    ("state", "updated", "older"),
    [
        ("running", EARLIER, "older than the try that runs, which has left no report yet"),
        ("running", LATER, None),
        ("up_for_reschedule", LATER, None),
        ("up_for_retry", EARLIER, "older than the last try, which"),
        ("up_for_retry", LATER, None),
        ("queued", LATER, "older than the next try, which has left no report yet"),
        (None, LATER, "older than the next try, which"),
    ],
)
def test_the_error_of_another_try_is_not_the_one_of_this(client_of, dag_runs, state, updated, older):
    """Between two tries it is the last one's that counts."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    dag_runs(
        "paged", (state, None, {"read": 8, "delivered": 8, "updated_at": updated.isoformat(), "error": "It broke"})
    )
    with create_session() as session:
        session.execute(update(TaskInstance).where(TaskInstance.dag_id == "paged").values(start_date=BEGAN))
    page = client_of("vic").get("delivery/content", params=TASK).text
    assert ("older than" in page, "It broke" in page) == (bool(older), not older)
    assert (older or "") in page


@pytest.mark.parametrize("complete", [True, False])
def test_what_was_delivered_later_is_not_asked_for_again(client_of, dag_runs, tmp_path, monkeypatch, complete):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path))
    made = DeadLetterFolder(tmp_path.joinpath("paged", "run0", "post", "-1"), 1)
    made.write([DeadLetter.of(Item(0, "row 0", {}, None), "http_422", status=422, attempts=1)])
    made.write([{"index": 0, "resolved": True}])
    made.add_replay({"dag_id": "replay"}, 1, 0)
    told = report(
        8, 1, complete=complete, error="1 of 9 items failed", dead_letters=f"file://{tmp_path}/paged/run0/post/-1"
    )
    dag_runs("paged", ("failed", told), ended=ENDED)
    client = client_of("vic")
    page = client.get("delivery/content", params=TASK).text
    assert "No dead letter is left" in page
    assert ("1 of 9 items failed" in page, "Clear the task" in page) == (not complete, not complete)
    assert "Send the same requests again" not in page
    windows = client.get("windows/content", params={"dag_id": "paged"}).text
    assert ("delivered later" in windows) == complete


def test_replays_that_cannot_be_read_are_said_to_be_so(client_of, dag_runs, folder, tmp_path):
    tmp_path.joinpath("paged", "run0", "post", "-1", "replays.json").mkdir()
    dag_runs("paged", ("failed", report(9, 51, dead_letters=folder)), ended=ENDED)
    page = client_of("vic").get("delivery/content", params=TASK)
    assert (page.status_code, "cannot be read" in page.text) == (200, True)


def test_half_a_character_is_a_replacement_character(client_of, dag_runs):
    sample = [{"key": "half \ud800", "reason": "http_422", "failed_at": "2026-03-04T00:00:00Z"}]
    told = report(9, 1, error="half \ud800", reasons={"half \ud800": 1}, dead_letters="s3://elsewhere/x")
    dag_runs("paged", ("failed", told), sample=sample, ended=ENDED)
    for page in ("delivery", "windows"):
        answer = client_of("vic").get(f"{page}/content", params=TASK)
        assert (answer.status_code, "half \ufffd" in answer.text) == (200, True)


def test_a_page_after_the_last_dead_letter_leads_back(client_of, dag_runs, folder):
    dag_runs("paged", ("failed", report(900, 51, dead_letters=folder)), ended=ENDED)
    page = client_of("vic").get("delivery/content", params={**TASK, "offset": 5000}).text
    assert "None of 51" in page
    assert "offset=1" in page


@every_row(
    ("value", "shown"),
    [
        ("2026-03-04T02:00:00+02:00", "2026-03-04 00:00:00"),
        ("2026-03-04T02:00:00", "2026-03-04 02:00:00"),
        (datetime(2026, 3, 4, tzinfo=UTC), "2026-03-04 00:00:00"),
        ("9999-12-31T23:59:59-01:00", "9999-12-31 23:59:59"),
        ("x", ""),
        (None, ""),
    ],
)
def test_times_are_in_utc(application, value, shown):
    from airflow_async_rest.ui.pages.content import _moment

    assert _moment(value) == shown


def test_dead_letters_that_cannot_be_read_are_shown_as_far_as_xcom_has_them(client_of, dag_runs):
    sample = [{"index": 0, "key": "row 0", "reason": "http_422", "attempts": 1, "failed_at": "2026-03-04T00:00:00Z"}]
    dag_runs("paged", ("failed", report(9, 1, dead_letters="s3://elsewhere/x")), sample=sample, ended=ENDED)
    page = client_of("vic").get("delivery/content", params=TASK).text
    assert "not where [async_rest] dead_letter_path" in page
    assert "<td>row 0</td>" in page


def test_the_windows_of_a_dag_lead_to_their_pages(client_of, dag_runs):
    dag_runs("paged", ("success", report(9)), ("failed", report(7, 2, reasons={"http_422": 2})))
    page = client_of("vic").get("windows/content", params={"dag_id": "paged"}).text
    assert "delivery?dag_id=paged&amp;run_id=run1&amp;task_id=post&amp;map_index=-1" in page
    assert page.index("run1") < page.index("run0")
    assert "<td>http_422</td>" in page
    assert "has delivered or fetched anything" in client_of("vic").get("windows/content", params={"dag_id": "x"}).text


@pytest.mark.parametrize("value", [None, 5, "x", [1], {"a": {}}, float("inf"), HOSTILE])
def test_what_is_of_another_type_breaks_no_page(client_of, dag_runs, value):
    """A function may return anything that begins as a report does."""
    names = ("window_start", "reasons", "error", "latency_ms", "dead_letters", "preview", "elapsed_seconds", "complete")
    told = {"read": 9, "delivered": 8, "failed": 1, **dict.fromkeys((*names, "history", "waits", "updated_at"), value)}
    sample = [value, {"key": value, "failed_at": value}]
    runs = (
        ("failed", told),
        ("running", None, told),
        ("running", None, told | {"history": [value, [value, value, value]]}),
    )
    dag_runs("paged", *runs, sample=sample, ended=ENDED)
    for run in range(len(runs)):
        for page in ("delivery", "windows"):
            answer = client_of("vic").get(f"{page}/content", params=TASK | {"run_id": f"run{run}"})
            assert (answer.status_code, HOSTILE in answer.text) == (200, False)


@pytest.mark.parametrize("page", ["delivery", "windows", "missing"])
def test_a_page_runs_no_script_whatever_is_in_it(client_of, dag_runs, open_as, page):
    """Not even a handler, which a browser runs wherever it puts the page: here, as the frame does."""
    dag_runs("paged", ("success", report(9)))
    html = client_of("vic").get(f"{page}/content", params=TASK).text
    opened = open_as("vic")
    opened.goto("/async-rest/contract")
    hostile = html.replace("<main>", "<main><img src=x onerror='document.title = \"taken\"'>")
    opened.evaluate(
        """async html => {
          const made = new DOMParser().parseFromString(html, "text/html").documentElement;
          const loaded = new Promise(done => made.querySelector("img").addEventListener("error", done));
          document.documentElement.replaceWith(document.adoptNode(made));
          await loaded;
        }""",
        hostile,
    )
    assert "taken" not in opened.title()


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("delivery", TASK | {"task_id": "none"}),
        ("delivery", TASK | {"map_index": "x"}),
        ("delivery", TASK | {"map_index": "-2"}),
        ("delivery", TASK | {"map_index": "99999999999"}),
        ("delivery", TASK | {"offset": "-1"}),
        ("delivery", {"dag_id": "paged"}),
        ("windows", {}),
        ("deliveries", TASK),
    ],
)
def test_what_there_is_not_is_said_to_be_missing(client_of, dag_runs, page, query):
    dag_runs("paged", ("success", report(9)))
    answer = client_of("vic").get(f"{page}/content", params=query)
    assert (answer.status_code, "There is no such page" in answer.text) == (404, True)


def test_who_may_not_see_xcom_sees_no_page(client_of, dag_runs, only):
    dag_runs("paged", ("success", report(9)))
    assert client_of(None).get("delivery/content", params=TASK).status_code == 401
    only(lambda dag_id, entity: (dag_id, entity) != ("paged", "XCOM"))
    for page in ("delivery", "windows"):
        answer = client_of("vic").get(f"{page}/content", params=TASK)
        assert (answer.status_code, "paged" in answer.text) == (403, False)


def test_the_frame_of_a_page_tells_nothing(client_of, dag_runs):
    dag_runs("paged", ("success", report(9)))
    answer = client_of(None).get("delivery", params=TASK)
    assert (answer.status_code, "paged" in answer.text, "post" in answer.text) == (200, False, False)


def test_versions_with_tabs_have_neither_links_nor_pages(application):
    from airflow_async_rest.ui.endpoints import app
    from airflow_async_rest.ui.plugin import AsyncRestPlugin

    assert (AsyncRestPlugin().operator_extra_links, AsyncRestPlugin().flask_blueprints) == ([], [])
    assert [route.path for route in app.routes if "pages" in getattr(route, "path", "")] == []


def test_the_operators_have_links_to_their_pages(monkeypatch):
    from airflow_async_rest.ui.pages.links import DeliveryLink, WindowsLink

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://example.com/team/airflow/")
    key = SimpleNamespace(dag_id="a b", run_id="manual__2026-03-01T00:00:00+00:00", task_id="post", map_index=3)
    links = {link.name: link.get_link(None, ti_key=key) for link in (DeliveryLink(), WindowsLink())}
    assert links == {
        "Delivery": "/team/airflow/async-rest/pages/delivery?dag_id=a+b&run_id=manual__2026-03-01T00%3A00%3A00%2B00%3A00"
        "&task_id=post&map_index=3",
        "Windows": "/team/airflow/async-rest/pages/windows?dag_id=a+b",
    }
    names = {operator.__name__ for operator in DeliveryLink().operators}
    assert names == {"SqlToRestOperator", "RestToSqlOperator", "ReplayDeadLettersOperator"}


@every_row(
    ("version", "base_url", "url"),
    [
        ((2, 11), "http://localhost:8080", "/async-rest/pages/x?a=1"),
        ((2, 11), "https://example.com/airflow", "/airflow/async-rest/pages/x?a=1"),
        ((3, 0), "https://example.com/airflow/", "/airflow/async-rest/pages/x?a=1"),
        ((3, 0), "", "/async-rest/pages/x?a=1"),
    ],
)
def test_the_address_of_a_page(version, base_url, url):
    assert page_url("x", {"a": 1}, version, base_url) == url


@every_row(
    ("version", "map_index", "path"),
    [
        ((2, 11), -1, "dags/a%20b/grid?dag_run_id=r%2B1&task_id=t"),
        ((2, 11), 2, "dags/a%20b/grid?dag_run_id=r%2B1&task_id=t&map_index=2"),
        ((3, 0), -1, "dags/a%20b/runs/r%2B1/tasks/t"),
        ((3, 0), 2, "dags/a%20b/runs/r%2B1/tasks/t/mapped/2"),
    ],
)
def test_where_airflows_own_page_of_a_task_is(version, map_index, path):
    assert task_path("a b", "r+1", "t", map_index, version) == path


NEVER, TAKEN = {"transform": 2, "schema": 1}, {"answer_unreadable": 3}
REPLAY, FUNCTION = "ReplayDeadLettersOperator", "_PythonDecoratedOperator"
LOG = "Its log says more. When that is put right, clear the task."
GOES_ON = "Clear the task: it goes on where it stopped, with what failed and what is missing."
ALL_IT_DOES = "Clear the task to send them again, as they were: that is all it does."
THEY_NEVER_WERE = "These never became requests: correct the rows or the transform."
THEY_ARE_TAKEN = "The API took these, but its answers could not be read: check there what it has."
MADE_AGAIN = "clear the task: those that failed are made again from their rows."
ALLOWED = "The task allows that many failures."
RUNS_AGAIN = "A Clear would run all of it again."
BY_A_REPLAY = "again with ReplayDeadLettersOperator"
ONE_CAUSE = "All failed for one cause, http_404: correct it first."
THEN_CLEAR = "Then clear the task: it makes requests of their rows."


@every_row(
    ("state", "figures", "operator", "replayable", "step"),
    [
        ("failed", report(9, 1, complete=True), REPLAY, None, ALL_IT_DOES),
        ("success", report(9, 1), REPLAY, None, ALL_IT_DOES),
        ("failed", report(9, 3, complete=False, reasons=NEVER), REPLAY, None, ALL_IT_DOES),  # it has not come to all
        ("failed", report(9, 3, complete=True, reasons=NEVER), REPLAY, None,
         f"{THEY_NEVER_WERE} Then clear the task that delivers them: a replay cannot make requests of them."),
        ("failed", report(9, 3, complete=True, reasons=TAKEN), REPLAY, None, THEY_ARE_TAKEN),
        ("failed", None, REPLAY, None, LOG),
        ("running", report(9, 1), REPLAY, None, None),
        ("success", report(9), None, None, None),
        ("running", report(9, 1), None, None, None),
        ("up_for_retry", report(9, 1), None, None, None),
        ("success", report(9, 1), None, None, f"{ALLOWED} Send the same requests {BY_A_REPLAY}. {RUNS_AGAIN}"),
        ("success", report(9, 3, reasons=NEVER), None, None, f"{ALLOWED} {THEY_NEVER_WERE} {RUNS_AGAIN}"),
        ("success", report(9, rows_loaded=8, rows_refused=1), None, None, None),
        ("failed", None, None, None, LOG),
        ("failed", {"read": 0, "delivered": 0, "complete": False}, None, None, LOG),
        ("failed", report(9, 1, complete=True), None, None, f"Send the same requests {BY_A_REPLAY}; or {MADE_AGAIN}"),
        ("failed", report(9, 1, complete=True, reasons=[5]), None, None,
         f"Send the same requests {BY_A_REPLAY}; or {MADE_AGAIN}"),
        ("failed", report(9, 1, complete=True), FUNCTION, None,
         f"Send the same requests {BY_A_REPLAY}; or clear the task: all of it runs again."),
        ("failed", report(9, 5, complete=True, reasons={"http_422": 2, **NEVER}), None, None,
         f"Send the 2 requests among them {BY_A_REPLAY}; or {MADE_AGAIN}"),
        ("failed", report(9, 3, complete=True, reasons=NEVER), None, None, f"{THEY_NEVER_WERE} {THEN_CLEAR}"),
        ("failed", report(9, 3, complete=True), None, 0, f"{THEY_NEVER_WERE} {THEN_CLEAR}"),  # as their records say
        ("failed", report(9, 3, complete=True, reasons=NEVER), None, 1,
         f"Send the 1 request among them {BY_A_REPLAY}; or {MADE_AGAIN}"),
        ("failed", report(9, 3, complete=True, reasons=TAKEN), None, None, THEY_ARE_TAKEN),
        ("failed", report(9, 6, complete=True, reasons={**NEVER, **TAKEN}), None, None,
         f"None of these can be sent again as it was: correct the rows or the transform. {THEN_CLEAR}"),
        ("failed", report(9, 3, complete=False, reasons=NEVER), None, None, f"{THEY_NEVER_WERE} {GOES_ON}"),
        ("failed", report(9, 1, complete=True, rows_loaded=8), None, None, GOES_ON),
        ("failed", report(9, 3, complete=True, rows_loaded=8, reasons=NEVER), None, None, GOES_ON),
        ("failed", report(9, 1, complete=False), None, None, GOES_ON),
        ("failed", report(9, complete=True), None, None,
         "No dead letter is left. Clear the task: it sends nothing, and is marked as done."),
        ("failed", report(0, 3, complete=True, reasons={"http_404": 3}), None, None, f"{ONE_CAUSE} {THEN_CLEAR}"),
        ("failed", report(0, 3, complete=False, reasons={"http_404": 3}), None, None, f"{ONE_CAUSE} {GOES_ON}"),
        ("failed", report(0, 3, rows_loaded=0, reasons={"http_404": 3}), None, None, f"{ONE_CAUSE} {GOES_ON}"),
        ("failed", report(0, 3, complete=True, reasons={"http_404": 2, "timeout": 1}), None, None,
         f"Send the same requests {BY_A_REPLAY}; or {MADE_AGAIN}"),
        ("failed", report(0, 3, complete=True, reasons={"http_404": 3}), FUNCTION, None,
         f"Send the same requests {BY_A_REPLAY}; or clear the task: all of it runs again."),
        ("failed", report(9, complete="yes"), None, None, GOES_ON),
    ],
)  # fmt: skip
def test_what_to_do_next(application, state, figures, operator, replayable, step):
    from airflow_async_rest.ui.pages.next_step import next_step

    assert next_step(state, figures, operator, replayable) == step


@pytest.mark.parametrize(("state", "complete"), [("failed", True), ("failed", False), ("success", True)])
@pytest.mark.parametrize("delivered", [0, 9])
@pytest.mark.parametrize(
    "reasons",
    [NEVER, TAKEN, {**NEVER, **TAKEN}, {"http_422": 1}, {"http_422": 1, **NEVER}, {"http_404": 2, "timeout": 1}, {}],
)
def test_a_replay_is_advised_where_the_tab_has_it_as_the_better_way(application, state, complete, delivered, reasons):
    from airflow_async_rest.ui.pages.next_step import next_step

    figures = report(delivered, sum(reasons.values()), complete=complete, reasons=reasons)
    tab = ran("next_step.js", "nextStep", {"state": state, "figures": figures})
    said = next_step(state, figures, "SqlToRestOperator")
    assert (tab is None) is (said is None)
    is_replay = tab is not None and tab["primary"] == "replay"
    assert (BY_A_REPLAY in (said or "")) is is_replay, (tab, said)


def test_a_replay_of_what_never_was_a_request_is_not_advised(client_of, dag_runs, tmp_path, monkeypatch):
    """The records know it, whatever the reasons of the report are called."""
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path))
    made = DeadLetterFolder(tmp_path.joinpath("paged", "run0", "post", "-1"), 1)
    made.write([DeadLetter.of(Item(0, "row 0", {}, None), "of_an_author", attempts=0)])
    told = report(
        8, 1, complete=True, reasons={"of_an_author": 1}, dead_letters=f"file://{tmp_path}/paged/run0/post/-1"
    )
    dag_runs("paged", ("failed", told), ended=ENDED)
    page = client_of("vic").get("delivery/content", params=TASK).text
    assert ("These never became requests" in page, "ReplayDeadLettersOperator" in page) == (True, False)


@every_row(
    ("figures", "shown"),
    [
        ({}, []),
        ({"read": 1200, "failed": None, "delivered": "<b>"}, [("items read", "1,200")]),
        ({"delivered_later": 0, "retries": 0}, [("retries", "0")]),
        ({"latency_ms": {"p50": 1.5, "p95": None}}, [("p50 latency, ms", "1.5")]),
        ({"latency_ms": "?"}, []),
    ],
)
def test_which_figures_are_shown(application, figures, shown):
    from airflow_async_rest.ui.pages.facts import figures_of

    assert figures_of(figures) == shown
