"""What ``RestToSqlOperator`` and ``fetch`` are told, made into jobs of the engine."""

import ast
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_async_rest.connections.connection import RestConnection
from airflow_async_rest.connections.secrets import excerpt_of_argument
from airflow_async_rest.core.account.checkpoint import fingerprint
from airflow_async_rest.core.answers.columns import Columns, RowShape
from airflow_async_rest.core.answers.formats import AnswerFormat
from airflow_async_rest.core.answers.found_rows import Rows
from airflow_async_rest.core.answers.reader import AnswerReader
from airflow_async_rest.core.encoding.json_encoder import json_encoder
from airflow_async_rest.core.errors import ConfigurationError, StoppedError
from airflow_async_rest.core.fetching.fetching import FetchPlan
from airflow_async_rest.core.fetching.request import Body, FetchRequestBuilder
from airflow_async_rest.core.job import Fetch, Job
from airflow_async_rest.core.keeping.checkpoints import CheckpointStore
from airflow_async_rest.core.keeping.loading import RowSink
from airflow_async_rest.core.keeping.table import Table
from airflow_async_rest.core.pages import PageStyle, page_style, style_parts
from airflow_async_rest.core.reading.given_items import GivenItems
from airflow_async_rest.core.reading.source import Chunks, Expected, RowSource
from airflow_async_rest.core.requests.deliver import EndpointTemplate, Identity, check_method
from airflow_async_rest.core.watching.log import Log
from airflow_async_rest.load.loader import TableLoader, forget_load, open_destination
from airflow_async_rest.load.plan import LoadPlan
from airflow_async_rest.tasks.folders import TaskScope, open_folder
from airflow_async_rest.tasks.jobs import Requesting, all_headers, client_settings, make_job
from airflow_async_rest.tasks.lives import UNMARKED
from airflow_async_rest.windows import Window, on_clocks, split_windows

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_async_rest.hooks.chunked_sql import SqlChunks


@dataclass(frozen=True, kw_only=True)
class Asking(Requesting):
    """What is asked for, and what is made of the answers; see ``RestToSqlOperator``."""

    endpoint: str
    method: str = "GET"
    query: Mapping[str, Any] | None = None
    body: Body = None
    paginate: PageStyle | None = None
    rows: Rows = None
    columns: Columns = None
    missing_ok: bool = False
    page_rows: str | None = None
    empty_ok: bool = False
    max_pages: int = 10_000
    answer_format: AnswerFormat = None


def table_job(
    hook: RestConnection,
    asking: Asking,
    scope: TaskScope,
    chunks: Chunks,
    log: Log,
    *,
    destination: tuple[str, LoadPlan],
    window: Window | None,
    source_parts: tuple[Any, ...],
    expected: Callable[[], Expected | None],
) -> Job:
    """Make the job that fetches rows into a table.

    :param chunks: of the items that are asked for.
    :param destination: connection id, and what of it is loaded.
    :param source_parts: what the items depend on.
    :param expected: see :class:`~airflow_async_rest.core.job.Job`.
    :raises ConfigurationError: when an argument or a connection is wrong; names it.
    :raises StoppedError: when the state store fails in a retry: rows of another life of the run might be gone on with.
    """
    conn_id, plan = destination
    if not scope.life.is_known and scope.try_number > 1:
        raise StoppedError(
            "the task state store does not answer, and only it knows which run the staged rows belong to"
        )
    loader = TableLoader(open_destination(conn_id), plan, _about(scope), log, scope.life.mark or None)
    known = loader.destination.names
    # In its zone, which decides what date a column of dates has of them.
    bounds = (
        {k: t.astimezone(window.zone) for k, t in (("start", window.start), ("end", window.end))} if window else None
    )
    shape = RowShape(asking.columns, known=known, window=bounds, texts=loader.destination.texts)
    loader.destination.check_bytes(shape.encoded)
    loader.choose_columns(shape.names)
    table = Table(loader)
    return fetch_job(
        hook,
        asking,
        scope,
        chunks,
        log,
        shape=shape,
        rows=table,
        checkpoints=table,
        where_to=f" into {plan.full_name} ({plan.mode})",
        window=window,
        source_parts=(*source_parts, plan.full_name, plan.mode, plan.window_column, plan.conflict_key),
        expected=expected,
    )


def fetch_job(
    hook: RestConnection,
    asking: Asking,
    scope: TaskScope,
    chunks: Chunks,
    log: Log,
    *,
    shape: RowShape,
    rows: RowSink,
    checkpoints: CheckpointStore | None = None,
    where_to: str = "",
    window: Window | None = None,
    source_parts: tuple[Any, ...] | None = None,
    sub_folder: str = "",
    expected: Callable[[], Expected | None],
) -> Job:
    """Make the job that fetches rows, wherever they go; see :func:`table_job`.

    :param shape: of the rows.
    :param checkpoints: see :class:`~airflow_async_rest.core.job.Fetch`.
    :param where_to: the destination, for people to read.
    :param sub_folder: of the task instance's dead-letter folder.
    """
    pages = page_style(asking.paginate)
    method, settings = check_method(asking.method), client_settings(hook, asking, source_parts)
    span = tuple(window.texts().values()) if window else (scope.run_id,)
    builder = FetchRequestBuilder(
        base_url=settings.base_url,
        query_key=settings.query_key,
        endpoint=EndpointTemplate(asking.endpoint),
        method=method,
        query=asking.query,
        body=asking.body,
        encode=json_encoder(hook.naive_timezone()),
        identity=Identity((scope.dag_id, scope.task_id), span),
        body_format=asking.body_format,
        headers=all_headers(settings, asking),
        keep=pages.keep,
        below=pages.below,
    )
    asked_for: dict[str, Sequence[str | tuple[str, ...]]] = {**builder.columns, "columns": shape.item_columns}
    _tell_of_texts(builder, log)
    uri = scope.folder_uri(asking.dead_letter_path) + (f"/{sub_folder}" if sub_folder else "")
    return make_job(
        hook,
        asking,
        settings,
        log=log,
        fetch=Fetch(
            plan=FetchPlan(
                builder=builder,
                pages=pages,
                reader=AnswerReader(
                    asking.rows,
                    shape,
                    page_rows=asking.page_rows,
                    empty_ok=asking.empty_ok,
                    answer_format=asking.answer_format,
                    max_bytes=settings.max_response_bytes,
                ),
                missing_ok=asking.missing_ok,
                max_pages=asking.max_pages,
            ),
            rows=rows,
            checkpoints=checkpoints,
        ),
        source=RowSource(
            chunks, whole_row_is_key=True, asked_for=asked_for, in_braces=builder.in_braces, redact=settings.redact
        ),
        expected=expected,
        target=f"Fetching {method} {asking.endpoint}{where_to} from",
        about=window.texts() if window else {"window_start": None, "window_end": None},
        folder=open_folder(uri, scope.try_number),
        folder_uri=uri,
        fingerprint=fingerprint(*source_parts, span, method, _what_is_asked(asking)) if source_parts else None,
    )


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
    return {
        "dag_id": scope.dag_id,
        "run_id": scope.run_id,
        "task_id": scope.task_id,
        "map_index": scope.map_index,
    }


def forget(context: "Context", conn_id: str, destination_table: str) -> None:
    """Remove what says that a load is done, once Airflow knows of the task's success: a Clear then starts over."""
    schema = destination_table.rpartition(".")[0] or None
    forget_load(conn_id, schema, _about(TaskScope.of(context, UNMARKED)))


def given_items(items: Any) -> GivenItems:
    """Read the argument ``items``: a list, or what a template makes of one.

    :raises ConfigurationError: when it is not one.
    """
    if isinstance(items, str):
        for read in (json.loads, ast.literal_eval):
            with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
                items = read(items)
                break
    if not isinstance(items, Sequence) or isinstance(items, str | bytes):
        shown = "null: the upstream task returned nothing" if items in (None, "None") else excerpt_of_argument(items)
        raise ConfigurationError(f"items is {shown}; write a list of dicts or values, or the XCom of one.")
    return GivenItems(items)


def window_steps(window: Window, step: Any) -> GivenItems:
    """Cut a window into items with ``start``, ``end`` and ``date``; steps of whole days are days of its zone.

    :raises ConfigurationError: when the step is not a positive length.
    """
    if not isinstance(step, timedelta) or step <= timedelta():
        raise ConfigurationError(f"window_step={step!r}: write a positive length, such as timedelta(days=1).")
    first, last = (on_clocks(instant.astimezone(window.zone)) for instant in (window.start, window.end))
    span = last.replace(tzinfo=None) - first.replace(tzinfo=None)
    if span % step and not (window.end - window.start) % step:  # days of another zone, as of a timetable in UTC
        first, last = window.start, window.end
    items = []
    for texts in split_windows(first, last, step):
        start, end = map(datetime.fromisoformat, texts.values())
        items.append({"start": start, "end": end, "date": start.astimezone(window.zone).date()})
    return GivenItems(items)


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
        columns: Sequence[str] | None = self._chunks.columns
        return columns

    def __iter__(self) -> Iterator[Sequence[Mapping[str, Any]]]:
        """Return the chunks."""
        return iter(list(self._chunks))

    def cancel(self) -> None:
        """Cancel the statement that is running."""
        self._chunks.cancel()
