"""What a task can ask Airflow about itself, who runs it, and about the tasks before it."""

import os
import re
import select
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_async_rest.compat.names import AirflowException, get_current_context

if TYPE_CHECKING:
    from airflow.sdk import Context


_RUNNER = "airflow.sdk.execution_time.task_runner"  # 3
# Where ``dag.test()`` and ``airflow tasks test`` have theirs: it is in the same process, and starts nothing again.
_IN_PROCESS = "airflow.sdk.execution_time.supervisor"
# Of the task SDK: with Airflow 3.1 it starts an ordinary operator at the time that it asks for; before, at once.
_HEEDS_DATES = (1, 1)
# All of it within 2 s of the loss: then the scheduler may have begun the next try.
_LOOK_SECONDS, _LAST_SECONDS = 0.25, 1.25


def current_context() -> "Context | None":
    """Return the context of the task that runs; None outside a task."""
    try:
        return get_current_context()
    except (RuntimeError, AirflowException):  # as 3 says it, and 2
        return None


def is_supervised() -> bool:
    """Return whether a process of Airflow's has started this one, which runs a task and nothing else.

    In 2 that is not known, and counts as no.
    """
    return _connection() is not None


def _connection() -> Any:
    """Return what this process asks its supervisor by; None where it has none, or is its own."""
    supervisor: Any = getattr(sys.modules.get(_RUNNER), "SUPERVISOR_COMMS", None)
    return None if type(supervisor).__module__ == _IN_PROCESS else supervisor


@cache
def _parent() -> int:
    """Return which process has made this one, as it was when it was first asked."""
    return os.getppid()


def _note_parent() -> None:
    _parent.cache_clear()
    _parent()


# At once, and in each copy of this process: once the author's own code has run, the parent may be another.
_note_parent()
os.register_at_fork(after_in_child=_note_parent)


def _is_orphan(connection: Any) -> bool:
    """Return whether the supervisor is gone: as this one's parent, or from the other end of its connection.

    Neither says it always: who loads this package late may be an orphan by then, and ``sudo`` may be the parent.
    """
    if os.getppid() != _parent():
        return True
    stream = getattr(connection, "socket", None)  # 3.0 has none
    if stream is None or stream.fileno() < 0:
        return False
    ends = select.poll()
    ends.register(stream, 0)  # that it is closed is told in any case
    return bool(ends.poll(0))


@contextmanager
def watching_supervisor(on_loss: Callable[[], None]) -> Iterator[None]:
    """Watch, while the block runs, whether Airflow's process that supervises this one is still there.

    A task has a process group of its own, and lives on when its supervisor, or its worker, is killed. Where there is no
    supervisor nothing is watched: what somebody runs by hand may outlive who started it.

    :param on_loss: called in a thread of its own, and before the block where it is gone already; so it may be called
        twice. Where the block does not end soon after, the process does.
    """
    connection = _connection()
    if connection is None:
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        while not _is_orphan(connection):
            if ended.wait(_LOOK_SECONDS):
                return
        on_loss()
        if not ended.wait(_LAST_SECONDS):
            os._exit(1)

    if _is_orphan(connection):
        on_loss()
    threading.Thread(target=watch, name="async-rest-supervisor", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def can_be_rescheduled() -> bool:
    """Return whether a task that asks to be started again at a certain time is, and not before."""
    if not is_supervised():
        return False
    from airflow.sdk import __version__  # noqa: PLC0415

    return tuple(map(int, re.findall(r"\d+", __version__)[:2])) >= _HEEDS_DATES  # "1.3.2", "1.4.0rc1"


def is_first_start(context: "Context") -> bool:
    """Return whether nothing of this task instance has run before: neither a try, nor this one before a wait."""
    return context["ti"].try_number <= 1 and not context.get("task_reschedule_count")  # there is none in 2


def _is_of_3(ti: Any) -> bool:
    return hasattr(ti, "get_task_states")


def row_of_run(dag_run: Any) -> str | None:
    """Return which row of Airflow's database a run is, which is another when a run is made again; None in 3.

    2 needs it, where ``airflow dags backfill`` gives a run that is there another ``start_date``. SQLite alone may give
    the number of a row that was deleted to the next.
    """
    row = getattr(dag_run, "id", None)
    return None if row is None else f"dag_run.id={row}"


def states_of(ti: Any, task_id: str) -> Mapping[str, str | None]:
    """Return the states of a task's instances in this run, by the names that 3 has for them: ``post``, ``post_3``.

    :param ti: the task instance that asks.
    """
    if _is_of_3(ti):
        states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[task_id], run_ids=[ti.run_id])
        of_run: Mapping[str, str | None] = states.get(ti.run_id, {})
        return of_run
    instances = [one for one in ti.get_dagrun().get_task_instances() if one.task_id == task_id]
    return {f"{task_id}_{one.map_index}" if one.map_index >= 0 else task_id: one.state for one in instances}


def relevant_map_indexes(ti: Any, upstream: Any) -> Sequence[int] | None:
    """Return which instances of a task are before this one: both may be in one mapped task group. None: all are.

    :param ti: the task instance that asks.
    """
    # 2's own answer takes a session of the database; before 3.2, it is None; and no documentation names it.
    ask = getattr(ti, "get_relevant_upstream_map_indexes", None) if _is_of_3(ti) else None
    relevant = None if ask is None else ask(upstream=upstream, ti_count=None, session=None)
    if relevant is None:
        relevant = _own_index(ti, upstream)
    return [relevant] if isinstance(relevant, int) else relevant


def _own_index(ti: Any, upstream: Any) -> int | None:
    group = upstream.get_closest_mapped_task_group()
    is_shared = group is not None and group is ti.task.get_closest_mapped_task_group()
    return ti.map_index if is_shared else None


def pull_results(ti: Any, task_id: str, indexes: Sequence[int], *, are_all: bool) -> Sequence[Any]:
    """Pull what instances of a task have returned, with as few calls as that takes; None where there is nothing.

    :param ti: the task instance that asks.
    :param indexes: their map indexes; in their order the results come.
    :param are_all: whether the task has no other instances.
    """
    if not indexes:
        return []
    if not _is_of_3(ti):  # 2 leaves out what is not there; its answers come from the database itself
        return [ti.xcom_pull(task_ids=task_id, map_indexes=index) for index in indexes]
    if are_all and len(values := ti.xcom_pull(task_ids=[task_id])) == len(indexes):
        return values  # type: ignore[no-any-return]
    return ti.xcom_pull(task_ids=[task_id], map_indexes=indexes)  # type: ignore[no-any-return]


def what_is_mapped(task: Any) -> Sequence[Any]:
    """Return the task itself, if it is mapped, else the mapped task groups that it is in.

    Each of them knows the tasks of whose lists it is made.
    """
    # What says so by name, is_mapped, is 3's.
    return [task] if hasattr(task, "iter_mapped_dependencies") else list(task.iter_mapped_task_groups())


def read_by_any_thread(items: Any) -> Any:
    """Return items that another thread may read: what a mapped task has returned, 2 reads by this thread's session."""
    lazy = getattr(sys.modules.get("airflow.utils.db"), "LazySelectSequence", ())
    return list(items) if isinstance(items, lazy) else items
