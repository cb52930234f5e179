"""What is known of a task instance, read where the tab "Delivery" reads it; and which words fit it."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from airflow.models.taskinstance import TaskInstance
from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_async_rest.core.errors import DeadLetterStoreError
from airflow_async_rest.core.letters.filter import LetterFilter
from airflow_async_rest.tasks.storage.folders import TaskScope, shows_payloads
from airflow_async_rest.ui import letters
from airflow_async_rest.ui.reports import as_date, failures_in, is_report, pushed_values
from airflow_async_rest.ui.states import TaskInstanceId, store_of

LETTERS_OF_PAGE = 50
_ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}
_AT_WORK = {"running", "up_for_reschedule"}
_FIGURES = (
    *(("read", "items read"), ("delivered", "delivered"), ("delivered_later", "delivered later"), ("failed", "failed")),
    *(("skipped", "skipped"), ("unfinished", "unfinished"), ("rows_loaded", "rows loaded")),
    *(("rows_refused", "rows refused"), ("requests", "requests"), ("retries", "retries")),
    *(("elapsed_seconds", "seconds"), ("items_per_second", "items a second")),
)


class Facts(NamedTuple):
    """A task instance.

    :param figures: its report, or how far it is; None where it has left neither.
    :param told_at: when these were written.
    :param letters: a page of its dead letters, see :func:`~airflow_async_rest.ui.letters.page`; None: there is none.
    :param sample: of what failed, where the page cannot be had; then ``trouble`` says why.
    """

    task: TaskInstanceId
    state: str | None
    try_number: int
    started_at: datetime | None
    ended_at: datetime | None
    figures: Mapping[str, Any] | None
    told_at: datetime | None
    letters: Mapping[str, Any] | None = None
    sample: list[Any] = []  # noqa: RUF012  (a tuple has no default of its own)
    trouble: str | None = None

    @property
    def has_ended(self) -> bool:
        """Return whether nothing more comes of it by itself."""
        return self.state in _ENDED

    @property
    def is_earlier(self) -> bool:
        """Return whether the figures are of an earlier try than the last."""
        if self.figures is None:
            return False
        if self.state not in _ENDED | _AT_WORK:
            return True
        return bool(self.told_at and self.started_at and self.told_at < self.started_at)


def facts_of(session: Session, task: TaskInstanceId, offset: int) -> Facts | None:
    """Return what is known of a task instance; None where Airflow knows of none.

    :param offset: of the page of dead letters.
    """
    columns = (TaskInstance.state, TaskInstance.try_number, TaskInstance.start_date, TaskInstance.end_date)
    line = session.execute(select(*columns).filter_by(**task._asdict())).one_or_none()
    if line is None:
        return None
    pushed, progress = pushed_values(session, task), None
    with suppress(Exception):  # whatever the storage raises: what is in XCom is shown all the same
        progress = store_of(task, session).get("progress")
    progress = progress if is_report(progress) else None
    report = pushed.get("return_value")
    figures = {**(progress or {}), **(report or {})} or None
    told_at = as_date(pushed.get("pushed_at") if report else progress and progress.get("updated_at"))
    facts = Facts(
        task, line.state and str(line.state), line.try_number, line.start_date, line.end_date, figures, told_at
    )
    return _with_letters(facts, pushed.get("failed_items") or [], offset) if failures_in(figures) else facts


def _with_letters(facts: Facts, sample: list[Any], offset: int) -> Facts:
    uri = facts.figures and facts.figures.get("dead_letters")
    try:
        folder = letters.open_letters(TaskScope(*facts.task), uri if isinstance(uri, str) else None)
        only = LetterFilter(None, "", shows_payloads(), None)
        return facts._replace(letters=letters.page(folder, only, offset, LETTERS_OF_PAGE))
    except (letters.FolderRefusedError, letters.FolderAwayError, DeadLetterStoreError) as error:
        return facts._replace(sample=sample, trouble=str(error))


def figures_of(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is shown of figures: what each is called, and its value."""
    shown = [(label, f"{figures[name]:,}") for name, label in _FIGURES if isinstance(figures.get(name), int | float)]
    shown = [each for each in shown if each != ("delivered later", "0")]
    latency = figures.get("latency_ms")
    known = latency.items() if isinstance(latency, Mapping) else ()
    return shown + [(f"{name} latency, ms", str(value)) for name, value in known if value is not None]


def next_step(state: str | None, figures: Mapping[str, Any] | None) -> str | None:
    """Return what to do where something is missing; None where nothing is, or Airflow goes on by itself."""
    failures, fetches = failures_in(figures), "rows_loaded" in (figures or {})
    if state == "success" and failures and not fetches:
        return (
            "The task allows that many failures. Send the same requests again with ReplayDeadLettersOperator: a Clear "
            "would run all of it again."
        )
    if state != "failed":
        return None
    if figures is None or not (failures or figures.get("read")):
        return "Its log says more. When that is put right, clear the task."
    if failures and figures.get("complete") and not fetches:
        return (
            "Send the same requests again with ReplayDeadLettersOperator; or clear the task: those that failed are "
            "made again from their rows."
        )
    return "Clear the task: it goes on where it stopped, with what failed and what is missing."
