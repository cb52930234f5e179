"""Whether memory grows with the table, or with its rows: the whole path, each run in a separate process."""

import argparse
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow_async_rest import Batch
from benchmarks.api import REFUSING
from benchmarks.database import LARGE_ROWS_SQL, NOT_A_NUMBER_SQL, NULL_SQL
from benchmarks.measuring import Figure, Plan, figure, in_turns, say
from benchmarks.senders import deliver_from_postgres, in_bulk
from benchmarks.surroundings import running_ends

_SMALL = 10_000
_MOST_MORE_MB = 40
_MOST_OF_LARGE_MB = 200
_LONGEST_RUN = timedelta(minutes=20)


def _raise_for_every_second(row: dict[str, Any]) -> dict[str, Any]:
    if row["id"] % 2:
        raise ValueError(row["id"])
    return row


# Ways in which every second row fails: the arguments that make it so.
LARGE_FAILING: dict[str, dict[str, Any]] = {
    "large, transform raises": {"transform": _raise_for_every_second},
    "large, transform raises in batches": {
        "transform": _raise_for_every_second,
        "batch": Batch(max_items=10),
        "concurrency": 16,
    },
    "large, not a number": {"sql": NOT_A_NUMBER_SQL},
    "large, no place to go": {"sql": NULL_SQL, "endpoint": "items/{value}"},
    "large, refused": {"endpoint": f"{REFUSING}/items"},
}


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare the peak of a small table with those of larger ones, and of larger rows; all are really posted."""
    with running_ends(plan):
        for rows, how in ((100_000, "singly"), (1_000_000, "singly"), (1_000_000, "in bulk"), (5_000_000, "in bulk")):
            yield _compare(rows, how, plan.rounds)
        for how in ("large, singly", "large, transformed", "large, in bulk", *LARGE_FAILING):
            yield _compare_large(how, plan.rounds)


def _compare_large(how: str, rounds: int) -> Figure:
    bound = math.inf if how == "large, in bulk" else _MOST_OF_LARGE_MB  # a request has 5 MB, and 16 are on their way
    return figure(
        "memory",
        f"{_SMALL:,} rows of 100 KB posted {how.removeprefix('large, ')}: peak MB",
        in_turns(rounds, lambda: _peak_mb(_SMALL, "singly"), lambda: _peak_mb(_SMALL, how)),
        f"for {_SMALL:,} small rows",
        target=f"<= {bound} MB" if bound < math.inf else "",
        meets=(lambda found: found.ours.high <= bound) if bound < math.inf else None,
    )


def _compare(rows: int, how: str, rounds: int) -> Figure:
    return figure(
        "memory",
        f"{rows:,} rows posted {how}: peak MB",
        in_turns(rounds, lambda: _peak_mb(_SMALL, how), lambda: _peak_mb(rows, how)),
        f"for {_SMALL:,} rows",
        target=f"<= {_MOST_MORE_MB} MB more",
        meets=lambda found: found.ours.high - found.baseline.low <= _MOST_MORE_MB,
    )


def _peak_mb(rows: int, how: str) -> float:
    command = [sys.executable, "-m", "benchmarks.memory", str(rows), how]
    limit = _LONGEST_RUN.total_seconds() + 60
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=limit)
    result = json.loads(done.stdout.splitlines()[-1])
    say(f"  {rows:,} rows {how}: {result['peak_mb']:.0f} MB, {result['seconds']:.0f} s")
    return result["peak_mb"]


def _deliver(rows: int, how: str) -> dict[str, Any]:
    """Do it, in the process that is measured."""
    arguments = in_bulk() if how.endswith("in bulk") else {"concurrency": 64}
    if how.startswith("large"):
        arguments["sql"] = LARGE_ROWS_SQL
    if how in LARGE_FAILING:
        arguments |= {"failing": rows // 2, **LARGE_FAILING[how]}
    if how.endswith("transformed"):
        arguments["transform"] = lambda row: {**row, "capitals": row["document"].upper()}
    report = deliver_from_postgres(rows, execution_timeout=_LONGEST_RUN, **arguments)
    return {"peak_mb": own_peak_mb(), "seconds": report["elapsed_seconds"]}


def own_peak_mb() -> float:
    """Read the kernel's high-water mark; ``ru_maxrss`` would count what the parent had when it forked."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=int)
    parser.add_argument("how")
    arguments = parser.parse_args()
    print(json.dumps(_deliver(arguments.rows, arguments.how)))
