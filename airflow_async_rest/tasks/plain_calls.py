"""The engine in a plain task, or outside of any: what a call of ``deliver`` or ``fetch`` belongs to."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import get_current_context

from airflow_async_rest.connections.connection import RestConnection
from airflow_async_rest.core.errors import KilledError
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.reading.given_items import GivenItems
from airflow_async_rest.core.watching.log import Log
from airflow_async_rest.tasks.folders import TaskScope
from airflow_async_rest.tasks.jobs import Given, Sending, row_job
from airflow_async_rest.tasks.runtime import TaskRun, airflow_errors


def deliver_items(hook: RestConnection, items: Iterable[Any], sending: Sending, log: Log) -> dict[str, Any]:
    """Deliver given items; see :meth:`AsyncRestHook.deliver`."""
    run, scope = begin_call()
    with airflow_errors():
        job = row_job(hook, sending, scope, Given.of(GivenItems(items)), log)
    return run.run(job)


def begin_call() -> tuple[TaskRun, TaskScope]:
    """Begin a call, and find out which of its task's it is."""
    try:
        context = get_current_context()
    except RuntimeError:
        return TaskRun(None), TaskScope(run_id=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}")
    stop = StopSwitch()
    call = _stop_when_killed(context["ti"].task, stop)
    return TaskRun(context, call, stop), TaskScope.of(context, call=call)


class _OnKill:
    """What the ``on_kill`` of a task becomes: it stops the task's calls, and then does what it did.

    A @task has none of its own, and without one SIGKILL would find the dead letters unwritten.
    """

    def __init__(self, before: Callable[[], None]) -> None:
        self.stops: list[StopSwitch] = []
        self._before = before

    def __call__(self) -> None:
        for stop in self.stops:
            stop.pull(KilledError("the task was killed"))
        self._before()


def _stop_when_killed(task: Any, stop: StopSwitch) -> int:
    """Have a kill of a task stop a call, whatever it runs at once. :return: which of the task's calls it is."""
    if not isinstance(task.on_kill, _OnKill):
        task.on_kill = _OnKill(task.on_kill)
    stops = task.on_kill.stops
    stops.append(stop)
    return 1 + int(stops.index(stop))
