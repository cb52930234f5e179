"""The verdict: what the API stored, compared with what the database has and what Airflow says about it. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from demo.facts import Facts

_SHOWN_IDS = 5
_LOOPBACK = "127.0.0.1"
# A batch has 200 rows. A day's last one has fewer, and some requests go again.
_ROWS_A_BULK_REQUEST = 20


@dataclass(frozen=True)
class Claim:
    """One thing that must be true; ``problems`` is empty when it is."""

    text: str
    problems: list[str]

    @property
    def holds(self) -> bool:
        return not self.problems


def judge(facts: Facts) -> list[Claim]:
    """Check what one DAG has done."""
    refused = len(facts.refused_ids)
    deliverable = facts.ids - set(facts.refused_ids)
    return [
        Claim(
            f"each of the {len(deliverable):,} deliverable rows is in {facts.place} exactly once",
            _stored(facts, deliverable),
        ),
        Claim(f"the {refused} refused rows are exactly the known handful", _refused(facts)),
        Claim(
            "each of them is in XCom and in the dead letters of its day, with the reason that is its own",
            _dead_letters(facts) + _reasons(facts),
        ),
        Claim("the days with refused rows failed, the others succeeded", _states(facts)),
        Claim("every day's report is complete, and accounts for every row of the day", _reports(facts)),
        Claim(f"the reports count the {facts.requests:,} requests that the API saw", _requests(facts)),
    ]


def judge_bulk(facts: Facts) -> list[Claim]:
    """Check what one DAG has done by bulk requests."""
    most = len(facts.ids) // _ROWS_A_BULK_REQUEST
    few = Claim(
        f"it needed a request for {_ROWS_A_BULK_REQUEST} rows at most",
        [] if facts.requests <= most else [f"{facts.requests:,} requests for {len(facts.ids):,} rows"],
    )
    return [*judge(facts), few]


def judge_api(stats: Mapping[str, Any], listening: Collection[str]) -> list[Claim]:
    """Check what both have in common.

    :param stats: the API's counts.
    :param listening: the addresses at which something of the demo listens.
    """
    return [
        judge_limit(stats),
        Claim(
            f"everything listens at {_LOOPBACK} only, at which this machine alone can ask",
            [] if set(listening) == {_LOOPBACK} else [f"listening: {sorted(listening)}"],
        ),
    ]


def judge_replay(
    both: list[Facts],
    state: str,
    report: Mapping[str, Any],
    stats: Mapping[str, Any],
    kept: Mapping[str, Collection[int]] | None = None,
) -> list[Claim]:
    """Check what is there after the replay.

    :param both: what there is of each DAG.
    :param state: of the replay's run.
    :param report: of its task.
    :param stats: the API's counts.
    :param kept: DAG -> dead letters that the replay was not to send.
    """
    kept = {facts.dag_id: set((kept or {}).get(facts.dag_id, ())) for facts in both}
    delivered, refused = report.get("delivered"), sum(len(set(f.refused_ids) - kept[f.dag_id]) for f in both)
    done = state == "success" and delivered == refused
    left = [
        f"{facts.dag_id}, {run.day}: {run.dead_ids[:_SHOWN_IDS]}"
        for facts in both
        for run in facts.runs
        if set(run.dead_ids) - kept[facts.dag_id]
    ]
    wanted = {facts.dag_id: facts.ids - kept[facts.dag_id] for facts in both}
    return [
        Claim(
            f"the replay delivered the {refused} rows that had been refused",
            [] if done else [f"its run is in the state {state}, it delivered {delivered}"],
        ),
        *(
            Claim(
                f"each of {'all ' if not kept[facts.dag_id] else ''}{len(wanted[facts.dag_id]):,} rows is in "
                f"{facts.place} exactly once",
                _stored(facts, wanted[facts.dag_id]),
            )
            for facts in both
        ),
        Claim(f"no {'other ' if any(kept.values()) else ''}dead letter is left", left),
        judge_limit(stats),
    ]


def judge_limit(stats: Mapping[str, Any]) -> Claim:
    """Check a rate limit of the API. :param stats: the API's counts of what is under it."""
    over = stats["over_limit"]
    text = f"no request was over the rate limit (busiest second: {stats['busiest_second']})"
    return Claim(text, [f"{over} requests were"] if over else [])


def _stored(facts: Facts, deliverable: set[int]) -> list[str]:
    stored = set(facts.times_stored)
    twice = {number for number, times in facts.times_stored.items() if times > 1}
    return [
        *name_ids("missing in the API", deliverable - stored),
        *name_ids("stored more than once", twice),
        *name_ids("stored, but not deliverable", stored - deliverable),
    ]


def _refused(facts: Facts) -> list[str]:
    return [
        *name_ids("refused, but not of the handful", set(facts.api_refused) - set(facts.refused_ids)),
        *name_ids("not refused", set(facts.refused_ids) - set(facts.api_refused)),
    ]


def _dead_letters(facts: Facts) -> list[str]:
    problems = []
    for run in facts.runs:
        expected = _refused_on(facts, run.day)
        # What the task left out itself, its report says; the rest got lost on the way to XCom.
        omitted = run.report.get("failed_items_omitted")
        for where, found in ((f"XCom (omitted: {omitted})", list(run.failed)), ("the dead letters", run.dead_ids)):
            if sorted(found) != expected:
                problems.append(f"{run.day}: {where} has {found[:_SHOWN_IDS]}, expected is {expected}")
    return problems


def _reasons(facts: Facts) -> list[str]:
    """Look for the API's words about a reading, which name it; in a batch, one may get those about another."""
    return [
        f"{run.day}: {number} has the reason {reason!r}"
        for run in facts.runs
        for number, reason in run.failed.items()
        if f"reading {number} " not in reason
    ]


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
        elif not report["complete"]:
            problems.append(f"{run.day}: the report is not complete")
    return problems


def _requests(facts: Facts) -> list[str]:
    counted = sum(run.report.get("requests", 0) for run in facts.runs)
    return [] if counted == facts.requests else [f"they count {counted:,}"]


def _refused_on(facts: Facts, day: str) -> list[int]:
    return sorted(facts.ids_by_day.get(day, set()) & set(facts.refused_ids))


def name_ids(what: str, ids: Collection[int]) -> list[str]:
    """Make the problem of some ids; no problem of none."""
    if not ids:
        return []
    shown = ", ".join(map(str, sorted(ids)[:_SHOWN_IDS]))
    return [f"{len(ids)} {what}: {shown}{', ...' if len(ids) > _SHOWN_IDS else ''}"]
