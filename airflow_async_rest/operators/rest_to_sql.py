"""RestToSqlOperator: keys or dates in, concurrent requests, rows loaded into a table."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.models import Response, Verdict
from airflow_async_rest.core.phases.garbage import collecting_new_garbage_only
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.operators.job_operator import WindowOperator
from airflow_async_rest.operators.rendering import KeptFunction
from airflow_async_rest.windows import Window, find_window

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from airflow_async_rest.core.answers.formats import AnswerFormat
    from airflow_async_rest.core.pages import PageStyle
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook
    from airflow_async_rest.tasks.arguments import Given


class RestToSqlOperator(WindowOperator):
    """Fetches rows from a REST API and loads them into a table: each row once, whatever happens on the way.

    It sends one request for each item: for each row of a query (``sql``), each of a list (``items``), or
    each step of the window (``window_step``); exactly one of these. What is fetched is staged beside the destination,
    in committed chunks, and moved there in one transaction at the end. It returns the report of the window, pushes a
    sample of the failed items as ``failed_items``, and writes all of them as dead letters. A retry, or a Clear of a
    failed task, fetches only what is missing.

    :param sql: one SELECT, or the path of a ``.sql`` file, as in ``SqlToRestOperator``; its columns fill the
        placeholders. (templated)
    :param sql_conn_id: the connection of ``sql``: any Airflow SQL connection. (templated)
    :param parameters: values of further binds of ``sql``. (templated)
    :param chunk_size: rows of ``sql`` read at a time, at most: fewer where they have more than 4 MB. Default 5000.
    :param count_rows: count the rows of ``sql`` first, as in ``SqlToRestOperator``. Default False.
    :param read_only: whether ``sql`` may change nothing, as in ``SqlToRestOperator``. Default True.
    :param items: a list of dicts, or of values, which are ``{item}``; or the XCom of an upstream task. (templated)
    :param window_step: length of the steps that the window is cut into; an item has ``start``, ``end`` (ISO 8601) and
        ``date`` (of the start, in the zone of ``window_timezone``). Whole days are days of that zone.
    :param http_conn_id: a connection of type ``async_rest`` or ``http``. (templated)
    :param endpoint: path below the connection's base URL; ``{column}`` is the item's value, percent-encoded.
        Required. (templated)
    :param method: default GET. With POST, for search APIs, ``body`` is sent.
    :param headers: sent with every request, over the connection's. Default: none. (templated)
    :param query: parameters of the query string, with placeholders, also in texts that are JSON or GraphQL; a list
        makes one come several times, None leaves it out. Default: none. (templated)
    :param body: of a POST: JSON, or a text, with placeholders, of which one that stands alone keeps its type; or a
        function: item -> payload. Default: none. (templated)
    :param paginate: ``LinkPages()``, ``CursorPages(...)``, ``NumberedPages(...)`` or ``OffsetPages(...)``; or
        a style of your own, as docs/pages.md shows. Default: one answer has it all.
    :param rows: path of the rows in the answer, such as ``"data.items"`` or, in JMESPath, ``"items[?active]"``; or a
        function: (payload, item) -> row, list of rows, or None. Default: the answer is the list, or the row.
    :param columns: column -> path in the row (``"location.geoLabel"``), in the item (``"item.id"``), or of the window
        (``"window.start"``, ``"window.end"``), with ``base64:`` before it where that is bytes; or a list of columns
        that are called as in the rows. Default: all columns of the table that the rows have. What a row does not
        have keeps its default, or what is there.
    :param page_rows: path of the API's rows in the answer, for the pages that go by how many there are, where ``rows``
        is a function or an expression that makes more or fewer of them; ``""`` is the answer itself. Default: at
        ``rows``.
    :param missing_ok: whether a 404 to an item's first request says that there are no rows: the item is skipped.
        Default False: it fails, as it does with a 404 to a later page, unless the page style's ``end_statuses`` has it.
    :param empty_ok: whether an answer that has nothing, or null, at ``rows``, or no content at all, says that there
        are no rows. Default False: it fails its item, because an API that failed may look like that.
    :param answer_format: what an answer is, whatever its content type says: ``"json"``, ``"ndjson"``, ``"csv"``,
        ``"tsv"``, ``"text"`` (one row, ``{"text": ...}``), ``Csv(delimiter=";")``, or a function: bytes -> payload, for
        ``rows``. Default: as the content type says, JSON where that is none of these. What is in a .gz file counts.
    :param max_pages: the most pages of an item; one that has more fails. Default 10,000: an API with more has most
        likely pages without end.
    :param destination_conn_id: the connection of a database that can be loaded (PostgreSQL, Oracle, SQLite, MySQL,
        MariaDB, DuckDB, Snowflake); its user must be allowed to create tables. Required. (templated)
    :param destination_table: ``table`` or ``schema.table``; it must exist. Required. (templated)
    :param load_mode: ``"append"``; ``"replace_window"``: the window's rows are deleted and loaded in one transaction,
        if no more than ``max_failures`` items failed; or ``"upsert"``. Default append, which works with any
        table. (templated)
    :param window_column: of ``replace_window``: the column of the destination that tells a row's window. (templated)
    :param conflict_key: of ``upsert``: the column, or columns, that identify a row; unique in the database. Of two
        rows of one load with the same key, the later one counts.
    :param allow_empty_window: of ``replace_window``: whether the window's rows may be deleted where none are loaded.
        Default False: that fails, and deletes nothing, because it is more often a failure of the API than the truth.
    :param window_start: first instant of the window; without an offset, in the time zone of the DAG's timetable.
        Default, and where it is empty: the run's data interval. (templated)
    :param window_end: the instant after the window's last. Default: the run's data interval. (templated)
    :param window_timezone: what the dates of the window are in, such as ``"Europe/Helsinki"``, and its ends where they
        have no offset. Default: what ``window_start`` is written in, unless that is UTC, which templates write; else
        the zone of the DAG's timetable. (templated)
    :param concurrency: as in ``SqlToRestOperator``. An item's pages come one after the other,
        unless their style says otherwise.
    :param rate_limit: as in ``SqlToRestOperator``; every page counts. (templated)
    :param response_check: ``Response`` -> bool or ``Verdict``; None leaves it to the status. Default: 2xx is an answer.
    :param request_retry: as in ``SqlToRestOperator``.
    :param max_failures: failed items, and refused rows, that the task accepts: a number, or a share of the items such
        as ``"1%"``. Default 0: rows are given up only if you say so.
    :param max_quota_wait: as in ``SqlToRestOperator``.
    :param dead_letter_path: as in ``SqlToRestOperator``. (templated)
    :param body_format: of ``body``, as in ``SqlToRestOperator``.
    :param preview: as in ``SqlToRestOperator``.
    :param preview_send: as in ``SqlToRestOperator``.
    """

    template_fields: Sequence[str] = (
        *WindowOperator.template_fields,
        *("items", "query", "body", "window_timezone"),
        *("destination_conn_id", "destination_table", "load_mode", "window_column"),
    )
    template_fields_renderers: ClassVar = {**WindowOperator.template_fields_renderers, "query": "json", "body": "json"}
    ui_color = "#d5f5e3"

    def __init__(
        self,
        *,
        endpoint: str,
        destination_conn_id: str,
        destination_table: str,
        sql: str | None = None,
        sql_conn_id: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        chunk_size: int = 5000,
        count_rows: bool = False,
        read_only: bool = True,
        items: Any = None,
        window_step: timedelta | None = None,
        http_conn_id: str = "async_rest_default",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        paginate: "PageStyle | None" = None,
        rows: str | Callable[[Any, dict[str, Any]], Any] | None = None,
        columns: Mapping[str, str] | Sequence[str] | None = None,
        page_rows: str | None = None,
        missing_ok: bool = False,
        empty_ok: bool = False,
        max_pages: int = 10_000,
        answer_format: "AnswerFormat" = None,
        load_mode: str = "append",
        window_column: str | None = None,
        conflict_key: str | Sequence[str] | None = None,
        allow_empty_window: bool = False,
        window_start: Any = None,
        window_end: Any = None,
        window_timezone: Any = None,
        concurrency: int | str | None = None,
        rate_limit: str | Sequence[str] | None = None,
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
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.chunk_size = chunk_size
        self.count_rows = count_rows
        self.read_only = read_only
        self.items = items
        self.window_step = window_step
        self.http_conn_id = http_conn_id
        self.endpoint = endpoint
        self.method = method
        self.headers = headers
        self.query = query
        self.body = KeptFunction(body) if callable(body) else body
        self.paginate = paginate
        self.rows = rows
        self.columns = columns
        self.page_rows = page_rows
        self.missing_ok = missing_ok
        self.empty_ok = empty_ok
        self.max_pages = max_pages
        self.answer_format = answer_format
        self.destination_conn_id = destination_conn_id
        self.destination_table = destination_table
        self.load_mode = load_mode
        self.window_column = window_column
        self.conflict_key = conflict_key
        self.allow_empty_window = allow_empty_window
        self.window_start = window_start
        self.window_end = window_end
        self.window_timezone = window_timezone
        self.concurrency = concurrency
        self.rate_limit = rate_limit
        self.response_check = response_check
        self.request_retry = request_retry
        self.max_failures = max_failures
        self.max_quota_wait = max_quota_wait
        self.dead_letter_path = dead_letter_path
        self.body_format = body_format
        self.preview = preview
        self.preview_send = preview_send
        self._check_arguments(body=body)
        if not self._is_of_mapped:
            with self._named_in_errors():
                self._check_source()

    @collecting_new_garbage_only()
    def execute(self, context: "Context") -> dict[str, Any]:
        """Fetch and load the window. :return: the report."""
        # The engine loads here, not where DAG files are parsed.
        from airflow_async_rest.connections.connection import RestConnection  # noqa: PLC0415
        from airflow_async_rest.load.plan import make_plan  # noqa: PLC0415
        from airflow_async_rest.tasks import arguments, errors, fetch_jobs  # noqa: PLC0415
        from airflow_async_rest.tasks.storage import folders  # noqa: PLC0415

        with errors.explained(context, self.log):
            run = self._begin(context, self.preview, self.preview_send)
        with errors.explained(context, self.log, is_preview=run.preview is not None):
            self._check_source()
            window = self._window(context)
            plan = make_plan(
                self.destination_table,
                self.load_mode,
                window_column=self.window_column,
                window=window,
                conflict_key=self.conflict_key,
                allow_empty_window=self.allow_empty_window,
            )
            body = self.body.function if isinstance(self.body, KeptFunction) else self.body
            job = fetch_jobs.table_job(
                RestConnection(self.http_conn_id),
                arguments.Asking.of({**vars(self), "body": body}),
                folders.TaskScope.of(context, run.life),
                self._given(window, reads_first=run.preview is None),
                self.log,
                destination=(self.destination_conn_id, plan),
            )
        return run.run(job)

    def _given(self, window: Window | None, *, reads_first: bool) -> "Given":
        """Return the items. :param reads_first: whether they are written down somewhere while they are read."""
        from airflow_async_rest.tasks import fetch_jobs  # noqa: PLC0415
        from airflow_async_rest.tasks.arguments import Given  # noqa: PLC0415
        from airflow_async_rest.tasks.checking.given_items import given_items, window_steps  # noqa: PLC0415
        from airflow_async_rest.tasks.checking.query import check_own_parameters  # noqa: PLC0415

        if self.sql is not None:
            hook, binds = self._sql_hook(), check_own_parameters(self.parameters)
            if window is not None:
                binds |= {"window_start": window.start, "window_end": window.end}
            chunks = hook.chunks(self.sql, binds, self.chunk_size, count_rows=self.count_rows, read_only=self.read_only)
            whole = fetch_jobs.ReadFirst.where_needed(chunks, self.destination_conn_id)
            return Given(
                chunks=whole if reads_first else chunks,
                expected=lambda: chunks.expected,
                depends_on=("sql", self.sql, sorted(binds.items())),
                window=window,
            )
        if self.window_step is not None and window is not None:
            steps = window_steps(window, self.window_step)
            zone = () if str(window.zone) == "UTC" else (str(window.zone),)
            return Given.of(steps, ("window_step", self.window_step, *zone), window)
        return Given.of(given_items(self.items), ("items",), window)

    def _window(self, context: "Context") -> Window | None:
        """Find the window, where something asks for one."""
        return find_window(
            context, self.window_start, self.window_end, self.window_timezone, asked_for=self._asks_for_window
        )

    def _check_source(self) -> None:
        """Check that one thing is asked for; what is rendered later counts as given."""
        sources = {"sql": self.sql, "items": self.items, "window_step": self.window_step}
        given = [name for name, value in sources.items() if value is not None]
        if len(given) != 1:
            raise ConfigurationError(
                f"{' and '.join(given) or 'none of sql, items and window_step'} given: say what to ask for with "
                "exactly one of sql= (and sql_conn_id=), items=, or window_step=."
            )
        if self.sql is not None and self.sql_conn_id is None:
            raise ConfigurationError("sql needs sql_conn_id=: the connection that it is run on.")

    def _asks_for_window(self) -> bool:
        from airflow_async_rest.databases.styles import WINDOW_BINDS  # noqa: PLC0415

        return (
            self.window_step is not None
            or self.load_mode == "replace_window"
            or "window." in str(self.columns or "")
            or (self.sql is not None and not WINDOW_BINDS.isdisjoint(self._sql_hook().binds(self.sql)))
        )

    def _sql_hook(self) -> "ChunkedSqlHook":
        from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook  # noqa: PLC0415

        return ChunkedSqlHook(self.sql_conn_id or "")

    def _lineage(self, report: Mapping[str, Any]) -> "OperatorLineage[Any, Any]":
        from airflow_async_rest.tasks.lineage import rest_to_sql_lineage  # noqa: PLC0415

        return rest_to_sql_lineage(self, report)

    @staticmethod
    def _forget(context: "Context") -> None:
        """Remove the load's line from the register."""
        from airflow_async_rest.tasks import fetch_jobs  # noqa: PLC0415

        task: Any = context["task"]
        try:
            fetch_jobs.forget(context, task.destination_conn_id, task.destination_table)
        except Exception as error:  # noqa: BLE001  (the task has succeeded)
            task.log.warning("The load's line in the table async_rest_loads could not be removed: %s", error)
