from collections import Counter
from datetime import UTC, date, datetime, time, timedelta, timezone
from itertools import pairwise
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pendulum
import pytest
from tables import left_to_release

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.tasks.checking.given_items import window_steps
from airflow_async_rest.windows import Window, parse_instant, resolve_window, split_windows

DAY = timedelta(days=1)
# With clocks that change at midnight, by half an hour, for Ramadan, twice a year or never; and one that left a day out.
ZONES = [
    "UTC", "Africa/Cairo", "Africa/Casablanca", "Australia/Lord_Howe", "Pacific/Apia",
    "America/Asuncion", "America/Havana", "America/New_York", "America/Santiago", "America/Sao_Paulo",
    "America/St_Johns", "Asia/Amman", "Asia/Beirut", "Asia/Kathmandu", "Asia/Tehran", "Asia/Tokyo", "Atlantic/Azores",
    "Europe/Helsinki", "Europe/London", "Pacific/Chatham", "Pacific/Kiritimati",
]  # fmt: skip
NEW_YORK, HELSINKI = "America/New_York", "Europe/Helsinki"


def timetable(zone):
    from airflow.sdk import CronDataIntervalTimetable

    return SimpleNamespace(timetable=CronDataIntervalTimetable("0 0 * * *", timezone=zone))


def midnights(zone, year):
    """The midnights of a year's dates, of which one that clocks leave out is the next moment; in UTC."""
    days = (date(year, 1, 1) + n * DAY for n in range(367))
    return list(dict.fromkeys(parse_instant("x", datetime.combine(day, time()), ZoneInfo(zone)) for day in days))


WAYS = {
    "window_timezone": lambda zone, start, end: ({}, start, end, zone),
    "window_timezone of a run": lambda zone, start, end: (
        {"data_interval_start": start, "data_interval_end": end}, None, None, zone,
    ),
    "window_timezone, without offsets": lambda zone, start, end: ({}, *(
        instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for instant in (start, end)
    ), zone),
    "the start's own": lambda zone, start, end: ({}, start.astimezone(ZoneInfo(zone)), end, None),
    "the start's own, pendulum's": lambda zone, start, end: ({}, pendulum.instance(start).in_timezone(zone), end, None),
    "offsets": lambda zone, start, end: (
        {}, start.astimezone(ZoneInfo(zone)).isoformat(), end.astimezone(ZoneInfo(zone)).isoformat(), None,
    ),
    "the timetable's": lambda zone, start, end: (
        {"data_interval_start": start, "data_interval_end": end, "dag": timetable(zone)}, None, None, None,
    ),
    "the timetable's, by templates": lambda zone, start, end: (
        {"data_interval_start": start, "data_interval_end": end, "dag": timetable(zone)}, str(start), str(end), None,
    ),
    "the timetable's, by split_windows": lambda zone, start, end: (
        {"dag": timetable(zone)}, *split_windows(start, end, end - start)[0].values(), None,
    ),
    "the timetable's, by the conf": lambda zone, start, end: (
        {"dag": timetable(zone), "dag_run": SimpleNamespace(conf={
            "window_start": start.astimezone(ZoneInfo(zone)).isoformat(),
            "window_end": end.astimezone(ZoneInfo(zone)).isoformat(),
        })}, None, None, None,
    ),
}  # fmt: skip


def dates_of(context, start, end, zone, step=DAY) -> list[date]:
    return [item["date"] for chunk in window_steps(resolve_window(context, start, end, zone), step) for item in chunk]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("zone", left_to_release(ZONES, but_for=5))
def test_a_year_of_daily_windows_asks_for_each_local_date_exactly_once(zone, way):
    year = 2011 if zone == "Pacific/Apia" else 2026
    instants = midnights(zone, year)
    found = Counter(day for window in pairwise(instants) for day in dates_of(*WAYS[way](zone, *window)))
    expected = {date(year, 1, 1) + n * DAY for n in range(366)} - {date(2011, 12, 30)}
    assert found == Counter(expected)


@pytest.mark.parametrize("days", [7, 30, 366])
@pytest.mark.parametrize("zone", ZONES)
def test_longer_windows_do_too(zone, days):
    year = 2011 if zone == "Pacific/Apia" else 2026
    instants = midnights(zone, year)
    windows = pairwise([*instants[:-1:days], instants[-1]])
    found = Counter(day for window in windows for day in dates_of({}, *window, zone))
    assert found == Counter({date(year, 1, 1) + n * DAY for n in range(366)} - {date(2011, 12, 30)})


@pytest.mark.parametrize("zone", sorted({*ZONES} - {"Atlantic/Azores", "Pacific/Apia"}))
def test_windows_of_days_in_utc_ask_for_each_date_of_another_zone_once(zone):
    instants = [datetime(2026, 1, 1, tzinfo=UTC) + n * DAY for n in range(366)]
    found = [day for window in pairwise(instants) for day in dates_of({}, *window, zone)]
    assert {later - earlier for earlier, later in pairwise(found)} == {DAY}


@pytest.mark.parametrize(
    ("zone", "start", "hours"),
    [(NEW_YORK, "2026-03-08", 23), (NEW_YORK, "2026-11-01", 25), (HELSINKI, "2026-03-29", 23), (HELSINKI, "2026-10-25", 25)],
)  # fmt: skip
def test_a_day_on_which_clocks_change_is_one_step(zone, start, hours):
    window = resolve_window({}, start, (date.fromisoformat(start) + DAY).isoformat(), zone)
    [[item]] = window_steps(window, DAY)
    assert item == {"start": window.start, "end": window.end, "date": date.fromisoformat(start)}
    assert (item["end"] - item["start"]) == timedelta(hours=hours)


def test_hours_are_exact_and_their_date_is_that_of_the_zone():
    window = resolve_window({}, "2026-11-01", "2026-11-02", NEW_YORK)
    [items] = window_steps(window, timedelta(hours=1))
    assert len(items) == 25
    assert {item["date"] for item in items} == {date(2026, 11, 1)}
    assert {item["end"] - item["start"] for item in items} == {timedelta(hours=1)}


INTERVAL = {
    "data_interval_start": datetime(2026, 7, 1, 4, tzinfo=UTC),
    "data_interval_end": datetime(2026, 7, 2, 4, tzinfo=UTC),
}


@pytest.mark.parametrize(
    ("zone", "start", "of_dag", "expected"),
    [
        ("Asia/Tokyo", datetime(2026, 7, 1, tzinfo=ZoneInfo(HELSINKI)), NEW_YORK, "Asia/Tokyo"),
        (ZoneInfo("Asia/Tokyo"), "2026-07-01T00:00:00+03:00", NEW_YORK, "Asia/Tokyo"),
        (None, datetime(2026, 7, 1, tzinfo=ZoneInfo(HELSINKI)), NEW_YORK, HELSINKI),
        ("", "2026-07-01T00:00:00+03:00", NEW_YORK, "UTC+03:00"),
        (None, "2026-07-01T00:00:00+03:00", HELSINKI, HELSINKI),
        (None, "2026-07-01T00:00:00Z", NEW_YORK, NEW_YORK),
        (None, datetime(2026, 7, 1, tzinfo=UTC), HELSINKI, HELSINKI),
        ("UTC", "2026-07-01T00:00:00Z", HELSINKI, "UTC"),
        (None, "2026-07-01", NEW_YORK, NEW_YORK),
        (None, "2026-07-01 04:00:00+00:00", NEW_YORK, NEW_YORK),  # {{ data_interval_start }}
        (None, None, NEW_YORK, NEW_YORK),
        ("None", None, None, "UTC"),
    ],
)
def test_the_zone_is_the_first_that_somebody_says(zone, start, of_dag, expected):
    context = {**INTERVAL, **({"dag": timetable(of_dag)} if of_dag else {})}
    window = resolve_window(context, start, None if start is None else "2026-08-01", zone)
    assert str(window.zone) == expected


def test_ends_without_an_offset_are_in_the_zone_that_is_named():
    window = resolve_window({"dag": timetable(NEW_YORK)}, "2026-07-01", "2026-07-02", HELSINKI)
    assert window == Window(datetime(2026, 6, 30, 21, tzinfo=UTC), datetime(2026, 7, 1, 21, tzinfo=UTC))


@pytest.mark.parametrize("zone", ["Mars", "Europe", 5, "+02:00", "../etc/passwd", ["UTC"]])
def test_a_zone_that_there_is_not_is_refused_by_name(zone):
    with pytest.raises(ConfigurationError, match="window_timezone=.*: write a name such as 'Europe/Helsinki'"):
        resolve_window(INTERVAL, None, None, zone)


def test_a_zone_may_be_an_offset():
    window = resolve_window({}, "2026-07-01", "2026-07-03", timezone(timedelta(hours=-5)))
    assert [item["date"].day for item in next(iter(window_steps(window, DAY)))] == [1, 2]
