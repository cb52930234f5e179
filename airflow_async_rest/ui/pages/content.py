"""The pages, as HTML without scripts: for versions of Airflow that have no place for the tabs."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import airflow
from jinja2 import Environment, FileSystemLoader
from sqlalchemy.orm import Session

from airflow_async_rest.compat.ui import task_path
from airflow_async_rest.core.encoding.json_text import whole_characters
from airflow_async_rest.ui.pages.facts import LETTERS_OF_PAGE, facts_of, figures_of
from airflow_async_rest.ui.pages.next_step import next_step
from airflow_async_rest.ui.reports import as_date, failures_in
from airflow_async_rest.ui.states import TaskInstanceId
from airflow_async_rest.ui.windows import newest_windows

_MOST_WINDOWS = 500
_REFRESH_SECONDS = 5
_NUMBER = re.compile("-1|[0-9]{1,9}")  # as far as Airflow's tables have numbers for it


def show(page: str, session: Session, query: Mapping[str, str]) -> tuple[int, str]:
    """Return a page: its status, and its HTML.

    The caller has asked Airflow whether the user may see the XCom of the DAG that is named as ``dag_id``.

    :param page: ``delivery`` or ``windows``.
    :param query: of ``delivery``: what names the task instance, and the ``offset`` of the dead letters.
    """
    pages: dict[str, Callable[[Session, Mapping[str, str]], str | None]] = {"delivery": _delivery, "windows": _windows}
    html = pages[page](session, query) if page in pages and query.get("dag_id") else None
    return (200, html) if html is not None else (404, _render("missing.html"))


def _delivery(session: Session, query: Mapping[str, str]) -> str | None:
    index, offset = _number(query.get("map_index", "-1")), _number(query.get("offset", "0"))
    if index is None or offset is None or offset < 0:
        return None
    task = TaskInstanceId(query["dag_id"], query.get("run_id", ""), query.get("task_id", ""), index)
    facts = facts_of(session, task, offset)
    if facts is None:
        return None
    replayable = facts.letters["replayable"] if facts.letters else None
    step = next_step(facts.state, facts.figures, facts.operator, replayable)
    return _render(
        "delivery.html",
        facts=facts,
        figures=figures_of(facts.figures or {}),
        step=None if facts.is_delivered_later else step,
        records=facts.letters["records"] if facts.letters else facts.sample,
        failures=failures_in(facts.figures),
        own_page="../../" + task_path(*task),
        refresh=None if facts.has_ended else _REFRESH_SECONDS,
        offset=offset,
        limit=LETTERS_OF_PAGE,
    )


def _windows(session: Session, query: Mapping[str, str]) -> str:
    dag_id = query["dag_id"]
    return _render("windows.html", dag_id=dag_id, **newest_windows(session, dag_id, _MOST_WINDOWS))


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _moment(value: Any) -> str:
    found = value if isinstance(value, datetime) else as_date(value)
    with suppress(OverflowError):  # at either end of the calendar
        found = found and found.astimezone(UTC)
    return "" if found is None else f"{found:%Y-%m-%d %H:%M:%S}"


@cache
def _templates() -> Environment:
    found = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
    found.filters["moment"] = _moment
    found.globals["version"] = airflow.__version__
    return found


def _render(template: str, **values: Any) -> str:
    return whole_characters(_templates().get_template(template).render(values))
