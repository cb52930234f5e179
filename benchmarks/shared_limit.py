"""A limit that eight processes share: how much of it is used, whether it holds, what it costs, who gets how much."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from benchmarks.database import running_postgres
from benchmarks.limited import Asked, Asking, ask_together, used
from benchmarks.measuring import Figure, Plan, figure, say
from benchmarks.rate import most_in_a_second
from benchmarks.redis_server import RedisServer

_RATES = (100, 1000, 5000)
_PROCESSES = 8
_COMPARED_AT = 1000


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure both stores, at each rate; at one of them also what one clock that is ahead changes, and shares."""
    seconds = 1.5 if plan.smoke else 6
    for name, running in {"redis": _running_redis, "postgres": _running_postgres}.items():
        if name == "redis" and shutil.which("redis-server") is None:
            say("redis-server is not installed: left out.")
            continue
        with running() as address:
            for rate in _RATES[:1] if plan.smoke else _RATES:
                asking = Asking(f"{rate}/s", seconds, address=address)
                yield from _held(name, asking, rate, plan.rounds)
            if not plan.smoke:
                yield from _compared(name, Asking(f"{_COMPARED_AT}/s", seconds, address=address), plan.rounds)


def _held(name: str, asking: Asking, rate: int, rounds: int) -> Iterator[Figure]:
    found = [_ask(asking) for _ in range(rounds)]
    case = f"{name}, {rate}/s, {_PROCESSES} processes"
    yield figure(
        "shared",
        f"{case}: share used",
        [(1.0, used(one, rate)) for one in found],
        "all of it",
        target=">= 0.95",
        meets=lambda line: line.ratio.median >= 0.95,
    )
    yield figure(
        "shared",
        f"{case}: most in a second",
        [(rate, most_in_a_second(at for process in one for at in process.times)) for one in found],
        "the limit",
        target="<= 1 in every round",
        meets=lambda line: line.ratio.high <= 1,
    )


def _compared(name: str, asking: Asking, rounds: int) -> Iterator[Figure]:
    own = replace(asking, address=None, limit=f"{_COMPARED_AT // _PROCESSES}/s")
    yield figure(
        "shared",
        f"{name}, {asking.limit}: us of CPU a request",
        [(_cpu(_ask(own)), _cpu(_ask(asking))) for _ in range(rounds)],
        "each a limit of its own",
        target="<= 1.3",
        meets=lambda line: line.ratio.median <= 1.3,
    )
    skewed = [_ask(asking, skew=2.0) for _ in range(rounds)]
    yield figure(
        "shared",
        f"{name}, {asking.limit}, a clock 2 s ahead: most in a second",
        [(_COMPARED_AT, most_in_a_second(at for process in one for at in process.times)) for one in skewed],
        "the limit",
        target="<= 1 in every round",
        meets=lambda line: line.ratio.high <= 1,
    )
    uneven = [_ask(asking, workers=(64, 8)) for _ in range(rounds)]
    yield figure(
        "shared",
        f"{name}, {asking.limit}: requests of who has 64 waiting",
        [(len(few.times), len(many.times)) for many, few in uneven],
        "who has 8",
        target="<= 1.5",
        meets=lambda line: line.ratio.median <= 1.5,
    )


def _ask(asking: Asking, *, skew: float = 0.0, workers: tuple[int, ...] = (16,) * _PROCESSES) -> list[Asked]:
    key = f"{asking.limit} {time.time_ns()}"
    return ask_together(
        [replace(asking, key=key, workers=count, skew=skew if not place else 0) for place, count in enumerate(workers)]
    )


def _cpu(asked: list[Asked]) -> float:
    return sum(one.cpu_seconds for one in asked) / sum(len(one.times) for one in asked) * 1e6


@contextmanager
def _running_redis() -> Iterator[dict[str, Any]]:
    server = RedisServer()
    try:
        yield {"conn_id": "limits", "kind": "redis", "host": "127.0.0.1", "port": server.port}
    finally:
        server.kill()


@contextmanager
def _running_postgres() -> Iterator[dict[str, Any]]:
    with running_postgres() as found:
        place = {"host": found["host"], "user": found["login"], "database": found["schema"]}
        yield {"conn_id": "limits", "kind": "postgres", **place}
