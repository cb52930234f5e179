"""What became of a window, as the tab Windows calls it: pure decisions, run by Node.js."""

import pytest
from ui.node import ran

WINDOW = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z", "map_index": -1}
PREVIEW = {"preview": True, "complete": False, "read": 0, "delivered": 0, "failed": 0, "elapsed_seconds": 0.0}
DONE = {"complete": True, "read": 5, "delivered": 5, "failed": 0, "elapsed_seconds": 1.5}


@pytest.mark.parametrize(
    ("state", "report", "outcome"),
    [
        ("skipped", PREVIEW, "preview"),
        ("success", {**PREVIEW, "read": 9, "unfinished": 9}, "preview"),  # of a replay
        ("skipped", None, "unknown"),
        ("skipped", {**DONE, "complete": False}, "unknown"),
        ("skipped", {**PREVIEW, "elapsed_seconds": 0.2}, "preview"),
        ("skipped", {**DONE, "complete": False, "elapsed_seconds": 0.0}, "unknown"),
        ("success", DONE, "delivered"),
        ("failed", PREVIEW, "failed"),
        ("running", PREVIEW, "running"),
    ],
)
def test_a_preview_is_called_one(state, report, outcome):
    assert ran("outcomes.js", "outcomeOf", {"state": state, "report": report}) == outcome


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ({"state": "success", "report": DONE}, {"state": "skipped", "report": PREVIEW}, "delivered"),
        ({"state": "skipped", "report": PREVIEW}, {"state": "success", "report": DONE}, "delivered"),
        ({"state": "skipped", "report": PREVIEW}, {"state": "failed", "report": None}, "failed"),
        ({"state": "skipped", "report": PREVIEW}, {"state": "skipped", "report": PREVIEW}, "preview"),
    ],
)
def test_a_later_preview_does_not_hide_what_was_done(first, second, outcome):
    windows = [
        {**WINDOW, **run, "run_after": f"2026-03-0{day}T00:00:00Z", "started_at": None}
        for day, run in ((3, first), (4, second))
    ]
    [cell] = ran("outcomes.js", "arrange", windows)["cells"]
    assert (cell["outcome"], cell["runs"]) == (outcome, 2)


FAILED = {**DONE, "delivered": 3, "failed": 2}


@pytest.mark.parametrize(
    ("state", "report", "replay", "outcome"),
    [
        ("failed", FAILED, None, "some"),
        ("failed", FAILED, {"left": 1, "delivered": 1}, "some"),
        ("failed", FAILED, {"left": 0, "delivered": 2}, "later"),
        ("success", FAILED, {"left": 0, "delivered": 2}, "later"),  # max_failures allowed them
        ("failed", {**FAILED, "complete": False}, {"left": 0, "delivered": 2}, "failed"),  # rows were never read
        ("running", FAILED, {"left": 0, "delivered": 2}, "running"),
        ("success", {**DONE, "delivered_later": 2}, None, "later"),
        ("failed", {**DONE, "delivered_later": 2}, None, "failed"),
        ("success", {**DONE, "delivered_later": 0}, None, "delivered"),
        ("success", {**FAILED, "delivered_later": 2}, None, "some"),
    ],
)
def test_what_was_delivered_later_is_called_that(state, report, replay, outcome):
    assert ran("outcomes.js", "outcomeOf", {"state": state, "report": report, "replay": replay}) == outcome


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", "2026-03-01 → 2026-03-02"),
        ("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z", "2026-03-01 10:00 → 11:00"),
        ("2026-03-01T10:00:00Z", "javascript:x", "\N{EN DASH}"),
        ("yesterday", "2026-03-01T11:00:00Z", "\N{EN DASH}"),
        (None, "2026-03-01T11:00:00Z", "\N{EN DASH}"),
    ],
)
def test_a_window_is_written_as_a_span_and_what_is_none_as_a_dash(start, end, text):
    assert ran("format.js", "span", start, end, "UTC") == text
