"""What windows rely on in Airflow's timetables."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from airflow_async_rest.compat.timetables import tick_before, ticks_after

BEFORE = datetime(2026, 1, 1, 12, tzinfo=UTC)


def daily(run_offset: int | None):
    from airflow.sdk import CronPartitionTimetable

    return CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=run_offset)


@pytest.mark.parametrize("run_offset", [None, -2, 0, 3])
def test_a_tasks_timetable_has_a_counterpart_that_computes(run_offset):
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import Timetable

    timetable = daily(run_offset)
    core = coerce_to_core_timetable(timetable)
    assert isinstance(core, Timetable)
    assert not isinstance(timetable, Timetable)
    assert coerce_to_core_timetable(core) is core
    midnights = [datetime(2026, 1, day, tzinfo=UTC) for day in (2, 3)]
    assert list(islice(ticks_after(timetable, BEFORE), 2)) == midnights
    assert timetable.run_offset == run_offset


def test_airflow_counts_back_wrongly_where_clocks_spring_forward():
    """Once this fails, ``tick_before`` can go."""
    from airflow.sdk import CronPartitionTimetable
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import DagRunInfo, TimeRestriction

    timetable = CronPartitionTimetable("0 2 * * *", timezone="Europe/Prague", run_offset=-1)
    [before, run] = islice(ticks_after(timetable, datetime(2026, 3, 28, tzinfo=UTC)), 2)
    info = coerce_to_core_timetable(timetable).next_dagrun_info_v2(
        last_dagrun_info=DagRunInfo(run_after=before, data_interval=None), restriction=TimeRestriction(None, None, True)
    )
    assert (info.run_after, info.partition_date) == (run, run)
    assert tick_before(timetable, run) == before == run - timedelta(days=1)
