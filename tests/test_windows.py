# ruff: noqa: DTZ001  (times without an offset are among what is tested)
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import islice, pairwise
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_async_rest.compat.timetables import ticks_after
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.windows import Window, parse_instant, resolve_window, split_windows

PRAGUE = ZoneInfo("Europe/Prague")
ZONES = st.sampled_from([UTC, PRAGUE, *map(ZoneInfo, ("America/New_York", "Australia/Lord_Howe", "Pacific/Apia"))])


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def context(start=None, end=None, *, conf=None, run_type="manual", **more) -> dict:
    return {
        "data_interval_start": start,
        "data_interval_end": end,
        "dag_run": SimpleNamespace(conf=conf, run_type=run_type),
        **more,
    }


INTERVAL = (utc(2026, 1, 1), utc(2026, 1, 2))
CONF = {"window_start": "2026-02-01", "window_end": "2026-02-02"}


@pytest.mark.parametrize(
    ("made", "arguments", "start", "end"),
    [
        (context(*INTERVAL, conf=CONF), ("2026-03-01", "2026-03-02"), utc(2026, 3, 1), utc(2026, 3, 2)),
        (context(*INTERVAL, conf=CONF), (), utc(2026, 2, 1), utc(2026, 2, 2)),
        (context(*INTERVAL, conf={"other": 1}), (), *INTERVAL),
        (context(*INTERVAL, conf=None), (), *INTERVAL),
        (context(*INTERVAL, run_type="backfill"), (), *INTERVAL),
        ({"data_interval_start": INTERVAL[0], "data_interval_end": INTERVAL[1]}, (), *INTERVAL),
        ({}, ("2026-03-01", "2026-03-02"), utc(2026, 3, 1), utc(2026, 3, 2)),
        (context(*INTERVAL, conf=CONF, run_type="backfill"), ("2026-03-01", "2026-03-02"), utc(2026, 3, 1), utc(2026, 3, 2)),
    ],
)  # fmt: skip
def test_the_window_of_a_run_is_found_in_this_order(made, arguments, start, end):
    assert resolve_window(made, *arguments) == Window(start, end)


@pytest.mark.parametrize("made", [{}, context(), context(INTERVAL[0], INTERVAL[0]), context(INTERVAL[1], INTERVAL[0])])
def test_a_run_without_a_window_names_the_three_ways_out(made):
    with pytest.raises(ConfigurationError) as raised:
        resolve_window(made)
    for way in ("CronDataIntervalTimetable", "window_start= and window_end=", '{"window_start": "2026-01-01"'):
        assert way in str(raised.value)


def test_the_empty_interval_of_a_plain_daily_schedule_is_named():
    with pytest.raises(ConfigurationError, match="its data interval is empty"):
        resolve_window(context(INTERVAL[0], INTERVAL[0]))


@pytest.mark.parametrize("key", ["window_start", "window_end"])
@pytest.mark.parametrize("run_type", ["backfill", "DagRunType.BACKFILL_JOB"])
def test_a_window_in_the_conf_of_a_backfill_is_refused(key, run_type):
    with pytest.raises(ConfigurationError, match="backfill"):
        resolve_window(context(*INTERVAL, conf={key: "2026-01-01"}, run_type=run_type))


def test_airflows_own_run_types_are_told_apart():
    from airflow.utils.types import DagRunType

    with pytest.raises(ConfigurationError, match="backfill"):
        resolve_window(context(conf=CONF, run_type=DagRunType.BACKFILL_JOB))
    assert resolve_window(context(conf=CONF, run_type=DagRunType.MANUAL))


@pytest.mark.parametrize(
    ("made", "arguments", "text"),
    [
        ({}, ("2026-01-01", None), "window_end is missing: the argument"),
        ({}, (None, "2026-01-01"), "window_start is missing: the argument"),
        ({}, ("", "2026-01-01"), "window_start is missing"),
        (context(conf={"window_end": "2026-01-01"}), (), "window_start is missing: the conf"),
        (context(conf={"window_start": None, "window_end": "2026-01-01"}), (), "window_start is missing: the conf"),
        (context(conf={"window_start": " ", "window_end": "2026-01-01"}), (), "window_start is missing: the conf"),
        ({}, ("yesterday", "2026-01-01"), "window_start='yesterday'"),
        ({}, ("2026-01-01", "None"), "window_end='None'"),
        ({}, ("2026-01-02", "2026-01-01"), "half-open"),
        ({}, ("2026-01-01", "2026-01-01T00:00:00+00:00"), "half-open"),
    ],
)
def test_a_wrong_window_is_refused_by_name(made, arguments, text):
    with pytest.raises(ConfigurationError, match=text):
        resolve_window(made, *arguments)


UNTOUCHED = st.sampled_from([None, "", " ", "None", "none", "null", " NULL\n"])


@given(st.lists(UNTOUCHED, min_size=4, max_size=4), st.sampled_from(["manual", "backfill"]))
def test_a_forms_untouched_fields_mean_the_runs_own_interval(values, run_type):
    conf, arguments = dict(zip(CONF, values[:2], strict=True)), values[2:]
    assert resolve_window(context(*INTERVAL, conf=conf, run_type=run_type), *arguments) == Window(*INTERVAL)
    with pytest.raises(ConfigurationError, match="this run has no window"):
        resolve_window(context(conf=conf, run_type=run_type), *arguments)


def test_an_untouched_argument_leaves_the_word_to_the_conf():
    assert resolve_window(context(*INTERVAL, conf=CONF), "", None) == Window(*CONF.values())


def schedules() -> dict:
    from airflow.sdk import (
        Asset,
        AssetOrTimeSchedule,
        CronDataIntervalTimetable,
        CronPartitionTimetable,
        CronTriggerTimetable,
        MultipleCronTriggerTimetable,
    )
    from airflow.serialization.encoders import coerce_to_core_timetable

    daily = CronDataIntervalTimetable("0 0 * * *", timezone="Europe/Helsinki")
    several = MultipleCronTriggerTimetable("0 1 * * *", "0 2 * * *", timezone="Europe/Helsinki")
    in_utc = CronDataIntervalTimetable("0 0 * * *", timezone="utc")
    return {
        "interval": (daily, 2),
        "trigger": (CronTriggerTimetable("0 0 * * *", timezone="Europe/Helsinki"), 2),
        "partition": (CronPartitionTimetable("0 0 * * *", timezone="Europe/Helsinki"), 2),
        "several": (several, 2),
        "assets or times": (AssetOrTimeSchedule(timetable=daily, assets=[Asset("a")]), 2),
        "core": (coerce_to_core_timetable(daily), 2),
        "core, several": (coerce_to_core_timetable(several), 2),
        "utc": (in_utc, 0),
        "assets": ([Asset("a")], 0),
        "length": (timedelta(days=1), 0),
        "none": (None, 0),
    }


@pytest.mark.parametrize("name", schedules())
@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-01", "2026-03-02"),
        ("2026-03-01T00:00", " 2026-03-02 00:00:00 "),
        (date(2026, 3, 1), date(2026, 3, 2)),
        (datetime(2026, 3, 1), datetime(2026, 3, 2)),
    ],
)
def test_what_has_no_zone_is_in_the_timetables(name, start, end):
    from airflow.sdk import DAG

    schedule, hours = schedules()[name]
    dag = DAG("zoned", schedule=schedule)
    expected = Window(*(utc(2026, 3, day) - timedelta(hours=hours) for day in (1, 2)))
    assert resolve_window(context(dag=dag), start, end) == expected
    assert resolve_window(context(dag=dag, conf={"window_start": start, "window_end": end})) == expected


@pytest.mark.parametrize("name", ["assets", "length", "none", "utc"])
def test_what_has_no_zone_is_in_the_dags_where_its_timetable_has_none(name):
    import pendulum
    from airflow.sdk import DAG

    hours = 0 if name == "utc" else 2
    start_date = pendulum.datetime(2026, 1, 1, tz="Europe/Helsinki")
    dag = DAG("zoned", schedule=schedules()[name][0], start_date=start_date)
    expected = Window(*(utc(2026, 3, day) - timedelta(hours=hours) for day in (1, 2)))
    assert resolve_window(context(dag=dag), "2026-03-01", "2026-03-02") == expected


def test_what_has_a_zone_keeps_it():
    dag = partition(INTERVAL[0], "0 0 * * *", "Europe/Helsinki")["dag"]
    conf = {"window_start": "2026-03-01T00:00Z", "window_end": "2026-03-02T01:00+01:00"}
    assert resolve_window(context(dag=dag, conf=conf)) == Window(utc(2026, 3, 1), utc(2026, 3, 2))


@pytest.mark.parametrize("day", [(2026, 3, 28), (2026, 3, 29), (2026, 10, 24), (2026, 10, 25)])
def test_a_window_written_by_the_clock_is_the_scheduled_one(day):
    made = partition(utc(*day), "0 2 * * *", "Europe/Prague")
    for tick in islice(ticks_after(made["dag"].timetable, utc(*day) - timedelta(days=1)), 2):
        local = tick.astimezone(PRAGUE).date()
        conf = {"window_start": f"{local} 02:00", "window_end": f"{local + timedelta(days=1)} 02:00"}
        typed = resolve_window(context(dag=made["dag"], conf=conf))
        assert typed == resolve_window({**made, "partition_date": tick})


def partition(at: datetime, cron: str, zone, run_offset=None) -> dict:
    from airflow.sdk import DAG, CronPartitionTimetable

    with DAG("partitioned", schedule=CronPartitionTimetable(cron, timezone=zone, run_offset=run_offset)) as dag:
        return {"partition_date": at.astimezone(UTC), "dag": dag, "dag_run": SimpleNamespace(conf={})}


@pytest.mark.parametrize(
    ("at", "cron", "zone", "hours"),
    [
        (utc(2026, 1, 1), "0 0 * * *", "UTC", 24),
        (utc(2026, 1, 1, 5), "0 * * * *", "UTC", 1),
        (utc(2026, 1, 1), "@monthly", "UTC", 31 * 24),
        (datetime(2026, 3, 29, tzinfo=PRAGUE), "0 0 * * *", "Europe/Prague", 23),
        (datetime(2026, 10, 25, tzinfo=PRAGUE), "0 0 * * *", "Europe/Prague", 25),
        (utc(2026, 10, 25, 0), "0 * * * *", "Europe/Prague", 1),
        (utc(2026, 10, 25, 1), "0 * * * *", "Europe/Prague", 1),
        (utc(2026, 3, 29, 0), "0 * * * *", "Europe/Prague", 1),
    ],
)
def test_a_partition_lasts_until_the_next_one(at, cron, zone, hours):
    window = resolve_window(partition(at, cron, zone))
    assert (window.start, window.end - window.start) == (at.astimezone(UTC), timedelta(hours=hours))


CHANGES = st.sampled_from(
    [
        ("Europe/Prague", utc(2026, 3, 29)),
        ("Europe/Prague", utc(2026, 10, 25)),
        ("America/New_York", utc(2026, 3, 8)),
        ("America/New_York", utc(2026, 11, 1)),
        ("Australia/Lord_Howe", utc(2026, 4, 4)),
        ("Australia/Lord_Howe", utc(2026, 10, 3)),
        ("America/Sao_Paulo", utc(2018, 11, 4)),  # at midnight
        ("Pacific/Apia", utc(2011, 12, 30)),  # a day left out
        ("Africa/Casablanca", utc(2026, 2, 15)),
        ("Antarctica/Troll", utc(2026, 10, 25)),  # two hours
        ("Europe/Dublin", utc(2026, 10, 25)),
        ("America/Havana", utc(2026, 3, 8)),
        ("Africa/Cairo", utc(2026, 4, 24)),
        ("Pacific/Kwajalein", utc(1993, 8, 21)),
        ("Asia/Kathmandu", utc(2026, 1, 1)),
        ("UTC", utc(2026, 1, 1)),
    ]
)
CRONS = st.sampled_from(
    [
        "0 * * * *",
        "*/7 * * * *",
        "*/20 1-3 * * *",
        "0 */2 * * *",
        "0 0,2 * * *",
        "45 1,2 * * *",
        "0 3 * * 0",
        "@daily",
        "*/15 * * * *",
        "0 0 L * *",
    ]
) | st.builds("{} {} * * *".format, st.sampled_from([0, 15, 30, 59]), st.integers(0, 3))


def scheduled(cron: str, zone: str, run_offset: int, first: datetime, count: int) -> list[Window]:
    """The windows of runs as Airflow's scheduler makes them, one after the other."""
    import pendulum
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import DagRunInfo, TimeRestriction

    made = partition(first, cron, zone, run_offset)
    core = coerce_to_core_timetable(made["dag"].timetable)
    last, windows = DagRunInfo(run_after=pendulum.instance(first), data_interval=None), []
    for _ in range(count):
        last = core.next_dagrun_info_v2(last_dagrun_info=last, restriction=TimeRestriction(None, None, True))
        dag_run = SimpleNamespace(conf={}, run_type="scheduled", run_after=last.run_after)
        windows.append(resolve_window({**made, "partition_date": last.partition_date, "dag_run": dag_run}))
    return windows


def assert_they_touch(windows: list[Window]) -> None:
    for earlier, later in pairwise(windows):
        assert earlier.end == later.start


@settings(deadline=None, max_examples=60)
@given(CHANGES, CRONS, st.integers(0, 48), st.integers(-2, 1))
def test_windows_of_partitions_touch_whatever_the_clocks_do(change, cron, hours_before, run_offset):
    zone, day = change
    assert_they_touch(scheduled(cron, zone, run_offset, day - timedelta(hours=hours_before), 12))


@pytest.mark.parametrize(
    ("cron", "zone", "day"),
    [
        ("0 2 * * *", "Europe/Prague", utc(2026, 10, 23)),
        ("0 1 * * *", "America/New_York", utc(2026, 10, 30)),
        ("45 1,2 * * *", "Australia/Lord_Howe", utc(2026, 4, 2)),
        ("0 2 * * *", "Europe/Prague", utc(2026, 3, 27)),
    ],
)
@pytest.mark.parametrize("run_offset", [0, -1])
def test_partitions_have_no_hole_and_no_overlap(cron, zone, day, run_offset):
    windows = scheduled(cron, zone, run_offset, day, 6)
    assert_they_touch(windows)
    assert windows[0].start < windows[-1].end - timedelta(days=1)


@settings(deadline=None, max_examples=30)
@given(CHANGES, CRONS)
def test_windows_of_a_backfill_touch(change, cron):
    from airflow.serialization.encoders import coerce_to_core_timetable

    zone, day = change
    made = partition(day, cron, zone)
    core = coerce_to_core_timetable(made["dag"].timetable)
    infos = core.iter_partition_dagrun_infos(earliest=day - timedelta(days=1), latest=day + timedelta(days=60))
    assert_they_touch([resolve_window({**made, "partition_date": info.partition_date}) for info in islice(infos, 40)])


def test_a_run_of_another_cron_than_todays_keeps_its_partition():
    made = partition(utc(2026, 5, 1), "0 0 * * *", "UTC", run_offset=-1)
    made["dag_run"] = SimpleNamespace(conf={}, run_type="scheduled", run_after=utc(2026, 5, 2, 6))
    assert resolve_window(made) == Window(utc(2026, 5, 1), utc(2026, 5, 2))


def test_a_partition_of_assets_names_the_ways_out():
    from airflow.sdk import DAG, Asset, PartitionedAssetTimetable

    dag = DAG("of_assets", schedule=PartitionedAssetTimetable(assets=Asset("a")))
    with pytest.raises(ConfigurationError, match="its timetable does not say how long"):
        resolve_window({"partition_date": utc(2026, 1, 1), "dag": dag, "dag_run": SimpleNamespace(conf={})})


def test_the_zone_of_a_partition_may_be_an_object():
    import pendulum

    for zone in (pendulum.timezone("Europe/Prague"), pendulum.FixedTimezone(7200)):
        assert resolve_window(partition(utc(2026, 5, 31, 22), "0 0 * * *", zone)) == Window(
            utc(2026, 5, 31, 22), utc(2026, 6, 1, 22)
        )


def test_the_partition_date_may_be_the_dag_runs():
    made = partition(utc(2026, 1, 1), "0 0 * * *", "UTC")
    made["dag_run"].partition_date = made.pop("partition_date")
    assert resolve_window(made) == Window(*INTERVAL)


def test_a_real_interval_comes_before_the_partition():
    made = partition(utc(2026, 5, 1), "0 0 * * *", "UTC")
    assert resolve_window({**made, "data_interval_start": INTERVAL[0], "data_interval_end": INTERVAL[1]}) == Window(
        *INTERVAL
    )


def test_a_partition_that_does_not_say_how_long_it_is_names_the_ways_out():
    with pytest.raises(ConfigurationError, match=r"partition date .* CronDataIntervalTimetable"):
        resolve_window({"partition_date": utc(2026, 1, 1), "dag": SimpleNamespace(timetable=None)})


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2026-01-31", utc(2026, 1, 31)),
        (" 2026-01-31T06:00 ", utc(2026, 1, 31, 6)),
        ("2026-01-31T06:00:00Z", utc(2026, 1, 31, 6)),
        ("2026-01-31t06:00:00z", utc(2026, 1, 31, 6)),
        ("2026-W10", utc(2026, 3, 2)),
        ("2026-01-31 06:00:00+02:00", utc(2026, 1, 31, 4)),
        (date(2026, 1, 31), utc(2026, 1, 31)),
        (datetime(2026, 1, 31, 6), utc(2026, 1, 31, 6)),
        (datetime(2026, 7, 1, tzinfo=PRAGUE), utc(2026, 6, 30, 22)),
        (datetime(2026, 10, 25, 2, 30, tzinfo=PRAGUE), utc(2026, 10, 25, 0, 30)),
        (datetime(2026, 10, 25, 2, 30, tzinfo=PRAGUE, fold=1), utc(2026, 10, 25, 1, 30)),
    ],
)
def test_an_instant_is_read_as_utc(value, instant):
    read = parse_instant("window_start", value)
    assert (read, read.tzinfo, type(read)) == (instant, UTC, datetime)


def test_an_instant_of_airflow_becomes_a_plain_one():
    import pendulum

    read = parse_instant("window_start", pendulum.datetime(2026, 7, 1, tz="Europe/Prague"))
    assert (read, type(read)) == (utc(2026, 6, 30, 22), datetime)


@pytest.mark.parametrize(
    "value",
    ["", "x", "31.1.2026", "{{ ds }}", None, 20260131, 1.5, True, b"2026-01-31", "0001-01-01T00:00+05:00",
     datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))],
)  # fmt: skip
def test_what_is_no_instant_is_refused_by_name(value):
    with pytest.raises(ConfigurationError, match="some_argument="):
        parse_instant("some_argument", value)


def test_a_window_is_kept_in_utc_and_given_as_text():
    window = Window(datetime(2026, 7, 1, tzinfo=PRAGUE), datetime(2026, 7, 2, tzinfo=PRAGUE))
    assert window.texts() == {
        "window_start": "2026-06-30T22:00:00+00:00",
        "window_end": "2026-07-01T22:00:00+00:00",
    }
    assert Window(*window.texts().values()) == window


def bounds(windows: list[dict[str, str]]) -> list[tuple[datetime, datetime]]:
    return [
        (datetime.fromisoformat(window["window_start"]), datetime.fromisoformat(window["window_end"]))
        for window in windows
    ]


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1), timezones=ZONES),
    st.timedeltas(timedelta(microseconds=1), timedelta(days=60)),
    st.timedeltas(timedelta(hours=7), timedelta(days=20)) | st.integers(1, 20).map(lambda days: timedelta(days=days)),
)
def test_windows_touch_and_are_exactly_the_span(start, length, step):
    end = start.astimezone(UTC) + length
    windows = bounds(split_windows(start, end, step))
    assert windows[0][0] == start.astimezone(UTC)
    assert windows[-1][1] == end
    for earlier, later in pairwise(windows):
        assert earlier[1] == later[0]
    for left, right in windows:
        assert left < right <= left + step + timedelta(hours=25)
    if step % timedelta(days=1):
        assert all(right - left == step for left, right in windows[:-1])


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 29, 23), (10, 25, 25)])
def test_days_are_those_of_the_calendar_where_the_clocks_change(month, day, hours):
    start = datetime(2026, month, day - 1, tzinfo=PRAGUE)
    windows = bounds(split_windows(start, start + timedelta(days=3), timedelta(days=1)))
    assert [(right - left) / timedelta(hours=1) for left, right in windows] == [24, hours, 24]
    assert {left.astimezone(PRAGUE).hour for left, _ in windows} == {0}


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00", 25),
        ("2026-03-29T00:00:00+02:00", "2026-03-30T00:00:00+03:00", 23),
    ],
)
def test_a_day_between_two_offsets_is_one(start, end, hours):
    [(left, right)] = bounds(split_windows(start, end, timedelta(days=1)))
    assert (right - left) == timedelta(hours=hours)


def test_ends_in_unlike_offsets_have_the_days_of_the_start():
    windows = bounds(split_windows("2026-01-01T00:00:00+05:00", "2026-01-04T00:00:00Z", timedelta(days=1)))
    assert [(right - left) / timedelta(hours=1) for left, right in windows] == [24, 24, 24, 5]


def test_a_midnight_that_clocks_show_twice_is_the_later_one():
    havana = ZoneInfo("America/Havana")
    start, end = datetime(2026, 10, 31, tzinfo=havana), datetime(2026, 11, 1, fold=1, tzinfo=havana)
    [(left, right)] = bounds(split_windows(start, end, timedelta(days=1)))
    assert (right - left) == timedelta(hours=25)


@pytest.mark.parametrize(("month", "day", "count"), [(3, 29, 23), (10, 25, 25)])
def test_hours_are_exact_where_the_clocks_change(month, day, count):
    start = datetime(2026, month, day, tzinfo=PRAGUE)
    windows = bounds(split_windows(start, start + timedelta(days=1), timedelta(hours=1)))
    assert len(windows) == count
    assert {right - left for left, right in windows} == {timedelta(hours=1)}


def test_a_day_that_a_zone_left_out_is_no_window():
    apia = ZoneInfo("Pacific/Apia")
    windows = bounds(
        split_windows(datetime(2011, 12, 28, tzinfo=apia), datetime(2012, 1, 1, tzinfo=apia), timedelta(days=1))
    )
    assert [left.astimezone(apia).day for left, _ in windows] == [28, 29, 31]


@pytest.mark.parametrize(
    ("zone", "day"),
    [("Asia/Beirut", date(2023, 3, 26)), ("America/Santiago", date(2023, 9, 3)), ("America/Havana", date(2023, 3, 12))],
)
def test_days_begin_at_midnight_also_after_one_that_clocks_left_out(zone, day):
    first, last = (
        parse_instant("", day + timedelta(days=n), ZoneInfo(zone)).astimezone(ZoneInfo(zone)) for n in (0, 7)
    )
    assert first.hour == 1
    lefts = [left for left, _ in bounds(split_windows(first, last, timedelta(days=1)))]
    assert lefts == [parse_instant("", day + timedelta(days=n), ZoneInfo(zone)) for n in range(7)]


def test_a_month_of_days():
    windows = split_windows("2026-01-01", "2026-02-01", timedelta(days=1))
    assert len(windows) == 31
    assert windows[0] == {"window_start": "2026-01-01T00:00:00+00:00", "window_end": "2026-01-02T00:00:00+00:00"}


def test_the_last_window_may_be_shorter():
    windows = bounds(split_windows(date(2026, 1, 1), date(2026, 1, 10), timedelta(days=7)))
    assert [(right - left).days for left, right in windows] == [7, 2]


@pytest.mark.parametrize("step", [timedelta(days=10**8), timedelta.max, timedelta(hours=10**9)])
def test_a_step_longer_than_the_span_is_one_window(step):
    assert bounds(split_windows("2026-01-01", "2026-01-03", step)) == [(utc(2026, 1, 1), utc(2026, 1, 3))]


def test_a_span_may_reach_the_end_of_time():
    assert len(split_windows("9999-12-30", "9999-12-31T23:59:59", timedelta(days=1))) == 2


@pytest.mark.parametrize("step", [timedelta(), timedelta(days=-1), 1, "1d", None])
def test_a_step_is_a_positive_length(step):
    with pytest.raises(ConfigurationError, match="step="):
        split_windows("2026-01-01", "2026-01-02", step)


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [("x", "2026-01-01", "start="), ("2026-01-01", None, "end="), ("2026-01-01", "2026-01-01", "half-open"), ("2026-01-02", "2026-01-01", "half-open")],
)  # fmt: skip
def test_a_span_that_is_none_is_refused(start, end, text):
    with pytest.raises(ConfigurationError, match=text):
        split_windows(start, end, timedelta(days=1))


@pytest.mark.parametrize("name", ["window_strat", "windowStart", "window-start", "Window_End"])
def test_a_misspelt_window_in_the_conf_is_no_run_of_another_window(name):
    with pytest.raises(ConfigurationError, match=f"conf has '{name}': write 'window_(start|end)'"):
        resolve_window(context(*INTERVAL, conf={name: "2026-01-01"}))


def test_other_names_in_the_conf_are_the_authors():
    conf = {"window": 1, "window_size": 7, "start": "x", "windows": []}
    assert resolve_window(context(*INTERVAL, conf=conf)) == Window(*INTERVAL)


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2026-03-01", "2026-03-02", (1, 2)),
        ("2026-03-01T00:00:01", "2026-03-02T00:00:01", (2, 3)),
        ("2026-03-01T06:00", "2026-03-01T07:00", (2, 2)),
        ("2026-03-01T23:00", "2026-03-02T01:00", (2, 3)),
    ],
)
@pytest.mark.parametrize("zone", [UTC, ZoneInfo("America/New_York"), ZoneInfo("Pacific/Apia")])
def test_the_days_of_a_window_are_those_that_begin_in_it(start, end, days, zone):
    window = Window(*(parse_instant("", text, zone) for text in (start, end)), zone)
    assert window.days() == tuple(date(2026, 3, day) for day in days)


def test_the_last_day_of_all_is_one_of_a_window():
    assert Window("9999-12-30", "9999-12-31T23:59").days() == (date(9999, 12, 30), date(9999, 12, 31))
