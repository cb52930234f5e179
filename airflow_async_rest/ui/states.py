"""The state of task instances, from whichever store is in use: Airflow's own, or a folder."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from airflow_async_rest.compat import task_states
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.keeping.stores import StateStore
from airflow_async_rest.core.letters.part_files import read_ahead
from airflow_async_rest.tasks.storage.state_stores import chosen_folder, open_state, state_base, state_folder
from airflow_async_rest.ui.letters import FolderRefusedError, check_links

Place = tuple[str, str, int]  # run, task, map index
# What the tab shows, and what it asks for.
KEYS = ("checkpoint", "progress", "replay", "replaying", "settled")
_READ_AT_ONCE = 32  # from object storage, each takes 30 ms
_OF_ONE_FOLDER = (FolderRefusedError, PermissionError, IsADirectoryError, NotADirectoryError)


class TaskInstanceId(NamedTuple):
    """What names a task instance."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1


def uses_folder() -> bool:
    """Return whether workers keep their state in a folder. :raises ConfigurationError: when the setting is wrong."""
    return not task_states.has_state_store() or chosen_folder() is not None


def store_of(task: TaskInstanceId, session: Any) -> StateStore:
    """Return the state store of a task instance.

    :raises ConfigurationError: when a setting is wrong.
    :raises FolderRefusedError: when a link leads out of the folder.
    """
    if not uses_folder():
        return task_states.AirflowsStore(session, *task)
    folder = state_folder(*task)
    check_links(folder, state_base(), "folder of the state")
    return open_state(folder)


def progress_of(session: Any, dag_id: str, places: Sequence[Place]) -> Iterator[tuple[Place, Any]]:
    """Yield how far task instances of one DAG are; see :func:`progress_of_tasks`."""
    for task, progress in progress_of_tasks(session, [TaskInstanceId(dag_id, *place) for place in places]):
        yield task[1:], progress


def progress_of_tasks(session: Any, tasks: Sequence[TaskInstanceId]) -> Iterator[tuple[TaskInstanceId, Any]]:
    """Yield how far task instances are; None, or nothing, of those that cannot be read: their own tab says why.

    Where the storage itself cannot be reached, no more of them are asked for: each would wait for as long.
    """
    try:
        in_folder = uses_folder()
    except ConfigurationError:
        return
    if not in_folder:
        for task, value in task_states.iter_values(session, tasks, "progress"):
            yield TaskInstanceId(*task), value
        return

    def read(task: TaskInstanceId) -> Any:
        with suppress(*_OF_ONE_FOLDER):
            return store_of(task, session).get("progress")
        return None

    with suppress(Exception):  # whatever the storage raises
        yield from zip(tasks, read_ahead(read, tasks, min(_READ_AT_ONCE, len(tasks))), strict=True)
