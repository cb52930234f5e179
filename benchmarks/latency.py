"""Against a slow API the time is the API's: what the engine adds to a bare aiohttp loop."""

import math
import time
from collections.abc import Iterator

from benchmarks.api import running_api
from benchmarks.database import rows_in_memory
from benchmarks.measuring import Figure, Plan, alternate, figure
from benchmarks.senders import deliver_from_memory, encode, run, send_bare

_MOST = 1.05


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare the time of sending, as the clock on the wall and as the report tells it."""
    latency = 0.01 if plan.smoke else 0.2
    waves = 4 if plan.smoke else 50
    with running_api(latency) as api:
        for concurrency in (16, 64):
            yield from _compare(api.url, waves * concurrency, concurrency, latency, plan.rounds)


def _compare(url: str, items: int, concurrency: int, latency: float, rounds: int) -> Iterator[Figure]:
    rows = rows_in_memory(items)
    requests = [(f"{url}/items", encode(row)) for row in rows]

    def bare() -> tuple[float, float]:
        started = time.perf_counter()
        run(send_bare(requests, concurrency))
        seconds = time.perf_counter() - started
        return seconds, seconds

    def ours() -> tuple[float, float]:
        started = time.perf_counter()
        report = deliver_from_memory(url, rows, concurrency)
        return time.perf_counter() - started, report["elapsed_seconds"]

    pairs = alternate(rounds, bare, ours)
    least = math.ceil(items / concurrency) * latency
    for number, name in enumerate(("wall", "report")):
        yield figure(
            "latency",
            f"{items:,} items, {concurrency} at once, {latency * 1000:g} ms each: s, {name}; at least {least:g}",
            [(base[number], own[number]) for base, own in pairs],
            "bare loop",
            target=f"<= {_MOST}",
            meets=lambda found: found.ratio.median <= _MOST,
        )
