"""Against a slow API the time is the API's: what the engine adds to a bare aiohttp loop."""

import math
import time
from collections.abc import Callable, Iterator

from benchmarks.api import running_api
from benchmarks.database import rows_in_memory
from benchmarks.measuring import Figure, Plan, figure, in_turns
from benchmarks.senders import deliver_from_memory, encode, run, send_bare

_CONCURRENCIES = (16, 64, 256)
_MOST = 1.03
_MOST_AT = (0.2, 64)  # as a usual API is, and a usual job; with shorter waits the time is the server's, too


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare the time of sending with the loop's, and with what the waiting alone would take."""
    for latency, waves in ((0.02, 4),) if plan.smoke else ((0.02, 100), (0.2, 30)):
        with running_api(latency) as api:
            for concurrency in _CONCURRENCIES:
                yield from _compare(api.url, waves * concurrency, concurrency, latency, plan.rounds)


def _compare(url: str, items: int, concurrency: int, latency: float, rounds: int) -> Iterator[Figure]:
    rows = rows_in_memory(items)
    requests = [(f"{url}/items", encode(row)) for row in rows]
    bare = _seconds(lambda: run(send_bare(requests, concurrency)))
    ours = _seconds(lambda: deliver_from_memory(url, rows, concurrency))
    pairs = in_turns(rounds, bare, ours)
    case = f"{items:,} items, {concurrency} at once, {latency * 1000:g} ms each: s"
    bound = (latency, concurrency) == _MOST_AT
    yield figure(
        "latency",
        case,
        pairs,
        "bare aiohttp loop",
        target=f"<= {_MOST}" if bound else "",
        meets=(lambda found: found.ratio.median <= _MOST) if bound else None,
    )
    least = math.ceil(items / concurrency) * latency
    yield figure("latency", case, [(least, own) for _, own in pairs], "waiting alone")


def _seconds(send: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        started = time.perf_counter()
        send()
        return time.perf_counter() - started

    return timed
