"""The arguments of operators and of ``deliver``, made into jobs that send."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from airflow_async_rest.compat.task_context import current_context, read_by_any_thread
from airflow_async_rest.connections.auth_types import STATIC
from airflow_async_rest.connections.connection import RestConnection
from airflow_async_rest.connections.limits.shared_limit import limiting_of, quota_headers_of
from airflow_async_rest.connections.secrets import secrets_in_target, settings_of_job
from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.batches.form import BatchForm, ItemBatch
from airflow_async_rest.core.batches.source import BatchSource
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import StoppedError
from airflow_async_rest.core.job import Job
from airflow_async_rest.core.keeping.resuming import CONTINUING, REPLAYING
from airflow_async_rest.core.letters.filter import LetterFilter
from airflow_async_rest.core.letters.origins import Origins
from airflow_async_rest.core.models import Item
from airflow_async_rest.core.reading.given_items import GivenItems
from airflow_async_rest.core.reading.payload_schema import PayloadSchema
from airflow_async_rest.core.reading.source import RepeatedKeys, RowSource, Source
from airflow_async_rest.core.replay import Replay
from airflow_async_rest.core.requests.bodies import is_json_type, without_texts
from airflow_async_rest.core.requests.builder import (
    EndpointTemplate,
    Identity,
    RequestBuilder,
    check_method,
    key_columns,
)
from airflow_async_rest.core.requests.headers import find_header, text_headers
from airflow_async_rest.core.requests.settings import ClientSettings, parse_concurrency, parse_max_failures
from airflow_async_rest.core.sending.auth import Auth
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.core.watching.log import Log
from airflow_async_rest.tasks.arguments import Given, Requesting, Sending
from airflow_async_rest.tasks.checking.schema_file import read_schema
from airflow_async_rest.tasks.errors import explained
from airflow_async_rest.tasks.runtime import begin_call
from airflow_async_rest.tasks.storage.folders import TaskScope, open_dead_letters, open_folder

_DEFAULT_CONCURRENCY = 16


def deliver_items(
    hook: RestConnection, items: Iterable[Any], arguments: Mapping[str, Any], log: Log, **preview: Any
) -> dict[str, Any]:
    """Deliver given items; see :meth:`AsyncRestHook.deliver`, and :meth:`AsyncRestHook.preview`."""
    with explained(current_context(), log):
        run, scope = begin_call(**preview)
    with explained(run.context, log, is_preview=run.preview is not None):
        schema = read_schema(arguments["schema"], run.context and run.context["task"])
        given = Given.of(GivenItems(read_by_any_thread(items)))
        job = row_job(hook, Sending.of({**arguments, "schema": schema}), scope, given, log)
    return run.run(job)


def row_job(
    hook: RestConnection,
    sending: Sending,
    scope: TaskScope,
    given: Given,
    log: Log,
    *,
    replay: LetterFilter | None = None,
) -> Job:
    """Make the job that delivers rows.

    :param replay: send only these of the window's dead letters, as they were, and no rows; None: the rows.
    :raises ConfigurationError: when an argument or the connection is wrong; names it.
    :raises StoppedError: when the state store fails in a replay.
    """
    endpoint, method, key = EndpointTemplate(sending.endpoint), check_method(sending.method), key_columns(sending.key)
    settings = client_settings(hook, sending, given.depends_on)
    encode, hidden = JsonEncoder(hook.naive_timezone()), secrets_in_target(settings, endpoint.literals)
    builder = RequestBuilder(
        endpoint=endpoint,
        method=method,
        encode=encode,
        identity=Identity((scope.dag_id, scope.task_id), given.span(scope), scope.map_index),
        has_key=bool(key),
        sends_body=True if sending.transform or sending.body_format else None,
        body_format=sending.body_format,
        headers=all_headers(settings, sending),
    )
    repeated = RepeatedKeys() if key and replay is None else None
    rows = RowSource(
        given.chunks,
        key=key,
        asked_for={"endpoint": endpoint.columns},
        transform=_transform_of(sending),
        schema=_schema_of(sending, encode),
        prepare=builder.prepare if sending.batch is None else None,
        redact=settings.redact,
        repeated=repeated,
    )
    source: Source[Item | ItemBatch] = rows
    if sending.batch is not None:
        form = BatchForm(
            sending.batch,
            encode=encode,
            retry=sending.retry,
            key=key,
            request=builder.build_batch,
            redact=settings.redact,
        )
        source = BatchSource(rows, form, by_key=sending.order_by_key)
    can_resume = _can_resume(scope, log, replays=replay is not None)
    uri = scope.folder_uri(sending.dead_letter_path)
    folder = open_folder(uri, scope.try_number)
    if replay is not None:
        source = _own_letters(Origins([folder]), replay, sending, hidden)
    job = Job(
        settings=settings,
        log=log,
        hidden=hidden,
        source=source,
        retry=sending.retry,
        resuming=CONTINUING if replay is None else REPLAYING,
        expected=given.expected,
        has_key=bool(key),
        order_by_key=sending.order_by_key or replay is not None,
        repeated=repeated,
        target=f"Delivering to {f'{method} {sending.endpoint}'.strip()}{_batches_of(sending.batch)} at",
        about=given.about,
        folder=folder,
        folder_uri=uri,
        fingerprint=given.fingerprint(scope, method, sending.endpoint, key) if can_resume else None,
    )
    return complete(job, hook, sending)


def _can_resume(scope: TaskScope, log: Log, *, replays: bool) -> bool:
    """Return whether this try may continue what earlier ones have left.

    Where the state store does not answer, parts in the folder may have the numbers of those that a checkpoint counts,
    and be of another life of the run.
    """
    if scope.life.is_known or scope.is_first:
        return True
    if replays:
        raise StoppedError("the task state store does not answer, and only it knows where the dead letters are")
    log.warning("The task state store does not say where an earlier try has left its dead letters: everything is sent.")
    return False


def _own_letters(origins: Origins, only: LetterFilter, sending: Sending, hidden: tuple[str, ...]) -> Replay:
    """Make the source of a window's own dead letters; their batches are as they name them, but for functions."""
    batch = sending.batch
    if batch is not None and not (callable(batch.format) or callable(batch.results)):
        batch = None
    how = (only.can_replay, JsonEncoder(), sending.retry, batch)
    return Replay(origins, *how, unreadable_too=True, hidden=hidden)


def replay_job(
    hook: RestConnection,
    sending: Sending,
    uris: list[str],
    reasons: Collection[str] | None,
    log: Log,
    *,
    by: Mapping[str, Any],
    mark: str,
) -> Job:
    """Make the job that sends dead letters again.

    :param uris: their folders.
    :param reasons: only those that failed for one of these; default: all.
    :param by: what names the task instance that sends them, and its try: noted beside them.
    :param mark: see :class:`~airflow_async_rest.core.letters.origins.Origins`.
    :raises ConfigurationError: when an argument or the connection is wrong; names it.
    """
    only = LetterFilter(reasons)
    origins = Origins(open_dead_letters(*uris), mark)
    replay = Replay(
        origins,
        only.matches,
        JsonEncoder(),
        sending.retry,
        sending.batch,
        unreadable_too=only.unreadable_too,
        content_type=find_header("Content-Type", text_headers(sending.headers)),
    )
    job = Job(
        settings=client_settings(hook, sending),
        log=log,
        source=replay,
        retry=sending.retry,
        target=f"Replaying {len(uris)} folder{'' if len(uris) == 1 else 's'} of dead letters to",
        about={},
        folder=origins,
        folder_uri=uris[0] if len(uris) == 1 else uris,
        order_by_key=True,  # no dead letter tells whether its task had it so
        publish=lambda *_: _note_replay(origins, by, log),
        reads_what_is_left=True,
    )
    return complete(job, hook, sending)


def _note_replay(origins: Origins, by: Mapping[str, Any], log: Log) -> None:
    """Note who has sent dead letters again; they are resolved whether this can be written or not."""
    try:
        origins.add_replay(by)
    except Exception as error:  # noqa: BLE001  (whatever the storage raises)
        log.warning("Could not note this replay beside the dead letters: %s", error)


def all_headers(settings: ClientSettings, asked: Requesting) -> dict[str, str]:
    """Return the connection's headers, and over them the job's."""
    return {**settings.headers, **text_headers(asked.headers)}


def client_settings(hook: RestConnection, asked: Requesting, source: Any = ()) -> ClientSettings:
    """Return the settings of a connection, which also know what is secret in the arguments.

    :param source: what the rows depend on.
    """
    target = {name: getattr(asked, name, None) for name in ("endpoint", "query", "body")}
    return settings_of_job(hook.settings(), text_headers(asked.headers), **target, source=source)


def complete(job: Job, hook: RestConnection, asked: Requesting) -> Job:
    """Add what is the same in every direction: the limits, of the connection or the arguments, and the headers.

    :param job: whose ``target`` still lacks the place.
    :raises ConfigurationError: when an argument or the connection is wrong; names it.
    """
    options = hook.options()
    limiting = limiting_of(hook, asked.rate_limit, longest_seconds=asked.retry.max_retry_after_seconds, log=job.log)
    headers, settings = text_headers(asked.headers), job.settings
    if asked.body_format == "json":  # said outright, it comes before a header that says something else
        headers, settings = _as_json(headers), replace(settings, headers=_as_json(settings.headers))
    return replace(
        job,
        conn_id=hook.http_conn_id,
        settings=settings,
        headers=headers,
        auth=_signer_of(hook, settings, {**settings.headers, **headers}),
        response_check=asked.response_check,
        rate_limit=limiting.rate,
        limiter=limiting.make,
        quota_headers=quota_headers_of(hook),
        concurrency=parse_concurrency(_first(asked.concurrency, options.get("concurrency"), _DEFAULT_CONCURRENCY)),
        max_failures=parse_max_failures(asked.max_failures),
        max_quota_wait=asked.max_quota_wait,
        target=settings.redact(f"{job.target} {settings.place}"),
    )


def _signer_of(hook: RestConnection, settings: ClientSettings, headers: Mapping[str, str]) -> Auth | None:
    if hook.auth_type() in STATIC:
        return None
    from airflow_async_rest.connections.signing import signer_of  # noqa: PLC0415  (most connections have no use for it)

    return signer_of(hook, settings, headers)


def _as_json(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "content-type" or is_json_type(value)}


def _transform_of(sending: Sending) -> Callable[[dict[str, Any]], Any] | None:
    """Return the transform; in a batch of JSON, one that refuses to return a text, which would be put in quotes."""
    if sending.transform and sending.batch and not callable(sending.batch.format) and sending.body_format is None:
        return without_texts(sending.transform)
    return sending.transform


def _schema_of(sending: Sending, encode: Callable[[Any], bytes]) -> PayloadSchema | None:
    if not isinstance(sending.schema, Mapping):
        return None
    return PayloadSchema(sending.schema, encode, texts_are_bodies=sending.body_format != "json")


def _batches_of(batch: Batch | None) -> str:
    return f", up to {counted(batch.max_items, 'item')} a request," if batch else ""


def _first(*values: Any) -> Any:
    return next((value for value in values if value not in (None, "")), None)
