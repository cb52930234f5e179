"""demo/fetch_verdict.py finds what is wrong with a week that was fetched."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from demo.facts import DayRun, FetchFacts
from demo.fetch_verdict import judge_fetch


def report(rows, **changes):
    counts = {"read": 24, "delivered": 24, "failed": 0, "requests": 30, "rows_loaded": rows, "rows_refused": 0}
    return counts | {"complete": True} | changes


def row(number, value="20.5", day=2):
    return number, "sensor-01", Decimal(value), datetime(2026, 3, day, tzinfo=UTC) + timedelta(minutes=number)


MONDAY = DayRun("2026-03-02", "monday", "success", report(3))
TUESDAY = DayRun("2026-03-03", "tuesday", "success", report(2))
ROWS = [row(1), row(2), row(3), row(4, day=3), row(5, day=3)]
GOOD = FetchFacts(
    source=ROWS,
    fetched=ROWS[::-1],
    runs=[MONDAY, TUESDAY, MONDAY],
    staging=[],
    listing={"requests": 90, "over_limit": 0, "busiest_second": 40},
)


def problems(**changes):
    return [found for claim in judge_fetch(replace(GOOD, **changes)) for found in claim.problems]


def second_monday(**changes):
    """Monday's second run, and what is different in its report."""
    return {"runs": [MONDAY, TUESDAY, replace(MONDAY, report=report(3) | changes)]}


def test_everything_holds_when_it_does():
    assert [claim.problems for claim in judge_fetch(GOOD)] == [[]] * 6


def test_a_row_is_the_same_in_whatever_form_the_database_gives_it():
    zone = timezone(timedelta(hours=1))
    assert (
        problems(fetched=[(n, name, value * Decimal("1.00"), at.astimezone(zone)) for n, name, value, at in ROWS]) == []
    )


def test_a_day_is_that_of_utc_whatever_the_databases_zone():
    zone = timezone(timedelta(hours=-8))
    source = [(n, name, value, at.astimezone(zone)) for n, name, value, at in ROWS]
    assert problems(source=source) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"fetched": ROWS[1:]}, ["1 missing, or not as the source has them: 1"]),
        ({"fetched": []}, ["5 missing, or not as the source has them: 1, 2, 3, 4, 5"]),
        ({"fetched": [*ROWS, ROWS[0]]}, ["1 too many, or not as the source has them: 1"]),
        ({"fetched": [*ROWS, row(9)]}, ["1 too many, or not as the source has them: 9"]),
        (
            {"fetched": [row(1, "20.51"), *ROWS[1:]]},
            ["1 missing, or not as the source has them: 1", "1 too many, or not as the source has them: 1"],
        ),
        ({"runs": [MONDAY, TUESDAY, replace(MONDAY, state="failed")]}, ["2026-03-02: failed"]),
        ({"runs": [MONDAY] * 3}, ["2026-03-03: no run"]),
        ({"runs": [MONDAY, TUESDAY, replace(MONDAY, report={})]}, ["2026-03-02: no report", "they count 60"]),
        (second_monday(rows_loaded=2), ["2026-03-02: 3 rows, 2 loaded, 0 refused"]),
        (second_monday(rows_refused=1), ["2026-03-02: 3 rows, 3 loaded, 1 refused"]),
        (second_monday(delivered=23), ["2026-03-02: 24 hours were asked for, 23 answered, expected is 24"]),
        (second_monday(read=1, delivered=1), ["2026-03-02: 1 hours were asked for, 1 answered, expected is 24"]),
        (second_monday(complete=False), ["2026-03-02: the report is not complete"]),
        ({"listing": GOOD.listing | {"requests": 91}}, ["they count 90"]),
        ({"listing": GOOD.listing | {"over_limit": 2}}, ["2 requests were"]),
        ({"staging": ["public.async_rest_stg_1"]}, ["left: public.async_rest_stg_1"]),
    ],
)
def test_a_wrong_fact_is_found_and_named(change, found):
    assert problems(**change) == found
