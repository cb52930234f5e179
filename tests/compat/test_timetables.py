"""Which ticks of a timetable are known, and which are not."""

import sys
from datetime import UTC, datetime
from itertools import islice

from airflow_async_rest.compat.timetables import ticks_after

BEFORE = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_only_cron_partitions_follow_from_the_time():
    from airflow.sdk import Asset, CronDataIntervalTimetable, PartitionedAssetTimetable, PartitionedAtRuntime

    of_assets = PartitionedAssetTimetable(assets=Asset("a"))
    plain = CronDataIntervalTimetable("0 0 * * *", timezone="UTC")
    for timetable in (None, plain, of_assets, PartitionedAtRuntime()):
        assert list(islice(ticks_after(timetable, BEFORE), 1)) == []


def test_a_process_with_the_task_sdk_alone_knows_no_next_partition(monkeypatch):
    from airflow.sdk import CronPartitionTimetable

    monkeypatch.setitem(sys.modules, "airflow.serialization.encoders", None)
    assert list(ticks_after(CronPartitionTimetable("0 0 * * *", timezone="UTC"), BEFORE)) == []
