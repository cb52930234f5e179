"""What to do next about a task instance: as the tab "Delivery" decides it, where there are no buttons. Pure."""

from collections.abc import Mapping
from typing import Any

from airflow_async_rest.core.letters.folder import UNREADABLE
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.ui.freshness import REPLAYS
from airflow_async_rest.ui.reports import failures_in, reasons_in, replayable_in

_TAKEN = "The API took these, but its answers could not be read: check there what it has."
_REPLAY = "with ReplayDeadLettersOperator"


def next_step(
    state: str | None, figures: Mapping[str, Any] | None, operator: str | None = None, replayable: int | None = None
) -> str | None:
    """Return what to do where something is missing; None where nothing is, or Airflow goes on by itself.

    :param replayable: how many dead letters are requests that a replay sends; None: only their reasons tell.
    """
    failures, told = failures_in(figures), figures or {}
    if state == "failed" and not (failures or told.get("read")):
        return "Its log says more. When that is put right, clear the task."
    if state not in {"success", "failed"} or (state == "success" and not failures):
        return None
    fetches = "rows_loaded" in told
    sent = replayable_in(figures) if replayable is None else replayable
    why_none = "" if fetches or sent or not failures else _why_none(told, failures)
    if operator == REPLAYS and failures:
        return _of_a_replay(why_none if told.get("complete") is not False else "")
    is_function = (operator or "").startswith(("_", "Python"))
    why = why_none or ("" if is_function else _one_cause(told))
    if state == "success":
        return None if fetches else _of_what_is_allowed(why, sent, failures)
    if fetches or told.get("complete") is not True:
        return f"{why} Clear the task: it goes on where it stopped, with what failed and what is missing.".strip()
    return _of_what_failed(why, sent, failures, is_function=is_function)


def _why_none(told: Mapping[str, Any], failures: int) -> str:
    """Return why a replay would send none of what failed."""
    taken = reasons_in(told).get(UNREADABLE, 0)
    if taken:
        return (
            _TAKEN
            if taken == failures
            else "None of these can be sent again as it was: correct the rows or the transform."
        )
    return "These never became requests: correct the rows or the transform."


def _of_a_replay(why_none: str) -> str:
    if why_none in {"", _TAKEN}:
        return why_none or "Clear the task to send them again, as they were: that is all it does."
    return f"{why_none} Then clear the task that delivers them: a replay cannot make requests of them."


def _of_what_is_allowed(why: str, sent: int, failures: int) -> str:
    what = why or f"Send {_requests(sent, failures)} again {_REPLAY}."
    return f"The task allows that many failures. {what} A Clear would run all of it again."


def _one_cause(told: Mapping[str, Any]) -> str:
    """Say that all that was tried failed for one reason, where it did: then no row is to blame."""
    reasons = reasons_in(told)
    return (
        ""
        if told.get("delivered") or len(reasons) != 1
        else f"All failed for one cause, {next(iter(reasons))}: correct it first."
    )


def _of_what_failed(why: str, sent: int, failures: int, *, is_function: bool) -> str:
    if not failures:
        return "No dead letter is left. Clear the task: it sends nothing, and is marked as done."
    if why:
        return why if why == _TAKEN else f"{why} Then clear the task: it makes requests of their rows."
    clear = "all of it runs again" if is_function else "those that failed are made again from their rows"
    return f"Send {_requests(sent, failures)} again {_REPLAY}; or clear the task: {clear}."


def _requests(sent: int, failures: int) -> str:
    return "the same requests" if sent >= failures else f"the {counted(sent, 'request')} among them"
