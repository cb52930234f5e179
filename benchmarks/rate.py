"""Whether the rate limit holds in every second, and how much of it is used."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from airflow_async_rest.core.transport.client import RestClient
from benchmarks.api import Api, running_api
from benchmarks.database import rows_in_memory
from benchmarks.measuring import Figure, Plan, figure
from benchmarks.senders import deliver_from_memory

_LIMITS = (50, 200, 1000)
_CONCURRENCY = 64
_LEAST_USED = 0.95


def measure(plan: Plan) -> Iterator[Figure]:
    """Count the requests of every sliding second, where they are sent and where they arrive."""
    seconds = 0.5 if plan.smoke else 6
    with running_api() as api:
        for limit in _LIMITS:
            yield from _against(api, limit, int(limit * seconds), plan.rounds)


def _against(api: Api, limit: int, items: int, rounds: int) -> Iterator[Figure]:
    runs = [_send_and_arrival_times(api, limit, items) for _ in range(rounds)]
    sent, arrived = zip(*runs, strict=True)
    yield figure(
        "rate",
        f"{limit}/s: most sent in a second",
        [(limit, most_in_a_second(times)) for times in sent],
        "the limit",
        target="<= 1 in every round",
        meets=lambda found: found.ratio.high <= 1,
    )
    # How evenly they arrive is the network's and the server's doing, too.
    counts = [(limit, most_in_a_second(times)) for times in arrived]
    yield figure("rate", f"{limit}/s: most arriving in a second", counts, "the limit")
    yield figure(
        "rate",
        f"{limit}/s: sent per second, on average",
        [(limit, (len(times) - 1) / (times[-1] - times[0])) for times in sent],
        "the limit",
        target=f">= {_LEAST_USED}",
        meets=lambda found: found.ratio.median >= _LEAST_USED,
    )


def _send_and_arrival_times(api: Api, limit: int, items: int) -> tuple[list[float], list[float]]:
    api.arrivals()  # forgets those of the round before
    with _recorded_sends() as sent:
        deliver_from_memory(api.url, rows_in_memory(items), _CONCURRENCY, rate_limit=f"{limit}/s")
    return sent, api.arrivals()


@contextmanager
def _recorded_sends() -> Iterator[list[float]]:
    times: list[float] = []
    send = RestClient.send

    async def recorded(self: RestClient, *args: Any) -> Any:
        times.append(time.monotonic())
        return await send(self, *args)

    RestClient.send = recorded
    try:
        yield times
    finally:
        RestClient.send = send


def most_in_a_second(times: Iterable[float]) -> int:
    """Return the largest number of times within any second, wherever it begins."""
    window: deque[float] = deque()
    most = 0
    for moment in sorted(times):
        window.append(moment)
        while window[0] <= moment - 1:
            window.popleft()
        most = max(most, len(window))
    return most
