"""Windows that never ran: which stretches they are, and what a backfill of them needs. Pure, run by Node.js."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from ui.node import evaluated, ran

DAY = timedelta(days=1)
INTERVAL = {"type": "CronDataIntervalTimetable", "zone": "UTC"}
TRIGGER = {"type": "CronTriggerTimetable", "zone": "UTC"}


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


def stretch_of(*windows):
    [stretch] = ran("outcomes.js", "arrange", windows)["stretches"]
    return stretch


def ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def test_five_old_days_and_a_new_one_leave_one_line_and_six_windows_are_counted():
    windows = [window(at(1, day)) for day in range(1, 6)] + [window(at(11, 27))]
    found = ran("outcomes.js", "arrange", windows)
    assert found["stretches"] == [{"from": ms(at(1, 6)), "to": ms(at(11, 27)), "holes": 325}]
    assert [cell["outcome"] for cell in found["cells"]] == ["delivered"] * 5 + ["never", "delivered"]
    assert ran("outcomes.js", "tally", found["cells"]) == [["delivered", 6]]
    assert ran("stretches.js", "nameOfStretch", found["stretches"][0], "UTC") == "6 January to 26 November 2026"


def test_a_short_hole_has_a_cell_for_each_window_and_is_a_stretch_all_the_same():
    found = ran("outcomes.js", "arrange", [window(at(1, 1)), window(at(1, 12))])
    assert [cell["outcome"] for cell in found["cells"]].count("never") == 10
    assert [stretch["holes"] for stretch in found["stretches"]] == [10]
    assert ran("outcomes.js", "tally", found["cells"]) == [["delivered", 2]]


def test_windows_that_touch_leave_no_stretch_whatever_their_width_or_overlap():
    widths = [window(at(1, 1), 3 * DAY), window(at(1, 4)), window(at(1, 5)), window(at(1, 5), 2 * DAY)]
    assert ran("outcomes.js", "arrange", widths)["stretches"] == []
    assert ran("outcomes.js", "arrange", [])["stretches"] == []


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


def dates(windows, timetable, *latest):
    found = ran("stretches.js", "datesOf", stretch_of(*windows), windows, timetable, *latest)
    return found["from_date"].replace(".000Z", "Z"), found["to_date"].replace(".000Z", "Z")


def test_a_data_interval_is_counted_by_its_beginning():
    windows = [window(at(1, 5)), window(at(1, 9))]
    assert dates(windows, INTERVAL) == ("2026-01-06T00:00:00Z", "2026-01-08T23:59:59Z")
    assert dates(windows, None) == dates(windows, INTERVAL)  # the documented way


def test_a_timetable_that_triggers_is_counted_by_the_end():
    windows = [window(at(1, 5)), window(at(1, 9))]
    first, last = dates(windows, TRIGGER)
    assert "2026-01-06T00:00:01Z" <= first <= "2026-01-07T00:00:00Z"
    assert "2026-01-09T00:00:00Z" <= last < "2026-01-10T00:00:00Z"


def test_a_delta_is_counted_from_the_very_instant_that_it_is_given():
    delta = timedelta(hours=5)
    windows = [window(at(1, 1, 1), delta), window(at(1, 2, 17), delta)]
    first, last = dates(windows, {"type": "DeltaDataIntervalTimetable", "zone": "UTC"})
    assert (first, last) == ("2026-01-01T06:00:00Z", "2026-01-02T16:59:59Z")
    assert dates(windows, {"type": "DeltaTriggerTimetable", "zone": "UTC"})[0] == "2026-01-01T11:00:00Z"


def test_only_the_latest_of_a_stretch_are_asked_for():
    windows = [window(at(1, 5)), window(at(11, 27))]
    first, last = dates(windows, INTERVAL, 3)
    assert "2026-11-23T00:00:01Z" <= first <= "2026-11-24T00:00:00Z"
    assert "2026-11-26T00:00:00Z" <= last < "2026-11-27T00:00:00Z"


@pytest.mark.parametrize("change", [(3, 25), (10, 22)])
def test_days_of_a_zone_are_all_asked_for_where_clocks_change(change):
    """Runs trigger at midnight; each window is the day before, which has 23, 24 or 25 hours."""
    paris = ZoneInfo("Europe/Paris")
    midnights = [datetime(2026, *change, tzinfo=paris) + n * DAY for n in range(9)]
    all_ = [
        window(a.astimezone(UTC), b.astimezone(UTC) - a.astimezone(UTC), run_start=b.isoformat(), run_end=b.isoformat())
        for a, b in pairwise(midnights)
    ]
    for there in ((0, 1, 6, 7), (0, 1, 2, 7), (0, 7)):
        windows = [all_[n] for n in there]
        gap = [n for n in range(8) if n not in there]
        first, last = map(
            datetime.fromisoformat, dates(windows, {"type": "CronTriggerTimetable", "zone": "Europe/Paris"})
        )
        asked = [n for n in range(8) if first <= midnights[n + 1] <= last]
        assert asked == gap


def test_a_partition_is_counted_by_what_clocks_of_the_timetables_zone_show():
    tokyo = ZoneInfo("Asia/Tokyo")
    windows = [window(at(1, day, zone=tokyo), run_start=None, run_end=None) for day in (5, 9)]
    found = dates(windows, {"type": "CronPartitionTimetable", "zone": "Asia/Tokyo"})
    assert found == ("2026-01-06T00:00:00Z", "2026-01-08T23:59:59Z")


def test_windows_of_a_mapped_task_begin_with_their_run():
    def of_a_day(day):
        run = {"run_id": str(day), "run_start": at(1, day).isoformat(), "run_end": at(1, day + 1).isoformat()}
        return [window(at(1, day, 6 * n), timedelta(hours=6), **{**run, "map_index": n}) for n in (3, 2, 1, 0)]

    assert dates([*of_a_day(5), *of_a_day(9)], INTERVAL) == ("2026-01-06T00:00:00Z", "2026-01-08T23:59:59Z")


def test_runs_by_hand_with_other_windows_shift_nothing():
    by_hand = window(at(1, 5), run_type="manual", run_start=at(6, 1).isoformat(), run_end=at(6, 2).isoformat())
    assert dates([by_hand, window(at(1, 9))], INTERVAL) == ("2026-01-06T00:00:00Z", "2026-01-08T23:59:59Z")


@pytest.mark.parametrize(
    ("timetable", "can"),
    [
        (None, True),
        (INTERVAL, True),
        ({"type": "OwnTimetable", "zone": "UTC"}, True),
        ({"type": "NullTimetable", "zone": "UTC"}, False),
        ({"type": "AssetTriggeredTimetable", "zone": "UTC"}, False),
    ],
)
def test_a_dag_without_a_schedule_cannot_be_backfilled(timetable, can):
    assert (ran("stretches.js", "whyNoBackfill", timetable) is None) is can


def run(date, key=None):
    return {"logical_date": date, "partition_key": key, "partition_date": None}


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([], "Airflow would make no run: they are there already, are not over yet, or the schedule has none then."),
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


SCHEDULES = (
    *("days", "workdays", "odd hours", "triggered", "triggered after the window"),
    *("delta", "triggered delta", "partitions"),
)


def timetables():
    from airflow.sdk import (
        CronDataIntervalTimetable,
        CronPartitionTimetable,
        CronTriggerTimetable,
        DeltaDataIntervalTimetable,
        DeltaTriggerTimetable,
    )

    paris = {"timezone": "Europe/Paris"}
    return {
        "days": CronDataIntervalTimetable("0 0 * * *", **paris),
        "workdays": CronDataIntervalTimetable("30 6 * * 1-5", **paris),
        "odd hours": CronDataIntervalTimetable("0 8,9,18 * * *", **paris),
        "triggered": CronTriggerTimetable("0 0 * * *", interval=DAY, **paris),
        "triggered after the window": CronTriggerTimetable("0 0 * * *", **paris),
        "delta": DeltaDataIntervalTimetable(timedelta(hours=7)),
        "triggered delta": DeltaTriggerTimetable(timedelta(hours=7), interval=timedelta(hours=7)),
        "partitions": CronPartitionTimetable("0 0 * * *", **paris),
    }


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("begin", [at(1, 4, 23), at(3, 24, 23), at(10, 20, 22)], ids=["winter", "spring", "autumn"])
def test_airflow_makes_the_runs_that_are_missing_and_no_others(name, begin):
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    from airflow_async_rest.ui.windows import timetable_of

    serialized = DagSerialization.to_dict(DAG("of_stretches", schedule=timetables()[name], start_date=begin))
    dag = DagSerialization.from_dict(serialized)
    runs = list(dag.iter_dagrun_infos_between(begin, begin + 12 * DAY))
    if name == "partitions":
        ends = [(run.partition_date, after.partition_date) for run, after in pairwise(runs)]
        windows = [window(start, end - start, run_start=None, run_end=None) for start, end in ends]
    else:
        spans = [(run.data_interval.start, run.data_interval.end) for run in runs]
        tells = {"run_start": [str(a) for a, _ in spans], "run_end": [str(b) for _, b in spans]}
        # Without an interval the window is what the task's arguments say: from the run before.
        spans = [(b - DAY if a == b else a, b) for a, b in spans]
        windows = [
            window(start, end - start, run_start=tells["run_start"][n], run_end=tells["run_end"][n])
            for n, (start, end) in enumerate(spans)
        ]
    missing = range(2, len(windows) - 2)
    there = [one for n, one in enumerate(windows) if n not in missing]
    timetable = timetable_of(serialized)
    first, last = map(datetime.fromisoformat, dates(there, timetable))
    asked = list(dag.iter_dagrun_infos_between(first, last))
    assert [run.run_after for run in asked] == [runs[n].run_after for n in missing]
