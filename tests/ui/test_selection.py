"""Which windows can go on together, what they come to, and what is done with them: pure decisions, run by Node.js."""

import json

import pytest
from ui.node import evaluated, ran

from airflow_async_rest.core.account.judgment import NO_REQUESTS

FAILED = {"complete": True, "read": 5, "delivered": 3, "failed": 2, "reasons": {"http_422": 2}}


def row(**more):
    return {"state": "failed", "operator": "SqlToRestOperator", "outcome": "some", "report": FAILED, **more}


@pytest.mark.parametrize(
    ("one", "reason", "resume", "replay"),
    [
        (row(), None, None, None),
        (row(), "http_422", None, None),
        (row(), "timeout", None, "It has no dead letter to send."),
        (row(state="running"), None, "It has not ended.", "It has not ended."),
        (row(state=None), None, "It has not ended.", "It has not ended."),
        (row(isSuperseded=True), None, "A later run of this window counts.", "A later run of this window counts."),
        # max_failures allowed them: a Clear would deliver the whole window once more.
        (row(state="success"), None, "It has succeeded: a Clear would run all of it again.", None),
        (
            row(outcome="later"),
            None,
            "Nothing of it is left: all was delivered later.",
            "It has no dead letter to send.",
        ),
        (row(report=None), None, None, "It has no dead letter to send."),
        (row(state="upstream_failed", report=None), None, "It has not failed.", "It has no dead letter to send."),
        (row(state="skipped", report={"preview": True}), None, "It has not failed.", "It has no dead letter to send."),
        (row(report={**FAILED, "rows_loaded": 3}), None, None, "A task that fetches can only be resumed."),
        # The API took these: they go only by the name of their reason.
        (row(report={**FAILED, "reasons": {"answer_unreadable": 2}}), None, None, "It has no dead letter to send."),
        (row(report={**FAILED, "reasons": {"answer_unreadable": 2}}), "answer_unreadable", None, None),
        # These never became requests.
        (row(report={**FAILED, "reasons": {"transform": 2}}), None, None, "It has no dead letter to send."),
        (row(report={**FAILED, "reasons": {"schema": 2}}), "schema", None, "It has no dead letter to send."),
        (row(report={**FAILED, "reasons": {"encode": 1, "http_422": 1}}), None, None, None),
        *[
            (
                row(operator=operator),
                None,
                "Its task is a function or a replay: clear it on its own page.",
                "Its task is a function or a replay: clear it on its own page.",
            )
            for operator in ("_PythonDecoratedOperator", "ReplayDeadLettersOperator")
        ],
    ],
)
def test_a_window_that_cannot_go_on_says_why(one, reason, resume, replay):
    assert ran("selection.js", "whyNotTogether", one, reason) == {"resume": resume, "replay": replay}


HALF = {"complete": False, "read": 900, "delivered": 600, "failed": 0, "replay": {"delivered": 600, "failed": 0}}


@pytest.mark.parametrize(
    ("state", "report", "kind", "status", "text"),
    [
        ("failed", {**HALF, "error": "Row 901: no column x"}, "replay", "failed", "600 delivered, 0 failed again. Row 901: no column x"),
        ("failed", HALF, "replay", "failed", "600 delivered, 0 failed again. The window was not read to its end."),
        ("failed", {**HALF, "complete": True, "failed": 2}, "replay", "failed", "600 delivered, 0 failed again."),
        ("failed", {**HALF, "complete": True, "error": "old"}, "replay", "done", "600 delivered, 0 failed again."),
        ("success", {**HALF, "error": "old"}, "replay", "done", "600 delivered, 0 failed again."),
        ("failed", {**FAILED, "error": "2 of 5 failed"}, "resume", "failed", "2 of 5 failed"),
        ("failed", FAILED, "resume", "failed", "3 delivered, 2 failed."),
        ("failed", {**FAILED, "complete": False}, "resume", "failed", "3 delivered, 2 failed. The window was not read to its end."),
        ("upstream_failed", {**FAILED, "complete": None, "failed": 0}, "resume", "failed", "3 delivered, 0 failed. Its log says why."),
        ("failed", None, "resume", "failed", "Its state is failed; its log says why."),
    ],
)  # fmt: skip
def test_a_window_that_failed_says_why(state, report, kind, status, text):
    assert ran("together.js", "resultOf", {"state": state, "report": report, "kind": kind}) == {
        "status": status,
        "text": text,
    }


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (None, ["a", "b"]),
        ("b", ["a", "b"]),
        ("c", ["a", "b", "c"]),  # further down
        ("gone", ["a", "b", "gone"]),
    ],
)
def test_what_is_chosen_stays_to_be_let_go(chosen, names):
    found = ran("selection.js", "withChosen", [["a", 3], ["b", 2], ["c", 1]], chosen, 2)
    assert found == [[name, {"a": 3, "b": 2, "c": 1}.get(name, 0)] for name in names]


ASKED = {"kind": "resume", "endedBefore": "10:00", "tryBefore": 1}


@pytest.mark.parametrize(
    ("instance", "is_open"),
    [
        ({"state": "failed", "end_date": "10:00", "try_number": 1}, True),  # the Clear is not seen yet
        ({"state": "queued", "end_date": None, "try_number": 2}, True),
        ({"state": "running", "end_date": None, "try_number": 2}, True),
        ({"state": "up_for_retry", "end_date": "10:05", "try_number": 2}, False),  # its error is to be seen
        ({"state": "running", "end_date": None, "try_number": 3}, True),
        ({"state": "failed", "end_date": "10:09", "try_number": 3}, False),
    ],
)
def test_between_two_tries_what_was_asked_for_hides_no_error(instance, is_open):
    task = {"instance": instance, "ended": instance["state"] == "failed"}
    assert ran("delivery_data.js", "isOpen", ASKED, task) is is_open
    assert ran("delivery_data.js", "isOpen", None, task) is False


@pytest.mark.parametrize(
    ("kind", "reason", "way"),
    [
        ("resume", "http_422", {"kind": "resume"}),
        ("replay", None, {"kind": "replay", "request": {"reasons": None, "search": "", "count": 2}}),
        ("replay", "http_422", {"kind": "replay", "request": {"reasons": ["http_422"], "search": "", "count": 2}}),
    ],
)
def test_a_replay_of_a_reason_sends_only_that(kind, reason, way):
    assert ran("selection.js", "wayOf", row(), kind, reason) == way


def test_what_never_was_a_request_is_known_by_the_reasons_of_the_engine():
    reasons = evaluated("delivery_data.js", "found.NO_REQUESTS")
    assert set(reasons) == NO_REQUESTS
    report = {"failed": len(reasons), "reasons": dict.fromkeys(reasons, 1)}
    assert [ran("delivery_data.js", "countOfLetters", report, reason) for reason in (None, *reasons)] == [0] * (
        1 + len(reasons)
    )
    assert ran("delivery_data.js", "countOfLetters", {"failed": 0, "reasons": {"transform": 2}}) == 0


def test_of_several_runs_of_a_window_only_the_one_that_counts_goes_on():
    times = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z", "map_index": -1, "started_at": None}
    older, newer = ({**row(), **times, "run_id": day, "run_after": f"2026-03-{day}T00:00:00Z"} for day in ("03", "04"))
    for windows in ([older, newer], [newer, older]):
        found = ran("outcomes.js", "arrange", windows)
        assert {one["run_id"]: one.get("isSuperseded", False) for one in found["rows"]} == {"03": True, "04": False}
        assert [(cell["run_id"], cell["runs"]) for cell in found["cells"]] == [("04", 2)]


def shown(rows, zone="UTC", **filter_):
    chosen = {"outcome": None, "reason": None, "from": "", "to": "", **filter_}
    return [one["n"] for one in ran("selection.js", "shownOf", rows, chosen, zone)]


def test_rows_are_chosen_by_outcome_by_reason_and_by_days_of_the_zone():
    day = 24 * 3_600_000
    first = 1_772_323_200_000  # 2026-03-01, in UTC
    rows = [{**row(), "n": n, "from": first + n * day, "to": first + (n + 1) * day} for n in range(4)]
    rows[2] |= {"outcome": "failed", "report": None}
    rows.append({**row(), "n": 4, "from": None, "to": None})  # its window is not known
    assert shown(rows) == [0, 1, 2, 3, 4]
    assert shown(rows, outcome="failed") == [2]
    assert shown(rows, reason="http_422") == [0, 1, 3, 4]
    assert shown(rows, reason="timeout") == []
    assert shown(rows, **{"from": "2026-03-02", "to": "2026-03-03"}) == [1, 2]
    assert shown(rows, **{"from": "2026-03-03"}) == [2, 3]
    assert shown(rows, to="2026-03-01") == [0]
    assert shown(rows, zone="Asia/Tokyo", to="2026-03-01") == [0]  # it begins at 9 o'clock there
    assert shown(rows, zone="America/New_York", **{"from": "2026-03-01", "to": "2026-03-01"}) == [0, 1]


def test_the_sum_line_has_all_of_them():
    reports = [
        {
            "delivered": 10,
            "failed": 3,
            "reasons": {"http_422": 2, "timeout": 1},
            "elapsed_seconds": 2,
            "latency_ms": {"p95": 20},
        },
        {"delivered": 20, "failed": 4, "reasons": {"timeout": 4}, "elapsed_seconds": 3, "latency_ms": {"p95": 5}},
        {"delivered": 0, "failed": 0, "reasons": {}, "elapsed_seconds": 0, "latency_ms": {"p95": None}},
        {
            "delivered": 9,
            "failed": 0,
            "rows_refused": 1,
            "rows_loaded": 30,
            "reasons": {"row_refused": 1},
            "elapsed_seconds": 5,
        },
    ]
    rows = [row(report=report) for report in [*reports, None]]
    assert ran("selection.js", "sumOf", rows) == {
        "done": 60,
        "failed": 8,
        "reasons": [["timeout", 5], ["http_422", 2], ["row_refused", 1]],
        "seconds": 10,
        "speed": 6,
        "p95": 20,
    }
    later = [row(outcome="later"), row()]
    assert [ran("selection.js", "sumOf", later)[name] for name in ("done", "failed", "reasons")] == [
        6,
        2,
        [["http_422", 2]],
    ]
    assert [
        bar["failed"] for bar in ran("chart_data.js", "chartOf", [{**one, "from": 1, "to": 2} for one in later])["bars"]
    ] == [[0, 0], [2, 0]]
    by_another = [row(outcome="later", replay={"left": 0}), row(replay={"left": 1}), row(isSuperseded=True)]
    assert [ran("selection.js", "sumOf", by_another)[name] for name in ("done", "failed")] == [9, 1]
    assert ran("selection.js", "sumOf", []) == {
        "done": 0,
        "failed": 0,
        "reasons": [],
        "seconds": 0,
        "speed": None,
        "p95": None,
    }


@pytest.mark.parametrize(
    ("reasons", "text"),
    [
        ([], ""),
        ([["http_422", 1200]], "http_422 1,200"),
        ([["a", 3], ["b", 2], ["c", 1], ["d", 1]], "a 3, b 2, 2 more"),
    ],
)
def test_the_first_reasons_are_named(reasons, text):
    assert ran("selection.js", "topReasons", reasons) == text


WORK = """(async () => {
  let most = 0, now = 0;
  const told = [];
  const work = async (item) => {
    most = Math.max(most, ++now);
    await new Promise(setImmediate);
    now -= 1;
    if (item === "bad") throw new Error("broken");
    return { status: "done", text: item };
  };
  const results = [];
  await found.workThrough(ITEMS, work, AT_ONCE, (place, result) => { results[place] = result; told.push(place); }, STOPPED);
  return { most, results: results.map(({ status, text }) => [status, text]) };
})()"""


def worked(items, at_once, stopped="() => false"):
    script = WORK.replace("ITEMS", json.dumps(items)).replace("AT_ONCE", str(at_once)).replace("STOPPED", stopped)
    return evaluated("together.js", script)


def test_so_many_are_worked_on_at_a_time_and_one_that_fails_stops_no_other():
    items = ["a", "bad", "b", "c", "d", "e", "f"]
    found = worked(items, 4)
    assert found["most"] == 4
    assert found["results"] == [["failed", "broken"] if item == "bad" else ["done", item] for item in items]
    assert worked(items[:2], 4)["most"] == 2
    assert worked([], 4) == {"most": 0, "results": []}


def test_what_was_stopped_before_it_began_is_told():
    assert worked(["a", "b", "c"], 1, "() => now > 0 || most > 0")["results"] == [
        ["done", "a"],
        ["left", "Not begun."],
        ["left", "Not begun."],
    ]


FOLLOW = """(async () => {
  const states = STATES, calls = {
    goOn: async () => { if (REFUSED) throw Object.assign(new Error("no"), REFUSED); },
    taskInstance: async () => {
      const state = states.shift();
      if (typeof state === "number") throw Object.assign(new Error("away"), { isPassing: state >= 500 });
      return { state };
    },
    pushedValues: async () => ({ return_value: REPORT }),
    pause: async () => {},
  };
  try { return await found.workOn({}, { kind: KIND }, calls); } catch (error) { return error.message; }
})()"""


def followed(states, report=None, kind="resume", refused=None):
    script = FOLLOW
    for name, value in (("STATES", states), ("REPORT", report), ("KIND", kind), ("REFUSED", refused)):
        script = script.replace(name, json.dumps(value))
    return evaluated("together.js", script)


def test_clears_are_asked_for_one_after_another_also_after_one_that_fails():
    script = """(async () => {
      let now = 0, most = 0;
      const calls = {
        goOn: async (n) => {
          most = Math.max(most, ++now);
          await new Promise(setImmediate);
          now -= 1;
          if (n === 1) throw new Error("no");
        },
        taskInstance: async () => ({ state: "success" }),
        pushedValues: async () => ({}),
      };
      const told = await Promise.allSettled([0, 1, 2].map((n) => found.workOn(n, { kind: "resume" }, calls)));
      return { most, told: told.map(({ status }) => status) };
    })()"""
    assert evaluated("together.js", script) == {"most": 1, "told": ["fulfilled", "rejected", "fulfilled"]}


@pytest.mark.parametrize(
    ("states", "paused", "told"),
    [
        ([None, "queued", None, "running", "success"], [True, True, False], ["The DAG is paused", ""]),
        (["scheduled", "success"], [False], []),
        ([None, "success"], [404], []),  # it is a hint
        (["running", "success"], [], []),
    ],
)
def test_what_waits_for_a_paused_dag_says_so(states, paused, told):
    script = f"""(async () => {{
      const states = {json.dumps(states)}, paused = {json.dumps(paused)}, told = [];
      const calls = {{
        goOn: async () => {{}},
        taskInstance: async () => ({{ state: states.shift() }}),
        dagOf: async (dagId) => {{
          const is = paused.shift();
          if (dagId !== "d" || typeof is !== "boolean") throw new Error("away");
          return {{ is_paused: is }};
        }},
        pushedValues: async () => ({{}}),
        pause: async () => {{}},
      }};
      const {{ status }} = await found.workOn({{ dagId: "d" }}, {{ kind: "resume" }}, calls, (text) => told.push(text));
      return {{ told, status, left: paused.length }};
    }})()"""
    found = evaluated("together.js", script)
    assert [text.split(":")[0] for text in found["told"]] == told
    assert (found["status"], found["left"]) == ("done", 0)


def test_what_a_window_waits_for_is_shown_beside_it():
    script = """(async () => {
      const notes = [];
      const work = async (item, place, say) => { say("waits"); return { status: "done", text: "" }; };
      await found.workThrough(["a"], work, 1, (place, result) => notes.push(result));
      return notes.map(({ status, text }) => [status, text]);
    })()"""
    assert evaluated("together.js", script) == [["working", ""], ["working", "waits"], ["done", ""]]


DONE = {"complete": True, "read": 5, "delivered": 5, "failed": 0}


@pytest.mark.parametrize(
    ("found", "result"),
    [
        (
            {"states": [None, "queued", "running", 503, "success"], "report": DONE},
            {"status": "done", "text": "5 delivered, 0 failed."},
        ),
        (
            {"states": ["failed"], "report": {**FAILED, "error": "2 items failed"}},
            {"status": "failed", "text": "2 items failed"},
        ),
        ({"states": ["failed"]}, {"status": "failed", "text": "Its state is failed; its log says why."}),
        (
            {"states": ["success"], "kind": "replay", "report": {**DONE, "replay": {"delivered": 2, "failed": 0}}},
            {"status": "done", "text": "2 delivered, 0 failed again."},
        ),
        (
            {"states": ["failed"], "kind": "replay", "report": {**FAILED, "replay": {"delivered": 1, "failed": 2}}},
            {"status": "failed", "text": "1 delivered, 2 failed again."},
        ),
        (
            {"states": ["success"], "report": {**DONE, "rows_loaded": 9}},
            {"status": "done", "text": "5 fetched, 0 failed."},
        ),
        ({"states": [404]}, "away"),
        ({"states": [], "refused": {"status": 403}}, "The task was not cleared: you may not clear this task."),
        ({"states": [], "refused": {"status": 409}, "kind": "replay"}, "Nothing was sent again: no"),
        (
            {"states": [], "refused": {"status": 0, "isUnsure": True}},
            "It is not known whether the task was cleared: no",
        ),
    ],
)
def test_what_happened_to_each_is_told(found, result):
    assert followed(**found) == result


def test_the_work_of_a_dag_is_there_for_who_comes_back_and_nothing_more_begins_once_it_is_stopped():
    rows = [{"run_id": f"run{n}", "task_id": "post", "map_index": -1, "report": FAILED} for n in range(6)]
    script = """(async () => {
      const asked = [], told = [];
      found.onWork(() => told.push(found.workOf("a")));
      const work = async (scope, way) => {
        asked.push([scope.dagId, scope.runId, way.request.reasons]);
        if (asked.length === 2) found.stop("a");
        return { status: "done", text: "" };
      };
      await found.begin("a", "replay", ROWS, "http_422", 2, work);
      const { results, isStopped, isOver } = found.workOf("a");
      const other = found.workOf("b");
      found.close("a");
      return { asked, isStopped, isOver, first: told[1].results.length, other, after: found.workOf("a"),
               statuses: results.map(({ status }) => status) };
    })()""".replace("ROWS", json.dumps(rows))
    assert evaluated("together.js", script) == {
        "asked": [["a", f"run{n}", ["http_422"]] for n in range(2)],
        "isStopped": True,
        "isOver": True,
        "first": 6,
        "other": None,
        "after": None,
        "statuses": ["done", "done", *["left"] * 4],
    }


def test_progress_is_told_in_words():
    results = [{"status": status} for status in ("done", "done", "failed", "working", "waiting", "left")]
    assert ran("together.js", "sayProgress", results) == "2 done, 1 failed, 1 at work, 1 to come, 1 not begun"


def chart_row(n, report, **more):
    return {"from": n * 1000, "to": n * 1000 + 1000, "report": report, **more}


def test_charts_have_the_latest_windows_in_the_order_of_time():
    report = {
        "delivered": 10,
        "failed": 0,
        "reasons": {},
        "items_per_second": 5.0,
        "latency_ms": {"p95": 7},
        "requests": 10,
    }
    rows = [chart_row(n, report) for n in reversed(range(1, 131))]
    rows += [chart_row(5, report, isSuperseded=True), chart_row(6, None), chart_row(7, {**report, "preview": True})]
    found = ran("chart_data.js", "chartOf", rows)
    assert [bar["from"] for bar in found["bars"]] == [n * 1000 for n in range(11, 131)]
    assert (found["all"], found["most"]) == (130, None)
    assert found["bars"][0] == {"from": 11000, "to": 12000, "done": 10, "failed": [0], "p95": 7, "speed": 5}


def test_charts_name_three_reasons_and_the_others_together():
    reasons = {"a": 5, "b": 4, "c": 3, "d": 2, "e": 1}
    found = ran("chart_data.js", "chartOf", [chart_row(1, {"delivered": 1, "failed": 15, "reasons": reasons})])
    assert (found["reasons"], found["bars"][0]["failed"]) == (["a", "b", "c", "others"], [5, 4, 3, 3])
    assert ran("chart_data.js", "legendOf", found) == [["a", 5], ["b", 4], ["c", 3], ["others", 3]]
    assert ran("chart_data.js", "chartOf", [])["bars"] == []


@pytest.mark.parametrize(
    ("delivered", "requests", "most"),
    [(100, 100, 50), (100, 200, 25), (1000, 10, 5000), (0, 10, None), (10, 0, None)],
)
def test_the_limit_of_requests_is_shown_as_rows_a_second(delivered, requests, most):
    rows = [chart_row(1, {"delivered": delivered, "failed": 0, "requests": requests})]
    assert ran("chart_data.js", "chartOf", rows, {"count": 100, "seconds": 2})["most"] == most


LIMIT = {"count": 100, "seconds": 1}


@pytest.mark.parametrize(
    ("report", "most"),
    [
        ({"delivered": 60, "failed": 40, "requests": 100}, 100),  # what failed was sent, too
        ({"delivered": 0, "failed": 40, "requests": 40}, 100),
        ({"delivered": 60, "failed": 40, "requests": 139, "retries": 39}, 100),
        ({"delivered": 600, "failed": 400, "requests": 14, "retries": 4}, 10_000),
        ({"delivered": 2, "failed": 2, "rows_loaded": 100, "rows_refused": 20, "requests": 5, "retries": 1}, 6000),
        (
            {"delivered": 0, "failed": 2, "rows_loaded": 0, "rows_refused": 0, "requests": 2},
            None,
        ),  # of no row it is known
    ],
)
def test_what_a_limit_allows_is_told_by_the_items_of_a_request(report, most):
    assert ran("chart_data.js", "chartOf", [chart_row(1, report)], LIMIT)["most"] == most


def test_a_filter_hides_no_limit():
    shown, hidden = (chart_row(n, {"delivered": 9 * n, "failed": 0, "requests": 9 * n, "reasons": {}}) for n in (0, 1))
    assert ran("chart_data.js", "chartOf", [shown], LIMIT, [shown, hidden, chart_row(2, None)])["most"] == 100


ENDED = row(run_id="r")
HALF_READ = row(report={**FAILED, "complete": False})


@pytest.mark.parametrize(
    ("rows", "primary"),
    [
        ([ENDED], "replay"),
        ([ENDED, ENDED], "replay"),
        ([], "replay"),
        ([HALF_READ], "resume"),
        ([ENDED, HALF_READ], "resume"),  # both can be resumed
        ([row(report=None)], "resume"),
        ([row(report={**FAILED, "delivered": 0, "failed": 5, "reasons": {"http_404": 5}})], "resume"),
        ([row(state="success")], "replay"),
        (
            [row(state="success", report={**FAILED, "delivered": 0, "reasons": {"http_404": 2}})],
            "replay",
        ),  # no other way
        ([row(report={**FAILED, "rows_loaded": 3})], "resume"),
        ([row(report={**FAILED, "reasons": {"answer_unreadable": 2}})], "resume"),
        ([row(report={**FAILED, "reasons": {"transform": 2}})], "resume"),
        ([row(report={**FAILED, "reasons": {"value": 1, "answer_unreadable": 1}})], "resume"),
        ([row(report={**FAILED, "reasons": {"transform": 1, "http_422": 1}})], "replay"),
        ([row(report={name: FAILED[name] for name in ("read", "delivered", "failed", "reasons")})], "resume"),
        ([row(state="running"), ENDED], "replay"),  # one that cannot go on says nothing
    ],
)
def test_the_filled_button_is_the_one_of_each_windows_own_tab(rows, primary):
    assert ran("selection.js", "primaryOf", rows) == primary


AS_THEY_WERE = "as they were, with the same keys."
ONE = row(report={**FAILED, "failed": 1, "reasons": {"http_422": 1}})


@pytest.mark.parametrize(
    ("kind", "rows", "reason", "title", "does"),
    [
        ("replay", [ONE], None, "Send the request of 1 window again?",
         "Its task is cleared, and sends 1 request as it was, with the same key. Nothing else of the window is sent."),
        ("replay", [row(report={**FAILED, "reasons": {"transform": 1, "http_422": 1}})], None,
         "Send the request of 1 window again?",
         "Its task is cleared, and sends 1 request as it was, with the same key. Nothing else of the window is sent."),
        ("replay", [row()], None, "Send the requests of 1 window again?",
         "Its task is cleared, and sends 2 requests as they were, with the same keys. Nothing else of the window is sent."),
        ("replay", [row(), row()], "http_422", "Send the requests of 2 windows again?",
         f"Their tasks are cleared, and send 4 requests that failed for http_422 {AS_THEY_WERE} Nothing else of the windows is sent."),
        ("resume", [row()], None, "Resume 1 window?",
         "Its task is cleared: it reads its window again, and goes on where it stopped. What is delivered stays."),
        ("resume", [row(), row()], None, "Resume 2 windows?",
         "Their tasks are cleared: each reads its window again, and goes on where it stopped. What is delivered stays."),
    ],
)  # fmt: skip
def test_what_is_asked_is_of_one_or_of_many(kind, rows, reason, title, does):
    assert ran("together.js", "askedOf", kind, rows, reason) == {"title": title, "does": does}


UNTIL_NOW = "2026-03-01T00:01:00Z"


WAITED = [{"since": UNTIL_NOW, "until": UNTIL_NOW, "why": "it is gone"}]
UNWRITTEN = [
    (5, [[0, 0, 0], [2, 9, 0], [4, 20, 5]], 1, [], True),
    (5, [[2, 9, 5], [4, 20, 5]], 1, [], True),
    (5, [[2, 9, 5]], 1, [], True),
    (100, [[0, 0, 0], [4, 200, 100]], 1, [], False),  # the first part is written
    (5, [[0, 0, 0], [4, 20, 5], [60, 300, 5]], 1, [], False),
    (5, [[2, 20, 5], [4, 40, 5]], 2, [], False),  # of the try before
    (5, [[2, 20, 5], [4, 40, 5]], 1, WAITED, False),  # of the time before the wait
    (5, [[0, 0, 0], [4, 40, 5]], 2, [], True),
    (5, [[0, 0, 0], [4, 40, 5]], 1, WAITED, True),
    (5, [[0, 0], [4, 40]], 1, [], False),  # of an early version
    (5, [], 1, [], False),
]


@pytest.mark.parametrize(("failed", "history", "number", "waits", "is_unwritten"), UNWRITTEN)
def test_dead_letters_that_are_not_written_yet_are_not_asked_for(failed, history, number, waits, is_unwritten):
    instance = {"state": "running", "start_date": "2026-03-01T00:00:00Z", "try_number": number}
    progress = {
        "read": 200,
        "delivered": 0,
        "failed": failed,
        "updated_at": UNTIL_NOW,
        "history": history,
        "waits": waits,
    }
    task = {"instance": instance, "report": None, "progress": progress, "figures": progress}
    assert ran("delivery_data.js", "isUnwritten", task) is is_unwritten
    ended = {**task, "instance": {**instance, "state": "failed"}}
    assert ran("delivery_data.js", "isUnwritten", ended) is False
