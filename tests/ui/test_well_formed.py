"""What endpoints give, of which wrong types are left out: a report may be of a function, or written by hand."""

import json

import pytest
from jsonschema import Draft202012Validator
from ui.node import STATIC, evaluated, ran
from ui.test_contract import CONTRACT, PARTS, SAMPLES

COUNTS = {"read": 5, "delivered": 2, "failed": 3, "skipped": 0, "unfinished": 0}
REPORT = {**COUNTS, "complete": True, "reasons": {"http_422": 3}}
FIELDS = {**PARTS["report"]["properties"], **PARTS["progress"]["properties"]}
VALUES = [True, False, 3, -1, 1.5, "x", {}, [], ["x"], {"a": "x"}, [[1]]]
NAMES = ["constructor", "toString", "__proto__", "hasOwnProperty"]


def valid(schema, value) -> bool:
    return Draft202012Validator({**CONTRACT, **schema}).is_valid(value)


def test_a_field_stays_where_its_type_is_that_of_the_contract_and_no_other_does():
    left = evaluated(
        "well_formed.js",
        f"""{json.dumps(list(FIELDS))}.map((name) => {json.dumps(VALUES)}.map((value) =>
          found.reportOf({{ read: 1, delivered: 1, [name]: value }})?.[name]))""",
    )
    for name, values in zip(FIELDS, left, strict=True):
        for value, kept in zip(VALUES, values, strict=True):
            if valid(FIELDS[name], value):
                assert kept == (value if value != {"a": "x"} else {}), (
                    name,
                    value,
                )  # fields that are not described are none
            else:
                # What is good of a list, or of an object, is kept.
                assert kept in (None, [], {}) or (name, value) == ("dead_letters", ["x"]), (name, value)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["of"])
def test_nothing_of_a_good_report_is_lost(sample):
    def without_null(value):
        if not isinstance(value, dict):
            return value
        return {name: without_null(each) for name, each in value.items() if each is not None}

    known = {name: value for name, value in sample["report"].items() if name in FIELDS}
    assert ran("well_formed.js", "reportOf", sample["report"]) == without_null(known)


@pytest.mark.parametrize(
    "value", [None, 3, "x", [], [REPORT], {}, {"delivered": 1}, {**REPORT, "read": "5"}, {**REPORT, "delivered": [1]}]
)
def test_what_does_not_say_how_many_were_read_and_delivered_is_no_report(value):
    assert ran("well_formed.js", "reportOf", value) is None


WRONG = [
    *({name: value} for name in ("reasons", "error", "api", "dead_letters") for value in (None, {}, [1], 5, {"a": {}})),
    *({"waits": value} for value in (None, {}, "x", [None], [{}], [{"since": "x", "until": {}, "why": ["<b>"]}])),
    *({"history": value} for value in (None, {}, "x", [[]], [None, "x", [1]], [["a", 2]])),
    *({"rate_limit": value} for value in (None, {}, 5, {"count": 3}, {"count": "3", "seconds": 1})),
    *({"failed": value} for value in (None, "2", [1], {}, True, -3, 1.5)),
    *({"latency_ms": value} for value in (None, {}, [1], {"p50": "1", "p95": "2", "p99": {}})),
    *({"replay": value} for value in (None, [], "x", {"sent": "1"})),
    *({"replays": value} for value in (None, [], "x", {"1": "x"}, {"1": {"sent": "1"}})),
    *({"elapsed_seconds": value, "rows_loaded": value, "items_per_second": value} for value in ("2", None, {}, -1)),
    *({"reasons": {"http_422": value}} for value in ("3", None, True, -3, {})),
    {"shared_limit": {"used": "x", "waiting": {}}, "expected": {"items": "x"}, "keys_ignored": "x", "updated_at": {}},
]


def look(report, sample=()) -> str:
    """Return, as JSON, what both tabs say of a task whose state store and XCom have a report."""
    answers = {
        "pushed": {"return_value": report, "failed_items": sample},
        "state-store": {"task_state_store": [{"key": "progress", "value": report}]},
        "post": {"state": "failed", "operator": "SqlToRestOperator", "end_date": None},
    }
    expression = f"""(async () => {{
      const answers = JSON.parse({json.dumps(json.dumps(answers))});
      const answerOf = (url) => JSON.stringify(answers[new URL(url).pathname.split("/").at(-1)]);
      globalThis.document = {{ baseURI: "http://127.0.0.1/" }};
      globalThis.fetch = async (url) => ({{ ok: true, text: async () => answerOf(url) }});
      const [next, rates, selection, outcomes, charts] = await Promise.all(
        ["next_step", "rates", "selection", "outcomes", "chart_data"].map((name) => import(`{STATIC}/${{name}}.js`)));
      const task = await found.lookAtTask({{ dagId: "d", runId: "r", taskId: "post", mapIndex: -1 }});
      const {{ figures }} = task;
      const step = next.nextStep({{ state: "failed", figures }});
      const window = {{ run_id: "r", map_index: -1, state: "failed", start: "2026-03-01", end: "2026-03-02",
        run_after: "2026-03-02", report: answers.pushed.return_value, replay: null }};
      const {{ rows }} = outcomes.arrange([window]);
      return JSON.stringify({{ task, step, trouble: next.troubleOf({{ state: "failed", figures, step }}),
        history: next.historyOf([{{ try_number: 1, end_date: "2026-03-02" }}], null, found.replaysOf(task), figures?.waits), rates: figures && rates.recentRates(figures),
        sum: selection.sumOf(rows), chart: charts.chartOf(rows, {{ count: 5, seconds: 1 }}) }},
        (_, value) => (Number.isNaN(value) ? "NaN" : value));
    }})()"""
    return evaluated("delivery_data.js", expression)


@pytest.mark.parametrize("wrong", WRONG, ids=json.dumps)
def test_what_is_of_another_type_breaks_neither_tab(wrong):
    told = look({**REPORT, **wrong}, [None, {"reason": {}, "key": 1, "status": {}}])
    assert all(mark not in told for mark in ("NaN", "undefined", "[object", "<b>"))
    assert json.loads(told)["task"]["sample"] == [{"key": 1}]


@pytest.mark.parametrize("name", NAMES)
def test_a_reason_may_be_called_as_what_every_object_has(name):
    reasons = json.loads(f'{{"{name}": 3}}')
    told = json.loads(look({**COUNTS, "delivered": 0, "read": 3, "complete": True, "reasons": reasons}))
    assert told["sum"]["reasons"] == [[name, 3]]
    assert told["chart"]["reasons"] == [name, "others"]
    assert told["chart"]["bars"][0]["failed"] == [3, 0]
    assert told["step"]["why"] == f"All failed for one cause, {name}: look at what the API says."
    assert ran("deliveries_data.js", "statusOf", {"freshness": {"status": name}}) == {"name": name, "color": "none"}


@pytest.mark.parametrize("name", NAMES)
def test_others_do_not_have_a_reason_that_every_object_has(name):
    given = [{"run_id": "r", "map_index": -1, "start": "2026-03-01", "end": "2026-03-02", "report": REPORT}]
    rows = ran("outcomes.js", "arrange", given)["rows"]
    count = f"(await import('{STATIC}/outcomes.js')).arrange({json.dumps(given)}).rows[0].report"
    assert evaluated("delivery_data.js", f"(async () => found.countOfLetters({count}, {json.dumps(name)}))()") == 0
    assert rows[0]["report"] == REPORT


ROW = {"dag_id": "a", "dead_letters": {"x": 1, "y": "2", "z": None}, "wait": {"until": {}, "why": ["<b>"]}}


def test_the_page_deliveries_leaves_out_what_it_could_not_show():
    page = {"rows": [ROW, {**ROW, "dead_letters": None, "wait": "x"}], "next": None, "truncated": False}
    first, second = evaluated("deliveries_data.js", f"found.joined(undefined, {json.dumps(page)})")["rows"]
    assert first == {"dag_id": "a", "dead_letters": {"x": 1}, "wait": None}
    assert second == {"dag_id": "a", "dead_letters": {}, "wait": None}


def test_a_window_whose_ends_are_no_dates_is_its_runs():
    run = {"run_start": "2026-03-01T00:00:00Z", "run_end": "2026-03-02T00:00:00Z"}
    given = {"run_id": "r", "map_index": -1, "state": "failed", "start": 5, "end": {"a": 1}, "report": None, **run}
    [row] = ran("outcomes.js", "arrange", [given])["rows"]
    assert (row["start"], row["end"]) == (run["run_start"], run["run_end"])
    assert row["to"] > row["from"]
