"""What it costs that a running task can be watched: the progress goes every 2 s into a store as slow as Airflow's."""

import math
from collections.abc import Iterator
from unittest.mock import patch

from benchmarks.measuring import Figure, Plan, Rival, compare, per_second
from benchmarks.senders import deliver_from_postgres
from benchmarks.surroundings import running_ends

_CONCURRENCY = 64
_INTERVAL = "airflow_async_rest.core.keeping.writing._PROGRESS_EVERY_SECONDS"


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare the operator with itself, with no progress written."""
    items = 200 if plan.smoke else 60_000
    with running_ends(plan):
        deliver_from_postgres(10)  # Airflow's imports are not part of it

        def deliver(interval: float) -> float:
            with patch(_INTERVAL, interval):
                return per_second(lambda: deliver_from_postgres(items, concurrency=_CONCURRENCY)["delivered"])

        never = Rival("with none written", lambda: deliver(math.inf), at_least=0.98)
        yield from compare("progress", "written every 2 s: rows/s", plan.rounds, lambda: deliver(2.0), [never])
