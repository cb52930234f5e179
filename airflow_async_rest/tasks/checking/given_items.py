"""What ``RestToSqlOperator`` asks for, where that is no query: given items, or steps of the window."""

import ast
import contextlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow_async_rest.compat.task_context import read_by_any_thread
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.reading.given_items import GivenItems
from airflow_async_rest.windows import Window, on_clocks, split_windows

# What a step of the window has for placeholders.
STEP_NAMES = frozenset({"start", "end", "date"})
# Of these, a list takes 9 GB, and five minutes to be made.
_MOST_STEPS = 10_000_000


def given_items(items: Any) -> GivenItems:
    """Read the argument ``items``: a list, or what a template makes of one.

    :raises ConfigurationError: when it is not one.
    """
    if isinstance(items, str):
        for read in (json.loads, ast.literal_eval):
            with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
                items = read(items)
                break
    if not isinstance(items, Sequence) or isinstance(items, str | bytes):
        from airflow_async_rest.connections.secrets import excerpt_of_argument  # noqa: PLC0415

        shown = "null: the upstream task returned nothing" if str(items) == "None" else excerpt_of_argument(items)
        raise ConfigurationError(f"items is {shown}; write a list of dicts or values, or the XCom of one.")
    return GivenItems(read_by_any_thread(items))


def check_step(step: Any) -> None:
    """Check the argument ``window_step``. :raises ConfigurationError: when it is not a positive length."""
    if not isinstance(step, timedelta) or step <= timedelta():
        raise ConfigurationError(f"window_step={step!r}: write a positive length, such as timedelta(days=1).")


def window_steps(window: Window, step: Any) -> GivenItems:
    """Cut a window into items with ``start``, ``end`` and ``date``; steps of whole days are days of its zone.

    :raises ConfigurationError: when the step is not a positive length, or so short that memory could not hold them.
    """
    check_step(step)
    if (window.end - window.start) / step > _MOST_STEPS:
        raise ConfigurationError(
            f"window_step={step!r} cuts the window into more than {_MOST_STEPS:,} steps: write a longer one, or run "
            "the task for shorter windows."
        )
    first, last = (on_clocks(instant.astimezone(window.zone)) for instant in (window.start, window.end))
    span = last.replace(tzinfo=None) - first.replace(tzinfo=None)
    if span % step and not (window.end - window.start) % step:  # days of another zone, as of a timetable in UTC
        first, last = window.start, window.end
    items = []
    for texts in split_windows(first, last, step):
        start, end = map(datetime.fromisoformat, texts.values())
        items.append({"start": start, "end": end, "date": start.astimezone(window.zone).date()})
    return GivenItems(items)
