"""What a DAG file pays for importing the operator, which the DAG processor does again and again."""

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.measuring import Figure, Plan, figure, in_turns

_ROUNDS = 7  # a process start is short and noisy
_MOST_EXTRA_MS = 100
_TIMED = "import time; started = time.perf_counter(); {}; print((time.perf_counter() - started) * 1000)"
_BASE = "from airflow.sdk import BaseOperator"
_OURS = "from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator"


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare with importing ``BaseOperator``, which every DAG file does; each in a fresh process."""
    if not plan.smoke:
        _import_ms(_OURS)  # fills the page cache, and Airflow's home
    pairs = in_turns(1 if plan.smoke else _ROUNDS, lambda: _import_ms(_BASE), lambda: _import_ms(_OURS))
    yield figure(
        "import",
        "SqlToRestOperator: ms",
        pairs,
        "BaseOperator alone",
        target=f"< {_MOST_EXTRA_MS} ms more",
        meets=lambda found: found.ours.median - found.baseline.median < _MOST_EXTRA_MS,
    )


def _import_ms(statement: str) -> float:
    command = [sys.executable, "-c", _TIMED.format(statement)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return float(done.stdout.split()[-1])
