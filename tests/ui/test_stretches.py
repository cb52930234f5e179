"""Windows that never ran: which stretches they are, and what a backfill of them needs. Pure, run by Node.js."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from ui.node import evaluated, ran

DAY = timedelta(days=1)


def window(start: datetime, width: timedelta = DAY, **more):
    """A window that is its run's data interval."""
    ends = start.isoformat(), (start + width).isoformat()
    times = dict(zip(("start", "end", "run_start", "run_end"), ends * 2, strict=True))
    done = {"state": "success", "report": {"complete": True, "read": 1, "delivered": 1, "failed": 0}, "map_index": -1}
    return {
        **done,
        "run_id": ends[0],
        "run_type": "scheduled",
        "run_after": ends[1],
        "started_at": None,
        **times,
        **more,
    }


def at(month: int, day: int, hour: int = 0, zone=UTC) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=zone).astimezone(UTC)


def due(*starts, width=DAY):
    """What the endpoint says is missing: runs of these data intervals."""
    return [{"start": each.isoformat(), "end": (each + width).isoformat(), "date": each.isoformat()} for each in starts]


def stretches(windows, missing):
    return ran("outcomes.js", "arrange", windows, missing)["stretches"]


def ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def test_five_old_days_and_a_new_one_leave_one_line_and_six_windows_are_counted():
    windows = [window(at(1, day)) for day in range(1, 6)] + [window(at(11, 27))]
    missing = due(*(at(1, 6) + n * DAY for n in range(325)))
    found = ran("outcomes.js", "arrange", windows, missing)
    dates = [each["date"] for each in missing]
    assert found["stretches"] == [{"from": ms(at(1, 6)), "to": ms(at(11, 27)), "holes": 325, "dates": dates}]
    assert [cell["outcome"] for cell in found["cells"]] == ["delivered"] * 5 + ["never", "delivered"]
    assert ran("outcomes.js", "tally", found["cells"]) == [["delivered", 6]]
    assert ran("stretches.js", "nameOfStretch", found["stretches"][0], "UTC") == "6 January to 26 November 2026"


def test_a_short_hole_has_a_cell_for_each_window_and_is_a_stretch_all_the_same():
    missing = due(*(at(1, day) for day in range(2, 12)))
    found = ran("outcomes.js", "arrange", [window(at(1, 1)), window(at(1, 12))], missing)
    assert [cell["outcome"] for cell in found["cells"]] == ["delivered", *["never"] * 10, "delivered"]
    assert [stretch["holes"] for stretch in found["stretches"]] == [10]
    assert ran("outcomes.js", "tally", found["cells"]) == [["delivered", 2]]


def test_windows_that_touch_leave_no_stretch_whatever_the_schedule_is_now():
    widths = [window(at(1, 1), 3 * DAY), window(at(1, 4)), window(at(1, 5)), window(at(1, 6), 2 * DAY)]
    assert stretches(widths, due(at(1, 2), at(1, 3), at(1, 7))) == []
    assert stretches([], due(at(1, 2))) == []


def test_before_the_first_and_after_the_last_window_nothing_is_missing():
    assert stretches([window(at(1, 5)), window(at(1, 6))], due(at(1, 1), at(1, 9))) == []


def test_windows_that_overlap_do_not_hide_a_run_that_is_missing():
    windows = [window(at(1, day), 7 * DAY) for day in (1, 2, 4, 5)]
    [stretch] = stretches(windows, due(at(1, 3), width=7 * DAY))
    assert (stretch["from"], stretch["to"], stretch["holes"]) == (ms(at(1, 3)), ms(at(1, 10)), 1)


def test_what_somebody_has_run_by_hand_is_not_missing():
    by_hand = window(at(1, 6), run_type="manual", run_start=at(6, 1).isoformat(), run_end=at(6, 1).isoformat())
    windows = [window(at(1, 5)), window(at(1, 8)), by_hand]
    [stretch] = stretches(windows, due(at(1, 6), at(1, 7)))
    assert (stretch["from"], stretch["holes"]) == (ms(at(1, 7)), 1)


def test_windows_of_a_mapped_task_are_those_of_their_run():
    def of_a_day(day):
        run = {"run_id": str(day), "run_start": at(1, day).isoformat(), "run_end": at(1, day + 1).isoformat()}
        return [window(at(1, day, 6 * n), timedelta(hours=6), **{**run, "map_index": n}) for n in (3, 2, 1, 0)]

    [stretch] = stretches([*of_a_day(5), *of_a_day(7)], due(at(1, 6)))
    assert (stretch["from"], stretch["to"]) == (ms(at(1, 6)), ms(at(1, 7)))


@pytest.mark.parametrize(
    ("start", "end", "zone", "name"),
    [
        (at(3, 5), at(3, 6), "UTC", "5 March 2026"),
        (at(3, 5), at(3, 7), "UTC", "5 March to 6 March 2026"),
        (at(12, 31) - 365 * DAY, at(1, 3), "UTC", "31 December 2025 to 2 January 2026"),
        (at(3, 5, 23), at(3, 7, 23), "Europe/Paris", "6 March to 7 March 2026"),
        (at(3, 5, 23), at(3, 7, 23), "UTC", "2026-03-05 23:00 → 2026-03-07 23:00"),
        (at(3, 5, 3), at(3, 5, 9), "UTC", "2026-03-05 03:00 → 09:00"),
        # The last Sunday of March has 23 hours.
        (
            at(3, 28, zone=ZoneInfo("Europe/Paris")),
            at(3, 30, zone=ZoneInfo("Europe/Paris")),
            "Europe/Paris",
            "28 March to 29 March 2026",
        ),
    ],
)
def test_a_stretch_is_called_by_its_days_or_its_hours(start, end, zone, name):
    assert ran("stretches.js", "nameOfStretch", {"from": ms(start), "to": ms(end), "holes": 2}, zone) == name


@pytest.mark.parametrize(("latest", "first"), [(3, 6), (2, 7), (1, 8)])
def test_a_backfill_is_asked_for_by_the_dates_of_the_latest_runs(latest, first):
    days = [at(1, day).isoformat() for day in (6, 7, 8)]
    found = ran("stretches.js", "datesOf", {"dates": days, "holes": 3}, latest)
    assert found == {"from_date": at(1, first).isoformat(), "to_date": days[-1]}
    assert ran("stretches.js", "datesOf", {"dates": days, "holes": 3})["from_date"] == days[0]


def run(date, key=None):
    return {"logical_date": date, "partition_key": key, "partition_date": None}


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (
            [],
            "Airflow would make no run: these runs are there already, their windows are not over yet, or the schedule has none then.",
        ),
        ([run("2026-01-06T00:00:00Z")], "Airflow would make 1 run, of 2026-01-06."),
        (
            [run("2026-01-06T00:00:00Z"), run("2026-01-06T06:00:00Z")],
            "Airflow would make 2 runs, from 2026-01-06 to 2026-01-06 06:00:00.",
        ),
        (
            [run(None, "2026-01-06"), run(None, "2026-01-07")],
            "Airflow would make 2 runs, from 2026-01-06 to 2026-01-07.",
        ),
    ],
)
def test_a_dry_run_is_told_in_a_sentence(runs, said):
    assert ran("stretches.js", "sayRuns", {"backfills": runs, "total_entries": len(runs)}, "UTC") == said


@pytest.mark.parametrize(("number", "can"), [(0, False), (1, True), (500, True), (501, False), (960, False)])
def test_more_runs_than_airflow_makes_at_once_are_not_asked_for(number, can):
    found = {"backfills": [run("2026-01-06T00:00:00Z"), run("2026-01-07T00:00:00Z")], "total_entries": number}
    assert ran("stretches.js", "canBeMade", found) is can
    assert ("That is more than 500: choose fewer windows." in ran("stretches.js", "sayRuns", found, "UTC")) is (
        number > 500
    )
    assert ran("stretches.js", "canBeMade", None) is False


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (403, "You may not start a backfill of this DAG"),
        (409, "A backfill of this DAG is running already"),
        (422, "what Airflow says"),
        (0, "what Airflow says"),
    ],
)
def test_why_it_is_not_backfilled_is_told_in_words(status, said):
    assert said in ran("stretches.js", "whyNot", {"status": status, "message": "what Airflow says"})


def test_a_long_stretch_is_a_row_of_its_own_in_the_calendar():
    cells = [{"from": ms(at(1, day)), "holes": 12 if day == 2 else None} for day in (1, 2, 14)]
    layout = f"found.layoutFor({DAY.total_seconds() * 1000})"
    text = "(time) => new Date(time).toISOString().replace('T', ' ')"
    found = evaluated("outcomes.js", f"found.inRows({json.dumps(cells)}, {layout}, {text})")
    assert [(row["isStretch"], len(row["cells"])) for row in found] == [(False, 1), (True, 1), (False, 1)]
    assert [row["before"] for row in found] == [13, 0, 0]


def test_rows_of_the_calendar_are_told_apart_where_windows_of_forty_days_are_run_daily():
    forty, holes = 40 * DAY, {*range(20, 34), *range(35, 49)}  # one run between them
    days = [at(1, 1) + n * DAY for n in range(80)]
    own = {day: {"run_start": day.isoformat(), "run_end": (day + DAY).isoformat()} for day in days}
    windows = [window(day, forty, **own[day]) for n, day in enumerate(days) if n not in holes]
    missing = due(*(days[n] for n in sorted(holes)))
    cells = f"found.arrange({json.dumps(windows)}, {json.dumps(missing)}).cells"
    text = "(time) => new Date(time).toISOString().replace('T', ' ')"
    layout = f"found.layoutFor({DAY.total_seconds() * 40_000})"
    rows = evaluated("outcomes.js", f"found.inRows({cells}, {layout}, {text}).map((row) => [found.keyOf(row), row])")
    assert sum(row["isStretch"] for _, row in rows) == 2
    assert len({row["cells"][0]["from"] for _, row in rows}) < len(rows)
    assert len({key for key, _ in rows}) == len(rows)
