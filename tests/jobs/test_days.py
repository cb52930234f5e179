"""A year of dates is asked for day by day, in a zone whose clocks change twice, from an API with pages; the table's
window is replaced by it.
"""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from task_runner import run_try
from tasks import rest_to_sql

from airflow_async_rest import CursorPages

DATES = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
HOUR, PAGE = timedelta(hours=1), 10
ROWS = "SELECT day, at, number FROM hours ORDER BY at, number"
STRAYS = [(None, datetime(2025, 12, 31, 12, tzinfo=UTC), 0), (None, datetime(2027, 1, 1, 12, tzinfo=UTC), 0)]


def midnight(day, zone):
    return datetime.combine(day, time(), zone).astimezone(UTC)


def hours_of(day, zone):
    """The hours of a local date: 23 and 25 of them where clocks change."""
    start, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
    return [start + n * HOUR for n in range((end - start) // HOUR)]


def paged(zone):
    """Make an API that gives a date's hours in pages, of which every seventh fails the first time it is asked for."""
    asked = Counter()

    def answer(seen):
        asked[seen.target] += 1
        if asked[seen.target] == 1 and len(asked) % 7 == 0:
            return (503, "reset")[len(asked) % 2]
        day = date.fromisoformat(seen.path.rpartition("/")[2])
        first = int(parse_qs(seen.query).get("cursor", ["0"])[0])
        rows = [{"at": at.isoformat(), "number": n} for n, at in enumerate(hours_of(day, zone))]
        following = first + PAGE if first + PAGE < len(rows) else None
        return web.json_response({"rows": rows[first : first + PAGE], "next": following})

    return answer


@pytest.fixture
def table(places, postgres, connect):
    """The rows of a table that has some on either side of the year, and one within it that is to go."""
    connect("warehouse", **postgres.connection())
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads, hours",
        "CREATE TABLE hours (day date, at timestamptz, number int)",
        "INSERT INTO hours VALUES (NULL, '2025-12-31 12:00Z', 0), (NULL, '2026-06-01 12:30Z', -1), (NULL, '2027-01-01 12:00Z', 0)",
    )
    return lambda: postgres.execute(ROWS)


def of_a_year(zone: ZoneInfo, how: str):
    """The task, and the window of its run: in a zone by the arguments, or by the timetable."""
    from airflow.sdk import DAG, CronDataIntervalTimetable

    by_arguments = {"window_start": "2026-01-01", "window_end": "2027-01-01", "window_timezone": zone.key}
    yearly = CronDataIntervalTimetable("0 0 1 1 *", timezone=zone.key if how == "timetable" else "UTC")
    with DAG("yearly", schedule=yearly):
        task = rest_to_sql(
            window_step=timedelta(days=1),
            endpoint="days/{date}",
            rows="rows",
            paginate=CursorPages("next"),
            columns={"day": "item.date", "at": "at", "number": "number"},
            destination_table="hours",
            load_mode="replace_window",
            window_column="at",
            **(by_arguments if how == "arguments" else {}),
        )
    return task, tuple(midnight(date(year, 1, 1), zone) for year in (2026, 2027))


@pytest.mark.parametrize(("name", "how"), [("Europe/Berlin", "arguments"), ("America/New_York", "timetable")])
def test_each_local_date_is_asked_for_once_and_the_same_year_again_gives_the_same_table(
    places, table, postgres, supervisor, name, how
):
    zone = ZoneInfo(name)
    expected = [(day, at, n) for day in DATES for n, at in enumerate(hours_of(day, zone))]
    assert Counter(Counter(day for day, *_ in expected).values()) == {24: 363, 23: 1, 25: 1}
    places.answer = paged(zone)
    for number in (1, 2):
        places.reset()
        task, window = of_a_year(zone, how)
        assert run_try(task, supervisor, number, window=window) == ("success", None)
        assert Counter(seen.path for seen in places.delivered if not seen.query) == Counter(
            f"/days/{day}" for day in DATES
        )
        same = table() == [STRAYS[0], *expected, STRAYS[1]]
        assert same  # not in the assertion itself: a difference would print all of them
        report = supervisor.report
        assert (report["read"], report["delivered"], report["rows_loaded"]) == (365, 365, 365 * 24)
        assert (report["retries"] > 0) == (number == 1)
        postgres.execute(
            "DELETE FROM hours WHERE number = 3 AND day > '2026-10-01'",
            "UPDATE hours SET number = -1 WHERE day = '2026-03-29'",
        )
