"""What it costs that a running task can be watched: the progress goes every 2 s into a store as slow as Airflow's."""

import math
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

from airflow_async_rest.core.bounds import Bounds
from airflow_async_rest.core.run import JobRun
from benchmarks.measuring import Figure, Plan, Rival, compare, per_second
from benchmarks.senders import deliver_from_postgres
from benchmarks.surroundings import running_ends

_CONCURRENCY = 64
_RUN = "airflow_async_rest.tasks.runtime.JobRun"


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare the operator with itself, with no progress written."""
    items = 200 if plan.smoke else 60_000
    with running_ends(plan):
        deliver_from_postgres(10)  # Airflow's imports are not part of it

        def deliver(interval: float) -> float:
            bounds = Bounds(progress_every_seconds=interval)
            with patch(_RUN, lambda job, *of: JobRun(replace(job, bounds=bounds), *of)):
                return per_second(lambda: deliver_from_postgres(items, concurrency=_CONCURRENCY)["delivered"])

        never = Rival("with none written", lambda: deliver(math.inf), at_least=0.98)
        yield from compare("progress", "written every 2 s: rows/s", plan.rounds, lambda: deliver(2.0), [never])
