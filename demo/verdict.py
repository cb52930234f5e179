"""The verdict: what the API stored, compared with what the database has and what Airflow says about it. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

_SHOWN_IDS = 5
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class DayRun:
    """A run of the DAG, for one day.

    :param state: of the run, or of its task while the run has not ended.
    :param report: the task's report, from XCom; the part of it that is known while the task runs.
    :param failed_ids: from XCom.
    :param dead_ids: from the dead-letter parts.
    """

    day: str
    run_id: str
    state: str
    report: Mapping[str, Any]
    failed_ids: list[int] = field(default_factory=list)
    dead_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Facts:
    """All that the verdict is about.

    :param ids_by_day: what the database has.
    :param refused_ids: what the API was told to refuse.
    :param times_stored: id -> how often the API stored it.
    :param api_refused: what the API did refuse.
    :param api_stats: the API's counts.
    :param listening: the addresses at which something of the demo listens.
    """

    ids_by_day: Mapping[str, set[int]]
    refused_ids: Collection[int]
    runs: list[DayRun]
    times_stored: Mapping[int, int]
    api_refused: Collection[int]
    api_stats: Mapping[str, Any]
    listening: Collection[str]

    @property
    def ids(self) -> set[int]:
        return set().union(*self.ids_by_day.values())


@dataclass(frozen=True)
class Claim:
    """One thing that must be true; ``problems`` is empty when it is."""

    text: str
    problems: list[str]

    @property
    def holds(self) -> bool:
        return not self.problems


def judge(facts: Facts) -> list[Claim]:
    """Check everything."""
    refused = len(facts.refused_ids)
    deliverable = facts.ids - set(facts.refused_ids)
    return [
        Claim(
            f"each of the {len(deliverable):,} deliverable rows is in the API exactly once",
            _stored(facts, deliverable),
        ),
        Claim(f"the {refused} refused rows are exactly the known handful", _refused(facts)),
        Claim("each of them is in XCom and in the dead letters of its day", _dead_letters(facts)),
        Claim("the days with refused rows failed, the others succeeded", _states(facts)),
        Claim("every day's report accounts for every row of the day", _reports(facts)),
        _within_limit(facts),
        Claim(
            f"everything listens at {_LOOPBACK} only, at which this machine alone can ask",
            [] if set(facts.listening) == {_LOOPBACK} else [f"listening: {sorted(facts.listening)}"],
        ),
    ]


def judge_replay(facts: Facts, state: str, report: Mapping[str, Any]) -> list[Claim]:
    """Check what is there after the replay.

    :param state: of the replay's run.
    :param report: of its task.
    """
    delivered, refused = report.get("delivered"), len(facts.refused_ids)
    done = state == "success" and delivered == refused
    left = [f"{run.day}: {run.dead_ids[:_SHOWN_IDS]}" for run in facts.runs if run.dead_ids]
    return [
        Claim(
            f"the replay delivered the {refused} rows that had been refused",
            [] if done else [f"its run is in the state {state}, it delivered {delivered}"],
        ),
        Claim(f"each of all {len(facts.ids):,} rows is in the API exactly once", _stored(facts, facts.ids)),
        Claim("no dead letter is left", left),
        _within_limit(facts),
    ]


def _within_limit(facts: Facts) -> Claim:
    over = facts.api_stats["over_limit"]
    text = f"no request was over the rate limit (busiest second: {facts.api_stats['busiest_second']})"
    return Claim(text, [f"{over} requests were"] if over else [])


def _stored(facts: Facts, deliverable: set[int]) -> list[str]:
    stored = set(facts.times_stored)
    twice = {number for number, times in facts.times_stored.items() if times > 1}
    return [
        *_about("missing in the API", deliverable - stored),
        *_about("stored more than once", twice),
        *_about("stored, but not deliverable", stored - deliverable),
    ]


def _refused(facts: Facts) -> list[str]:
    return [
        *_about("refused, but not of the handful", set(facts.api_refused) - set(facts.refused_ids)),
        *_about("not refused", set(facts.refused_ids) - set(facts.api_refused)),
    ]


def _dead_letters(facts: Facts) -> list[str]:
    problems = []
    for run in facts.runs:
        expected = _refused_on(facts, run.day)
        # What the task left out itself, its report says; the rest got lost on the way to XCom.
        omitted = run.report.get("failed_items_omitted")
        for where, found in ((f"XCom (omitted: {omitted})", run.failed_ids), ("the dead letters", run.dead_ids)):
            if sorted(found) != expected:
                problems.append(f"{run.day}: {where} has {found[:_SHOWN_IDS]}, expected is {expected}")
    return problems


def _states(facts: Facts) -> list[str]:
    expected = {run.day: "failed" if _refused_on(facts, run.day) else "success" for run in facts.runs}
    return [f"{run.day}: {run.state}" for run in facts.runs if run.state != expected[run.day]]


def _reports(facts: Facts) -> list[str]:
    problems = [f"{day}: no run" for day in facts.ids_by_day.keys() - {run.day for run in facts.runs}]
    for run in facts.runs:
        report, rows = run.report, len(facts.ids_by_day.get(run.day, ()))
        if not report:
            problems.append(f"{run.day}: no report")
            continue
        accounted = report["delivered"] + report["failed"] + report["skipped"]
        if not report["read"] == accounted == rows or report["unfinished"]:
            problems.append(f"{run.day}: {rows} rows, {report['read']} read, {accounted} accounted for")
    return problems


def _refused_on(facts: Facts, day: str) -> list[int]:
    return sorted(facts.ids_by_day.get(day, set()) & set(facts.refused_ids))


def _about(what: str, ids: set[int]) -> list[str]:
    if not ids:
        return []
    shown = ", ".join(map(str, sorted(ids)[:_SHOWN_IDS]))
    return [f"{len(ids)} {what}: {shown}{', ...' if len(ids) > _SHOWN_IDS else ''}"]
