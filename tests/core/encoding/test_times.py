"""Times as APIs write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from tables import every_row

from airflow_async_rest.core.encoding.times import parse_time

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SAME = [
    "2026-03-02T12:00:00Z",
    "2026-03-02 14:00:00+0200",
    "2026-03-02 14:00:00 +02:00",
    "2026-03-02 14:00:00 +02",
    "20260302T120000Z",
    "Mon, 02 Mar 2026 14:00:00 +0200",
    "Mon, 02 Mar 2026 14:00:00 +02:00",
    "Mar 2 2026 14:00 +02",
    "Mon, 02 Mar 2026 12:00:00 -0000",
    "Mon, 02 Mar 2026 14:00:00 +0200 (EET)",
    "Mon Mar 02 2026 14:00:00 GMT+0200 (Eastern European Standard Time)",
    "2026-03-02 14:00:00 UTC+2",
    "Monday, 02-Mar-26 12:00:00 GMT",
    "Mon, 02-Mar-2026 12:00:00 GMT",
    "Mon Mar  2 12:00:00 UTC 2026",
    "Mon Mar 02 14:00:00 +0200 2026",
    "2026-03-02T14:00:00 utc+02:00",
    "2026-03-02 14:00:00Gmt+2",
    "Mon, 02 Mar 2026 12:00:00 GMT",
    "Mon, 2 Mar 2026 07:00:00 EST",
    "02 Mar 2026 14:00:00 EET",
    "2026-03-02 14:00:00 EET",
    "2026-03-02 14:00 eet",
    "2026-03-02 14:00:00 Europe/Helsinki",
    "Mon, 02 Mar 2026 14:00:00 Europe/Helsinki",
    "2026-03-02T14:00:00+02:00[Europe/Helsinki]",
    "2026-03-02T14:00:00[Europe/Helsinki]",
    "2026-03-02 07:00:00 Etc/GMT+5",
    "2026-03-02 12:00:00.000 UTC",
    " 2026-03-02 13:00:00 CET ",
]


@every_row("text", SAME)
def test_a_time_with_a_zone_is_a_moment(text):
    found = parse_time(text)
    assert found is not None
    assert found.tzinfo is not None
    assert found == NOON


OTHER = {
    "2026-07-02 14:00 EET": datetime(2026, 7, 2, 12, tzinfo=UTC),  # of no summer time
    "2026-07-02 14:00 EEST": datetime(2026, 7, 2, 11, tzinfo=UTC),
    "2026-07-02 14:00 Europe/Helsinki": datetime(2026, 7, 2, 11, tzinfo=UTC),
    "2026-07-02T14:00:00-03:30[America/St_Johns]": datetime(2026, 7, 2, 14, tzinfo=timezone(timedelta(hours=-3.5))),
}


@pytest.mark.parametrize("text", OTHER)
def test_a_zones_clock_is_that_of_the_day(text):
    assert parse_time(text) == OTHER[text]


@pytest.mark.parametrize(
    "text", ["2026-03-02 12:00:00", "2026-03-02", "Mon, 02 Mar 2026 12:00:00", "02 Mar 2026 12:00:00"]
)
def test_a_time_without_a_zone_has_none(text):
    found = parse_time(text)
    assert found is not None
    assert found.tzinfo is None


NONE = ["", "soon", "5", "infinity", "0044-03-15 BC", "2026-03-02 10:00 XYZ", "2026-03-02 10:00 PM", "2026-03-02 10:00 Europe/", "2026-03-02 10:00 ../etc", "2026-03-02 10:00 Europe/Nowhere", "2026-02-30 10:00 UTC", "2026-03-02 10:00 +25:00", "02-Mar-2026 +02", "Mon, 2 Mar 2026 10:00:00 PM +0200", "Mar 2, 2026 5:00:00 PM GMT+2", "Mon Mar 02 10:00:00 EET 2026", "Mon, 2 Mar 2026 10:00:00 XYZ 5", "Mon, 99 Mar 2026 10:00:00 +0200"]  # fmt: skip


@every_row("text", NONE)
def test_what_is_no_time_or_of_a_zone_that_nobody_knows_is_none(text):
    assert parse_time(text) is None
