"""Millions of ids to be enriched: one request each, at full speed, and whether memory grows with them."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from benchmarks.database import execute
from benchmarks.fetchers import create_table, fetch_into_postgres, get_bare
from benchmarks.measuring import Figure, Plan, figure, in_turns, per_second, say
from benchmarks.memory import own_peak_mb
from benchmarks.senders import run
from benchmarks.surroundings import Ends, running_ends

_SMALL, _LARGE, _ALL = 10_000, 200_000, 4_000_000
_CONCURRENCY = 64
_MOST_MORE_MB = 40
_LONGEST_RUN = timedelta(minutes=20)
_SQL = "SELECT i AS id FROM generate_series(1, :ids) AS i ORDER BY i"
_MODES: dict[str, dict[str, str]] = {"append": {}, "upsert": {"load_mode": "upsert", "conflict_key": "id"}}


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare the peak for many ids with that for few, and the speed with a loop's that only fetches."""
    with running_ends(plan, answer_rows=1) as ends:
        for mode in _MODES:
            yield from _compare(ends, mode, plan.rounds)


def _compare(ends: Ends, mode: str, rounds: int) -> Iterator[Figure]:
    found = in_turns(
        rounds,
        lambda: _run(ends, _SMALL, mode),
        lambda: _run(ends, _LARGE, mode),
        lambda: {"per_second": _bare_per_second(ends)},
    )
    case = f"{_LARGE:,} ids, {_CONCURRENCY} at once, {mode}"
    yield figure(
        "ids",
        f"{case}: peak MB",
        [(small["peak_mb"], large["peak_mb"]) for small, large, _ in found],
        f"for {_SMALL:,} ids",
        target=f"<= {_MOST_MORE_MB} MB more",
        meets=lambda line: line.ours.high - line.baseline.low <= _MOST_MORE_MB,
    )
    speeds = [(bare["per_second"], large["per_second"]) for _, large, bare in found]
    yield figure("ids", f"{case}: requests/s", speeds, f"bare aiohttp loop, nothing loaded, {_SMALL:,} requests")
    hours = [(_ALL / bare / 3600, _ALL / ours / 3600) for bare, ours in speeds]
    yield figure("ids", f"{_ALL:,} ids, {mode}, extrapolated: hours", hours, "bare aiohttp loop, extrapolated")


def _bare_per_second(ends: Ends) -> float:
    urls = [f"{ends.url}/{number}" for number in range(_SMALL)]
    return per_second(lambda: run(get_bare(urls, _CONCURRENCY)))


def _run(ends: Ends, ids: int, mode: str) -> dict[str, float]:
    create_table(ends.postgres)
    execute(ends.postgres, "ALTER TABLE readings ADD UNIQUE (id)")
    command = [sys.executable, "-m", "benchmarks.ids", str(ids), mode]
    limit = _LONGEST_RUN.total_seconds() + 60
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=limit)
    result = json.loads(done.stdout.splitlines()[-1])
    say(f"  {ids:,} ids, {mode}: {result['peak_mb']:.0f} MB, {result['per_second']:,.0f} requests/s")
    return result


def _fetch(ids: int, mode: str) -> dict[str, Any]:
    """Do it, in the process that is measured."""
    report = fetch_into_postgres(
        ids,
        sql=_SQL,
        sql_conn_id="source_db",
        parameters={"ids": ids},
        endpoint="items/{id}",
        columns={"id": "item.id", "name": "name", "value": "value", "measured_at": "measured_at"},
        concurrency=_CONCURRENCY,
        execution_timeout=_LONGEST_RUN,
        **_MODES[mode],
    )
    return {"peak_mb": own_peak_mb(), "per_second": report["requests"] / report["elapsed_seconds"]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("ids", type=int)
    parser.add_argument("mode")
    arguments = parser.parse_args()
    print(json.dumps(_fetch(arguments.ids, arguments.mode)))
