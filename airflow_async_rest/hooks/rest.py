"""AsyncRestHook: the engine for a plain task, behind an Airflow connection."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_async_rest.connections.connection import RestConnection
from airflow_async_rest.core.answers.formats import AnswerFormat
from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.pages import PageStyle
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.verdict import ResponseCheck

if TYPE_CHECKING:
    from airflow_async_rest.tasks.fetched_chunks import FetchedChunks


class AsyncRestHook(RestConnection):
    """Posts rows to a REST API, or fetches some from it: concurrently, inside its limits.

    :param http_conn_id: a connection of type ``async_rest`` or ``http``.
    """

    conn_name_attr = "http_conn_id"
    default_conn_name = "async_rest_default"
    conn_type = "async_rest"
    hook_name = "Async REST"

    def __init__(self, http_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(http_conn_id, **kwargs)

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """Return the fields that Airflow before 3.2 draws; from then on it reads ``conn-fields`` of the provider."""
        from airflow_async_rest.compat.ui import form_widgets  # noqa: PLC0415  (loads Flask)

        return form_widgets()

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """Return what the standard fields are called, for Airflow before 3.2."""
        from airflow_async_rest.compat.ui import field_behaviour  # noqa: PLC0415

        return field_behaviour()

    def test_connection(self) -> tuple[bool, str]:
        """Say whether the API can be reached with this connection: for Airflow's Test button and its CLI.

        It sends one GET to the base URL. :return: success, and what was found and what to fill in.
        """
        from airflow_async_rest.connections.check import check_connection  # noqa: PLC0415  (loads when it is used)

        return check_connection(self)

    def deliver(
        self,
        items: Iterable[Any],
        *,
        endpoint: str,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        transform: Callable[[dict[str, Any]], Any] | None = None,
        key: str | Iterable[str] | None = None,
        order_by_key: bool = False,
        schema: Mapping[str, Any] | str | None = None,
        concurrency: int | str | None = None,
        rate_limit: str | Sequence[str] | None = None,
        batch: Batch | None = None,
        response_check: ResponseCheck | None = None,
        request_retry: RequestRetry | None = None,
        max_failures: int | str = 0,
        max_quota_wait: timedelta = timedelta(days=1),
        dead_letter_path: str | None = None,
        body_format: str | None = None,
    ) -> dict[str, Any]:
        """Send items from a plain ``@task``: the engine of :class:`SqlToRestOperator`, without a checkpoint.

        A retry of the task sends everything again, with the same idempotency keys. A second call in one task has
        its own dead-letter folder, and its failed items are in XCom as ``failed_items_2``.

        :param items: an iterable of dicts, or of what has names as they do: named tuples, a database's rows,
            dataclasses; another value becomes the dict ``{"item": value}``.
        :return: the report; failed items are pushed to XCom and written to dead letters.
        :raises AirflowException: when more items failed than ``max_failures`` allows.
        """
        arguments = locals()  # before there are other names
        from airflow_async_rest.tasks.jobs import deliver_items  # noqa: PLC0415  (the engine loads when it is used)

        return deliver_items(self, items, arguments, self.log)

    def fetch(
        self,
        items: Iterable[Any],
        *,
        endpoint: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        paginate: PageStyle | None = None,
        rows: str | Callable[[Any, dict[str, Any]], Any] | None = None,
        columns: Mapping[str, str] | Sequence[str] | None = None,
        page_rows: str | None = None,
        missing_ok: bool = False,
        empty_ok: bool = False,
        max_pages: int = 10_000,
        answer_format: AnswerFormat = None,
        concurrency: int | str | None = None,
        rate_limit: str | Sequence[str] | None = None,
        response_check: ResponseCheck | None = None,
        request_retry: RequestRetry | None = None,
        max_failures: int | str = 0,
        max_quota_wait: timedelta = timedelta(days=1),
        dead_letter_path: str | None = None,
        body_format: str | None = None,
    ) -> "FetchedChunks":
        """Fetch rows in a plain ``@task``: the engine of :class:`RestToSqlOperator`, without a table or a checkpoint.

        Chunks come as soon as there are 1,000 rows, or every second, in the order of the answers; while one is worked
        on, up to 40,000 rows more are fetched, in larger chunks.

        :param items: an iterable of dicts; another value becomes the dict ``{"item": value}``.
        :param columns: as in the operator. Default: the rows as the API gives them.
        :return: chunks to iterate: lists of dicts, of which an item's rows come all or not at all. After the last one,
            ``report`` is the report, and ``failed`` lists the items that failed; see
            :class:`~airflow_async_rest.tasks.fetched_chunks.FetchedChunks`.
        :raises AirflowFailException: when an argument, or the connection, is wrong; names it.
        :raises AirflowException: after the last chunk, when more items failed than ``max_failures`` allows.
        """
        arguments = locals()  # before there are other names
        from airflow_async_rest.tasks.fetched_chunks import fetch_rows  # noqa: PLC0415  (the engine loads when it is used)

        return fetch_rows(self, items, arguments, self.log)

    def preview(
        self, items: Iterable[Any], *, preview: int | None = 3, preview_send: int | None = None, **arguments: Any
    ) -> None:
        """Show the first requests of :meth:`deliver`, or of :meth:`fetch`, and end the task, which is skipped.

        Nothing is sent, and nothing is kept. The log has the requests, and so has XCom ``preview``.

        :param items: as they have them; of an iterator, the first 1,000 are taken.
        :param preview: how many requests are shown.
        :param preview_send: 1 sends the first one, and shows the answer. Default: nothing is sent.
        :param arguments: those of :meth:`deliver`; or, where one of them is only :meth:`fetch`'s, of that.
        :raises AirflowSkipException: in the end, in any case.
        """
        from airflow_async_rest.tasks.fetched_chunks import fetch_rows  # noqa: PLC0415  (the engine loads when used)
        from airflow_async_rest.tasks.jobs import deliver_items  # noqa: PLC0415

        asked = {"preview": 3 if preview is None else preview, "preview_send": preview_send}
        deliver, fetch = inspect.signature(self.deliver), inspect.signature(self.fetch)
        if arguments.keys() & (fetch.parameters.keys() - deliver.parameters.keys()):
            fetch_rows(self, items, _all_of(fetch, items, arguments), self.log, **asked)
        else:
            deliver_items(self, items, _all_of(deliver, items, arguments), self.log, **asked)


def _all_of(call: inspect.Signature, items: Iterable[Any], arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return all arguments of a call, with the defaults of those that are not given."""
    bound = call.bind(items, **arguments)
    bound.apply_defaults()
    return bound.arguments
