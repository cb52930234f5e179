"""Loads by the operator, here or in a process of their own, which ends in the middle."""

import json
import os
import signal
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from task_runner import run_try
from tasks import rest_to_sql

ITEMS = 2_000  # in chunks of 90, of which ten wait at most: some are staged before all are there
_CHUNK_ROWS = 90


@dataclass
class Loaded:
    """What came of a try.

    :param refused: of the refused rows, their ``id`` -> the database's words.
    """

    state: str
    error: Any
    report: dict[str, Any]
    refused: dict[int, str]


def answering(rows):
    """Make the API that answers with a row about each item. A row may be a text of JSON."""
    texts = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return lambda seen: web.Response(text=texts[number_of(seen)], content_type="application/json")


def number_of(seen) -> int:
    return int(seen.path.rpartition("/")[2])


def loading(items: int | None = None, **arguments):
    """Make a task that asks for each item, and loads what comes into ``things``."""
    settings = {
        "items": list(range(items)) if items else None,
        "endpoint": "rows/{item}",
        "rows": None,
        "columns": None,
    }
    return rest_to_sql(**(settings | {"destination_table": "things"} | arguments))


def load_rows(api, supervisor, rows, *, wrapped=lambda answer: answer, **arguments) -> Loaded:
    """Load rows in one try. :param wrapped: what the API does beside answering."""
    api.answer = wrapped(answering(rows))
    state, error = run_try(loading(len(rows), **arguments), supervisor)
    letters = supervisor.data["xcom"].get("failed_items") or []
    refused = {letter["row"]["id"]: letter["response_excerpt"] for letter in letters}
    return Loaded(state, error, supervisor.data["xcom"].get("return_value") or {}, refused)


MODES = {
    "append": {},
    "replace_window": {"load_mode": "replace_window", "window_column": "noted"},
    "upsert": {"load_mode": "upsert", "conflict_key": "id"},
}


def make_task():
    """Make a task in the mode that the environment says, and, if it says a phase, have this process killed there."""
    if phase := os.environ.get("DIES"):
        _die(phase)
    return loading(ITEMS, **MODES[os.environ["LOAD_MODE"]])


def _die(phase: str) -> None:
    """Have this process killed at one place of its load."""
    import pytest
    from engine import run_within

    from airflow_async_rest.core.keeping.row_sink import LoadState
    from airflow_async_rest.load.loader import TableLoader

    run_within(pytest.MonkeyPatch(), chunk_rows=_CHUNK_ROWS, write_every_seconds=0.2)
    commit, stage, merge, stages = TableLoader.commit, TableLoader.stage, TableLoader.merge, []

    def dying_commit(self, checkpoint, state, loaded):
        if phase == "before the first commit":
            _kill()
        commit(self, checkpoint, state, loaded)
        if phase == "after the merge" and state is not LoadState.STAGING:
            _kill()

    def dying_stage(self, rows):
        refused = stage(self, rows)
        stages.append(len(rows))
        if phase == "while staging" and len(stages) > 1:
            _kill()
        return refused

    def dying_merge(self, *, first):
        merged = merge(self, first=first)
        if phase == "in the merge":
            _kill()
        return merged

    TableLoader.commit, TableLoader.stage, TableLoader.merge = dying_commit, dying_stage, dying_merge


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
