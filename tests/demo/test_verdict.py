"""demo/verdict.py finds what is wrong: the demo's check is worth what this is."""

from dataclasses import replace

import pytest

from demo.facts import DayRun, Facts
from demo.verdict import judge, judge_api, judge_bulk, judge_replay
from demo.week import DAYS, REFUSED_IDS, readings


def report(read, failed=0, **changes):
    counts = {"read": read, "delivered": read - failed, "failed": failed, "skipped": 0, "unfinished": 0}
    return counts | {"failed_items_omitted": 0, "requests": read, "complete": True} | changes


def refused(number):
    return {number: f"reading {number} is of a sensor that was withdrawn"}


MONDAY = DayRun("2026-03-02", "monday", "success", report(3))
TUESDAY = DayRun("2026-03-03", "tuesday", "failed", report(3, failed=1), refused(5), dead_ids=[5])
GOOD = Facts(
    dag_id="sensors",
    place="the API",
    ids_by_day={"2026-03-02": {1, 2, 3}, "2026-03-03": {4, 5, 6}},
    refused_ids={5},
    runs=[MONDAY, TUESDAY],
    times_stored=dict.fromkeys((1, 2, 3, 4, 6), 1),
    api_refused=[5],
    requests=6,
)
STATS = {"over_limit": 0, "busiest_second": 5}


def problems(claims):
    return [found for claim in claims for found in claim.problems]


def test_everything_holds_when_it_does():
    assert [claim.problems for claim in judge(GOOD)] == [[]] * 6


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"times_stored": dict.fromkeys((1, 2, 3, 6), 1)}, "1 missing in the API: 4"),
        ({"times_stored": GOOD.times_stored | {2: 2}}, "1 stored more than once: 2"),
        ({"times_stored": GOOD.times_stored | {5: 1, 7: 1}}, "2 stored, but not deliverable: 5, 7"),
        ({"api_refused": [5, 6]}, "1 refused, but not of the handful: 6"),
        ({"api_refused": []}, "1 not refused: 5"),
        ({"requests": 7}, "they count 6"),
        ({"runs": [replace(MONDAY, report={}), TUESDAY], "requests": 3}, "2026-03-02: no report"),
        ({"runs": [MONDAY], "requests": 3}, "2026-03-03: no run"),
        ({"runs": [replace(MONDAY, state="failed"), TUESDAY]}, "2026-03-02: failed"),
        ({"runs": [MONDAY, replace(TUESDAY, state="success")]}, "2026-03-03: success"),
        ({"runs": [MONDAY, replace(TUESDAY, failed={})]}, "2026-03-03: XCom (omitted: 0) has [], expected is [5]"),
        (
            {"runs": [MONDAY, replace(TUESDAY, dead_ids=[4, 5])]},
            "2026-03-03: the dead letters has [4, 5], expected is [5]",
        ),
        (
            {"runs": [MONDAY, replace(TUESDAY, failed={5: "reading 55 is withdrawn"})]},
            "2026-03-03: 5 has the reason 'reading 55 is withdrawn'",
        ),
        (
            {"runs": [replace(MONDAY, report=report(2, requests=3)), TUESDAY]},
            "2026-03-02: 3 rows, 2 read, 2 accounted for",
        ),
        (
            {"runs": [replace(MONDAY, report=report(3, complete=False)), TUESDAY]},
            "2026-03-02: the report is not complete",
        ),
    ],
)
def test_a_wrong_fact_is_found_and_named(change, problem):
    assert problems(judge(replace(GOOD, **change))) == [problem]


@pytest.mark.parametrize(("requests", "found"), [(5, []), (6, ["6 requests for 100 rows"])])
def test_bulk_requests_are_few(requests, found):
    runs = [replace(MONDAY, report=report(100, requests=requests))]
    ids = set(range(100))
    facts = replace(GOOD, ids_by_day={MONDAY.day: ids}, refused_ids=set(), api_refused=[], runs=runs, requests=requests)
    assert problems(judge_bulk(replace(facts, times_stored=dict.fromkeys(ids, 1)))) == found


@pytest.mark.parametrize(
    ("stats", "listening", "found"),
    [
        ({}, {"127.0.0.1"}, []),
        ({"over_limit": 2}, {"127.0.0.1"}, ["2 requests were"]),
        ({}, {"127.0.0.1", "0.0.0.0"}, ["listening: ['0.0.0.0', '127.0.0.1']"]),
        ({}, set(), ["listening: []"]),
    ],
)
def test_the_limit_and_the_addresses_are_those_promised(stats, listening, found):
    assert problems(judge_api(STATS | stats, listening)) == found


REPLAYED = replace(GOOD, times_stored=GOOD.times_stored | {5: 1}, runs=[MONDAY, replace(TUESDAY, dead_ids=[])])


def test_everything_holds_after_the_replay_when_it_does():
    assert [claim.problems for claim in judge_replay([REPLAYED] * 2, "success", report(2), STATS)] == [[]] * 5


@pytest.mark.parametrize(
    ("change", "state", "replayed", "problem"),
    [
        ({}, "failed", report(2), "its run is in the state failed, it delivered 2"),
        ({}, "success", {}, "its run is in the state success, it delivered None"),
        ({}, "success", report(1), "its run is in the state success, it delivered 1"),
        ({"times_stored": GOOD.times_stored}, "success", report(2), "1 missing in the API: 5"),
        ({"times_stored": REPLAYED.times_stored | {5: 2}}, "success", report(2), "1 stored more than once: 5"),
        ({"runs": GOOD.runs}, "success", report(2), "sensors, 2026-03-03: [5]"),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_what_is_wrong_after_the_replay_is_found_and_named(place, change, state, replayed, problem):
    both = [REPLAYED, REPLAYED]
    both[place] = replace(REPLAYED, **change)
    assert problems(judge_replay(both, state, replayed, STATS)) == [problem]


def test_dead_letters_that_the_replay_was_not_to_send_may_be_left_and_no_others():
    other = replace(REPLAYED, dag_id="sensors_bulk")
    kept = {"sensors": [5]}
    claims = judge_replay([GOOD, other], "success", report(1), STATS, kept)
    assert [claim.problems for claim in claims] == [[]] * 5
    assert [claim.text for claim in claims][1:4] == [
        "each of 5 rows is in the API exactly once",
        "each of all 6 rows is in the API exactly once",
        "no other dead letter is left",
    ]
    both = [GOOD, replace(GOOD, dag_id="sensors_bulk")]
    assert problems(judge_replay(both, "success", report(1), STATS, kept)) == [
        "1 missing in the API: 5",
        "sensors_bulk, 2026-03-03: [5]",
    ]


def test_a_replay_over_the_limit_is_found():
    assert problems(judge_replay([REPLAYED], "success", report(1), STATS | {"over_limit": 1})) == ["1 requests were"]


def test_the_week_is_always_the_same_and_the_refused_handful_lies_in_it():
    week = list(readings())
    assert week == list(readings())
    assert [number for number, *_ in week] == list(range(1, len(week) + 1))
    counts = {day: sum(day <= at < day + (DAYS[1] - DAYS[0]) for *_, at in week) for day in DAYS}
    assert all(2_000 <= count <= 3_000 for count in counts.values())
    assert sum(counts.values()) == len(week)
    refused_days = {at.date() for number, _, _, at in week if number in REFUSED_IDS}
    assert len(refused_days) == 3
