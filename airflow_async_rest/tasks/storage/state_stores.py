"""Which state store a task has: Airflow's own, or a folder where airflow.cfg names one, or Airflow has none."""

import os
import secrets
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, cast

from airflow_async_rest.compat.task_context import row_of_run
from airflow_async_rest.core.account.checkpoint import fingerprint
from airflow_async_rest.core.keeping.folder_store import FolderStore
from airflow_async_rest.core.keeping.try_store import Claim, Sitting, TryStore
from airflow_async_rest.tasks.storage.paths import (
    configured_folder,
    dead_letter_base,
    file_mode,
    instance_folder,
    open_path,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_async_rest.core.keeping.stores import StateStore

_AIRFLOWS = "task_state_store"


def state_store(context: "Context") -> "StateStore | None":
    """Return what survives a retry of this task instance, and a Clear; None where Airflow says that nothing does.

    :raises ConfigurationError: when ``[async_rest] state_path`` is not the path of a folder.
    """
    if _AIRFLOWS in context and not chosen_folder():
        return cast("StateStore | None", context.get(_AIRFLOWS))
    ti: Any = context["ti"]
    folder = state_folder(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index)
    # A Clear makes another row of no run.
    cleared = row_of_run(context.get("dag_run")) is None and was_cleared(ti)
    return TryStore(lambda: open_state(folder), _sitting(_claim(context), folder), was_cleared=cleared)


def sitting_store(context: "Context") -> "TryStore | None":
    """Return the same, as this sitting of the try has it until a later one takes over.

    :raises ConfigurationError: see :func:`state_store`.
    """
    store = state_store(context)
    if store is None or isinstance(store, TryStore):
        return store
    return TryStore(lambda: store, _sitting(_claim(context), ""), outlives_run=False)


def _claim(context: "Context") -> Claim:
    ti: Any = context["ti"]
    dag_run = context.get("dag_run")
    row = row_of_run(dag_run)
    run = getattr(dag_run, "start_date", None) if row is None else row
    return Claim.of(ti.try_number, getattr(ti, "start_date", None), _owner(ti), run)


def mark_of_try(context: "Context") -> str:
    """Return a digest of a try: the same in all its sittings, another in any other try, or life of the run."""
    ti, claim = context["ti"], _claim(context)
    return fingerprint(ti.dag_id, ti.run_id, ti.task_id, ti.map_index, claim.try_number, claim.run)


def _owner(ti: Any) -> str:
    """Return who runs a task instance: a process runs one, but a test several, and a process may be another's copy."""
    return f"{_process(os.getpid())}-{id(ti):x}"


@cache
def _process(pid: int) -> str:  # noqa: ARG001  (a copy of a process has what that has found out, and another number)
    return secrets.token_hex(8)


@lru_cache(maxsize=64)
def _sitting(claim: Claim, place: str) -> Sitting:  # noqa: ARG001
    """Return the same sitting for all who ask for its state. :param place: where that is."""
    return Sitting(claim)


def was_cleared(ti: Any) -> bool:
    """Return whether somebody has cleared a task instance: a Clear allows it as many tries more."""
    return bool(ti.max_tries > (ti.task.retries or 0))


def chosen_folder() -> str | None:
    """Return the URI of ``[async_rest] state_path``, or None. :raises ConfigurationError: when it is no URI."""
    return configured_folder("state_path")


def state_base() -> str:
    """Return the URI of the folder of all state: never below an operator's own path, which the API server cannot know.

    :raises ConfigurationError: when the setting is not the path of a folder.
    """
    return chosen_folder() or f"{dead_letter_base()}/_state"


def state_folder(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return the URI of a task instance's state. :raises ConfigurationError: see :func:`state_base`."""
    return instance_folder(state_base(), dag_id, run_id, task_id, map_index)


def open_state(uri: str) -> FolderStore:
    """Open a folder of :func:`state_folder`. :raises ConfigurationError: when ``[async_rest] file_mode`` is wrong."""
    return FolderStore(open_path(uri), file_mode())
