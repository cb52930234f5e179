"""SIGKILL in each phase of a load: the retry loads each row once."""

import pytest
from every_database import loading
from every_database.loading import ITEMS, answering
from task_runner import Supervisor, run_try, spawn_try

pytestmark = pytest.mark.release

NOON = "2026-11-01T12:00:00Z"
# How often it can end there: after the merge there is nothing left to be done.
PHASES = {"before the first commit": 2, "while staging": 2, "in the merge": 2, "after the merge": 1}
CASES = [*(("append", phase) for phase in PHASES), ("upsert", "in the merge"), ("replace_window", "in the merge")]


@pytest.mark.parametrize(("mode", "phase"), CASES)
def test_a_retry_after_a_sigkill_loads_each_row_once(database, api, supervisor, monkeypatch, mode, phase):
    if phase == "in the merge":
        database.needs("kills in a merge")
    unique = " PRIMARY KEY" if mode == "upsert" else ""
    database.create(f"id {{integer}} NOT NULL{unique}, noted {{naive}}, label {{text}}")
    database.insert(
        [
            {"id": ("integer", str(n)), "noted": ("naive", noted), "label": ("text", "old")}
            for n, noted in ((0, "2026-11-01 11:00:00"), (-1, "2026-10-31 12:00:00"))
        ]
    )
    api.answer = answering([{"id": n, "noted": NOON, "label": "new"} for n in range(ITEMS)])
    monkeypatch.setenv("LOAD_MODE", mode)
    monkeypatch.setenv("DIES", phase)
    for number in range(PHASES[phase]):
        process = spawn_try("every_database.loading", supervisor.path, number + 1)
        process.join()
        assert process.exitcode == -9, why(supervisor.path, monkeypatch)
        api.wait_until_left()
    monkeypatch.delenv("DIES")
    state, error = run_try(loading.make_task(), Supervisor(supervisor.path), PHASES[phase] + 1)
    assert state == "success", error
    kept = [(-1, "old"), *([(0, "old")] if mode == "append" else [])]
    assert sorted(database.rows("id, label")) == sorted([*kept, *((n, "new") for n in range(ITEMS))])
    assert database.left_behind() == []
    assert database.rows("count(*)", "async_rest_loads") == [(0,)]


def why(path, monkeypatch):
    """Return what ends a try before it can be killed: a process of its own does not tell."""
    monkeypatch.delenv("DIES")
    return run_try(loading.make_task(), Supervisor(path), 3)
