"""Why a task has failed, what to do next, and what has become of it: pure decisions, run by Node.js."""

import pytest
from ui.node import ran

STEP = "next_step.js"
SOME = {"complete": True, "read": 100, "delivered": 97, "failed": 3, "skipped": 0, "unfinished": 0}
SOME |= {"reasons": {"http_422": 2, "timeout": 1}, "error": "3 of 100 items failed"}
STOPPED = {**SOME, "complete": False, "read": 60, "delivered": 50, "failed": 6, "unfinished": 4}
ALL = {**SOME, "read": 144, "delivered": 0, "failed": 144}
DONE = {**SOME, "delivered": 100, "failed": 0, "reasons": {}, "error": None}


def only(reason, **more):
    return {**ALL, "reasons": {reason: 144}, **more}


@pytest.mark.parametrize(
    ("state", "figures", "more", "primary"),
    [
        ("failed", SOME, {}, "replay"),
        ("success", SOME, {}, "replay"),  # max_failures allows them
        ("failed", STOPPED, {}, "resume"),  # not read to its end
        ("failed", {**STOPPED, "read": 0, "delivered": 0, "failed": 0}, {}, "resume"),
        ("failed", SOME, {"differs": ["the endpoint"]}, "resume"),
        ("failed", SOME, {"differs": ["the SQL"]}, "resume"),
        ("success", SOME, {"differs": ["the API's connection"]}, "resume"),
        ("failed", only("http_401", complete=False), {}, "resume"),
        ("failed", only("http_403"), {}, "resume"),
        ("failed", only("http_404"), {}, "resume"),
        ("failed", only("connection"), {}, "resume"),
        ("failed", only("http_404", delivered=1), {}, "replay"),  # the path is right for others
        ("failed", {**ALL, "reasons": {"http_404": 100, "timeout": 44}}, {}, "replay"),
        ("failed", SOME, {"replayable": 0}, "resume"),  # these never were requests
        ("failed", DONE, {}, "resume"),  # Airflow does not know that all is done
    ],
)
def test_the_right_action_is_the_primary_one(state, figures, more, primary):
    step = ran(STEP, "nextStep", {"state": state, "figures": figures, **more})
    assert (step["primary"], step["why"] != "") == (primary, True)


@pytest.mark.parametrize(
    ("state", "figures"),
    [("success", DONE), ("running", SOME), ("up_for_retry", SOME), ("skipped", DONE), (None, SOME)],
)
def test_where_nothing_can_be_done_nothing_is_offered(state, figures):
    assert ran(STEP, "nextStep", {"state": state, "figures": figures}) is None


@pytest.mark.parametrize(
    ("state", "figures", "more", "count", "does"),
    [
        ("failed", SOME, {}, 3, "Reads the window again, and sends only 3, made anew of their rows."),
        ("failed", {**SOME, "failed": 1}, {}, 1, "Reads the window again, and sends only 1, made anew of its row."),
        ("success", SOME, {}, 100, "Reads the window from its first row, and delivers all of it: 100 rows."),
        ("failed", SOME, {"differs": ["the SQL"]}, 100, "Reads the window from its first row, and delivers all of it: 100 rows."),
        ("failed", SOME, {"differs": ["the API's connection"]}, 3, "Reads the window again, and sends only 3, made anew of their rows."),
        ("failed", STOPPED, {"differs": ["the SQL"]}, None, "Reads the window from its first row, and delivers all of it."),
        ("failed", STOPPED, {}, 10, "Sends 10 again, and goes on after row 60, to the end of the window."),
        ("failed", {**STOPPED, "failed": 0, "unfinished": 0}, {}, None, "Goes on after row 60, to the end of the window."),
        ("failed", {**STOPPED, "read": 0, "failed": 0, "unfinished": 0}, {}, None, "Begins with the first row."),
        ("failed", DONE, {}, 0, "Sends nothing, and marks the task as done."),
    ],
)  # fmt: skip
def test_resuming_says_what_it_does_and_to_how_many(state, figures, more, count, does):
    step = ran(STEP, "nextStep", {"state": state, "figures": figures, **more})
    assert step["resume"] == {"count": count, "does": does}


@pytest.mark.parametrize(
    ("endpoint", "path", "fit"),
    [
        ("sensors/{id}", "sensors/13000", True),
        ("/sensors/{id}", "sensors/13000", True),
        ("sensors/{id}", "sensor/13000", False),
        ("sensors/{id}/x", "sensors/13000", False),
        ("sensors/{id}", "sensors/a/b", False),
        ("a.b/{id}?x={y}", "a.b/1", True),
        ("a.b/{id}", "aXb/1", False),
        ("v2/{a}-{b}", "v2/x-y%2Fz", True),
        ("bulk", "bulk", True),
        ("bulk", "bulks", False),
        ("keys/{id}", "***/7", True),
    ],
)
def test_a_dead_letters_path_tells_whether_the_endpoint_is_still_the_same(endpoint, path, fit):
    assert ran(STEP, "fits", endpoint, path) is fit


def test_what_differs_is_named_once():
    changes = {"changed": ["sql", "endpoint"], "endpoint": "y/{id}"}
    assert ran(STEP, "differences", changes, [{"path": "x/1"}, {"path": None}]) == ["the SQL", "the endpoint"]
    assert ran(STEP, "differences", {"changed": [], "endpoint": "y/{id}"}, [{"path": "x/1"}]) == ["the endpoint"]
    assert ran(STEP, "differences", {"changed": [], "endpoint": "y/{id}"}, [{"path": "y/1"}]) == []
    assert ran(STEP, "differences", None, [{"path": "y/1"}]) == []


@pytest.mark.parametrize(
    ("state", "figures", "status", "title", "words"),
    [
        ("failed", SOME, "error", "3 of 100 items failed", "send the same requests again"),
        ("failed", STOPPED, "error", "3 of 100 items failed", "resume the window"),
        ("failed", {**SOME, "differs": ["the SQL"]}, "error", "3 of 100 items failed", "Next: resume the window"),
        ("failed", only("connection", error="144 of 144 items failed (144 connection): refused"), "error",
         "144 of 144 items failed (144 connection): refused", "whether the API is up"),
        ("failed", {**STOPPED, "read": 0, "error": "no column 'x'"}, "error", "no column 'x'", "Correct that"),
        ("failed", None, "error", "It failed before it started", "Its log says why"),
        ("failed", {**SOME, "error": None}, "error", "It failed; its log says why", "Next"),
        ("up_for_retry", SOME, "warning", "3 of 100 items failed", "by itself"),
        ("failed", {**DONE, "complete": False, "read": 16, "replay": {"sent": 16, "delivered": 16, "failed": 0}, "error": "x"},
         "warning", "The dead letters are delivered; the window is not read to its end", "goes on after row 16"),
    ],
)  # fmt: skip
def test_why_it_failed_comes_with_what_to_do(state, figures, status, title, words):
    differs = (figures or {}).get("differs", [])
    trouble = ran(STEP, "troubleOf", {"state": state, "figures": figures, "differs": differs})
    assert (trouble["status"], trouble["title"]) == (status, title)
    assert words in trouble["next"]


@pytest.mark.parametrize(
    ("state", "figures", "more"),
    [
        ("success", SOME, {}),
        ("running", SOME, {}),
        ("up_for_retry", None, {}),
        ("failed", SOME, {"isDeliveredLater": True}),
    ],
)
def test_where_all_is_well_there_is_no_trouble(state, figures, more):
    assert ran(STEP, "troubleOf", {"state": state, "figures": figures, **more}) is None


@pytest.mark.parametrize(
    ("report", "replay", "later"),
    [
        (SOME, None, False),
        (SOME, {"left": 2}, False),
        (SOME, {"left": 0}, True),
        (STOPPED, {"left": 0}, False),
        (DONE, None, False),
        ({**DONE, "delivered_later": 3}, None, True),
        (None, None, False),
    ],
)
def test_what_was_delivered_later_is_told(report, replay, later):
    assert ran(STEP, "isDeliveredLater", report, replay) is later


def test_only_a_replay_after_the_end_counts():
    early, late = {"at": "2026-03-01T00:00:00Z"}, {"at": "2026-03-03T00:00:00+00:00"}
    assert ran(STEP, "lastReplay", [early, late], "2026-03-02T00:00:00Z") == late
    assert ran(STEP, "lastReplay", [early], "2026-03-02T00:00:00Z") is None
    assert ran(STEP, "lastReplay", None, "2026-03-02T00:00:00Z") is None


def test_history_has_tries_and_replays_the_latest_first():
    tries = [
        {"try_number": 1, "state": "failed", "start_date": "2026-03-01T00:00:00Z", "end_date": "2026-03-01T00:05:00Z"},
        {"try_number": 2, "state": "success", "start_date": "2026-03-03T00:00:00Z", "end_date": "2026-03-03T00:05:00Z"},
        {"try_number": 3, "state": None, "start_date": None, "end_date": None},
    ]
    by = {"dag_id": "replay", "run_id": "r", "task_id": "t", "map_index": -1}
    replays = [{"at": "2026-03-02T00:00:00Z", "by": by, "delivered": 2, "failed": 1, "left": 1}]
    found = ran(STEP, "historyOf", tries[:2], replays, {"sent": 1, "delivered": 1, "failed": 0})
    assert [(each["name"], each["state"], each["text"]) for each in found] == [
        ("Try 2", "success", "sent again 1: 1 delivered, 0 failed again"),
        ("Replay", "up_for_retry", "2 delivered, 1 failed again, 1 left"),
        ("Try 1", "failed", ""),
    ]
    assert found[1]["by"] == by
    assert len(ran(STEP, "historyOf", tries, None, None)) == 2
