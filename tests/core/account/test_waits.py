"""For how long a window may wait for its quota, and what is known of that afterwards."""

from datetime import UTC, datetime, timedelta

from tables import every_row

from airflow_async_rest.core.account.checkpoint import Try
from airflow_async_rest.core.account.waits import Waits

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR, DAY = 3600.0, timedelta(days=1)
FIRST, AGAIN, CLEARED = Try(1, (3, 3)), Try(2, (3, 3)), Try(2, (4, 3))


def waits_of(this_try=FIRST, began=NOON):
    return Waits().of(this_try, resumes=False).and_then(began, began + timedelta(hours=1), "gone", {"read": 7})


@every_row(
    ("hours_ago", "seconds", "most", "ends_after"),
    [
        (None, HOUR, DAY, HOUR + 60),
        (None, HOUR, timedelta(hours=1), HOUR),  # no jitter beyond the bound
        (None, HOUR, timedelta(hours=1, seconds=30), HOUR + 30),
        (None, HOUR, timedelta(minutes=59), None),
        (None, HOUR, timedelta(0), None),
        (None, 0.0, timedelta(0), None),
        (None, float("inf"), DAY, None),
        (None, 1e300, timedelta(days=366), None),
        (23, HOUR, DAY, HOUR),
        (23.5, HOUR, DAY, None),
        (23.5, HOUR / 2, DAY, HOUR / 2),
        (25, 1.0, DAY, None),
        (24, 0.0, DAY, None),
        (24 - 14 / HOUR, 1.0, DAY, None),  # sooner than the scheduler hears of the end
        (24 - 16 / HOUR, 1.0, DAY, 16),
        (None, 1.0, timedelta(seconds=14.9), None),
        (None, 1.0, timedelta(seconds=15), 15),
        (None, 14.9, timedelta(seconds=14.95), None),
    ],
)
def test_when_a_wait_ends(hours_ago, seconds, most, ends_after):
    waits = Waits() if hours_ago is None else waits_of(began=NOON - timedelta(hours=hours_ago))
    ends = waits.end_of(seconds, 60.0, most, NOON)
    assert ends == (None if ends_after is None else NOON + timedelta(seconds=ends_after))


@every_row(
    ("this_try", "resumes", "shown", "bounded", "counted"),
    [
        (FIRST, True, True, True, True),
        (FIRST, False, True, True, True),  # it starts over, as rows are others
        (AGAIN, True, True, True, False),
        (AGAIN, False, True, True, False),
        (CLEARED, True, True, False, False),  # a Clear may wait as long again, and goes on with the account
        (CLEARED, False, False, False, False),
        (None, False, False, False, False),
    ],
)
def test_what_a_later_sitting_knows_of_them(this_try, resumes, shown, bounded, counted):
    found = Waits.from_json(waits_of().to_json()).of(this_try, resumes=resumes)
    assert (bool(found.latest), found.began is not None, bool(found.counts)) == (shown, bounded, counted)


def test_they_are_kept_as_plain_json_and_only_the_latest():
    waits = waits_of()
    for hour in range(30):
        begins = NOON + timedelta(hours=hour)
        waits = waits.and_then(begins, begins + timedelta(hours=1), "x" * 1000, {})
    assert Waits.from_json(waits.to_json()) == waits
    assert waits.began == NOON
    assert len(waits.report()) == 20
    assert waits.report()[-1] == {
        "since": "2026-11-02T17:00:00.000+00:00",
        "until": "2026-11-02T18:00:00.000+00:00",
        "why": "x" * 300,
    }


@every_row(
    "value",
    [
        None,
        5,
        "x",
        [],
        {},
        {"try": [], "began": None, "waits": []},
        {"try": ["x"], "began": None, "waits": []},
        {"try": [1], "began": "noon", "waits": []},
        {"try": [1], "began": 5, "waits": []},
        {"try": [1], "began": None, "waits": [["a"]]},
        {"try": [1], "began": None, "waits": 3},
        {"try": [1e400], "began": None, "waits": []},
        {"try": [1], "began": None, "waits": [], "counts": {"read": -1}},
        {"try": [1], "began": None, "waits": [], "counts": {"replays": {"2": {"sent": -1}}}},
        {"try": [1], "began": None, "waits": [], "counts": 5},
    ],
)
def test_what_somebody_has_changed_says_nothing(value):
    assert Waits.from_json(value) == Waits()
