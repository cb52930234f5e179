"""What never ran, by Airflow's own timetables: it is found, and a backfill of it makes those runs and no others."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from tables import left_to_release
from ui.node import STATIC, evaluated
from ui.test_endpoints import report

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BEGIN = datetime(2026, 3, 24, 23, tzinfo=UTC)  # some days before clocks change in Paris


@pytest.fixture
def windows_of(client_of, dag_runs, defined):
    """Make runs of the intervals that are given, and return what the tab Windows makes of what its endpoint answers."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import insert
    from uuid6 import uuid7

    def make(dag_id, schedule, infos, windows):
        dag_runs(dag_id)
        defined(dag_id, schedule)
        with create_session() as session:
            for number, info in enumerate(infos):
                start, end = windows[number]
                own = info.data_interval and {
                    "data_interval_start": info.data_interval.start,
                    "data_interval_end": info.data_interval.end,
                    "logical_date": info.data_interval.start,
                }
                partition = {"partition_date": info.partition_date, "partition_key": info.partition_key}
                run = {"dag_id": dag_id, "run_id": f"r{number}", "run_type": "scheduled", "state": "success"}
                run |= {**(own or {}), **partition, "run_after": info.run_after}
                place = {"dag_id": dag_id, "run_id": f"r{number}", "task_id": "post", "map_index": -1}
                id_ = session.execute(insert(DagRun.__table__).values(**run)).inserted_primary_key[0]
                task = {"state": "success", "operator": "SqlToRestOperator", "pool": "default_pool", "try_number": 1}
                session.execute(insert(TaskInstance.__table__).values(id=uuid7(), **place, **task))
                value = report(1, window_start=start.isoformat(), window_end=end.isoformat())
                entry = {"key": "return_value", "value": value, "dag_run_id": id_}
                session.execute(insert(XComModel.__table__).values(**place, **entry))
        answer = client_of("vic").get("/async-rest/windows", params={"dag_id": dag_id}).json()
        given = ", ".join(json.dumps(answer[name]) for name in ("windows", "missing"))
        return evaluated(
            "stretches.js",
            f"""(async () => {{
              const {{ stretches }} = (await import("{STATIC}/outcomes.js")).arrange({given});
              return stretches.map((each) => ({{ ...each, asked: [1, 2, each.holes].map((n) => found.datesOf(each, n)) }}));
            }})()""",
        )

    return make


@pytest.fixture
def dry_run(client_of):
    """Return the runs that Airflow would make for dates."""

    def ask(dag_id, dates):
        body = {"dag_id": dag_id, **dates, "reprocess_behavior": "none", "max_active_runs": 1}
        answer = client_of("ann").post("/api/v2/backfills/dry_run", json=body)
        assert answer.status_code == 200, answer.text
        return [
            datetime.fromisoformat(each["logical_date"] or each["partition_date"])
            for each in answer.json()["backfills"]
        ]

    return ask


def timetables():
    from airflow.sdk import (
        Asset,
        AssetOrTimeSchedule,
        CronDataIntervalTimetable,
        CronPartitionTimetable,
        CronTriggerTimetable,
        DeltaDataIntervalTimetable,
        DeltaTriggerTimetable,
        MultipleCronTriggerTimetable,
    )

    paris, utc = {"timezone": "Europe/Paris"}, {"timezone": "UTC"}
    daily = CronTriggerTimetable("0 0 * * *", interval=DAY, **utc)
    return {
        "days": (CronDataIntervalTimetable("0 0 * * *", **paris), 14),
        "months": (CronDataIntervalTimetable("0 0 1 * *", **paris), 400),
        "workdays": (CronDataIntervalTimetable("0 6 * * 1-5", **utc), 40),
        "odd hours": (CronDataIntervalTimetable("0 8,9,18 * * *", **paris), 8),
        "quarters": (CronDataIntervalTimetable("*/15 * * * *", **paris), 1),
        "triggered": (CronTriggerTimetable("0 0 * * *", interval=DAY, **paris), 14),
        "triggered months": (CronTriggerTimetable("0 0 1 * *", **utc), 400),
        "triggered workdays": (CronTriggerTimetable("0 6 * * 1-5", interval=DAY, **utc), 40),
        "an hour of each day": (CronTriggerTimetable("0 6 * * *", interval=HOUR, **utc), 20),
        "a week, each day": (CronTriggerTimetable("0 6 * * *", interval=7 * DAY, **utc), 30),
        "twice a day": (MultipleCronTriggerTimetable("0 6 * * *", "0 18 * * *", **paris), 12),
        "asset or time": (AssetOrTimeSchedule(timetable=daily, assets=[Asset("of_due")]), 14),
        "delta": (DeltaDataIntervalTimetable(timedelta(hours=7)), 5),
        "triggered delta": (DeltaTriggerTimetable(timedelta(hours=7), interval=timedelta(hours=7)), 5),
        "partitions": (CronPartitionTimetable("0 0 * * *", **paris), 14),
    }


def infos_of(schedule, days, begin=BEGIN):
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    dag = DagSerialization.from_dict(DagSerialization.to_dict(DAG("of_due", schedule=schedule, start_date=BEGIN)))
    begin -= 730 * DAY if days > 100 else timedelta(0)  # Airflow makes no run of the future
    return list(dag.iter_dagrun_infos_between(begin, begin + days * DAY))


def windows_for(infos):
    """Return a window for each run: its data interval, or its partition, or what has come since the run before."""
    dates = [info.partition_date or info.run_after for info in infos]
    around = (
        pairwise([dates[0] - DAY, *dates]) if infos[0].partition_date is None else pairwise([*dates, dates[-1] + DAY])
    )
    own = [info.data_interval for info in infos]
    return [each if each and each.start < each.end else span for each, span in zip(own, around, strict=True)]


NAMES = [
    *("days", "months", "workdays", "odd hours", "quarters", "triggered", "triggered months", "triggered workdays"),
    *("an hour of each day", "a week, each day", "twice a day", "asset or time"),
    *("delta", "triggered delta", "partitions"),
]


@pytest.mark.parametrize("name", left_to_release(NAMES, but_for=4))
def test_what_is_missing_is_found_and_asked_for(name, windows_of, dry_run):
    schedule, days = timetables()[name]
    infos = infos_of(schedule, days)
    spans = windows_for(infos)
    gone = [*range(2, 4), len(infos) - 3]
    there = [n for n in range(len(infos)) if n not in gone]
    first, last = windows_of("of_due", schedule, [infos[n] for n in there], [spans[n] for n in there])
    dates = [infos[n].partition_date or infos[n].data_interval.start for n in gone]
    assert (first["holes"], last["holes"]) == (2, 1)
    assert dry_run("of_due", first["asked"][2]) == dates[:2]
    assert dry_run("of_due", first["asked"][0]) == dates[1:2]  # the latest of them
    assert dry_run("of_due", last["asked"][2]) == dates[2:]


@pytest.mark.parametrize("name", left_to_release(NAMES, but_for=4))
def test_where_nothing_is_missing_nothing_is_invented(name, windows_of):
    schedule, days = timetables()[name]
    infos = infos_of(schedule, days)
    assert windows_of("of_due", schedule, infos, windows_for(infos)) == []


def hours(first, last):
    from airflow.timetables.base import DagRunInfo

    return [DagRunInfo.interval(BEGIN + n * HOUR, BEGIN + (n + 1) * HOUR) for n in range(first, last)]


def days(first, last):
    from airflow.timetables.base import DagRunInfo

    return [DagRunInfo.interval(BEGIN + n * DAY, BEGIN + (n + 1) * DAY) for n in range(first, last)]


def exact(dates):
    from airflow.timetables.base import DagRunInfo

    return [DagRunInfo.exact(date) for date in dates]


def spans_of(infos):
    return [info.data_interval for info in infos]


def holes(found):
    return [each["holes"] for each in found]


def test_what_an_earlier_schedule_has_covered_is_not_missing(windows_of, dry_run):
    from airflow.sdk import CronDataIntervalTimetable

    daily_then_hourly = [*days(0, 30), *hours(720, 730), *hours(740, 760)]
    schedule = CronDataIntervalTimetable("0 * * * *", timezone="UTC")
    [stretch] = windows_of("of_due", schedule, daily_then_hourly, spans_of(daily_then_hourly))
    assert stretch["holes"] == 10
    assert dry_run("of_due", stretch["asked"][2]) == [BEGIN + n * HOUR for n in range(730, 740)]


def test_hours_that_became_days_have_a_day_that_is_missing(windows_of):
    from airflow.sdk import CronDataIntervalTimetable

    hourly_then_daily = [*hours(0, 100 - 4), *days(4, 14), *days(15, 30)]
    schedule = CronDataIntervalTimetable("0 23 * * *", timezone="UTC")
    assert holes(windows_of("of_due", schedule, hourly_then_daily, spans_of(hourly_then_daily))) == [1]


def test_days_that_became_hours_while_nothing_ran_are_asked_for_as_what_they_are(windows_of):
    from airflow.sdk import CronDataIntervalTimetable

    infos = [*days(0, 10), *hours(240 + 960, 240 + 970)]
    schedule = CronDataIntervalTimetable("0 * * * *", timezone="UTC")
    [stretch] = windows_of("of_due", schedule, infos, spans_of(infos))
    assert stretch["holes"] == 960  # and not 40 windows
    first, last = map(datetime.fromisoformat, (stretch["asked"][1][end] for end in ("from_date", "to_date")))
    assert last - first == HOUR


@pytest.mark.parametrize("lag", [0, 1, 3], ids="{} days late".format)
def test_windows_that_the_author_has_set_are_found_by_their_runs(windows_of, dry_run, lag):
    from airflow.sdk import CronTriggerTimetable

    midnights = [datetime(2024 + n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in range(20)]
    infos, spans = exact([date + lag * DAY for date in midnights[1:]]), list(pairwise(midnights))
    there = [n for n in range(19) if n not in (5, 6, 12)]
    schedule = CronTriggerTimetable(f"0 0 {1 + lag} * *", timezone="UTC")
    last, first = reversed(windows_of("of_due", schedule, [infos[n] for n in there], [spans[n] for n in there]))
    assert (first["holes"], last["holes"]) == (2, 1)
    assert first["from"] == spans[5][0].timestamp() * 1000
    assert first["to"] == spans[6][1].timestamp() * 1000
    assert dry_run("of_due", first["asked"][0]) == [midnights[7] + lag * DAY]


def test_a_day_that_the_author_delivers_days_later_is_found(windows_of):
    from airflow.sdk import CronDataIntervalTimetable

    infos = [*days(0, 10), *days(12, 20)]
    spans = [(each.start - 3 * DAY, each.end - 3 * DAY) for each in spans_of(infos)]
    schedule = CronDataIntervalTimetable("0 23 * * *", timezone="UTC")
    [stretch] = windows_of("of_due", schedule, infos, spans)
    ends = BEGIN + 7 * DAY, BEGIN + 9 * DAY
    assert (stretch["holes"], stretch["from"], stretch["to"]) == (2, *(end.timestamp() * 1000 for end in ends))


@pytest.mark.parametrize("schedule", [None, "@once", "@continuous", "asset"])
def test_where_no_schedule_asks_for_runs_none_is_missing(windows_of, schedule):
    from airflow.sdk import Asset

    infos = [*days(0, 3), *days(8, 10)]
    schedule = [Asset("of_due")] if schedule == "asset" else schedule
    assert windows_of("of_due", schedule, infos, spans_of(infos)) == []


def test_a_dag_that_airflow_does_not_keep_has_no_stretch(client_of, dag_runs):
    dag_runs("unkept", *[("success", report(1))] * 3, days=(0, 1, 40))
    answer = client_of("vic").get("/async-rest/windows", params={"dag_id": "unkept"}).json()
    assert (len(answer["windows"]), answer["missing"]) == (3, [])


def test_of_two_runs_what_is_between_them_is_missing(windows_of):
    from airflow.sdk import CronTriggerTimetable

    infos = exact([BEGIN, BEGIN + 2 * DAY])
    spans = [(info.run_after - DAY, info.run_after) for info in infos]
    assert holes(windows_of("of_due", CronTriggerTimetable("0 23 * * *", timezone="UTC"), infos, spans)) == [1]


def test_of_a_long_stretch_the_newest_5000_are_told(windows_of):
    from airflow.sdk import DeltaDataIntervalTimetable

    infos = [*hours(-50_000, -49_998), *hours(0, 2)]
    [stretch] = windows_of("of_due", DeltaDataIntervalTimetable(HOUR), infos, spans_of(infos))
    assert stretch["holes"] == 5_000
    assert stretch["to"] == BEGIN.timestamp() * 1000


@pytest.mark.parametrize("gap", [3, 30], ids="{} days".format)
def test_what_is_kept_of_long_stretches_does_not_grow_with_them(windows_of, gap):
    """5,000 runs of each of 10,000 stretches were some gigabytes."""
    from airflow.sdk import CronDataIntervalTimetable

    from airflow_async_rest.ui.schedule import due

    due._few_between.cache_clear()
    due._many_between.cache_clear()
    infos = [info for number in range(1, 26) for info in days(-number * gap, 1 - number * gap)][::-1]
    found = windows_of("of_due", CronDataIntervalTimetable("0 23 * * *", timezone="UTC"), infos, spans_of(infos))
    assert holes(found) == [gap - 1] * 24
    kept = [cache.cache_info().currsize for cache in (due._few_between, due._many_between)]
    assert kept == ([24, 0] if gap < 10 else [0, 16])
