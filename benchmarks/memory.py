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

from benchmarks.api import running_api
from benchmarks.database import running_postgres
from benchmarks.measuring import Figure, Plan, alternate, figure, say
from benchmarks.senders import airflow_home, deliver_from_postgres

_MOST_MORE_MB = 40
_LONGEST_RUN = timedelta(minutes=20)


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare the peak of a small table with that of one a hundred times as large.

    All rows are read and transformed. Posting a million of them takes many minutes, so that ``transform`` skips
    all but every 100th, unless the whole is asked for.
    """
    small, large = (200, 2_000) if plan.smoke else (10_000, 1_000_000)
    with running_postgres() as postgres, running_api() as api:
        target = {"conn_type": "async_rest", "schema": "http", "host": "127.0.0.1", "port": api.port}
        with airflow_home(source_db=postgres, search_api=target):
            yield _compare(small, large, 100, 1 if plan.smoke else plan.rounds)
            if plan.full:
                yield _compare(small, large, 1, 1)


def _compare(small: int, large: int, every: int, rounds: int) -> Figure:
    posted = "all" if every == 1 else f"every {every}th"
    return figure(
        "memory",
        f"{large:,} rows read, {posted} posted: peak MB",
        alternate(rounds, lambda: _peak_mb(small, every), lambda: _peak_mb(large, every)),
        f"for {small:,} rows",
        target=f"<= {_MOST_MORE_MB} MB more",
        meets=lambda found: found.ours.high - found.baseline.low <= _MOST_MORE_MB,
    )


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

    report = deliver_from_postgres(rows, transform=transform, timeout=_LONGEST_RUN)
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
