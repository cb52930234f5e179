"""The job that is usually shown with a queue and workers: 100 requests of 200 ms, three at a time."""

import logging
import math
import time
from collections.abc import Callable, Iterator

from benchmarks.fetchers import get_bare
from benchmarks.measuring import Figure, Plan, figure, in_turns
from benchmarks.recipes import get_by_threads
from benchmarks.senders import run
from benchmarks.surroundings import running_search_api

_WORKERS = 3
_MOST = 1.02


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare the engine, as a plain task calls it, with a loop, with threads, and with the waiting alone."""
    requests, latency = (6, 0.01) if plan.smoke else (100, 0.2)
    with running_search_api(plan, latency, answer_rows=1) as url:
        urls = [f"{url}/{number}" for number in range(requests)]
        _fetch(1)  # Airflow's imports are not part of it
        found = in_turns(
            plan.rounds,
            _seconds(lambda: run(get_bare(urls, _WORKERS))),
            _seconds(lambda: get_by_threads(urls, _WORKERS)),
            _seconds(lambda: _fetch(requests)),
        )
    case = f"{requests} requests, {_WORKERS} at once, {latency * 1000:g} ms each: s"
    yield figure(
        "queue",
        case,
        [(bare, ours) for bare, _, ours in found],
        "bare aiohttp loop",
        target=f"<= {_MOST}",
        meets=lambda line: line.ratio.median <= _MOST,
    )
    yield figure("queue", case, [(threads, ours) for _, threads, ours in found], "threads with requests")
    least = math.ceil(requests / _WORKERS) * latency
    yield figure("queue", case, [(least, ours) for _, _, ours in found], "waiting alone")


def _fetch(requests: int) -> None:
    """Fetch rows as a plain task does."""
    from airflow_async_rest.connections.connection import RestConnection  # noqa: PLC0415
    from airflow_async_rest.tasks.fetched_chunks import fetch_rows  # noqa: PLC0415  (it imports Airflow)

    asking = {"endpoint": "items/{item}", "rows": "data", "concurrency": _WORKERS}
    log = logging.getLogger("benchmarks")
    chunks = fetch_rows(RestConnection("search_api"), range(requests), asking, log)
    if (rows := sum(map(len, chunks))) != requests:
        raise RuntimeError(f"{rows} of {requests} rows were fetched")


def _seconds(do: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        started = time.perf_counter()
        do()
        return time.perf_counter() - started

    return timed
