"""What operators and ``deliver`` are told, made into jobs of the engine."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from airflow_async_rest.connections.connection import RestConnection
from airflow_async_rest.connections.secrets import secrets_in_target, settings_of_job
from airflow_async_rest.core.account.checkpoint import fingerprint
from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.batches.form import BatchForm, ItemBatch
from airflow_async_rest.core.batches.source import BatchSource
from airflow_async_rest.core.encoding.json_encoder import json_encoder
from airflow_async_rest.core.errors import ConfigurationError, KilledError, StoppedError
from airflow_async_rest.core.job import Job
from airflow_async_rest.core.keeping.resuming import CONTINUING, REPLAYING
from airflow_async_rest.core.letters.filter import LetterFilter
from airflow_async_rest.core.letters.origins import Origins
from airflow_async_rest.core.limits.rate_limit import parse_rate_limit
from airflow_async_rest.core.models import Item
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.reading.given_items import GivenItems
from airflow_async_rest.core.reading.source import Chunks, Expected, RepeatedKeys, RowSource, Source
from airflow_async_rest.core.replay import Replay
from airflow_async_rest.core.requests.bodies import is_json_type, without_texts
from airflow_async_rest.core.requests.deliver import (
    EndpointTemplate,
    Identity,
    RequestBuilder,
    check_method,
    key_columns,
)
from airflow_async_rest.core.requests.headers import check_content_encoding, find_header, text_headers
from airflow_async_rest.core.requests.settings import ClientSettings, parse_concurrency, parse_max_failures
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.verdict import ResponseCheck
from airflow_async_rest.core.watching.log import Log
from airflow_async_rest.tasks.folders import TaskScope, open_dead_letters, open_folder
from airflow_async_rest.tasks.runtime import airflow_errors, run_job
from airflow_async_rest.windows import Window

if TYPE_CHECKING:
    from airflow.sdk import Context

_DEFAULT_CONCURRENCY = 16


@dataclass(frozen=True, kw_only=True)
class Requesting:
    """How requests are made: the arguments that all operators share; see ``SqlToRestOperator``."""

    headers: Mapping[str, str] | None = None
    concurrency: int | str | None = None
    rate_limit: str | None = None
    response_check: ResponseCheck | None = None
    request_retry: RequestRetry = field(default_factory=RequestRetry)
    max_failures: int | str = 0
    dead_letter_path: str | None = None
    body_format: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sending(Requesting):
    """How items are sent: the arguments that operators and ``deliver`` share; see ``SqlToRestOperator``."""

    endpoint: str
    method: str = "POST"
    transform: Callable[[dict[str, Any]], Any] | None = None
    key: str | Iterable[str] | None = None
    batch: Batch | None = None


def row_job(
    hook: RestConnection,
    sending: Sending,
    scope: TaskScope,
    chunks: Chunks,
    log: Log,
    *,
    window: Window | None = None,
    source_parts: tuple[Any, ...] | None = None,
    sub_folder: str = "",
    replay: LetterFilter | None = None,
    expected: Callable[[], Expected | None] = lambda: None,
) -> Job:
    """Make the job that delivers rows.

    :param window: of the run; without one the run itself stands for it.
    :param source_parts: what the rows depend on (SQL, binds); None when the job cannot resume.
    :param sub_folder: of the task instance's dead-letter folder.
    :param replay: send only these of the window's dead letters, as they were, and no rows; None: the rows.
    :param expected: see :class:`~airflow_async_rest.core.job.Job`.
    :raises ConfigurationError: when an argument or the connection is wrong; names it.
    :raises StoppedError: when the state store fails in a replay.
    """
    endpoint, method, key = EndpointTemplate(sending.endpoint), check_method(sending.method), key_columns(sending.key)
    if sending.transform is not None and not callable(sending.transform):
        raise ConfigurationError(f"transform={sending.transform!r}: write a function.")
    _check_batch(sending, endpoint, method)
    if sending.body_format == "text" and sending.transform is None:
        raise ConfigurationError("body_format='text' needs a transform that returns the text: a row is not one.")
    about = window.texts() if window else {"window_start": None, "window_end": None}
    span = tuple(window.texts().values()) if window else (scope.run_id,)
    settings = client_settings(hook, sending, source_parts)
    encode, hidden = json_encoder(hook.naive_timezone()), secrets_in_target(settings, endpoint.literals)
    transform = sending.transform
    if transform and sending.batch and not callable(sending.batch.format) and sending.body_format is None:
        transform = without_texts(transform)
    builder = RequestBuilder(
        endpoint=endpoint,
        method=method,
        encode=encode,
        identity=Identity((scope.dag_id, scope.task_id), span, scope.map_index),
        has_key=bool(key),
        sends_body=True if sending.transform or sending.body_format else None,
        body_format=sending.body_format,
        headers=all_headers(settings, sending),
    )
    repeated = RepeatedKeys() if key and replay is None else None
    rows = RowSource(
        chunks,
        key=key,
        asked_for={"endpoint": endpoint.columns},
        transform=transform,
        redact=settings.redact,
        repeated=repeated,
    )
    source: Source[Item | ItemBatch] = rows
    if sending.batch is not None:
        form = BatchForm(
            sending.batch,
            encode=encode,
            retry=sending.request_retry,
            key=key,
            request=builder.build_batch,
            redact=settings.redact,
        )
        source = BatchSource(rows, form)
    if not scope.life.is_known and scope.try_number > 1:
        if replay is not None:
            raise StoppedError("the task state store does not answer, and only it knows where the dead letters are")
        # Parts in the folder may have the numbers of those that a checkpoint counts, and be of another life of the run.
        log.warning(
            "The task state store does not say where an earlier try has left its dead letters: everything is sent."
        )
        source_parts = None
    uri = scope.folder_uri(sending.dead_letter_path) + (f"/{sub_folder}" if sub_folder else "")
    folder, build = open_folder(uri, scope.try_number), builder.build
    if replay is not None:
        # As the dead letters name them, but for functions, which are in none.
        batch = sending.batch
        if batch is not None and not (callable(batch.format) or callable(batch.results)):
            batch = None
        how = (replay.can_replay, json_encoder(), sending.request_retry, batch)
        source = again = Replay(Origins([folder]), *how, unreadable_too=True, hidden=hidden)
        build = again.build
    return make_job(
        hook,
        sending,
        settings,
        log=log,
        build=build,
        hidden=hidden,
        source=source,
        resuming=CONTINUING if replay is None else REPLAYING,
        expected=expected,
        has_key=bool(key),
        repeated=repeated,
        target=f"Delivering to {f'{method} {sending.endpoint}'.strip()}{_batches_of(sending.batch)} at",
        about=about,
        folder=folder,
        folder_uri=uri,
        fingerprint=fingerprint(*source_parts, span, method, sending.endpoint, key) if source_parts else None,
    )


def replay_job(
    hook: RestConnection, sending: Sending, uris: list[str], reasons: Collection[str] | None, log: Log
) -> Job:
    """Make the job that sends dead letters again.

    :param uris: their folders.
    :param reasons: only those that failed for one of these; default: all.
    :raises ConfigurationError: when an argument or the connection is wrong; names it.
    """
    _check_batch(sending)
    only = LetterFilter(reasons)
    origins = Origins(open_dead_letters(*uris))
    replay = Replay(
        origins,
        only.matches,
        json_encoder(),
        sending.request_retry,
        sending.batch,
        unreadable_too=only.unreadable_too,
        content_type=find_header("Content-Type", text_headers(sending.headers)),
    )
    return make_job(
        hook,
        sending,
        client_settings(hook, sending),
        log=log,
        build=replay.build,
        source=replay,
        target=f"Replaying {len(uris)} folder{'' if len(uris) == 1 else 's'} of dead letters to",
        about={},
        folder=origins,
        folder_uri=uris[0] if len(uris) == 1 else uris,
    )


def all_headers(settings: ClientSettings, sending: Requesting) -> dict[str, str]:
    """Return the connection's headers, and over them the job's."""
    return {**settings.headers, **text_headers(sending.headers)}


def client_settings(hook: RestConnection, sending: Requesting, source: Any = ()) -> ClientSettings:
    """Return the settings of a connection, which also know what is secret in the arguments.

    :param source: what the rows depend on.
    """
    target = {name: getattr(sending, name, None) for name in ("endpoint", "query", "body")}
    return settings_of_job(hook.settings(), text_headers(sending.headers), **target, source=source)


def make_job(
    hook: RestConnection, sending: Requesting, settings: ClientSettings, *, target: str, **of_its_own: Any
) -> Job:
    """Make a job with what every direction shares: the connection, the limits, the retries.

    :raises ConfigurationError: when an argument or the connection is wrong; names it.
    """
    if sending.response_check is not None and not callable(sending.response_check):
        raise ConfigurationError(f"response_check={sending.response_check!r}: write a function.")
    options = hook.options()
    if not isinstance(sending.request_retry, RequestRetry):
        raise ConfigurationError(
            f"request_retry={sending.request_retry!r}: write RequestRetry(max_attempts=...), "
            "which is imported from airflow_async_rest."
        )
    headers = text_headers(sending.headers)
    batch = sending.batch if isinstance(sending, Sending) else None
    if batch is None or not callable(batch.format):  # a function may compress
        check_content_encoding(headers, "headers")
    if sending.body_format == "json":  # said outright, it comes before a header that says something else
        headers, settings = _as_json(headers), replace(settings, headers=_as_json(settings.headers))
    return Job(
        conn_id=hook.http_conn_id,
        settings=settings,
        headers=headers,
        retry=sending.request_retry,
        response_check=sending.response_check,
        rate_limit=parse_rate_limit(_first(sending.rate_limit, options.get("rate_limit"))),
        concurrency=parse_concurrency(_first(sending.concurrency, options.get("concurrency"), _DEFAULT_CONCURRENCY)),
        max_failures=parse_max_failures(sending.max_failures),
        target=settings.redact(f"{target} {settings.place}"),
        **of_its_own,
    )


def _as_json(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "content-type" or is_json_type(value)}


def _check_batch(sending: Sending, endpoint: EndpointTemplate | None = None, method: str = "POST") -> None:
    batch = sending.batch
    if batch is None:
        return
    if not isinstance(batch, Batch):
        raise ConfigurationError(
            f"batch={batch!r}: write Batch(max_items=500, ...), which is imported from airflow_async_rest."
        )
    if sending.body_format in ("form", "text"):
        raise ConfigurationError(
            f"body_format={sending.body_format!r} is for one item a request: leave it out; Batch(format=...) says how "
            "many are written into one."
        )
    if endpoint is not None and endpoint.columns:
        raise ConfigurationError(
            f"endpoint={sending.endpoint!r} has the placeholder {{{endpoint.columns[0]}}}, and a batch has one path "
            "for many rows: write the path of the bulk endpoint, such as 'sensors/_bulk'."
        )
    if method == "GET":
        raise ConfigurationError("method='GET' has no body, which a batch needs: write POST or PUT.")
    if batch.reader is not None and sending.response_check is not None:
        implied = "" if batch.results else ", which format='bulk' has by itself (results='elasticsearch'),"
        raise ConfigurationError(
            f"response_check and Batch(results=...){implied} both read the answer: leave one out. A function as "
            "results may return None where the status is to decide."
        )


def _batches_of(batch: Batch | None) -> str:
    return f", up to {batch.max_items} items a request," if batch else ""


def _first(*values: Any) -> Any:
    return next((value for value in values if value not in (None, "")), None)


def deliver_items(hook: RestConnection, items: Iterable[Any], sending: Sending, log: Log) -> dict[str, Any]:
    """Deliver given items; see :meth:`AsyncRestHook.deliver`."""
    call = PlainCall()
    with airflow_errors():
        given = GivenItems(items)
        job = row_job(hook, sending, call.scope, given, log, sub_folder=call.sub_folder, expected=given.expected)
    return call.run(job)


class PlainCall:
    """A use of the engine from a plain task, or from no task at all."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self.stop = StopSwitch()
        try:
            self._context: Context | None = get_current_context()
        except RuntimeError:
            self._context = None
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"
        self.scope = TaskScope.of(self._context) if self._context else TaskScope(run_id=now)
        self._number = 1
        if self._context is not None:
            task: Any = self._context["ti"].task
            # The dead letters of one call must not make those of another void.
            self._number = task.async_rest_calls = getattr(task, "async_rest_calls", 0) + 1
            _stop_when_killed(task, self.stop)

    @property
    def sub_folder(self) -> str:
        """Of the task instance's dead-letter folder."""
        return f"call-{self._number}" if self._number > 1 else ""

    def run(self, job: Job) -> dict[str, Any]:
        """Run a job, and return its report; from a coroutine too, which waits as it would for any call that blocks."""
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

    def _run(self, job: Job) -> dict[str, Any]:
        return run_job(
            job,
            self._context,
            stop=self.stop,
            execution_timeout=self._context["ti"].task.execution_timeout if self._context else None,
            started=self._started,
            failed_items_key="failed_items" if self._number == 1 else f"failed_items_{self._number}",
        )


def _stop_when_killed(task: Any, stop: StopSwitch) -> None:
    """Have a kill of a task stop what it runs, whatever it runs at once.

    A @task has no on_kill, and without one SIGKILL would find the dead letters unwritten.
    """
    if not hasattr(task, "async_rest_stops"):
        task.async_rest_stops, before = [], task.on_kill

        def on_kill() -> None:
            for each in task.async_rest_stops:
                each.pull(KilledError("the task was killed"))
            before()

        task.on_kill = on_kill
    task.async_rest_stops.append(stop)
