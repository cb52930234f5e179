"""The one bridge between the engine and Airflow: state store, XCom, kill, deadline."""

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_async_rest.compat.names import (
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow_async_rest.compat.task_context import (
    can_be_rescheduled,
    current_context,
    is_first_start,
    watching_supervisor,
)
from airflow_async_rest.connections.secrets import without_known_secrets
from airflow_async_rest.core.account.checkpoint import Try
from airflow_async_rest.core.errors import (
    AbandonedError,
    DeadlineError,
    KilledError,
    OrphanedError,
    QuotaWaitError,
)
from airflow_async_rest.core.job import Job
from airflow_async_rest.core.letters.folder import Record
from airflow_async_rest.core.phases.garbage import collecting_new_garbage_only
from airflow_async_rest.core.phases.preview import Preview, lines_of
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.run import JobRun
from airflow_async_rest.core.watching.log import sentence_of
from airflow_async_rest.core.watching.progress import report_of
from airflow_async_rest.tasks.arguments import Previewing
from airflow_async_rest.tasks.errors import airflow_errors, explained, push_report
from airflow_async_rest.tasks.lineage import describe_outlets
from airflow_async_rest.tasks.run_life import UNMARKED, Life, begin_state, leave_error, nothing_done
from airflow_async_rest.tasks.storage.folders import TaskScope, shows_payloads
from airflow_async_rest.tasks.storage.state_stores import sitting_store
from airflow_async_rest.tasks.telemetry import observed

if TYPE_CHECKING:
    from airflow.sdk import Context

Publish = Callable[[dict[str, Any], list[Record], BaseException | None], None]  # see Job
# From the stop to the last write it takes up to 4 s.
_DEADLINE_MARGIN_SECONDS = 5.0
_PREVIEWED = (
    "a preview: the log and XCom 'preview' have the requests; without preview, in the run's conf too, they are sent"
)


def this_try(context: "Context") -> Try:
    """Return what distinguishes this try from others.

    A Clear sets ``max_tries`` to the number of the last try plus the task's ``retries``. Where these were changed in
    between, that may be what it was before.
    """
    ti = context["ti"]
    return Try(ti.try_number, (ti.max_tries, ti.task.retries or 0))


@dataclass(eq=False)
class TaskRun:
    """A task that runs a job, or a run of one outside of any task; made when the task's ``execute`` begins.

    :param context: Airflow's, for the state store and XCom; None outside a task.
    :param call: which call of ``deliver`` or ``fetch`` in its task it is: its failed items have a key of their own.
    :param stop: pulled by ``on_kill``.
    :param preview: what is shown of the job instead of running it.
    :ivar report: of what was done, once the job has ended, however it did.
    """

    context: "Context | None"
    call: int = 1
    stop: StopSwitch = field(default_factory=StopSwitch)
    preview: Previewing | None = None
    report: Mapping[str, Any] = field(default_factory=dict, init=False)
    _started: float = field(default_factory=time.monotonic, init=False)

    @property
    def life(self) -> Life | None:
        """The life of the run; None: as the state store knows it, where a first try leaves a mark, and no preview."""
        return UNMARKED if self.preview else None

    def run(self, job: Job) -> dict[str, Any]:
        """Run a job on a new event loop, and return its report; a coroutine waits as for any call that blocks.

        It ends by itself a few seconds before the task's ``execution_timeout``.

        :raises AirflowException: of the kind that Airflow should act on; see :func:`airflow_errors`.
        :raises AirflowSkipException: after a preview.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._run(job)
        with ThreadPoolExecutor(1, "async-rest-job") as thread:  # a thread has one loop at most
            running = thread.submit(copy_context().run, self._run, job)
            try:
                return running.result()
            except BaseException:
                self.stop.pull(KilledError("interrupted"))
                raise

    def _show(self, job: Job, asked: Previewing) -> NoReturn:
        """Show what the job would send, and end the task."""
        with explained(self.context, job.log, job.settings.redact, is_preview=True), self._ending_in_time():
            preview = Preview.of(job, asked.requests, payloads=shows_payloads(), stop=self.stop)
            if asked.sends:
                asyncio.run(preview.send_first())
        for line in lines_of(preview):
            job.log.info("%s", line)
        if self.context is not None and (ti := self.context["ti"]).task.do_xcom_push:
            ti.xcom_push(key="preview", value=preview.to_json())
            push_report(ti, preview.report())
        raise AirflowSkipException(_PREVIEWED)

    def _run(self, job: Job) -> dict[str, Any]:
        if self.preview is not None:
            self._show(job, self.preview)
        if self.context is None or not can_be_rescheduled():
            job = replace(job, max_quota_wait=timedelta(0))
        return self._deliver(job)

    @contextlib.contextmanager
    def _telling_unbegun(self, job: Job) -> Iterator[None]:
        """Leave why a try has ended that has come to no report."""
        try:
            yield
        except QuotaWaitError:
            raise
        except (Exception, AirflowTaskTimeout) as error:
            is_abandoned = isinstance(error, AbandonedError) or isinstance(self.stop.error, AbandonedError)
            if self.context is not None and not (self.report or is_abandoned):
                sentence = sentence_of(error, lambda text: without_known_secrets(job.settings.redact(text)))
                self._tell_unbegun(self.context, job, sentence)
            raise

    def _tell_unbegun(self, context: "Context", job: Job, sentence: str) -> None:
        """Leave why a try has ended that could not begin, beside what those before it have done."""
        bounds = job.bounds
        figures = leave_error(context, sentence, bounds.after_stop_seconds if self.stop.error else bounds.load_seconds)
        if figures is None and is_first_start(context):  # whatever the state store says
            figures = nothing_done() | {"error": sentence}
        ti = context["ti"]
        if figures is not None and job.resuming.publishes_unbegun and ti.task.do_xcom_push:
            push_report(ti, {**job.about, **report_of(figures)})

    def _deliver(self, job: Job) -> dict[str, Any]:
        observing: contextlib.AbstractContextManager[Job] = contextlib.nullcontext(job)
        if self.context is not None:
            publish = functools.partial(self._publish, self.context, job.publish)
            job = replace(job, this_try=this_try(self.context), publish=publish, sample_payloads=shows_payloads())
            if not is_first_start(self.context):
                job = replace(job, bounds=replace(job.bounds, load_seconds=job.bounds.patient_load_seconds))
            observing = observed(job, self.context)
        with (
            observing as observed_job,  # outside: a span keeps the text of an error
            airflow_errors(job.settings.redact),
            self._telling_unbegun(job),
            collecting_new_garbage_only(),
            asyncio.Runner(loop_factory=_loop_factory()) as runner,
        ):
            return runner.run(self._until_deadline(observed_job))

    async def _until_deadline(self, job: Job) -> dict[str, Any]:
        store = sitting_store(self.context) if self.context else None
        with self._ending_in_time(), watching_supervisor(self._orphaned):
            return await JobRun(job, self.stop, store).run()

    def _orphaned(self) -> None:
        self.stop.pull(OrphanedError("Airflow's process that supervises this task is gone: a retry goes on"))

    @contextlib.contextmanager
    def _ending_in_time(self) -> Iterator[None]:
        """Pull the stop while the task still has time for its last writes."""
        timeout = self.context["ti"].task.execution_timeout if self.context else None
        if timeout is None:
            yield
            return
        total = timeout.total_seconds()
        left = total - min(_DEADLINE_MARGIN_SECONDS, total / 2) - (time.monotonic() - self._started)
        error = DeadlineError(f"execution_timeout is {total:g} s, and the last writes need part of it")
        timer = threading.Timer(max(0.0, left), self.stop.pull, (error,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _publish(
        self,
        context: "Context",
        first: Publish | None,
        report: dict[str, Any],
        sample: list[Record],
        error: BaseException | None,
    ) -> None:
        """Publish the report. :param first: is called before Airflow, whose calls may take long, or fail."""
        if first is not None:
            first(report, sample, error)
        self.report = report
        ti = context["ti"]
        if ti.task.do_xcom_push:
            ti.xcom_push(key="failed_items" if self.call == 1 else f"failed_items_{self.call}", value=sample)
            if error is not None:  # else Airflow pushes what execute() returns
                push_report(ti, report)
        if error is None:
            describe_outlets(context, report)


def begin_try(context: "Context", preview: Any, preview_send: Any) -> Previewing | None:
    """Begin the state of a try, and find out whether it is a preview, which leaves none.

    :raises ConfigurationError: when an argument of it, or the run's conf, is wrong.
    """
    asked: Previewing | None = None
    try:
        asked = Previewing.of(context, preview, preview_send)
    finally:
        begin_state(context, is_preview=asked is not None)
    return asked


def begin_call(preview: Any = None, preview_send: Any = None) -> tuple[TaskRun, TaskScope]:
    """Begin a call, and find out which of its task's it is.

    :param preview: and ``preview_send``: see :class:`~airflow_async_rest.tasks.arguments.Previewing`.
    """
    context = current_context()
    if context is None:
        asked = Previewing.of(None, preview, preview_send)
        return TaskRun(None, preview=asked), TaskScope(run_id=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}")
    asked, stop = begin_try(context, preview, preview_send), StopSwitch()
    call = _stop_when_killed(context["ti"].task, stop)
    run = TaskRun(context, call, stop, asked)
    return run, TaskScope.of(context, run.life, call)


class _OnKill:
    """What the ``on_kill`` of a task becomes: it stops the task's calls, and then does what it did.

    A @task has none of its own, and without one SIGKILL would come before the dead letters are written.
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


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  (not on every platform)
    except ImportError:
        return None
    return uvloop.new_event_loop
