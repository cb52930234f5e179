"""Why a task has failed, what to do next, and what has become of it: pure decisions, run by Node.js."""

from collections import Counter
from types import SimpleNamespace

import pytest
from ui.node import ran

from airflow_async_rest.core.account.judgment import QUESTIONS, give_up_on_credentials, give_up_when_hopeless
from airflow_async_rest.core.errors import AsyncRestError
from airflow_async_rest.core.models import DeadLetter, Item
from airflow_async_rest.core.requests.builder import EndpointTemplate
from airflow_async_rest.core.spelling import in_short

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
    ("figures", "more", "words"),
    [
        (only("http_404", complete=False), {}, ["look at the path", "not read to its end"]),
        (only("http_404", complete=False, unfinished=16, skipped=3), {}, ["look at the path", "not read to its end"]),
        (only("connection", complete=False), {}, ["whether the API is up", "Host and Port", "not read to its end"]),
        (only("connection", complete=False), {"fetches": True}, ["whether the API is up", "not read to its end"]),
        (only("http_404", skipped=3), {}, ["look at the path"]),
        (only("http_404", error="2 of 2 items failed (2 http_404): Did you mean /v2?"), {}, ["look at the path"]),
        (only("schema", complete=False), {"replayable": 0}, ["correct the rows", "not read to its end"]),
        ({**only("http_404"), "reasons": {"http_404": 144, "timeout": 0}}, {}, ["look at the path"]),
        (only("constructor"), {}, ["look at what the API says"]),
        (STOPPED, {}, ["The window was not read to its end."]),  # some were delivered: no one cause
        (SOME, {"differs": ["the SQL"]}, ["The SQL changed since: a replay would send the requests as they were."]),
        (SOME, {"differs": ["the SQL", "the endpoint"]}, ["The SQL and the endpoint changed since: a replay would send the requests as they were."]),
        (SOME, {"differs": ["the API's connection"]},
         ["The API's connection changed since: a replay would use the connection as it is now."]),
        (SOME, {"differs": ["the SQL", "the API's connection"]}, ["the requests as they were, over the connection as it is now."]),
        (SOME, {"differs": ["the API's connection"], "fetches": True}, ["The API's connection changed since."]),
        (STOPPED, {"differs": ["the API's connection"]}, ["The API's connection changed since", "not read to its end"]),
    ],
)  # fmt: skip
def test_the_cause_is_said_first_and_then_the_way_on(figures, more, words):
    why = ran(STEP, "nextStep", {"state": "failed", "figures": figures, **more})["why"]
    found = [why.find(word) for word in words]
    assert (found[0] >= 0, found) == (True, sorted(found)), why


def ended_by(judge, reason="", said="Not found?", *, accepted=0) -> str:
    """Return the error that a report has when a judgment of the engine ends a task after failures for a reason."""
    item = Item(0, "row 0", {}, None)
    status = int(reason.removeprefix("http_")) if reason.startswith("http_") else None
    with pytest.raises(AsyncRestError) as raised:
        judge(DeadLetter.of(item, reason, status=status, attempts=1, detail=said), failing(reason, accepted))
    return in_short(str(raised.value))


def failing(reason, accepted):
    """Return what a recorder knows when nearly all failed."""
    totals = SimpleNamespace(failures=Counter({reason: 200}))
    return SimpleNamespace(totals=totals, accepted=accepted, delivered_now=accepted, mostly_failing=True)


def gives_up(letter, recorder):
    give_up_when_hopeless(letter, recorder, "search_api", is_own=True)


def gives_up_on_credentials(letter, recorder):
    del recorder
    give_up_on_credentials(letter, "search_api")


@pytest.mark.parametrize("reason", sorted({*QUESTIONS, "http_422", "http_500", "timeout"}))
@pytest.mark.parametrize("said", ["Not found?", "no such path? " * 40, ""])
def test_where_the_engine_asks_what_is_wrong_the_tab_gives_no_other_answer(reason, said):
    error = ended_by(gives_up, reason, said)
    why = ran(STEP, "nextStep", {"state": "failed", "figures": only(reason, complete=False, error=error)})["why"]
    asks = error.endswith(QUESTIONS.get(reason, "never"))
    assert asks is (reason in QUESTIONS)
    one = "All failed for one cause"
    cause = f"{one}: correct it first." if asks else f"{one}, {reason}: look at what the API says."
    assert why == f"{cause} The window was not read to its end."


@pytest.mark.parametrize("reason", sorted(QUESTIONS))
def test_where_the_engine_knows_what_may_be_wrong_the_tab_knows_it_too(reason):
    why = ran(STEP, "nextStep", {"state": "failed", "figures": only(reason)})["why"]
    assert why.startswith(f"All failed for one cause, {reason}: look at ")
    assert "what the API says" not in why


@pytest.mark.parametrize(
    ("state", "figures"),
    [("success", DONE), ("running", SOME), ("up_for_retry", SOME), ("skipped", DONE), (None, SOME)],
)
def test_where_nothing_can_be_done_nothing_is_offered(state, figures):
    assert ran(STEP, "nextStep", {"state": state, "figures": figures}) is None


@pytest.mark.parametrize(
    ("state", "figures", "more", "count", "does"),
    [
        ("failed", SOME, {}, 3, "Reads the window again, and sends only 3, made again from their rows."),
        ("failed", {**SOME, "failed": 1}, {}, 1, "Reads the window again, and sends only 1, made again from its row."),
        ("success", SOME, {}, 100, "Reads the window from its first row, and delivers all of it: 100 items."),
        ("failed", SOME, {"differs": ["the SQL"]}, 100, "Reads the window from its first row, and delivers all of it: 100 items."),
        ("failed", SOME, {"differs": ["the API's connection"]}, 3, "Reads the window again, and sends only 3, made again from their rows."),
        ("failed", STOPPED, {"differs": ["the SQL"]}, None, "Reads the window from its first row, and delivers all of it."),
        ("failed", STOPPED, {}, 10, "Sends 10 again, and goes on after row 60, to the end of the window."),
        ("failed", {**STOPPED, "failed": 0, "unfinished": 0}, {}, None, "Goes on after row 60, to the end of the window."),
        ("failed", {**STOPPED, "read": 0, "failed": 0, "unfinished": 0}, {}, None, "Begins with the first row."),
        ("failed", DONE, {}, 0, "Sends nothing, and marks the task as done."),
    ],
)  # fmt: skip
def test_resuming_says_what_it_does_and_to_how_many(state, figures, more, count, does):
    step = ran(STEP, "nextStep", {"state": state, "figures": figures, **more})
    size = None if count is None else f"{count} item{'' if count == 1 else 's'}"
    assert step["resume"] == {"name": "Resume the window", "count": count, "size": size, "does": does}


FUNCTION = "This task is a function: clear it."


@pytest.mark.parametrize(
    ("figures", "more", "kind", "label"),
    [
        (SOME, {}, "replay", "Send the same requests again (3 items)"),
        ({**SOME, "failed": 1, "reasons": {"http_422": 1}}, {}, "replay", "Send the same requests again (1 item)"),
        (STOPPED, {}, "resume", "Resume the window (10 items)"),
        ({**STOPPED, "failed": 0, "unfinished": 0}, {}, "resume", "Resume the window"),
        (SOME, {"fetches": True}, "resume", "Try all again (3 items)"),
        ({**SOME, "rows_refused": 1_200}, {"fetches": True}, "resume", "Try all again (3 items, 1,200 rows)"),
        ({**SOME, "failed": 0, "rows_refused": 1}, {"fetches": True}, "resume", "Try all again (1 row)"),
        (DONE, {"fetches": True}, "resume", "Resume the window"),
        (SOME, {"refuses": FUNCTION}, "resume", "Clear the task"),
    ],
)
def test_the_number_on_a_button_says_of_what_it_is(figures, more, kind, label):
    step = ran(STEP, "nextStep", {"state": "failed", "figures": figures, **more})
    assert ran(STEP, "labelOf", step[kind]) == label


@pytest.mark.parametrize(
    ("figures", "more", "name"),
    [
        (SOME, {}, "Send the same requests again"),
        (SOME, {"replayable": 0}, "Resume the window"),
        (SOME, {"replayable": 1}, "Send the same requests again"),
        (SOME, {"differs": ["the SQL"]}, "Resume the window"),
        (SOME, {"refuses": FUNCTION}, "Clear the task"),
        (STOPPED, {"refuses": FUNCTION}, "Clear the task"),
        ({**STOPPED, "read": 0, "failed": 0}, {"refuses": FUNCTION}, "Clear the task"),
        (STOPPED, {}, "Resume the window"),
        (SOME, {"fetches": True}, "Try all again"),
        (STOPPED, {"fetches": True}, "Try all again"),
        (only("http_404"), {"fetches": True}, "Try all again"),
        (DONE, {"fetches": True}, "Resume the window"),
    ],
)
def test_the_box_says_what_the_filled_button_does(figures, more, name):
    step = ran(STEP, "nextStep", {"state": "failed", "figures": figures, **more})
    trouble = ran(STEP, "troubleOf", {"state": "failed", "figures": figures, "step": step})
    assert step[step["primary"]]["name"] == name
    assert f"{name[0].lower()}{name[1:]}." in trouble["next"]


def test_a_task_that_is_no_operator_is_cleared_and_runs_again():
    step = ran(STEP, "nextStep", {"state": "failed", "figures": SOME, "refuses": FUNCTION})
    assert step["why"] == FUNCTION
    assert step["resume"] == {
        "name": "Clear the task", "count": None, "size": None, "does": "Runs all of the task again.",
    }  # fmt: skip


NEVER = "These never became requests: correct the rows or the transform."


def test_what_never_was_a_request_is_not_sent_again_by_a_function_either():
    step = ran(
        STEP, "nextStep", {"state": "failed", "figures": {**SOME, "reasons": {"schema": 3}}, "refuses": FUNCTION}
    )
    assert step["why"] == NEVER
    assert step["resume"]["name"] == "Clear the task"


@pytest.mark.parametrize(
    ("reasons", "more", "why"),
    [
        ({"schema": 3}, {}, f"{NEVER} Then clear the task that delivers them: a replay cannot make requests of them."),
        ({"answer_unreadable": 3}, {}, "The API took these, but its answers could not be read: check there what it has."),
        ({"schema": 2, "http_422": 1}, {}, None),
        ({"schema": 3}, {"complete": False}, None),  # it has not come to all of them
    ],
)  # fmt: skip
@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_replay_that_would_send_nothing_again_is_not_cleared(state, reasons, more, why):
    figures, refuses = {**SOME, "reasons": reasons, **more}, "Clear this task to send them again."
    step = ran(STEP, "nextStep", {"state": state, "figures": figures, "refuses": refuses, "replays": True})
    if why is None:
        assert step["primary"] == "resume"
        return
    assert step == {"primary": None, "why": why}
    if state == "failed":
        assert ran(STEP, "troubleOf", {"state": state, "figures": figures, "step": step})["next"] == why


UNREADABLE = {**SOME, "reasons": {"answer_unreadable": 3}}
MIXED = {**SOME, "reasons": {"answer_unreadable": 1, "schema": 2}}


@pytest.mark.parametrize(
    ("figures", "why", "count", "does"),
    [
        (UNREADABLE, "The API took these", 0, "Sends nothing: the API has taken them."),
        (
            MIXED,
            "None of these can be sent again as it was: correct the rows or the transform.",
            2,
            "sends only 2, made again from their rows.",
        ),
        (
            {**UNREADABLE, "failed": 1, "reasons": {"answer_unreadable": 1}},
            "took this, but its answer could not",
            0,
            "Sends nothing",
        ),
        (
            {**SOME, "failed": 1, "reasons": {"schema": 1}},
            "This never became a request: correct the row",
            1,
            "from its row.",
        ),
        ({**SOME, "reasons": {"schema": 3}}, "These never became requests", 3, "sends only 3,"),
        (only("schema"), "These never became requests", 144, "sends only 144,"),  # not "look at what the API says"
    ],
)
def test_where_a_replay_sends_nothing_it_says_why_and_what_a_clear_does(figures, why, count, does):
    step = ran(STEP, "nextStep", {"state": "failed", "figures": figures, "replayable": 0})
    assert step["primary"] == "resume"
    assert why in step["why"]
    assert (step["resume"]["count"], does in step["resume"]["does"]) == (count, True)


LETTERS = [{"path": "x/1"}]
ALL_OF_THEM = {"total": 3, "matching": 3, "replayable": 2, "records": LETTERS, "resolved": 1}
FILTERED = {"total": 2, "matching": 1, "replayable": 0, "records": [{"path": None}], "resolved": 2}


@pytest.mark.parametrize(
    ("before", "page", "known"),
    [
        (None, ALL_OF_THEM, ALL_OF_THEM),
        (ALL_OF_THEM, FILTERED, {**FILTERED, "records": LETTERS, "replayable": 2}),
        (None, {**FILTERED, "matching": 0}, {"total": 2, "matching": 0, "records": [], "resolved": 2}),
        (FILTERED, ALL_OF_THEM, ALL_OF_THEM),
        (ALL_OF_THEM, None, None),
    ],
)
def test_a_filter_says_nothing_of_all(before, page, known):
    assert ran("delivery_data.js", "knownOfAll", before, page) == known


@pytest.mark.parametrize(
    ("failed", "why"),
    [
        (1, "If the API would take it now, send the same request again; if the row is wrong, correct it and resume."),
        (
            2,
            "If the API would take them now, send the same requests again; if the rows are wrong, correct them and resume.",
        ),
    ],
)
def test_one_is_spoken_of_as_one(failed, why):
    assert ran(STEP, "nextStep", {"state": "failed", "figures": {**SOME, "failed": failed}})["why"] == why


@pytest.mark.parametrize(
    ("kind", "is_unsure", "title"),
    [
        ("replay", False, "Nothing was sent again"),
        ("resume", False, "The task was not cleared"),
        ("replay", True, "It is not known whether the task was cleared"),
        ("resume", True, "It is not known whether the task was cleared"),
    ],
)
def test_an_error_is_titled_by_what_is_known(kind, is_unsure, title):
    assert ran(STEP, "titleOfFailure", kind, is_unsure) == title


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
        ("messwerte/größe/{id}", "messwerte/gr%C3%B6%C3%9Fe/1", True),
        ("messwerte/größe/{id}", "messwerte/grosse/1", False),
        ("my things/{id}", "my%20things/1", True),
        ("a|b/{id}", "a%7Cb/1", True),
        ("a|b/{id}", "a/1", False),
        ("s/[{id}]", "s/%5B1%5D", True),
        ("s/{id}#x", "s/1%23x", True),
        ("s/{id}^", "s/1%5E", True),
        ("%C3%A9/{id}", "%c3%a9/1", True),
        ("s/100%/{id}", "s/100%/%2525", True),  # a value that is "%25"
        ("s/{id}", "s/a%2Fb", True),  # a value that is "a/b"
        ("s/{id}/x", "s/a%2Fx", False),
        ("s/%2F{id}", "s/%2F1", True),
        ("s/{id}", "s/%0A", True),
        ("s/{a/b}?q={id?}", "s/1", True),
    ],
)
def test_a_dead_letters_path_tells_whether_the_endpoint_is_still_the_same(endpoint, path, fit):
    assert ran(STEP, "fits", endpoint, path) is fit


@pytest.mark.parametrize(
    "endpoint",
    ["messwerte/größe/{id}", "my things/{id}", "a|b/{id}", "s/[{id}]", "s/{id}#x", "s('{id}')/\\", "/s/{id}/"],
)
@pytest.mark.parametrize("value", [1, "é ü/", "a/b", "%25", "?x", "\n"])
def test_what_an_endpoint_makes_of_a_row_fits_it(endpoint, value):
    path, _ = EndpointTemplate(endpoint).render({"id": value})
    assert ran(STEP, "fits", endpoint, path) is True
    assert ran(STEP, "fits", f"x{endpoint}", path) is False


REFUSED = "The credentials were refused: correct them."


@pytest.mark.parametrize(
    ("error", "reasons", "is_refused"),
    [
        (ended_by(gives_up_on_credentials, "http_401"), {}, True),
        (ended_by(gives_up_on_credentials, "proxy", "the proxy answers 407 Proxy Authentication Required"), {}, True),
        ("the token endpoint of login.example.com gives no token: it answers 401", {}, True),
        ("the token endpoint of login.example.com gives no token for now: it answers 503", {}, False),
        ("stopped", {"http_401": 3}, True),
        (None, {"proxy": 3, "timeout": 1}, True),
        (ended_by(gives_up, "http_401", "no"), {"http_401": 190}, True),
        (ended_by(gives_up, "http_422", "sensor 401: unknown type"), {"http_422": 190}, False),
        (ended_by(gives_up, "http_422", "the API answers 401: no"), {"http_422": 190}, False),
        (ended_by(gives_up, "http_422", "no"), {"http_422": 189, "http_401": 1}, False),
        ("column 'a' is missing in row 407", {}, False),
        ("no connection to 10.0.0.7:401 could be made", {"connection": 2}, False),
        ("stopped", {"http_4010": 3}, False),
    ],
)
def test_credentials_are_refused_where_the_reasons_or_our_own_words_say_so(error, reasons, is_refused):
    figures = {**STOPPED, "error": error, "reasons": reasons}
    assert (ran(STEP, "nextStep", {"state": "failed", "figures": figures})["why"] == REFUSED) is is_refused


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
    step = figures and ran(STEP, "nextStep", {"state": state, "figures": figures, "differs": differs})
    trouble = ran(STEP, "troubleOf", {"state": state, "figures": figures, "step": step})
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
    found = ran(STEP, "historyOf", tries[:2], replays, {"2": {"sent": 1, "delivered": 1, "failed": 0}})
    assert [(each["name"], each["state"], each["text"]) for each in found] == [
        ("Try 2", "success", "1 sent again: 1 delivered, 0 failed again"),
        ("Replay", "up_for_retry", "2 delivered, 1 failed again, 1 left"),
        ("Try 1", "failed", ""),
    ]
    assert found[1]["by"] == by
    assert len(ran(STEP, "historyOf", tries, None, None)) == 2


def test_history_says_of_a_replay_that_it_sent_nothing():
    nothing = {"sent": 0, "delivered": 0, "failed": 0}
    at = {"at": "2026-03-02T00:00:00Z", "by": None}
    replays = [{**at, "delivered": 0, "failed": 0, "left": 3}]
    tries = [{"try_number": 2, "state": "success", "end_date": "2026-03-03T00:00:00Z"}]
    found = ran(STEP, "historyOf", tries, replays, {"2": nothing})
    assert [each["text"] for each in found] == [
        "nothing sent again: no dead letter was left to send",
        "nothing sent again, 3 left",
    ]


def test_history_keeps_what_an_earlier_try_has_sent_again_and_has_each_try_once():
    times = {"start_date": "2026-03-01T00:00:00Z", "end_date": "2026-03-01T00:05:00Z"}
    tries = [{"try_number": 1, "state": state, **times} for state in (None, "failed")]  # cleared, and not begun again
    tries.append({"try_number": 2, "state": "running", "start_date": "2026-03-02T00:00:00Z", "end_date": None})
    sent = {"1": {"sent": 3, "delivered": 2, "failed": 1}}
    for shown in (tries, tries[::-1]):
        found = ran(STEP, "historyOf", shown, None, sent)
        assert [(each["name"], each["state"], each["text"]) for each in found] == [
            ("Try 2", "running", ""),
            ("Try 1", "failed", "3 sent again: 2 delivered, 1 failed again"),
        ]


ONE, OTHER = {"sent": 3, "delivered": 2, "failed": 1}, {"sent": 1, "delivered": 1, "failed": 0}


@pytest.mark.parametrize(
    ("ended", "try_number", "figures", "found"),
    [
        (True, 3, {"replay": OTHER, "replays": {"2": ONE, "3": OTHER}}, {"2": ONE, "3": OTHER}),
        (True, 4, {"replays": {"2": ONE, "3": OTHER}}, {"2": ONE, "3": OTHER}),  # the last one was no replay
        (False, 3, {"replay": OTHER, "replays": {"2": ONE, "3": OTHER}}, {"2": ONE}),  # it is under way
        (False, 4, {"replay": OTHER, "replays": {"2": ONE, "3": OTHER}}, {"2": ONE, "3": OTHER}),
        (True, 3, {"replay": OTHER}, {"3": OTHER}),  # an older report
        (True, 3, {}, {}),
    ],
)
def test_what_tries_have_sent_again_stands_in_the_report(ended, try_number, figures, found):
    task = {
        "ended": ended,
        "figures": figures,
        "report": figures,
        "instance": {"try_number": try_number, "state": "failed"},
    }
    assert ran("delivery_data.js", "replaysOf", task) == found


@pytest.mark.parametrize(
    ("number", "these"), [(1, "this one"), (2, "these 2 items"), (1200, "these 1,200 items"), (None, "these")]
)
def test_a_filtered_replay_names_what_it_sends(number, these):
    assert ran(STEP, "nameOfFiltered", number) == f"Send {these} again (filtered)"


@pytest.mark.parametrize(
    ("reasons", "primary", "number"),
    [
        ({"http_422": 3}, "replay", 3),
        ({"http_422": 2, "transform": 1}, "replay", 2),
        ({"schema": 2, "value": 1}, "resume", 0),
        ({"answer_unreadable": 3}, "resume", 0),
    ],
)
def test_where_the_dead_letters_cannot_be_had_their_reasons_say_how_many_go_again(reasons, primary, number):
    found = ran(STEP, "nextStep", {"state": "failed", "figures": {**SOME, "reasons": reasons}})
    assert (found["primary"], found["replay"]["count"]) == (primary, number)
