"""Airflow's own timetables: a task sees the SDK's, which say what was written and compute nothing."""

import copy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import takewhile
from typing import Any

_FIRST_LOOK_BACK, _LAST_LOOK_BACK = timedelta(hours=1), timedelta(days=366 * 40)


def timezone_of(dag: Any) -> tzinfo:
    """Return the time zone that a DAG's dates are in: its timetable's, else its own; UTC where it has none.

    Its own is its start date's, or Airflow's default, which a timetable made of a cron expression has, too.
    """
    return _zone_of(getattr(dag, "timetable", None)) or _as_zone(getattr(dag, "timezone", None)) or UTC


def _as_zone(zone: Any) -> tzinfo | None:
    if isinstance(zone, str):
        import pendulum  # noqa: PLC0415  (Airflow's; DAG files load none of it for a window)

        return pendulum.timezone(zone)
    return zone if isinstance(zone, tzinfo) else None


def _zone_of(timetable: Any) -> tzinfo | None:
    if zone := _as_zone(getattr(timetable, "timezone", None) or getattr(timetable, "_timezone", None)):
        return zone
    # Several crons, which have one zone; or assets and a timetable.
    crons = getattr(timetable, "timetables", None) or getattr(timetable, "_timetables", None)
    within = crons[0] if crons else getattr(timetable, "timetable", None)
    return None if within is None else _zone_of(within)


def ticks_after(timetable: Any, instant: datetime) -> Iterator[datetime]:
    """Yield the partitions of a timetable after an instant; none where they do not follow from the time.

    Airflow's scheduler is asked, because no other reading of the cron expression agrees with it on days when clocks
    change.
    """
    try:
        import pendulum  # noqa: PLC0415
        from airflow.serialization.encoders import coerce_to_core_timetable  # noqa: PLC0415
        from airflow.timetables.base import DagRunInfo, TimeRestriction  # noqa: PLC0415
    except ImportError:  # a process that has the task SDK alone
        return
    if getattr(timetable, "run_offset", None):  # it says which of the ticks a run has, not when they are
        timetable = copy.copy(timetable)
        timetable.run_offset = 0
    core: Any = coerce_to_core_timetable(timetable)
    if not getattr(core, "partitioned", False):
        return
    always = TimeRestriction(earliest=None, latest=None, catchup=True)
    last = DagRunInfo(run_after=pendulum.instance(instant), data_interval=None)
    while last := core.next_dagrun_info_v2(last_dagrun_info=last, restriction=always):
        yield last.run_after


def tick_before(timetable: Any, run_after: datetime) -> datetime | None:
    """Return the partition of a scheduled run that comes after it, by a negative ``run_offset``.

    Where clocks spring forward Airflow counts back wrongly: one partition has two runs, and the one before has none.

    :return: None where the run's own date counts.
    """
    back, span = -(getattr(timetable, "run_offset", None) or 0), _FIRST_LOOK_BACK
    while back > 0 and span < _LAST_LOOK_BACK:
        ticks = list(takewhile(lambda tick: tick <= run_after, ticks_after(timetable, run_after - span)))
        if len(ticks) > back:
            return ticks[-1 - back] if ticks[-1] == run_after else None  # no tick: another cron made the run
        span *= 4
    return None
