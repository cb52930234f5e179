"""The window of a run: half-open, in UTC, ``window_start <= t < window_end``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from difflib import get_close_matches
from typing import Any

from airflow_async_rest.compat.timetables import tick_before, ticks_after, timezone_of
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.window_zones import parse_zone, zone_of

_CONF_NAMES = ("window_start", "window_end")
_UNTOUCHED = ("", "none", "null")  # a trigger form's empty fields, and what templates make of them
_ALIKE = 0.85  # "window_strat" and "windowStart" are; "window_size" is not
_ZERO_WIDTH = (
    "this run has no window: {why}. Give it one in one of three ways: (1) schedule the DAG with "
    "CronDataIntervalTimetable('0 0 * * *', timezone='UTC'), whose scheduled and backfill runs cover the time between "
    "two runs; (2) set window_start= and window_end= on the operator (templated); (3) trigger the run with the conf "
    '{{"window_start": "2026-01-01", "window_end": "2026-01-02"}}, or in the UI with "Data Interval: Specify Manually".'
)


@dataclass(frozen=True)
class Window:
    """A span of time: the start belongs to it, the end does not.

    :param start: aware; kept in UTC.
    :param end: aware, after ``start``; kept in UTC.
    :param zone: what its dates are in.
    """

    start: datetime
    end: datetime
    zone: tzinfo = field(default=UTC, compare=False, repr=False)

    def __post_init__(self) -> None:
        start, end = parse_instant("window_start", self.start), parse_instant("window_end", self.end)
        if start >= end:
            raise ConfigurationError(
                f"window_end ({end.isoformat()}) is not after window_start ({start.isoformat()}): a window is "
                "half-open, so one day is window_start='2026-01-01', window_end='2026-01-02'."
            )
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "end", end)

    def texts(self) -> dict[str, str]:
        """Return both ends as ISO 8601, as reports and ``expand_kwargs`` take them."""
        return {"window_start": self.start.isoformat(), "window_end": self.end.isoformat()}

    def days(self) -> tuple[date, date]:
        """Return which days of its zone begin in it: the first, and the one after the last."""
        first, after = (_day_from(instant.astimezone(self.zone)) for instant in (self.start, self.end))
        return first, after


def parse_instant(argument: str, value: Any, zone: tzinfo = UTC) -> datetime:
    """Read a date or time; a date is its midnight.

    :param argument: its name, for the error.
    :param zone: of what has no offset. Of a time that clocks show twice, or leave out, the later reading counts, as in
        Airflow's timetables.
    :return: in UTC, a plain :class:`datetime.datetime`.
    :raises ConfigurationError: when it cannot be read.
    """
    instant = _parse(argument, value)
    if instant.tzinfo is not None:
        return _to_utc(argument, instant)
    return max(_to_utc(argument, instant.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))


def _to_utc(argument: str, instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ConfigurationError(
            f"{argument}={instant.isoformat()!r}: in UTC it is not in the years 1 to 9999."
        ) from None


def _parse(argument: str, value: Any) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip().upper())
        except ValueError:
            raise ConfigurationError(
                f"{argument}={value!r}: write a date or time as ISO 8601, such as '2026-01-31' or "
                "'2026-01-31T06:00:00+00:00'."
            ) from None
    if isinstance(value, datetime):
        # A plain datetime: pendulum's subclass has its own arithmetic and representation.
        return datetime.combine(value.date(), value.timetz())
    if isinstance(value, date):
        return datetime.combine(value, time())
    raise ConfigurationError(f"{argument}={value!r}: write a date or time, such as '2026-01-31'.")


def split_windows(start: Any, end: Any, step: timedelta) -> list[dict[str, str]]:
    """Cut a span into windows, for ``SqlToRestOperator.partial(...).expand_kwargs(split_windows(...))``.

    The windows touch and together are exactly the span; the last one may be shorter. Whole days are days of
    the calendar where ``start`` has a time zone with daylight saving time; shorter steps are exact.

    :param start: first instant (date, datetime or ISO 8601; UTC without an offset).
    :param end: the instant after the last one: to include the 31st, write the 1st.
    :param step: length of a window, a positive timedelta.
    :return: a list of ``{"window_start": ..., "window_end": ...}``.
    :raises ConfigurationError: when an argument cannot be read, or the span is empty.
    """
    if not isinstance(step, timedelta) or step <= timedelta():
        raise ConfigurationError(f"step={step!r}: write a positive length, such as timedelta(days=1).")
    first, last = _parse("start", start), parse_instant("end", end)
    first = (first if first.tzinfo else first.replace(tzinfo=UTC)).astimezone(zone_of(first, _parse("end", end), UTC))
    whole = Window(first, last)
    if step % timedelta(days=1):  # arithmetic of aware datetimes follows the wall clock: wanted for days only
        first = whole.start
    windows, left = [], on_clocks(first)
    while left.astimezone(UTC) < last:
        right = _step_on(left, step, last)
        if left.astimezone(UTC) < right.astimezone(UTC):  # a zone that crossed the date line has left a day out
            windows.append(Window(left, right).texts())
        left = right
    return windows


def on_clocks(instant: datetime) -> datetime:
    """Return an instant as the midnight that it stands for, where clocks left that out or showed it twice.

    Days that are counted from it then begin at midnight, too; from what clocks showed instead, such as one o'clock, all
    would begin an hour late.
    """
    midnights = (datetime.combine(instant.date(), time(fold=fold), instant.tzinfo) for fold in (0, 1))
    return next((each for each in midnights if each.astimezone(UTC) == instant.astimezone(UTC)), instant)


def _day_from(instant: datetime) -> date:
    """Return the first day that does not begin before an instant."""
    clocks = on_clocks(instant)
    begins = clocks.time() == time() or clocks.date() == date.max
    return clocks.date() if begins else clocks.date() + timedelta(days=1)


def _step_on(left: datetime, step: timedelta, last: datetime) -> datetime:
    try:
        # Of a midnight that clocks show twice, or leave out, the later reading, as parse_instant has it.
        right = max(((left + step).replace(fold=fold) for fold in (0, 1)), key=lambda instant: instant.astimezone(UTC))
        return min(right, last, key=lambda instant: instant.astimezone(UTC))
    except OverflowError:  # beyond the year 9999
        return last


def is_given(value: Any) -> bool:
    """Return whether one end of a window says anything: null and empty texts do not."""
    return value is not None and not (isinstance(value, str) and value.strip().lower() in _UNTOUCHED)


def resolve_window(
    context: Mapping[str, Any], window_start: Any = None, window_end: Any = None, window_timezone: Any = None
) -> Window:
    """Find the window of a run.

    In this order: the arguments; ``window_start`` and ``window_end`` of the run's conf; the data interval;
    the partition date (up to the next one). Airflow's plain ``"@daily"`` gives an interval of zero width,
    which is an error, because it would deliver nothing and look like success.

    The zone of its dates is ``window_timezone``; else what the start is written in, else that of the DAG's timetable,
    else the DAG's own.

    :param context: Airflow's task context.
    :param window_timezone: also of dates and times without an offset, which else are in the zone of the timetable.
    :raises ConfigurationError: when there is no window; it names three ways to give one.
    """
    zone = parse_zone(window_timezone) if is_given(window_timezone) else timezone_of(context.get("dag"))
    window = _window_in(context, window_start, window_end, zone)
    return replace(window, zone=zone) if is_given(window_timezone) else window


def find_window(
    context: Mapping[str, Any],
    window_start: Any = None,
    window_end: Any = None,
    window_timezone: Any = None,
    *,
    asked_for: Callable[[], bool],
) -> Window | None:
    """Find the window of a run, or None where there is none, and nothing asks for one; see :func:`resolve_window`.

    :param asked_for: whether something besides these arguments does.
    """
    try:
        return resolve_window(context, window_start, window_end, window_timezone)
    except ConfigurationError:
        if any(map(is_given, (window_start, window_end, window_timezone))) or asked_for():
            raise
        return None


def _window_in(context: Mapping[str, Any], window_start: Any, window_end: Any, zone: tzinfo) -> Window:
    timetable = getattr(context.get("dag"), "timetable", None)
    if is_given(window_start) or is_given(window_end):
        return _both(window_start, window_end, "argument", zone)
    dag_run = context.get("dag_run")
    conf = getattr(dag_run, "conf", None) or {}
    _check_spelling(conf)
    start, end = conf.get("window_start"), conf.get("window_end")
    if is_given(start) or is_given(end):
        if _run_type(dag_run).startswith("backfill"):
            raise ConfigurationError(
                "the conf of this backfill has window_start or window_end: each of its runs would send that "
                "same window. Leave them out; a backfill's runs take their own data intervals."
            )
        return _both(start, end, "conf", zone)
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is not None and end is not None and start < end:
        return Window(start, end, zone)
    partition = context.get("partition_date") or getattr(dag_run, "partition_date", None)
    if partition is not None:
        return replace(_partition_window(partition, dag_run, timetable), zone=zone)
    no_interval = "it has no data interval, as runs of 'airflow dags trigger' have none whatever the schedule"
    why = f"its data interval is empty ({start} to {end})" if start is not None else no_interval
    raise ConfigurationError(_ZERO_WIDTH.format(why=why))


def _run_type(dag_run: Any) -> str:
    return str(getattr(dag_run, "run_type", "")).rpartition(".")[2].lower()


def _check_spelling(conf: Mapping[str, Any]) -> None:
    """Find a misspelt window: without it the run would quietly have another."""
    for name in conf:
        right = get_close_matches(str(name).lower(), _CONF_NAMES, cutoff=_ALIKE)
        if right and name not in _CONF_NAMES:
            raise ConfigurationError(f"the run's conf has {name!r}: write {right[0]!r}.")


def check_ends(window_start: Any, window_end: Any, window_timezone: Any = None) -> None:
    """Check the arguments of a window, as far as that takes no run.

    :raises ConfigurationError: when one cannot be read, or only one is there, or they are in the wrong order.
    """
    zone = parse_zone(window_timezone) if is_given(window_timezone) else UTC
    if not (is_given(window_start) or is_given(window_end)):
        return
    _check_both_there(window_start, window_end, "argument")
    start, end = _parse("window_start", window_start), _parse("window_end", window_end)
    if (start.tzinfo is None) is (end.tzinfo is None):  # else their order is that of the timetable's zone
        _both(start, end, "argument", zone)


def _check_both_there(start: Any, end: Any, where: str) -> None:
    for name, value in (("window_start", start), ("window_end", end)):
        if value is None or (isinstance(value, str) and not value.strip()):
            raise ConfigurationError(f"{name} is missing: the {where} gives only the other end of the window.")


def _both(start: Any, end: Any, where: str, zone: tzinfo) -> Window:
    _check_both_there(start, end, where)
    window = Window(parse_instant("window_start", start, zone), parse_instant("window_end", end, zone))
    return replace(window, zone=zone_of(_parse("window_start", start), _parse("window_end", end), zone))


def _partition_window(partition: datetime, dag_run: Any, timetable: Any) -> Window:
    """From a partition's date to the next one, as the DAG's timetable has them."""
    start = parse_instant("partition_date", partition)
    run_after = getattr(dag_run, "run_after", None)
    if run_after is not None and _run_type(dag_run) == "scheduled":
        start = tick_before(timetable, run_after) or start
    end = next(ticks_after(timetable, start), None)
    if end is None:
        raise ConfigurationError(
            _ZERO_WIDTH.format(why=f"it has the partition date {partition}, but its timetable does not say how long")
        )
    return Window(start, end)
