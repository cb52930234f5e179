"""What the tab Delivery makes of a task that waits for its quota: pure decisions, run by Node.js."""

import json
import shutil
import subprocess

import pytest
from checkout import REPOSITORY, skip_or_fail

DATA = REPOSITORY / "airflow_async_rest" / "ui" / "static" / "delivery_data.js"
WAIT = {"since": "2026-03-01T12:00:00+00:00", "until": "2026-03-01T13:00:00+00:00", "why": "gone"}
PROGRESS = {"read": 5, "delivered": 5, "waits": [{**WAIT, "why": "before"}, WAIT], "updated_at": WAIT["since"]}


def ran(call: str, state: str, progress):
    if shutil.which("node") is None:
        skip_or_fail("needs Node.js")
    instance = {"state": state, "start_date": "2026-03-01T11:00:00+00:00"}
    task = json.dumps({"instance": instance, "figures": progress, "progress": progress, "report": None})
    script = (
        f"const found = await import({json.dumps(DATA.as_uri())});\nconsole.log(JSON.stringify(found.{call}({task})))"
    )
    command = ["node", "--input-type=module", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


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
    assert ran("waitOf", state, progress) == found


@pytest.mark.parametrize(("state", "stale"), [("up_for_reschedule", False), ("up_for_retry", True), ("queued", True)])
def test_the_figures_of_a_task_that_waits_are_its_own(state, stale):
    assert ran("isStale", state, PROGRESS) is stale
