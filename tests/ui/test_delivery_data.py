"""Whether what is shown of a task is of its last try: pure decisions, run by Node.js."""

import json

import pytest
from ui.node import evaluated, ran

DATA = "delivery_data.js"
EARLY, BEGAN, LATER = (f"2026-03-01T{hour}:00:00+00:00" for hour in (10, 11, 12))
FIGURES = {"read": 5, "delivered": 5, "error": None, "complete": False}
BROKEN = FIGURES | {"error": "x"}


def task(*, state="failed", report=None, pushed_at=None, progress=None, looks=5):
    return {
        "instance": {"state": state, "start_date": BEGAN},
        "ended": True,
        "figures": report or progress,
        "report": report,
        "progress": progress,
        "pushedAt": pushed_at,
        "isOurs": True,
        "looksAfterEnd": looks,
    }


@pytest.mark.parametrize(
    ("known", "older", "at"),
    [
        ({"report": FIGURES, "pushed_at": LATER}, None, None),
        ({"report": FIGURES}, None, None),  # of an older endpoint
        ({"report": FIGURES, "pushed_at": EARLY}, "the last try", EARLY),
        ({"report": FIGURES, "pushed_at": EARLY, "state": "success"}, "the last try", EARLY),
        ({"progress": FIGURES | {"updated_at": EARLY}}, "the last try", EARLY),
        ({"progress": FIGURES | {"updated_at": LATER}}, "the end of the last try", LATER),
        ({"progress": FIGURES | {"updated_at": LATER}, "looks": 2}, None, None),  # a report may still come
        ({"progress": FIGURES | {"updated_at": LATER, "error": "x"}}, None, None),
        ({"progress": FIGURES | {"updated_at": LATER, "complete": True}}, None, None),
        ({"progress": FIGURES}, "the end of the last try", None),
        ({}, None, None),
    ],
)
def test_what_is_shown_says_what_it_is_older_than(known, older, at):
    assert ran(DATA, "olderThan", task(**known)) == (older and {"what": older, "at": at})


@pytest.mark.parametrize(
    ("known", "error"),
    [
        ({"progress": BROKEN | {"updated_at": EARLY}}, None),
        ({"progress": BROKEN | {"updated_at": LATER}}, "x"),
        ({"progress": BROKEN | {"updated_at": EARLY}, "state": "up_for_retry"}, None),  # the last one was killed
        ({"progress": BROKEN | {"updated_at": LATER}, "state": "up_for_retry"}, "x"),
        ({"progress": BROKEN}, "x"),
        ({"report": BROKEN, "pushed_at": EARLY}, None),
        ({"report": BROKEN, "pushed_at": LATER, "progress": {"updated_at": EARLY}}, "x"),
        ({"report": BROKEN, "progress": {"updated_at": EARLY}}, "x"),
    ],
)
def test_the_error_of_an_earlier_try_is_not_that_of_the_last(known, error):
    assert ran(DATA, "withOwnError", task(**known))["error"] == error


def test_where_nothing_is_known_there_is_no_error_of_a_try():
    assert ran(DATA, "withOwnError", task()) is None


@pytest.mark.parametrize(
    ("try_number", "pushed_at", "progress", "delivered", "is_report"),
    [
        (2, LATER, {"read": 9, "delivered": 9, "updated_at": LATER}, 5, True),
        (2, EARLY, {"read": 9, "delivered": 9, "updated_at": LATER}, 9, False),  # XCom could not be written since
        (2, EARLY, None, 5, True),
        (2, None, {"read": 9, "delivered": 9, "updated_at": LATER}, 5, True),
        (2, {"x": 1}, {"read": 9, "delivered": 9, "updated_at": LATER}, 5, True),
        (1, EARLY, {"read": 9, "delivered": 9, "updated_at": LATER}, 5, True),  # the worker's clock is ahead
    ],
)
def test_a_report_of_an_earlier_try_gives_way_to_what_the_state_store_has(
    try_number, pushed_at, progress, delivered, is_report
):
    answers = {
        "pushed": {"return_value": FIGURES, "pushed_at": pushed_at},
        "state-store": {"task_state_store": [{"key": "progress", "value": progress}] if progress else []},
        "post": {"state": "failed", "operator": "SqlToRestOperator", "start_date": BEGAN, "try_number": try_number},
    }
    found = looked_at(answers, "{ delivered: task.figures.delivered, isReport: task.report !== null }")
    assert found == {"delivered": delivered, "isReport": is_report}


@pytest.mark.parametrize(
    ("pushed", "preview"),
    [
        ({}, {"letters": 9, "requests": []}),  # of a replay
        ({"preview": {"rows": 9, "requests": []}}, {"rows": 9, "requests": []}),
    ],
)
def test_a_preview_of_a_replay_leaves_how_many_it_would_send(pushed, preview):
    report = {"preview": True, "read": 9, "unfinished": 9, "delivered": 0, "failed": 0}
    answers = {
        "pushed": {"return_value": report, **pushed},
        "state-store": {"task_state_store": []},
        "post": {"state": "success", "operator": "ReplayDeadLettersOperator", "start_date": BEGAN, "try_number": 1},
    }
    assert looked_at(answers, "task.preview") == preview


def looked_at(answers, expression):
    """Have the tab look at a task. :param answers: of the API server, by the last part of the path."""
    return evaluated(
        DATA,
        f"""(async () => {{
          const answers = {json.dumps(answers)};
          globalThis.document = {{ baseURI: "http://127.0.0.1/" }};
          globalThis.fetch = async (url) =>
            ({{ ok: true, text: async () => JSON.stringify(answers[new URL(url).pathname.split("/").at(-1)]) }});
          const task = await found.lookAtTask({{ dagId: "d", runId: "r", taskId: "post", mapIndex: -1 }});
          return {expression};
        }})()""",
    )
