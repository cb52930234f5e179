"""The arguments of ``RestToSqlOperator`` and ``fetch``, made into jobs that fetch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_async_rest.connections.connection import RestConnection
from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.answers.reader import AnswerReader
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import ConfigurationError, StoppedError
from airflow_async_rest.core.fetching.plan import FetchPlan
from airflow_async_rest.core.fetching.request import FetchRequestBuilder
from airflow_async_rest.core.job import Fetch, Job
from airflow_async_rest.core.keeping.row_sink import RowSink
from airflow_async_rest.core.keeping.stores import CheckpointStore
from airflow_async_rest.core.keeping.table import Table
from airflow_async_rest.core.pages import page_style, style_parts
from airflow_async_rest.core.reading.source import Chunks, RowSource
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity, check_method
from airflow_async_rest.core.watching.log import Log
from airflow_async_rest.load.loader import TableLoader, forget_load, open_destination
from airflow_async_rest.load.plan import LoadPlan
from airflow_async_rest.tasks.arguments import Asking, Given
from airflow_async_rest.tasks.jobs import all_headers, client_settings, complete
from airflow_async_rest.tasks.run_life import MARK, UNMARKED, Life
from airflow_async_rest.tasks.storage.folders import TaskScope, open_folder

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_async_rest.hooks.chunked_sql import SqlChunks


def table_job(
    hook: RestConnection, asking: Asking, scope: TaskScope, given: Given, log: Log, *, destination: tuple[str, LoadPlan]
) -> Job:
    """Make the job that fetches rows into a table.

    :param given: the items that are asked for.
    :param destination: connection id, and what of it is loaded.
    :raises ConfigurationError: when an argument or a connection is wrong; names it.
    :raises StoppedError: when the state store fails in a retry: it might go on with rows of another life of the run.
    """
    (conn_id, plan), window = destination, given.window
    if not scope.life.is_known and not scope.is_first:
        raise StoppedError(
            "the task state store does not answer, and only it knows which run the staged rows belong to"
        )
    loader = TableLoader(open_destination(conn_id), plan, _about(scope), log, scope.life.mark or None)
    known = loader.destination.names
    if not scope.life.mark and scope.try_number > 1 and MARK.fullmatch(mark := loader.find_life()):
        scope = replace(scope, life=Life(mark))
    # In its zone, which decides what date a column of dates has of them.
    bounds = {name: getattr(window, name).astimezone(window.zone) for name in ("start", "end")} if window else None
    shape = RowShape(asking.columns, known=known, window=bounds, texts=loader.destination.texts)
    loader.destination.check_bytes(shape.encoded)
    loader.choose_columns(shape.names)
    table, loads = Table(loader), (plan.full_name, plan.mode, plan.window_column, plan.conflict_key)
    job = fetch_job(
        hook,
        asking,
        scope,
        replace(given, depends_on=(*(given.depends_on or ()), *loads)),
        log,
        shape=shape,
        rows=table,
        checkpoints=table,
        where_to=f" into {plan.full_name} ({plan.mode})",
    )
    return replace(job, bounds=replace(job.bounds, chunk_rows=loader.chunk_rows))


def fetch_job(
    hook: RestConnection,
    asking: Asking,
    scope: TaskScope,
    given: Given,
    log: Log,
    *,
    shape: RowShape,
    rows: RowSink,
    checkpoints: CheckpointStore | None = None,
    where_to: str = "",
) -> Job:
    """Make the job that fetches rows, wherever they go; see :func:`table_job`.

    :param shape: of the rows.
    :param rows: and ``checkpoints``: see :class:`~airflow_async_rest.core.job.Fetch`.
    :param where_to: the destination, for people to read.
    """
    pages = page_style(asking.paginate)
    method, settings = check_method(asking.method), client_settings(hook, asking, given.depends_on)
    builder = FetchRequestBuilder(
        base_url=settings.base_url,
        query_key=settings.query_key,
        endpoint=EndpointTemplate(asking.endpoint),
        method=method,
        query=asking.query,
        body=asking.body,
        encode=JsonEncoder(hook.naive_timezone()),
        identity=Identity((scope.dag_id, scope.task_id), given.span(scope)),
        body_format=asking.body_format,
        headers=all_headers(settings, asking),
        keep=pages.keep if pages else (),
        below=pages.below if pages else None,
    )
    asked_for: dict[str, Sequence[str | tuple[str, ...]]] = {**builder.columns, "columns": shape.item_columns}
    _tell_of_texts(builder, log)
    reader = AnswerReader(
        asking.rows,
        shape,
        page_rows=asking.page_rows,
        empty_ok=asking.empty_ok,
        answer_format=asking.answer_format,
        max_bytes=settings.max_response_bytes,
    )
    plan = FetchPlan(
        builder=builder, pages=pages, reader=reader, missing_ok=asking.missing_ok, max_pages=asking.max_pages
    )
    uri = scope.folder_uri(asking.dead_letter_path)
    job = Job(
        settings=settings,
        log=log,
        fetch=Fetch(plan=plan, rows=rows, checkpoints=checkpoints),
        source=RowSource(
            given.chunks,
            whole_row_is_key=True,
            asked_for=asked_for,
            in_braces=builder.in_braces,
            redact=settings.redact,
        ),
        retry=asking.retry,
        expected=given.expected,
        target=f"Fetching {method} {asking.endpoint}{where_to} from",
        about=given.about,
        folder=open_folder(uri, scope.try_number),
        folder_uri=uri,
        fingerprint=given.fingerprint(scope, method, _what_is_asked(asking)),
    )
    return complete(job, hook, asking)


def _tell_of_texts(builder: FetchRequestBuilder, log: Log) -> None:
    """Log what is in braces and is not a placeholder, where it could be a misspelt one."""
    for argument, texts in builder.in_braces.items():
        if names := ", ".join(f"{{{text}}}" for text in texts if [text] == text.split()):
            log.info("%s: %s is sent as text, as JSON and GraphQL have it, and is not a column.", argument, names)


def _what_is_asked(asking: Asking) -> list[Any]:
    """Return what decides which rows an item has; of functions, their names.

    What only lets more items pass is left out: those that are delivered stay so.
    """
    parts = (asking.endpoint, asking.query, asking.body, style_parts(asking.paginate), asking.rows, asking.columns)
    named = {"page_rows": asking.page_rows, "answer_format": asking.answer_format}
    later = [asking.body_format, *({name: _described(value)} for name, value in named.items() if value)]
    return [*map(_described, (*parts, asking.missing_ok)), *filter(None, later)]


def _described(part: Any) -> Any:
    if is_dataclass(part) and not isinstance(part, type):
        return [type(part).__name__, asdict(part)]
    return getattr(part, "__qualname__", "function") if callable(part) else part


def _about(scope: TaskScope) -> dict[str, Any]:
    return {name: getattr(scope, name) for name in ("dag_id", "run_id", "task_id", "map_index")}


def forget(context: "Context", conn_id: str, destination_table: str) -> None:
    """Remove what says that a load is done, once Airflow knows of the task's success: a Clear then starts over."""
    schema = destination_table.rpartition(".")[0] or None
    forget_load(conn_id, schema, _about(TaskScope.of(context, UNMARKED)))


class ReadFirst:
    """Chunks that are all read before the first one is given: a database of one file has one reader or one writer."""

    def __init__(self, chunks: "SqlChunks") -> None:
        self._chunks = chunks

    @classmethod
    def where_needed(cls, chunks: "SqlChunks", destination_conn_id: str) -> Chunks:
        """Return the chunks as they are, unless nobody can write while they are read.

        :raises ConfigurationError: when they change the file that is loaded into: it has one writer at a time.
        """
        if not chunks.dialect.is_one_file:
            return chunks
        if chunks.reads_again:
            return cls(chunks)
        if chunks.file is not None and chunks.file == open_destination(destination_conn_id).file:
            raise ConfigurationError(
                f"read_only=False: sql changes the {chunks.dialect.title} file that "
                f"destination_conn_id={destination_conn_id!r} loads into, which lets only one do so at a time. Load "
                "into another file; or read with read_only=True, and change the rows by a task after this one."
            )
        return chunks

    @property
    def columns(self) -> Sequence[str] | None:
        """Return the names of the columns, once the query has run."""
        return self._chunks.columns

    def __iter__(self) -> Iterator[Sequence[Mapping[str, Any]]]:
        """Return the chunks."""
        return iter(list(self._chunks))

    def cancel(self) -> None:
        """Cancel the statement that is running."""
        self._chunks.cancel()
