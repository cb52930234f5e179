"""What is known of a task instance, read where the tab "Delivery" reads it."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from airflow.models.taskinstance import TaskInstance
from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_async_rest.core.bounds import USUAL
from airflow_async_rest.core.errors import DeadLetterStoreError
from airflow_async_rest.core.letters.filter import LetterFilter
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.tasks.storage.folders import TaskScope, shows_payloads
from airflow_async_rest.ui import letters
from airflow_async_rest.ui.freshness import WAITS, last_wait
from airflow_async_rest.ui.reports import as_date, failures_in, is_report, pushed_values
from airflow_async_rest.ui.states import TaskInstanceId, store_of

LETTERS_OF_PAGE = 50
_ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}
_AT_WORK = {"running", WAITS}
_BETWEEN_TRIES = "up_for_retry"
_WRITTEN_AFTER_SECONDS = USUAL.longest_unwritten_seconds + 5  # for being written, and shown
_LARGEST = 1e15  # of what may be a time, or a count
_ENOUGH = 5  # items: of fewer nobody knows yet
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
    :param is_last: whether they are what the try has come to that has written them.
    :param previewed: the requests of a preview.
    :param letters: a page of its dead letters, see :func:`~airflow_async_rest.ui.letters.page`; None: there is none.
    :param sample: of what failed, where the page cannot be had; then ``trouble`` says why.
    """

    task: TaskInstanceId
    state: str | None
    try_number: int
    started_at: datetime | None
    ended_at: datetime | None
    operator: str | None
    figures: Mapping[str, Any] | None
    told_at: datetime | None
    is_last: bool
    previewed: Sequence[Any] | None = None
    letters: Mapping[str, Any] | None = None
    sample: list[Any] = []  # noqa: RUF012  (a tuple has no default of its own)
    trouble: str | None = None

    @property
    def has_ended(self) -> bool:
        """Return whether nothing more comes of it by itself."""
        return self.state in _ENDED

    @property
    def is_stale(self) -> bool:
        """Return whether the figures are of an earlier try than the one that runs, is to come, or was the last."""
        if not (self.has_ended or self.state in _AT_WORK or self.state == _BETWEEN_TRIES):
            return True
        return bool(self.told_at and self.started_at and self.told_at < self.started_at)

    @property
    def older_than(self) -> str | None:
        """Return what the figures are older than, that should be of the end of the last try; None: nothing."""
        if self.figures is None or (self.state in _AT_WORK and not self.is_stale):
            return None
        has_been = self.has_ended or self.state == _BETWEEN_TRIES
        if self.is_stale:
            return "the last try" if has_been else "the try that runs" if self.state in _AT_WORK else "the next try"
        return None if self.is_last else "the end of the last try"

    @property
    def preview(self) -> str | None:
        """Return what a preview has come to; None for what is none."""
        if self.figures is None or self.figures.get("preview") is not True:
            return None
        if self.previewed is None:
            letters = counted(self.figures.get("read", 0), "dead letter")
            return f"This was a preview: nothing was sent. {letters} would be sent again."
        sent = sum(isinstance(each, Mapping) and isinstance(each.get("answer"), Mapping) for each in self.previewed)
        what = (
            f"{counted(sent, 'request was', 'requests were')} sent, to see the answer" if sent else "nothing was sent"
        )
        return f"This was a preview: {what}. The first requests are in the task's XCom, as preview."

    @property
    def wait(self) -> Mapping[str, Any] | None:
        """Return what the task waits for, as it is started again by itself: ``since``, ``until`` and ``why``."""
        return last_wait(self.figures) if self.state == WAITS else None

    @property
    def failing(self) -> str | None:
        """Return that most of what a task has sent in the last minutes failed, while it runs; None where it did not."""
        moments = _moments(self.figures) if self.state == "running" and not self.is_stale else []
        if not moments:
            return None
        first, last = moments[0], moments[-1]
        seconds, done = math.ceil(last[0] - first[0]), int(last[1] - first[1])
        bad = int(_failed(last) - _failed(first))
        if seconds <= 0 or done < _ENOUGH or bad * 2 <= done:
            return None
        return f"Most of it fails: {bad:,} of {counted(done, 'item')} in the last {counted(seconds, 'second')}."

    @property
    def is_unwritten(self) -> bool:
        """Return whether the first dead letters of a task that runs are in no file yet, as the tab decides it."""
        if self.state != "running" or self.is_stale or failures_in(self.figures) >= USUAL.most_unwritten:
            return False
        moments = _moments(self.figures)
        first = next((moment for moment in moments if _failed(moment) > 0), None)
        is_earlier = self.try_number > 1 or bool((self.figures or {}).get("waits"))
        if first is None or (is_earlier and first is moments[0]):  # of an earlier try, or of the time before a wait
            return False
        return bool(moments[-1][0] - first[0] < _WRITTEN_AFTER_SECONDS)

    @property
    def is_delivered_later(self) -> bool:
        """Return whether all was read, and no dead letter is left of those that the task has ended with."""
        is_complete = self.figures is not None and self.figures.get("complete") is True
        return is_complete and self.has_ended and self.letters is not None and not self.letters["total"]


def facts_of(session: Session, task: TaskInstanceId, offset: int) -> Facts | None:
    """Return what is known of a task instance; None where Airflow knows of none.

    :param offset: of the page of dead letters.
    """
    columns = (TaskInstance.state, TaskInstance.try_number, TaskInstance.start_date, TaskInstance.end_date)
    line = session.execute(select(*columns, TaskInstance.operator).filter_by(**task._asdict())).one_or_none()
    if line is None:
        return None
    pushed, progress = pushed_values(session, task), None
    with suppress(Exception):  # whatever the storage raises: what is in XCom is shown all the same
        progress = store_of(task, session).get("progress")
    progress = progress if is_report(progress) else None
    figures, told_at, is_report_of_last = _latest(pushed, progress, line)
    is_last = is_report_of_last or bool(figures and (figures.get("complete") or figures.get("error")))
    previewed = pushed.get("preview", {}).get("requests")
    previewed = previewed if isinstance(previewed, list) else None
    facts = Facts(task, line.state and str(line.state), *line[1:], figures, told_at, is_last, previewed)
    if not failures_in(figures) or facts.is_unwritten:
        return facts
    return _with_letters(facts, pushed.get("failed_items") or [], offset)


def _moments(figures: Mapping[str, Any] | None) -> list[Sequence[float]]:
    """Return the last minutes as a task has written them: seconds, items that were done, and of these that failed."""
    history = (figures or {}).get("history")
    known = history if isinstance(history, list) else ()
    return [each for each in known if isinstance(each, list) and len(each) > 1 and all(map(_is_number, each))]


def _failed(moment: Sequence[float]) -> float:
    return moment[2] if len(moment) > 2 else 0  # noqa: PLR2004  (the first reports had no third)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and -_LARGEST < value < _LARGEST


def _latest(
    pushed: Mapping[str, Any], progress: Mapping[str, Any] | None, line: Any
) -> tuple[Mapping[str, Any] | None, datetime | None, bool]:
    """Return the figures, when they were written, and whether they are a report.

    Where XCom cannot be written, it may still have the report of an earlier try, and the state store knows better.

    :param line: the task instance, with ``start_date`` and ``try_number``.
    """
    # By another clock than the task's start, which may be ahead; before the first try there was none.
    pushed_at = None if line.try_number == 1 else as_date(pushed.get("pushed_at"))
    report, began = pushed.get("return_value"), line.start_date
    is_old = pushed_at is not None and began is not None and pushed_at < began
    if report is not None and not (progress and is_old):
        return {**(progress or {}), **report}, pushed_at, True
    return progress, as_date(progress.get("updated_at")) if progress else None, False


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
