"""Whether memory grows with the table: the whole path, each run in a process of its own."""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.measuring import Figure, Plan, figure, in_turns, say
from benchmarks.senders import deliver_from_postgres, in_bulk
from benchmarks.surroundings import running_ends

_SMALL = 10_000
_MOST_MORE_MB = 40
_LONGEST_RUN = timedelta(minutes=20)
_BULK = 0  # for "all rows, in bulk", where another number says that every so manieth is posted, singly


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare the peak of a small table with those of larger ones.

    All rows are read. Posting a million of them one by one takes minutes, so that ``transform`` skips all but every
    100th, unless the whole is asked for.
    """
    with running_ends(plan):
        for rows in (100_000, 1_000_000):
            yield _compare(rows, 100, plan.rounds)
        if plan.full:
            yield _compare(1_000_000, 1, 1)


def measure_bulk(plan: Plan) -> Iterator[Figure]:
    """Do the same in bulk, where all are posted."""
    with running_ends(plan):
        yield _compare(1_000_000, _BULK, plan.rounds)
        if plan.full:
            yield _compare(5_000_000, _BULK, 1)


def _compare(rows: int, every: int, rounds: int) -> Figure:
    return figure(
        "memory",
        f"{rows:,} rows read, {_how(every)}: peak MB",
        in_turns(rounds, lambda: _peak_mb(_SMALL, every), lambda: _peak_mb(rows, every)),
        f"for {_SMALL:,} rows",
        target=f"<= {_MOST_MORE_MB} MB more",
        meets=lambda found: found.ours.high - found.baseline.low <= _MOST_MORE_MB,
    )


def _how(every: int) -> str:
    return {_BULK: "all posted in bulk", 1: "all posted singly"}.get(every, f"every {every}th posted")


def _peak_mb(rows: int, every: int) -> float:
    command = [sys.executable, "-m", "benchmarks.memory", str(rows), str(every)]
    limit = _LONGEST_RUN.total_seconds() + 60
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=limit)
    result = json.loads(done.stdout.splitlines()[-1])
    say(f"  {rows:,} rows: {result['peak_mb']:.0f} MB, {result['delivered']:,} delivered in {result['seconds']:.0f} s")
    return result["peak_mb"]


def _deliver(rows: int, every: int) -> dict[str, Any]:
    """Do it, in the process that is measured."""

    def transform(row: dict[str, Any]) -> dict[str, Any] | None:
        return row if row["id"] % every == 0 else None

    how = in_bulk() if every == _BULK else {"transform": transform, "concurrency": 64}
    report = deliver_from_postgres(rows, execution_timeout=_LONGEST_RUN, **how)
    return {"peak_mb": _own_peak_mb(), "delivered": report["delivered"], "seconds": report["elapsed_seconds"]}


def _own_peak_mb() -> float:
    """Read the kernel's high-water mark; ``ru_maxrss`` would count what the parent had when it forked."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=int)
    parser.add_argument("every", type=int)
    arguments = parser.parse_args()
    print(json.dumps(_deliver(arguments.rows, arguments.every)))
