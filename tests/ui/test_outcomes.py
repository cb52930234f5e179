"""What became of a window, as the tab Windows calls it: pure decisions, run by Node.js."""

import json
import shutil
import subprocess

import pytest
from checkout import REPOSITORY, skip_or_fail

OUTCOMES = REPOSITORY / "airflow_async_rest" / "ui" / "static" / "outcomes.js"
WINDOW = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z", "map_index": -1}
PREVIEW = {"preview": True, "complete": False, "read": 0, "delivered": 0, "failed": 0, "elapsed_seconds": 0.0}
DONE = {"complete": True, "read": 5, "delivered": 5, "failed": 0, "elapsed_seconds": 1.5}


def ran(expression: str):
    if shutil.which("node") is None:
        skip_or_fail("needs Node.js")
    script = f"{OUTCOMES.read_text()}\nconsole.log(JSON.stringify({expression}))"
    command = ["node", "--input-type=module", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("state", "report", "outcome"),
    [
        ("skipped", PREVIEW, "preview"),
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
    assert ran(f"outcomeOf({json.dumps({'state': state, 'report': report})})") == outcome


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
    [cell] = ran(f"arrange({json.dumps(windows)}).cells")
    assert (cell["outcome"], cell["runs"]) == (outcome, 2)
