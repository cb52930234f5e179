"""Checks of what only ``RestToSqlOperator`` and ``fetch`` have: what is asked for, and how answers are read."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.answers.reader import AnswerReader
from airflow_async_rest.core.fetching.plan import check_limits, check_pages
from airflow_async_rest.core.fetching.request import check_body, check_query
from airflow_async_rest.core.pages import page_style
from airflow_async_rest.core.pages.own import OwnStyle
from airflow_async_rest.tasks.checking.given_items import check_step, given_items


def _answers(
    *, rows: Any, columns: Any, page_rows: Any, empty_ok: Any, answer_format: Any, paginate: Any, method: str
) -> None:
    reader = AnswerReader(rows, RowShape(columns), page_rows=page_rows, empty_ok=empty_ok, answer_format=answer_format)
    pages = page_style(paginate)
    if not isinstance(pages, OwnStyle):  # the author's code runs in the task
        check_pages(pages, method.upper(), reader)


EACH: Mapping[str, Callable[[Any], object]] = {
    "items": lambda items: None if items is None else given_items(items),
    "window_step": lambda step: None if step is None else check_step(step),
    "query": check_query,
    "paginate": page_style,
}
TOGETHER: Sequence[Callable[..., None]] = (check_limits, check_body, _answers)
