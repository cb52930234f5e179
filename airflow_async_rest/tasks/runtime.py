"""The one bridge between the engine and Airflow: state store, XCom, kill, deadline, errors."""

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout

from airflow_async_rest.connections.secrets import without_known_secrets
from airflow_async_rest.core.account.checkpoint import Try
from airflow_async_rest.core.bounds import USUAL
from airflow_async_rest.core.errors import (
    AsyncRestError,
    ConfigurationError,
    DeadlineError,
    FailuresError,
    StoppedError,
)
from airflow_async_rest.core.job import Job
from airflow_async_rest.core.keeping.checkpoints import StateStore
from airflow_async_rest.core.letters.filter import LetterFilter
from airflow_async_rest.core.letters.folder import Record
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.run import JobRun
from airflow_async_rest.core.worker_thread import WorkerThread
from airflow_async_rest.tasks.folders import shows_payloads
from airflow_async_rest.tasks.lineage import describe_outlets
from airflow_async_rest.tasks.telemetry import observed

if TYPE_CHECKING:
    from airflow.sdk import Context

Publish = Callable[[dict[str, Any], list[Record], BaseException | None], None]  # see Job
# From the stop to the last write it takes up to 4 s.
_DEADLINE_MARGIN_SECONDS = 5.0
# A few chunks of rows; Python's own default is 700.
_NEW_OBJECTS_BEFORE_A_COLLECTION = 50_000
# Of a state store, for what can be done without.
_SECONDS_FOR_A_CALL = 10.0
# And for what cannot be done without.
PATIENT_LOAD_SECONDS = USUAL.patient_load_seconds


def replay_request(context: "Context") -> LetterFilter | None:
    """Find out whether this try is for dead letters that a person chose in the UI to be sent again, and which.

    The state store's ``replay`` has the request until a try takes it up. Then it is in ``replaying``, for the tries of
    the same Clear, which ``max_tries`` tells from the next: a second press of the button does not take it away.

    :raises ConfigurationError: when it is not understood.
    :raises StoppedError: when the state store fails after a Clear: all but what was chosen might be sent.
    """
    store, ti = context.get("task_state_store"), context["ti"]
    if store is None or ti.try_number == 1:  # nothing has failed yet
        return None
    was_cleared = ti.max_tries > (ti.task.retries or 0)
    thread = WorkerThread("async-rest-replay")
    try:
        return thread.wait_for(
            lambda: _take_up_request(store, ti.max_tries),
            PATIENT_LOAD_SECONDS if was_cleared else _SECONDS_FOR_A_CALL,
        )
    except (ConfigurationError, StoppedError):
        raise
    except Exception as error:
        if was_cleared:
            raise StoppedError(f"the state store, which has requests to replay, fails: {error}") from error
        return None  # nobody can have asked for it; a state store that fails costs resumability, not the delivery
    finally:
        thread.close()


def _take_up_request(store: StateStore, max_tries: int) -> LetterFilter | None:
    asked = store.get("replay")
    request = store.get("replaying") if asked is None else asked
    if request is None:
        return None
    if asked is None and request.get("accepted") != max_tries:
        store.delete("replaying")
        return None
    chosen = LetterFilter.from_json(request, payloads=shows_payloads())
    if asked is not None:
        try:
            store.set("replaying", {**asked, "accepted": max_tries})
            store.delete("replay")
        except Exception as error:  # known to be asked for, whatever max_tries says: the retries may have been changed
            raise StoppedError(f"the state store, which has requests to replay, fails: {error}") from error
    return chosen


def forget_checkpoint(context: "Context") -> None:
    """Remove the checkpoint of a task that has succeeded: a Clear then starts over.

    :raises TimeoutError: when the state store takes too long.
    """
    store = context.get("task_state_store")
    if store is not None:
        thread = WorkerThread("async-rest-forget")
        thread.wait_for(lambda: store.delete("checkpoint"), PATIENT_LOAD_SECONDS)
        thread.close()


def this_try(context: "Context") -> Try:
    """Return what tells this try from others.

    A Clear sets ``max_tries`` to the number of the last try plus the task's ``retries``. Where these were changed in
    between, that may be what it was before.
    """
    ti = context["ti"]
    return Try(ti.try_number, (ti.max_tries, ti.task.retries or 0))


def run_job(
    job: Job,
    context: "Context | None",
    *,
    stop: StopSwitch | None = None,
    execution_timeout: timedelta | None = None,
    started: float | None = None,
    failed_items_key: str = "failed_items",
) -> dict[str, Any]:
    """Run a job on a new event loop, and return the report.

    :param context: Airflow's, for the state store and XCom; None outside a task.
    :param stop: pulled by ``on_kill``.
    :param execution_timeout: of the task; the job ends by itself a few seconds earlier.
    :param failed_items_key: under which the sample of failed items is pushed to XCom.
    :param started: ``time.monotonic()`` when the task's ``execute`` began.
    :raises AirflowException: of the kind that Airflow should act on; see :func:`airflow_errors`.
    """
    stop = stop or StopSwitch()
    store: StateStore | None = context.get("task_state_store") if context else None
    if context is not None:
        publish = _publisher(context, failed_items_key, job.publish)
        job = replace(job, this_try=this_try(context), publish=publish, sample_payloads=shows_payloads())

    async def run(job: Job) -> dict[str, Any]:
        if execution_timeout is not None:
            total = execution_timeout.total_seconds()
            spent = time.monotonic() - (started or time.monotonic())
            left = total - min(_DEADLINE_MARGIN_SECONDS, total / 2) - spent
            error = DeadlineError(f"execution_timeout is {total:g} s, and the last writes need part of it")
            asyncio.get_running_loop().call_later(max(0.0, left), stop.pull, error)
        return await JobRun(job, stop, store).run()

    observing = observed(job, context) if context is not None else contextlib.nullcontext(job)
    with (
        observing as observed_job,  # outside: a span keeps the text of an error
        airflow_errors(job.settings.redact),
        _collecting_new_garbage_only(),
        asyncio.Runner(loop_factory=_loop_factory()) as runner,
    ):
        return runner.run(run(observed_job))


@contextlib.contextmanager
def _collecting_new_garbage_only() -> Iterator[None]:
    """Let the garbage collector pass over what is there already, and come less often.

    Airflow has some hundred thousand objects, and rows are made so fast that it would look through all of them again
    and again: half the time of a bulk delivery. Rows need no collection; they go when the last one lets them go.
    """
    with _collector.lock:
        if not _collector.jobs:
            _collector.thresholds = gc.get_threshold()
            gc.freeze()
            gc.set_threshold(_NEW_OBJECTS_BEFORE_A_COLLECTION, *_collector.thresholds[1:])
        _collector.jobs += 1
    try:
        yield
    finally:
        with _collector.lock:
            _collector.jobs -= 1
            if not _collector.jobs:
                gc.set_threshold(*_collector.thresholds)
                gc.unfreeze()


@dataclass
class _Collector:
    """The garbage collector is the process's: the first of several jobs at once sets it, the last one puts it back."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    jobs: int = 0
    thresholds: tuple[int, int, int] = (0, 0, 0)


_collector = _Collector()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  (not on every platform)
    except ImportError:
        return None
    return uvloop.new_event_loop


def _publisher(context: "Context", failed_items_key: str, first: Publish | None) -> Publish:
    """Make what publishes a task's report. :param first: is told before Airflow is, which may take long, or fail."""
    ti = context["ti"]
    task: Any = ti.task

    def publish(report: dict[str, Any], sample: list[Record], error: BaseException | None) -> None:
        if first is not None:
            first(report, sample, error)
        task.async_rest_report = report  # for the lineage, of failures too
        if task.do_xcom_push:
            ti.xcom_push(key=failed_items_key, value=sample)
            if error is not None:  # else Airflow pushes what execute() returns
                push_report(ti, report)
        if error is None:
            describe_outlets(context, report)

    return publish


def push_report(ti: Any, report: dict[str, Any]) -> None:
    """Push the report of a task that fails, as Airflow pushes what a task returns that succeeds."""
    for key, value in report.items() if ti.task.multiple_outputs else ():
        ti.xcom_push(key=key, value=value)
    ti.xcom_push(key="return_value", value=report)


@contextlib.contextmanager
def airflow_errors(redact: Callable[[str], str] = str) -> Iterator[None]:
    """Turn the package's errors into those by which Airflow decides: retry the task, or not.

    Others pass as they are, but for one whose text has a secret, as a driver's that quotes a connection's URI.

    :param redact: takes secrets out of their texts, besides those that Airflow knows: a database quotes its SQL.
    """
    try:
        yield
    except AsyncRestError as error:
        raise _kind_for_airflow(error)(_shown(error, redact)) from None  # the text says it all
    except AirflowException:
        raise
    except Exception as error:
        if (shown := _shown(error, redact)) == str(error):
            raise
        raise AirflowException(f"{type(error).__name__}: {shown}") from None


def _shown(error: Exception, redact: Callable[[str], str]) -> str:
    return without_known_secrets(redact(str(error)))


def _kind_for_airflow(error: AsyncRestError) -> type[BaseException]:
    if isinstance(error, DeadlineError):
        return AirflowTaskTimeout
    for_good = isinstance(error, ConfigurationError) or (isinstance(error, FailuresError) and error.permanent)
    return AirflowFailException if for_good else AirflowException
