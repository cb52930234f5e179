"""What the adaptive concurrency finds by itself, against fixed ones that somebody would have had to find."""

import contextlib
import logging
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from airflow_async_rest.core.errors import StoppedError
from airflow_async_rest.core.job import Job
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.limits.adaptive import AdaptiveConcurrency
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.reading.source import RowSource
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity, RequestBuilder
from airflow_async_rest.core.run import JobRun
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.transport.client import ClientSettings
from benchmarks.capacity import Capacity, LimitedApi, running_limited_api
from benchmarks.database import rows_in_memory
from benchmarks.measuring import Figure, Plan, figure
from benchmarks.senders import encode, run

_SERVERS = {
    "answers at once": (Capacity(), None),
    "32 places of 100 ms, the rest queues": (Capacity(seconds=0.1, places=32), 32),
    "50 ms, refuses over 20": (Capacity(seconds=0.05, refuse_over=20), 20),
}
_FIXED = (4, 16, 64, 256)
_ADAPTIVE = None  # as a job calls it
_REFUSED_AGAINST = 64
_LEAST = 0.9
_FOUND_AFTER_SECONDS = 3
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class _Run:
    """What came of sending for a while.

    :param limits: each one, with the seconds after which it was the limit.
    """

    done_per_second: float
    refused_per_second: float
    limits: list[tuple[float, int]]


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare what servers get done and refuse, and show where the limit stays."""
    seconds = 0.2 if plan.smoke else 8
    for name, (capacity, knee) in _SERVERS.items():
        with running_limited_api(capacity) as api:
            rounds = [
                {setting: _send_for(seconds, api, setting) for setting in (*_FIXED, _ADAPTIVE)}
                for _ in range(plan.rounds)
            ]
        yield from _throughput(name, rounds)
        if capacity.refuse_over < max(_FIXED):
            yield figure(
                "adaptive",
                f"{name}: refused/s",
                [(of[_REFUSED_AGAINST].refused_per_second or 1, of[_ADAPTIVE].refused_per_second) for of in rounds],
                f"fixed {_REFUSED_AGAINST}",
                target="< 1",
                meets=lambda found: found.ratio.high < 1,
            )
        late = 0 if plan.smoke else _FOUND_AFTER_SECONDS
        limits = [limit for of in rounds for at, limit in of[_ADAPTIVE].limits if at >= late]
        if knee:
            yield figure("adaptive", f"{name}: limit after {late:g} s", [(knee, limit) for limit in limits], "its knee")


def _throughput(name: str, rounds: list[dict[int | None, _Run]]) -> Iterator[Figure]:
    best = max(_FIXED, key=lambda setting: median(of[setting].done_per_second for of in rounds))
    for setting in _FIXED:
        yield figure(
            "adaptive",
            f"{name}: done/s",
            [(of[setting].done_per_second, of[_ADAPTIVE].done_per_second) for of in rounds],
            f"fixed {setting}",
            target=f">= {_LEAST}" if setting == best else "",
            meets=(lambda found: found.ratio.median >= _LEAST) if setting == best else None,
        )


def _send_for(seconds: float, api: LimitedApi, concurrency: int | None) -> _Run:
    """Send rows without end, and stop. Counted is until then: what a stop lets finish is no throughput."""
    stop, counts = StopSwitch(), []

    def end() -> None:
        counts.extend(api.counts())
        stop.pull(StoppedError("measured"))

    with tempfile.TemporaryDirectory(prefix="async-rest-bench-") as folder, _recorded_limits() as limits:
        job = _job(api.url, concurrency, folder)
        api.counts()  # forgets those of the run before
        timer = threading.Timer(seconds, end)
        timer.start()

        async def deliver() -> None:
            with contextlib.suppress(StoppedError):
                await JobRun(job, stop, None).run()

        run(deliver())
        timer.join()
    done, refused = counts
    return _Run(max(done, 1) / seconds, refused / seconds, limits)  # a smoke run may be too short for any


def _job(url: str, concurrency: int | None, folder: str) -> Job:
    endpoint = EndpointTemplate("items")
    builder = RequestBuilder(endpoint=endpoint, method="POST", encode=encode, identity=Identity(), has_key=True)
    return Job(
        settings=ClientSettings(url),
        source=RowSource(_WithoutEnd(), key=("id",), asked_for={"endpoint": endpoint.columns}, prepare=builder.prepare),
        retry=RequestRetry(),
        concurrency=concurrency,
        max_failures=1_000_000,
        about={},
        folder=DeadLetterFolder(Path(folder), 1),
        folder_uri=folder,
        log=logging.Logger("benchmarks", logging.CRITICAL),  # noqa: LOG001  (a refusal is no news here)
    )


class _WithoutEnd:
    """Rows in chunks, as a cursor gives them."""

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        rows, key = rows_in_memory(1000), count(1)
        while True:
            yield [{**row, "id": next(key)} for row in rows]

    def cancel(self) -> None:
        pass


@contextmanager
def _recorded_limits() -> Iterator[list[tuple[float, int]]]:
    limits: list[tuple[float, int]] = []
    made, ended = [], threading.Event()
    make, started = AdaptiveConcurrency.__init__, time.monotonic()

    def look() -> None:  # now and then, from the side: recording every answer would burden one contestant only
        while not ended.wait(_LOOK_SECONDS):
            limits.extend((time.monotonic() - started, concurrency.limit) for concurrency in made)

    AdaptiveConcurrency.__init__ = lambda self: (make(self), made.append(self))[0]
    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield limits
    finally:
        AdaptiveConcurrency.__init__ = make
        ended.set()
        looking.join()
