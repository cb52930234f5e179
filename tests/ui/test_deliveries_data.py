"""Which rows of the page "Deliveries" are shown, and in which order: pure decisions, run by Node.js."""

import json

import pytest
from ui.node import evaluated, ran


def row(dag="a", *, status="on_time", since=None, letters=None, day=0, week=0, wait=None, end=None, name=None):
    return {
        "dag_id": dag,
        "dag_name": name or dag,
        "task_id": "post",
        "last": {"end": end},
        "freshness": {"status": status, "since": since, "delivered_until": None},
        "rows": {"day": day, "week": week, "by_day": []},
        "dead_letters": letters or {},
        "wait": wait and {"until": wait},
    }


ROWS = [
    row("a", day=5, week=5, end="2026-03-02T00:00:00Z"),
    row("b", status="late", since="2026-03-02T00:00:00Z", letters={"http_422": 2, "timeout": 1}, week=9),
    row("c", status="late", since="2026-03-01T00:00:00Z", day=7, end="2026-03-01T00:00:00Z"),
    row("d", status="running", wait="2026-03-03T00:00:00Z", letters={"timeout": 1}),
    row("e", status="of_later", name="The last"),
]


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ({"by": "task", "isDescending": False}, "abcde"),
        ({"by": "task", "isDescending": True}, "edcba"),
        ({"by": "freshness", "isDescending": False}, "cbdae"),  # the longest late first, what is not known last
        ({"by": "day", "isDescending": True}, "cabde"),
        ({"by": "week", "isDescending": True}, "bacde"),
        ({"by": "letters", "isDescending": True}, "bdace"),
        ({"by": "letters", "isDescending": False}, "dbace"),  # those that have none are last either way
        ({"by": "last", "isDescending": True}, "acbde"),
        ({"by": "wait", "isDescending": False}, "dabce"),
    ],
)
def test_rows_are_sorted_by_a_column(order, names):

    found = ran("deliveries_data.js", "sorted", ROWS, order)
    assert "".join(one["dag_id"] for one in found) == names


@pytest.mark.parametrize(
    ("filter_", "search", "names"),
    [
        (None, "", "abcde"),
        ("late", "", "bc"),
        ("letters", "", "bd"),
        ("waits", "", "d"),
        (None, "HTTP_", "b"),
        (None, "the last", "e"),
        (None, " post ", "abcde"),
        ("late", "timeout", "b"),
        ("none", "", ""),
    ],
)
def test_rows_are_filtered_and_searched(filter_, search, names):
    found = ran("deliveries_data.js", "chosen", ROWS, filter_, search)
    assert "".join(one["dag_id"] for one in found) == names


def test_filters_are_those_that_let_something_through():
    found = {each["key"]: each["number"] for each in ran("deliveries_data.js", "filters", ROWS)}
    assert found == {"late": 2, "running": 1, "on_time": 1, "letters": 2, "waits": 1}
    chosen = ran("deliveries_data.js", "filters", ROWS[:1], "waits")
    assert [(each["key"], each["number"]) for each in chosen] == [("on_time", 1), ("waits", 0)]


@pytest.mark.parametrize(
    ("order", "by", "after"),
    [
        ({"by": "task", "isDescending": False}, "day", {"by": "day", "isDescending": True}),
        ({"by": "day", "isDescending": True}, "day", {"by": "day", "isDescending": False}),
        ({"by": "day", "isDescending": True}, "freshness", {"by": "freshness", "isDescending": False}),
    ],
)
def test_a_click_on_a_column_sorts_and_another_one_turns_it_round(order, by, after):
    assert ran("deliveries_data.js", "orderAfter", order, by) == after


def test_pages_are_shown_as_they_come_and_the_whole_list_stays_while_it_is_asked_for_anew():
    def page(names, following, *, truncated=False):
        return {"rows": [row(name) for name in names], "next": following, "truncated": truncated}

    data, asked, shown = None, [], []
    for coming in (page("ab", "b"), page("", "m", truncated=True), page("z", None), page("ab", "b"), page("y", None)):
        asked.append(ran("deliveries_data.js", "nextPage", data) if data else ran("deliveries_data.js", "nextPage"))
        data = ran("deliveries_data.js", "joined", data, coming) if data else _first(coming)
        shown.append(("".join(one["dag_id"] for one in data["rows"]), data["truncated"]))
    assert [each["after"] for each in asked] == ["", "b", "m", "", "b"]
    assert shown == [("ab", False), ("ab", True), ("abz", True), ("abz", False), ("aby", False)]
    assert ran("deliveries_data.js", "nextLook", data) == 60_000
    assert ran("deliveries_data.js", "nextLook", {"next": "b"}) == 0


def _first(coming):
    """Join the first page to nothing, which JSON has no value for."""
    return evaluated("deliveries_data.js", f"found.joined(undefined, {json.dumps(coming)})")


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("failed", "the run that was due on Monday failed"),
        ("unfinished", "the run that was due on Monday has not ended"),
        ("no_run", "the run that was due on Monday was not made"),
        (None, "since on Monday"),
        ("constructor", "since on Monday"),
    ],
)
def test_what_is_late_says_against_what(why, said):
    assert ran("deliveries_data.js", "sayWhy", {"status": "late", "why": why}, "on Monday") == said


WINDOW = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z"}
NO_WINDOW = {"start": None, "end": None}


@pytest.mark.parametrize(
    ("status", "until", "last", "nothing"),
    [
        ("late", None, WINDOW, True),
        ("none", None, WINDOW, True),
        ("late", "2026-03-01T00:00:00Z", WINDOW, False),
        ("delivered", None, WINDOW, False),  # a replay of a run that has an interval
        ("delivered", None, NO_WINDOW, False),
        ("failed", None, NO_WINDOW, False),
        ("paused", None, {"start": WINDOW["end"], "end": WINDOW["end"]}, False),
    ],
)
def test_what_has_no_window_is_not_said_to_have_delivered_nothing(status, until, last, nothing):
    one = {"freshness": {"status": status, "since": None, "delivered_until": until}, "last": last}
    assert ran("deliveries_data.js", "isUndelivered", one) is nothing
