"""What the tab Delivery says of how far a task is, and what came of it: pure decisions, run by Node.js."""

import pytest
from ui.node import ran

DATA = "progress_data.js"
WORDS = {"done": "delivered"}
FIGURES = {"read": 10, "delivered": 7, "failed": 0, "skipped": 1}
EXPECTED = {"items": 40, "how": "counted"}
HISTORY = [[0, 0, 0], [10, 8, 0]]


@pytest.mark.parametrize(
    ("figures", "total", "is_running", "headline", "detail"),
    [
        (FIGURES, None, True, "8 items", "so far; how many there are is not known"),
        ({**FIGURES, "failed": 2}, None, True, "10 items", "2 failed · so far; how many there are is not known"),
        ({**FIGURES, "expected": {"items": 5, "how": "about"}}, None, True, "8 items", "so far; about 5 were expected"),
        ({**FIGURES, "expected": EXPECTED, "history": HISTORY}, 40, True, "8 of 40 items", "20 % · about 40 s left"),
        ({**FIGURES, "expected": EXPECTED, "failed": 2, "rows_refused": 1}, 40, True, "10 of 40 items",
         "2 failed, 1 row refused by the database · 25 %"),
        ({**FIGURES, "expected": {"items": 40, "how": "about"}}, 40, True, "8 of about 40 items", "20 %"),
        ({**FIGURES, "expected": {"items": 0, "how": "given"}}, 0, True, "8 of 0 items", ""),
        (FIGURES, None, False, "8 items", "done by earlier tries"),
    ],
)  # fmt: skip
def test_a_task_that_runs_says_how_far_it_is_and_what_failed(figures, total, is_running, headline, detail):
    assert ran(DATA, "soFar", figures, total, is_running) == {"headline": headline, "detail": detail}


@pytest.mark.parametrize(
    ("history", "reasons", "title"),
    [
        (
            [[0, 0, 0], [60, 100, 90]],
            {"http_422": 80, "timeout": 10},
            "Most of it fails: 90 of 100 items in the last 1 min",
        ),
        ([[0, 0, 0], [60, 100, 50]], {"http_422": 50}, None),  # half of it goes on
        ([[0, 200, 200], [60, 300, 200]], {"http_422": 200}, None),  # that was the try before
        ([[0, 200, 200], [9.5, 230, 225]], {}, "Most of it fails: 25 of 30 items in the last 10 s"),
        ([[0, 200, 200], [60, 150, 120]], {"http_422": 120}, None),  # these are being sent again
        ([[0, 0, 0], [60, 4, 4]], {"http_422": 4}, None),  # too few
        ([[60, 100, 90]], {"http_422": 90}, None),
        ([], {}, None),
        (None, {}, None),
        ([[0, 0], [60, 100]], {}, None),  # of an early version
    ],
)
def test_a_task_of_which_most_fails_says_so_while_it_runs(history, reasons, title):
    figures = {"read": 300, "delivered": 10, "failed": 90, "reasons": reasons, "history": history}
    found = ran(DATA, "sayFailing", figures)
    assert (found and found["title"]) == title
    if found:
        why = "So far: http_422 80, timeout 10. " if reasons else ""
        assert found["text"] == f"{why}The task stops by itself once at least 90 % of the last 200 items failed."


DONE = {"read": 10, "delivered": 10, "failed": 0, "skipped": 0, "elapsed_seconds": 2, "complete": True}
LOADED = {**DONE, "rows_loaded": 30, "rows_refused": 0}


@pytest.mark.parametrize(
    ("figures", "state", "headline", "detail"),
    [
        (DONE, "success", "All 10 items delivered", "in 2 s"),
        ({**DONE, "delivered": 8, "skipped": 2}, "success", "8 of 10 items delivered, 2 skipped", "in 2 s"),
        ({**DONE, "read": 0, "delivered": 0}, "success", "There was nothing to do", "in 2 s"),
        ({**LOADED, "read": 0, "delivered": 0, "rows_loaded": 0}, "success", "There was nothing to fetch", "in 2 s"),
        ({**LOADED, "rows_loaded": 0}, "success", "There was nothing to fetch", "10 items asked for, which had no rows · in 2 s"),
        ({**LOADED, "read": 1, "delivered": 0, "skipped": 1, "rows_loaded": 0}, "success", "There was nothing to fetch",
         "1 item asked for, which had no rows · in 2 s"),
        (LOADED, "success", "All 10 items delivered", "in 2 s"),
        ({**LOADED, "rows_loaded": 0, "rows_refused": 3}, "failed", "3 rows refused by the database", "10 delivered in 2 s"),
        ({**DONE, "delivered": 9, "failed": 1}, "success", "1 of 10 items failed",
         "9 delivered in 2 s; the task allows that many failures (max_failures)"),
        ({**DONE, "complete": False, "unfinished": 4}, "failed", "Stopped after 10 items",
         "the rest of the window was never read; 4 were in flight"),
        ({**DONE, "complete": False, "read": 0}, "failed", "Nothing was read", ""),
    ],
)  # fmt: skip
def test_a_task_that_has_ended_says_what_came_of_it(figures, state, headline, detail):
    task = {"figures": figures, "report": figures, "instance": {"state": state, "operator": "SqlToRestOperator"}}
    assert ran(DATA, "ended", task, WORDS, False) == {"headline": headline, "detail": detail}


@pytest.mark.parametrize(
    ("report", "outcome", "name"),
    [
        (LOADED, "delivered", "all fetched"),
        ({**LOADED, "rows_loaded": 0}, "empty", "nothing to fetch"),
        ({**LOADED, "read": 0, "rows_loaded": 0}, "empty", "nothing to fetch"),
        ({**LOADED, "rows_loaded": 0, "rows_refused": 3}, "some", "some failed"),
        ({**DONE, "read": 0}, "empty", "nothing to do"),
        ({**DONE, "delivered": 0, "skipped": 10}, "delivered", "all delivered"),
    ],
)
def test_a_window_without_rows_is_called_empty(report, outcome, name):
    assert ran("outcomes.js", "outcomeOf", {"state": "success", "report": report, "replay": None}) == outcome
    assert ran("outcomes.js", "nameOf", outcome, "rows_loaded" in report) == name
