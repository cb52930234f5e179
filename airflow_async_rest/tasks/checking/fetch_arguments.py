"""Checks of what only ``RestToSqlOperator`` and ``fetch`` have: what is asked for, and how answers are read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.answers.reader import AnswerReader
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.fetching.plan import check_limits, check_pages
from airflow_async_rest.core.fetching.request import check_body, check_query, columns_in
from airflow_async_rest.core.pages import page_style
from airflow_async_rest.core.pages.custom import OwnStyle
from airflow_async_rest.core.requests.builder import EndpointTemplate
from airflow_async_rest.tasks.checking.given_items import STEP_NAMES, check_step, given_items
from airflow_async_rest.tasks.checking.query import check_connection, check_statement


def _answers(
    *, rows: Any, columns: Any, page_rows: Any, empty_ok: Any, answer_format: Any, paginate: Any, method: str
) -> None:
    reader = AnswerReader(rows, RowShape(columns), page_rows=page_rows, empty_ok=empty_ok, answer_format=answer_format)
    pages = page_style(paginate)
    if not isinstance(pages, OwnStyle):  # the author's code runs in the task
        check_pages(pages, method.upper(), reader)


def _placeholders(
    *,
    window_step: Any,
    endpoint: Any,
    query: Any = None,
    body: Any = None,
    body_format: Any = None,
    columns: Any = None,
) -> None:
    """Check what is asked of the steps of a window, whose names are known."""
    if window_step is None:
        return
    asked: dict[str, Iterable[str | tuple[str, ...]]] = {
        "endpoint": EndpointTemplate(endpoint).columns,
        **columns_in(query, body, body_format),
        "columns": RowShape(columns).item_columns,
    }
    for argument, columns_of_steps in asked.items():
        for column in columns_of_steps:
            names = (column,) if isinstance(column, str) else column
            if STEP_NAMES.isdisjoint(names):
                raise ConfigurationError(
                    f"{argument} names {names[0]!r}, which a step of the window does not have: with window_step= there "
                    "are start, end and date."
                )


def _unless_none(check: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda value: None if value is None else check(value)


# Of sql, items and window_step there is one.
EACH: Mapping[str, Callable[[Any], object]] = {
    "sql": _unless_none(check_statement),
    "sql_conn_id": _unless_none(partial(check_connection, "sql_conn_id")),
    "items": _unless_none(given_items),
    "window_step": _unless_none(check_step),
    "query": check_query,
    "paginate": page_style,
}
TOGETHER: Sequence[Callable[..., None]] = (check_limits, check_body, _answers, _placeholders)
