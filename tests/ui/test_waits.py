"""What the tab Delivery makes of a task that waits for its quota: pure decisions, run by Node.js."""

import pytest
from ui.node import ran

DATA = "delivery_data.js"
WAIT = {"since": "2026-03-01T12:00:00+00:00", "until": "2026-03-01T13:00:00+00:00", "why": "gone"}
PROGRESS = {"read": 5, "delivered": 5, "waits": [{**WAIT, "why": "before"}, WAIT], "updated_at": WAIT["since"]}


def task(state: str, progress):
    instance = {"state": state, "start_date": "2026-03-01T11:00:00+00:00"}
    return {"instance": instance, "figures": progress, "progress": progress, "report": None, "pushedAt": None}


@pytest.mark.parametrize(
    ("state", "progress", "found"),
    [
        ("up_for_reschedule", PROGRESS, WAIT),
        ("up_for_reschedule", {**PROGRESS, "waits": []}, None),
        ("up_for_reschedule", {"read": 5, "delivered": 5}, None),  # of an earlier version
        ("up_for_reschedule", None, None),
        ("running", PROGRESS, None),
        ("success", PROGRESS, None),
    ],
)
def test_the_last_wait_is_shown_while_the_task_waits(state, progress, found):
    assert ran(DATA, "waitOf", task(state, progress)) == found


@pytest.mark.parametrize(("state", "stale"), [("up_for_reschedule", False), ("up_for_retry", True), ("queued", True)])
def test_the_figures_of_a_task_that_waits_are_its_own(state, stale):
    assert ran(DATA, "isStale", task(state, PROGRESS)) is stale
