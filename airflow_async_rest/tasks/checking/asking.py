"""Checks of what only ``RestToSqlOperator`` and ``fetch`` have: what is asked for, and how answers are read."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.answers.reader import AnswerReader
from airflow_async_rest.core.fetching.plan import check_limits, check_pages
from airflow_async_rest.core.fetching.request import check_body, check_query
from airflow_async_rest.core.pages import page_style
from airflow_async_rest.core.pages.own import OwnStyle
from airflow_async_rest.databases.quotes import read_statement
from airflow_async_rest.tasks.checking.given_items import check_step, given_items
from airflow_async_rest.tasks.checking.query import check_connection


def _answers(
    *, rows: Any, columns: Any, page_rows: Any, empty_ok: Any, answer_format: Any, paginate: Any, method: str
) -> None:
    reader = AnswerReader(rows, RowShape(columns), page_rows=page_rows, empty_ok=empty_ok, answer_format=answer_format)
    pages = page_style(paginate)
    if not isinstance(pages, OwnStyle):  # the author's code runs in the task
        check_pages(pages, method.upper(), reader)


def _unless_none(check: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda value: None if value is None else check(value)


# Of sql, items and window_step there is one.
EACH: Mapping[str, Callable[[Any], object]] = {
    "sql": _unless_none(read_statement),
    "sql_conn_id": _unless_none(partial(check_connection, "sql_conn_id")),
    "items": _unless_none(given_items),
    "window_step": _unless_none(check_step),
    "query": check_query,
    "paginate": page_style,
}
TOGETHER: Sequence[Callable[..., None]] = (check_limits, check_body, _answers)
