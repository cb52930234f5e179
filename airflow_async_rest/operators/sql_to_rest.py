"""SqlToRestOperator: the rows of a window, out of a database, into a REST API."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.models import Response, Verdict
from airflow_async_rest.core.phases.garbage import collecting_new_garbage_only
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.operators.job_operator import WindowOperator
from airflow_async_rest.windows import Window, find_window

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context


class SqlToRestOperator(WindowOperator):
    """Delivers the rows of one window to a REST API: concurrently, inside its limits, each one accounted for.

    It returns the report of the window, pushes a sample of the failed items as ``failed_items``, and writes all
    of them as dead letters. A retry sends only what is missing.

    :param sql: one SELECT, or the path of a ``.sql`` file; binds are written ``:name`` for every database, and
        ``:window_start`` and ``:window_end`` are given. An ORDER BY without ties lets a retry resume. (templated)
    :param parameters: values of further binds: a dict. Each value of a list after IN is bound by itself; a dict is
        JSON. (templated)
    :param sql_conn_id: any Airflow SQL connection. Required. (templated)
    :param http_conn_id: a connection of type ``async_rest`` or ``http``. (templated)
    :param endpoint: path below the connection's base URL; ``{column}`` is the row's value, percent-encoded.
        Required. (templated)
    :param method: POST, PUT, PATCH, DELETE or GET. Default POST, because a sink usually creates. GET and DELETE
        send a body only when there is a ``transform``.
    :param headers: sent with every request, over the connection's. Default: none. (templated)
    :param transform: row dict -> JSON-able payload, or text or bytes, which are sent as they are; None skips the row.
        Default: the row as it is. It runs on the thread that reads.
    :param key: the column, or columns, that identify a row: they make the idempotency key and let a retry see
        that the source is still the same. Default: the row's position is used instead.
    :param order_by_key: send the rows of one ``key`` one after another, in the order of the rows; rows of other keys go
        on meanwhile. A row that is dead lets the next one go. Default False: rows go as fast as they can.
    :param schema: JSON Schema that each payload must meet: a dict, or the path of a JSON file, found as ``.sql`` files
        are. What breaks it is a dead letter, ``schema``, and not sent. Default: none, because a check costs time.
    :param window_start: first instant of the window; without an offset, in the time zone of the DAG's timetable.
        Default, and where it is empty: the run's data interval. (templated)
    :param window_end: the instant after the window's last. Default: the run's data interval. (templated)
    :param chunk_size: rows read at a time, at most: fewer where they have more than 4 MB. Default 5000: larger ones
        are hardly faster, and up to three chunks are in memory.
    :param count_rows: count the rows first, by ``SELECT count(*)``, so that Airflow's UI shows how far
        a running task is. Default False: on PostgreSQL the planner's estimate is shown, elsewhere the rows so far.
    :param read_only: read in a transaction that may change nothing. Default True: a change would be undone at the end,
        and made once more by each run. False, for temporary tables, ``FOR UPDATE`` or ``nextval``: the transaction is
        committed once all rows are delivered, skipped or dead letters; if the task stops before, it is undone, and a
        retry finds the same rows.
    :param concurrency: requests in flight, or ``"adaptive"``: as many as the API can handle, found while sending; it
        begins with 4, and goes up to 256. Default: the connection's, else 16, which most APIs can handle.
    :param rate_limit: of this task instance: ``"100/s"``, ``"6000/m"``, ``"10000/h"``, or a list of such limits. Where
        the connection has a limit that tasks share, both hold. Default: the connection's, else none, because only you
        know the API. (templated)
    :param batch: ``Batch(...)``: many items in one request, and how the answer tells about each. ``concurrency`` and
        ``rate_limit`` count requests then. Default: one item a request, which every API takes.
    :param response_check: ``Response`` -> bool or ``Verdict``; None leaves it to the status. Default: 2xx is
        delivered.
    :param request_retry: which requests are sent again, and when. Default: five attempts, see ``RequestRetry``.
    :param max_failures: failed items the task accepts, judged at the end: a number, or a share of the rows read
        such as ``"1%"``. Default 0: rows are given up only if you say so.
    :param max_quota_wait: when the API's quota, or a day's limit, is gone, the task ends, and starts again by itself
        when the API takes requests again, without using up a retry; from the first such wait on for as long as this.
        Default a day, because most quotas are back by then; ``timedelta(0)``: it is retried instead.
    :param dead_letter_path: folder or object-storage URI. Default: ``[async_rest] dead_letter_path`` of
        airflow.cfg, else a folder in AIRFLOW_HOME. (templated)
    :param body_format: what bodies are: ``"json"``, a text too; ``"form"``: a flat dict, urlencoded, without its NULLs;
        or ``"text"``. It comes before a ``Content-Type`` of the headers that says something else. Default: text and
        bytes as they are, all else JSON; then the content type is the headers', else ``application/json`` for JSON and
        for a text that is an object or array of it, ``text/plain; charset=utf-8`` for other texts, and
        ``application/octet-stream`` for bytes.
    :param preview: show as many of the first requests, in the log and in XCom ``preview``, and send none: the task is
        skipped. ``{"preview": 3}`` in the run's conf does so for every task of the run. Default: none, all is sent.
    :param preview_send: of a preview: 1 sends the first request, and shows the answer. Default: nothing is sent.
    """

    ui_color = "#d6eaf8"

    def __init__(
        self,
        *,
        sql: str,
        sql_conn_id: str,
        endpoint: str,
        http_conn_id: str = "async_rest_default",
        parameters: Mapping[str, Any] | None = None,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        transform: Callable[[dict[str, Any]], Any] | None = None,
        key: str | Sequence[str] | None = None,
        order_by_key: bool = False,
        schema: Mapping[str, Any] | str | None = None,
        window_start: Any = None,
        window_end: Any = None,
        chunk_size: int = 5000,
        count_rows: bool = False,
        read_only: bool = True,
        concurrency: int | str | None = None,
        rate_limit: str | Sequence[str] | None = None,
        batch: Batch | None = None,
        response_check: Callable[[Response], bool | Verdict | None] | None = None,
        request_retry: RequestRetry | None = None,
        max_failures: int | str = 0,
        max_quota_wait: timedelta = timedelta(days=1),
        dead_letter_path: str | None = None,
        body_format: str | None = None,
        preview: int | None = None,
        preview_send: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.parameters = parameters
        self.sql_conn_id = sql_conn_id
        self.http_conn_id = http_conn_id
        self.endpoint = endpoint
        self.method = method
        self.headers = headers
        self.transform = transform
        self.key = key
        self.order_by_key = order_by_key
        self.schema = schema
        self.window_start = window_start
        self.window_end = window_end
        self.chunk_size = chunk_size
        self.count_rows = count_rows
        self.read_only = read_only
        self.concurrency = concurrency
        self.rate_limit = rate_limit
        self.batch = batch
        self.response_check = response_check
        self.request_retry = request_retry
        self.max_failures = max_failures
        self.max_quota_wait = max_quota_wait
        self.dead_letter_path = dead_letter_path
        self.body_format = body_format
        self.preview = preview
        self.preview_send = preview_send
        self._check_arguments()

    @collecting_new_garbage_only()
    def execute(self, context: "Context") -> dict[str, Any]:
        """Deliver the window. :return: the report."""
        # The engine loads here, not where DAG files are parsed.
        from airflow_async_rest.connections.connection import RestConnection  # noqa: PLC0415
        from airflow_async_rest.databases.styles import WINDOW_BINDS  # noqa: PLC0415
        from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook  # noqa: PLC0415
        from airflow_async_rest.tasks import arguments, errors, jobs, run_life  # noqa: PLC0415
        from airflow_async_rest.tasks.checking.query import check_own_parameters  # noqa: PLC0415
        from airflow_async_rest.tasks.checking.schema_file import read_schema  # noqa: PLC0415
        from airflow_async_rest.tasks.storage import folders  # noqa: PLC0415

        with errors.explained(context, self.log):
            run = self._begin(context, self.preview, self.preview_send)
        is_preview = run.preview is not None
        with errors.explained(context, self.log, is_preview=is_preview):
            hook, binds = ChunkedSqlHook(self.sql_conn_id), check_own_parameters(self.parameters)
            window = self._window(context, asked_for=not WINDOW_BINDS.isdisjoint(hook.binds(self.sql)))
            if window is not None:
                binds |= {"window_start": window.start, "window_end": window.end}
            chunks = hook.chunks(self.sql, binds, self.chunk_size, count_rows=self.count_rows, read_only=self.read_only)
            chunks.embed_json = not self._has_code_that_sees_rows()
            replay = run_life.replay_request(context, payloads=folders.shows_payloads(), is_preview=is_preview)
            job = jobs.row_job(
                RestConnection(self.http_conn_id),
                arguments.Sending.of({**vars(self), "schema": read_schema(self.schema, self)}),
                folders.TaskScope.of(context, run.life if replay is None else None),
                arguments.Given(
                    chunks=chunks,
                    expected=lambda: chunks.expected,
                    depends_on=(self.sql, sorted(binds.items())),
                    window=window,
                ),
                self.log,
                replay=replay,
            )
        return run.run(job)

    def _has_code_that_sees_rows(self) -> bool:
        of_batch = (self.batch.format, self.batch.results) if isinstance(self.batch, Batch) else ()
        return any(map(callable, (self.transform, *of_batch)))

    def _window(self, context: "Context", *, asked_for: bool) -> Window | None:
        """Find the window; a query that asks for none needs none."""
        if not asked_for:
            self.log.warning(
                "The sql uses neither :window_start nor :window_end, so every run sends all rows that it selects."
            )
        return find_window(context, self.window_start, self.window_end, asked_for=lambda: asked_for)

    def _lineage(self, report: Mapping[str, Any]) -> "OperatorLineage[Any, Any]":
        from airflow_async_rest.tasks.lineage import sql_to_rest_lineage  # noqa: PLC0415

        return sql_to_rest_lineage(self, report)

    @staticmethod
    def _forget(context: "Context") -> None:
        """Remove the checkpoint."""
        from airflow_async_rest.tasks.run_life import forget_checkpoint  # noqa: PLC0415

        try:
            forget_checkpoint(context)
        except Exception as error:  # noqa: BLE001  (the task has succeeded, and after a Clear the checkpoint does not count)
            context["task"].log.info("The checkpoint could not be removed: %s", error)
