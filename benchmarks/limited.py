"""Processes that ask for a shared limit, or each for one of its own, as fast as they get it; and when they did."""

import array
import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from airflow_async_rest.core.limits.limits import parse_limits
from airflow_async_rest.core.limits.rate_limit import RateLimiter
from airflow_async_rest.core.limits.shared.limiter import SharedLimiter
from airflow_async_rest.core.limits.shared.postgres_store import PostgresStore
from airflow_async_rest.core.limits.shared.redis_store import RedisStore
from airflow_async_rest.core.stores.address import StoreAddress

_STORES = {"redis": RedisStore, "postgres": PostgresStore}


@dataclass(frozen=True)
class Asking:
    """What one process does.

    :param workers: that ask at once.
    :param skew: seconds that its clock is ahead.
    :param address: of the store, as a mapping; None: the limit is the process's own.
    """

    limit: str
    seconds: float
    workers: int = 16
    skew: float = 0.0
    key: str = "bench"
    address: dict | None = None


@dataclass(frozen=True)
class Asked:
    """What came of it.

    :param times: of the grants, by the machine's clock.
    :param cpu_seconds: of the process meanwhile.
    """

    times: array.array
    cpu_seconds: float


def ask_together(asking: Sequence[Asking]) -> list[Asked]:
    """Run a process for each; they begin together."""
    command = [sys.executable, "-m", "benchmarks.limited"]
    folder = Path(__file__).parent.parent
    started = [subprocess.Popen([*command, json.dumps(asdict(one))], cwd=folder, stdin=-1, stdout=-1) for one in asking]
    for process in started:
        process.stdout.readline()  # it is ready
    for process in started:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    answers = [process.communicate()[0] for process in started]
    return [Asked(array.array("d", answer[8:]), array.array("d", answer[:8])[0]) for answer in answers]


def used(asked: Sequence[Asked], rate: float) -> float:
    """Return the share of the limit that was used, but for the first second and the last moment."""
    times = sorted(at for one in asked for at in one.times)
    begins, ends = times[0] + 1, min(one.times[-1] for one in asked) - 0.1
    return sum(begins <= at < ends for at in times) / (ends - begins) / rate


def _limiter(one: Asking) -> SharedLimiter | RateLimiter:
    limits = parse_limits(one.limit)
    if one.address is None:
        return RateLimiter(limits.pace)
    address = StoreAddress(**one.address)
    store = _STORES[address.kind](address, one.key, limits, block_seconds=0.05)
    return SharedLimiter(store, limits, key=one.key, before=RateLimiter(None), say=lambda *_: None, longest_seconds=300)


async def _ask(one: Asking) -> tuple[array.array, float]:
    times, clock = array.array("d"), time.clock_gettime
    async with _limiter(one) as limiter:
        print("ready", flush=True)
        sys.stdin.readline()
        ends, before = time.monotonic() + one.seconds, resource.getrusage(resource.RUSAGE_SELF)

        async def work() -> None:
            while time.monotonic() < ends:
                await limiter.acquire()
                times.append(clock(time.CLOCK_MONOTONIC))

        await asyncio.wait([asyncio.create_task(work()) for _ in range(one.workers)], timeout=one.seconds)
        after = resource.getrusage(resource.RUSAGE_SELF)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
    return times, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _set_clock_ahead(seconds: float) -> None:
    really, really_ns = time.time, time.time_ns
    time.time = lambda: really() + seconds
    time.time_ns = lambda: really_ns() + int(seconds * 1e9)


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))  # not only the core that measures are kept on
    this = Asking(**json.loads(sys.argv[1]))
    _set_clock_ahead(this.skew)
    moments, cpu = uvloop.run(_ask(this))
    sys.stdout.buffer.write(array.array("d", [cpu]).tobytes() + moments.tobytes())
