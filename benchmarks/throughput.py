"""Against an API that answers at once the time is ours: how many items a second."""

import time
from collections.abc import Callable, Iterator

from benchmarks.api import Api, running_api
from benchmarks.database import rows_in_memory, running_postgres
from benchmarks.measuring import Figure, Plan, alternate, figure
from benchmarks.senders import airflow_home, deliver_from_memory, deliver_from_postgres, encode, run, send_bare

_CONCURRENCY = 64


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare single items with a bare loop that has its bodies ready; one URL for all, and one for each."""
    items = 200 if plan.smoke else 10_000
    with running_postgres() as postgres, running_api() as api:
        target = {"conn_type": "async_rest", "schema": "http", "host": "127.0.0.1", "port": api.port}
        with airflow_home(source_db=postgres, search_api=target):
            deliver_from_postgres(10)  # Airflow's imports are not part of it
            for endpoint in ("items", "items/{id}"):
                yield from _compare(api, items, endpoint, plan.rounds)


def _compare(api: Api, items: int, endpoint: str, rounds: int) -> Iterator[Figure]:
    rows = rows_in_memory(items)
    requests = [(f"{api.url}/{endpoint.format(**row)}", encode(row)) for row in rows]
    bare = _rate(items, lambda: run(send_bare(requests, _CONCURRENCY)))
    engine = _rate(items, lambda: deliver_from_memory(api.url, rows, _CONCURRENCY, endpoint=endpoint))
    operator = _rate(items, lambda: deliver_from_postgres(items, _CONCURRENCY, endpoint=endpoint))
    for name, ours in (("engine, rows in memory", engine), ("operator, rows from PostgreSQL", operator)):
        yield figure("throughput", f"{name}, {endpoint}: items/s", alternate(rounds, bare, ours), "bare loop")


def _rate(items: int, send: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        started = time.perf_counter()
        send()
        return items / (time.perf_counter() - started)

    return timed
