"""The verdict on what was fetched: the loaded table, compared with the source's, and the reports. Pure."""

from collections import Counter
from datetime import UTC
from typing import Any

from demo.facts import DayRun, FetchFacts
from demo.verdict import Claim, judge_limit, name_ids

_HOURS = 24


def judge_fetch(facts: FetchFacts) -> list[Claim]:
    """Check the table that the week was fetched into, and what the tasks say of it."""
    counted, seen = sum(run.report.get("requests", 0) for run in facts.runs), facts.listing["requests"]
    return [
        Claim(f"each of the week's {len(facts.source):,} rows is in the table exactly once", _rows(facts)),
        Claim("every day succeeded", [f"{run.day}: {run.state}" for run in facts.runs if run.state != "success"]),
        Claim("every day's report is complete, and counts as many rows as the day has", _reports(facts)),
        Claim(
            f"the reports count the {seen:,} requests that the listing saw",
            [] if counted == seen else [f"they count {counted:,}"],
        ),
        Claim("no staging table is left", [f"left: {', '.join(facts.staging)}"] if facts.staging else []),
        judge_limit(facts.listing),
    ]


def _rows(facts: FetchFacts) -> list[str]:
    source, fetched = Counter(facts.source), Counter(facts.fetched)
    return [
        *name_ids("missing, or not as the source has them", _ids(source - fetched)),
        *name_ids("too many, or not as the source has them", _ids(fetched - source)),
    ]


def _ids(rows: Counter[tuple[Any, ...]]) -> list[int]:
    return [number for number, *_ in rows.elements()]


def _reports(facts: FetchFacts) -> list[str]:
    rows = Counter(f"{measured_at.astimezone(UTC):%Y-%m-%d}" for *_, measured_at in facts.source)
    problems = [f"{day}: no run" for day in sorted(rows.keys() - {run.day for run in facts.runs})]
    return problems + [f"{run.day}: {problem}" for run in facts.runs for problem in _report(run, rows[run.day])]


def _report(run: DayRun, rows: int) -> list[str]:
    """Look for what is wrong with a report.

    :param rows: what the day has.
    """
    report = run.report
    if not report:
        return ["no report"]
    problems = []
    if not report["read"] == report["delivered"] == _HOURS:
        problems.append(f"{report['read']} hours were asked for, {report['delivered']} answered, expected is {_HOURS}")
    if report["rows_loaded"] != rows or report["rows_refused"]:
        problems.append(f"{rows} rows, {report['rows_loaded']} loaded, {report['rows_refused']} refused")
    if not report["complete"]:
        problems.append("the report is not complete")
    return problems
