"""demo/verdict.py finds what is wrong: the demo's check is worth what this is."""

from dataclasses import replace

import pytest

from demo.verdict import DayRun, Facts, judge, judge_replay
from demo.week import DAYS, REFUSED_IDS, readings


def report(read, failed=0):
    counts = {"read": read, "delivered": read - failed, "failed": failed, "skipped": 0, "unfinished": 0}
    return counts | {"failed_items_omitted": 0}


MONDAY = DayRun("2026-03-02", "monday", "success", report(3))
TUESDAY = DayRun("2026-03-03", "tuesday", "failed", report(3, failed=1), failed_ids=[5], dead_ids=[5])
GOOD = Facts(
    ids_by_day={"2026-03-02": {1, 2, 3}, "2026-03-03": {4, 5, 6}},
    refused_ids={5},
    runs=[MONDAY, TUESDAY],
    times_stored=dict.fromkeys((1, 2, 3, 4, 6), 1),
    api_refused=[5],
    api_stats={"over_limit": 0, "busiest_second": 5},
    listening={"127.0.0.1"},
)


def test_everything_holds_when_it_does():
    assert [claim.problems for claim in judge(GOOD)] == [[]] * 7


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"times_stored": dict.fromkeys((1, 2, 3, 6), 1)}, "1 missing in the API: 4"),
        ({"times_stored": GOOD.times_stored | {2: 2}}, "1 stored more than once: 2"),
        ({"times_stored": GOOD.times_stored | {5: 1, 7: 1}}, "2 stored, but not deliverable: 5, 7"),
        ({"api_refused": [5, 6]}, "1 refused, but not of the handful: 6"),
        ({"api_refused": []}, "1 not refused: 5"),
        ({"api_stats": {"over_limit": 2, "busiest_second": 7}}, "2 requests were"),
        ({"listening": {"127.0.0.1", "0.0.0.0"}}, "listening: ['0.0.0.0', '127.0.0.1']"),
        ({"listening": set()}, "listening: []"),
        ({"runs": [MONDAY]}, "2026-03-03: no run"),
        ({"runs": [replace(MONDAY, state="failed"), TUESDAY]}, "2026-03-02: failed"),
        ({"runs": [MONDAY, replace(TUESDAY, state="success")]}, "2026-03-03: success"),
        ({"runs": [MONDAY, replace(TUESDAY, failed_ids=[])]}, "2026-03-03: XCom (omitted: 0) has [], expected is [5]"),
        (
            {"runs": [MONDAY, replace(TUESDAY, dead_ids=[4, 5])]},
            "2026-03-03: the dead letters has [4, 5], expected is [5]",
        ),
        ({"runs": [replace(MONDAY, report=report(2)), TUESDAY]}, "2026-03-02: 3 rows, 2 read, 2 accounted for"),
        ({"runs": [replace(MONDAY, report={}), TUESDAY]}, "2026-03-02: no report"),
    ],
)
def test_a_wrong_fact_is_found_and_named(change, problem):
    assert [found for claim in judge(replace(GOOD, **change)) for found in claim.problems] == [problem]


REPLAYED = replace(GOOD, times_stored=GOOD.times_stored | {5: 1}, runs=[MONDAY, replace(TUESDAY, dead_ids=[])])


def test_everything_holds_after_the_replay_when_it_does():
    assert [claim.problems for claim in judge_replay(REPLAYED, "success", report(1))] == [[]] * 4


@pytest.mark.parametrize(
    ("change", "state", "replayed", "problem"),
    [
        ({}, "failed", report(1), "its run is in the state failed, it delivered 1"),
        ({}, "success", {}, "its run is in the state success, it delivered None"),
        ({"times_stored": GOOD.times_stored}, "success", report(1), "1 missing in the API: 5"),
        ({"times_stored": REPLAYED.times_stored | {5: 2}}, "success", report(1), "1 stored more than once: 5"),
        ({"runs": GOOD.runs}, "success", report(1), "2026-03-03: [5]"),
        ({"api_stats": {"over_limit": 1, "busiest_second": 7}}, "success", report(1), "1 requests were"),
    ],
)
def test_what_is_wrong_after_the_replay_is_found_and_named(change, state, replayed, problem):
    claims = judge_replay(replace(REPLAYED, **change), state, replayed)
    assert [found for claim in claims for found in claim.problems] == [problem]


def test_the_week_is_always_the_same_and_the_refused_handful_lies_in_it():
    week = list(readings())
    assert week == list(readings())
    assert [number for number, *_ in week] == list(range(1, len(week) + 1))
    counts = {day: sum(day <= at < day + (DAYS[1] - DAYS[0]) for *_, at in week) for day in DAYS}
    assert all(2_000 <= count <= 3_000 for count in counts.values())
    assert sum(counts.values()) == len(week)
    refused_days = {at.date() for number, _, _, at in week if number in REFUSED_IDS}
    assert len(refused_days) == 3
