"""A child: a small REST API that is as strict and as unreliable as real ones, and keeps the books of it.

``PUT /sensors/{id}`` stores a reading. ``python -m demo.api --port 8000`` starts it alone, to try things with.
"""

import argparse
import asyncio
import hashlib
import json
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from demo.children import Line
from demo.week import REFUSED_IDS

_FIELDS = {"id": {int}, "name": {str}, "value": {int, float}, "measured_at": {str}}
_FAULTS = ("error", "reset", "lost answer", "slow")
# A request that has failed twice comes through: an API that recovers.
_FAULTY_ATTEMPTS = 2


@dataclass(frozen=True)
class Settings:
    """How the API behaves.

    :param requests_per_second: in any sliding second; more are answered with 429.
    :param refused_ids: answered with 422, until ``POST /_accept``.
    :param fault_share: of the requests: a 500, a reset connection, an answer that is lost, a slow answer.
    :param slow_seconds: how slow.
    """

    requests_per_second: int = 500
    refused_ids: frozenset[int] = REFUSED_IDS
    fault_share: float = 0.04
    slow_seconds: float = 0.3


class SlidingSecond:
    """Counts requests of the last second."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._admitted: deque[float] = deque()
        self.over_limit = 0
        self.busiest = 0

    def admit(self, now: float) -> bool:
        """Count a request; tell whether it is within the limit."""
        while self._admitted and self._admitted[0] <= now - 1:
            self._admitted.popleft()
        self.busiest = max(self.busiest, len(self._admitted) + 1)
        if len(self._admitted) >= self._limit:
            self.over_limit += 1
            return False
        self._admitted.append(now)
        return True


class SensorApi:
    """The API and its books."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._second = SlidingSecond(settings.requests_per_second)
        self._accepts_all = False
        self._attempts: Counter[int] = Counter()
        self._keys: set[str] = set()
        self._readings: dict[int, dict[str, Any]] = {}
        self._times_stored: Counter[int] = Counter()
        self._refused: set[int] = set()
        self._counts: Counter[str] = Counter()

    def app(self) -> web.Application:
        """Make the application: what a client uses, and what the demo asks (``_...``, outside the rate limit)."""
        app = web.Application()
        app.router.add_put("/sensors/{id:[0-9]+}", self.put_sensor)
        app.router.add_get("/sensors/{id:[0-9]+}", self.get_sensor)
        app.router.add_get("/_stats", self.stats)
        app.router.add_get("/_ids", self.ids)
        app.router.add_post("/_accept", self.accept)
        return app

    async def put_sensor(self, request: web.Request) -> web.StreamResponse:
        """Store a reading, unless something is wrong with it or with the day."""
        self._counts["requests"] += 1
        number, body = int(request.match_info["id"]), await request.read()
        if not self._second.admit(time.monotonic()):
            return web.json_response({"error": "too many requests"}, status=429, headers={"Retry-After": "1"})
        try:
            reading = parse_reading(body, number)
        except ValueError as error:
            self._counts["bad requests"] += 1
            return web.json_response({"error": str(error)}, status=400)
        if number in self._settings.refused_ids and not self._accepts_all:
            self._refused.add(number)
            return web.json_response({"error": f"reading {number} is of a sensor that was withdrawn"}, status=422)
        return await self._store_or_fail(request, number, reading)

    async def _store_or_fail(self, request: web.Request, number: int, reading: dict[str, Any]) -> web.StreamResponse:
        self._attempts[number] += 1
        fault = fault_of(number, self._attempts[number], self._settings.fault_share)
        if fault:
            self._counts[fault] += 1
        if fault == "error":
            return web.json_response({"error": "something went wrong"}, status=500)
        if fault != "reset":
            self._store(request.headers.get("Idempotency-Key"), number, reading)
        if fault in ("reset", "lost answer"):
            request.transport.abort()
        if fault == "slow":
            await asyncio.sleep(self._settings.slow_seconds)
        return web.json_response({"id": number})

    def _store(self, key: str | None, number: int, reading: dict[str, Any]) -> None:
        """Store a reading; one that comes again under its key is stored already."""
        if key in self._keys:
            self._counts["repeats"] += 1
            return
        if key is not None:
            self._keys.add(key)
        self._readings[number] = reading
        self._times_stored[number] += 1

    async def get_sensor(self, request: web.Request) -> web.Response:
        """Give a reading."""
        reading = self._readings.get(int(request.match_info["id"]))
        return web.json_response(reading) if reading else web.json_response({"error": "not found"}, status=404)

    async def stats(self, _: web.Request) -> web.Response:
        """Give the counts."""
        return web.json_response(
            {
                "requests": self._counts["requests"],
                "bad_requests": self._counts["bad requests"],
                "stored": len(self._times_stored),
                "repeats": self._counts["repeats"],
                "refused": len(self._refused),
                "over_limit": self._second.over_limit,
                "busiest_second": self._second.busiest,
                "faults": {fault: self._counts[fault] for fault in _FAULTS},
            }
        )

    async def ids(self, _: web.Request) -> web.Response:
        """Give the ids: how often each was stored, and which were refused."""
        return web.json_response({"times_stored": self._times_stored, "refused": sorted(self._refused)})

    async def accept(self, _: web.Request) -> web.Response:
        """Refuse nothing from now on."""
        self._accepts_all = True
        return web.Response(status=204)


def parse_reading(body: bytes, number: int) -> dict[str, Any]:
    """Read the body of a request. :raises ValueError: when it is not the reading that the path names."""
    try:
        reading = json.loads(body)
    except ValueError:
        raise ValueError("the body is not valid JSON") from None
    if not isinstance(reading, dict) or reading.keys() != _FIELDS.keys():
        raise ValueError(f"the body must be an object with the fields {', '.join(_FIELDS)}")
    wrong = [name for name, kinds in _FIELDS.items() if type(reading[name]) not in kinds]
    if wrong:
        raise ValueError(f"{wrong[0]} is of a wrong type")
    if reading["id"] != number:
        raise ValueError(f"the id in the body is {reading['id']}, in the path {number}")
    return reading


def fault_of(number: int, attempt: int, share: float) -> str | None:
    """Decide by a hash whether a request fails and how: the same on every day and machine."""
    if attempt > _FAULTY_ATTEMPTS:
        return None
    drawn = int.from_bytes(hashlib.blake2b(f"{number}:{attempt}".encode(), digest_size=4).digest()) / 2**32
    return _FAULTS[int(drawn / share * len(_FAULTS))] if drawn < share else None


async def serve(settings: Settings, place: tuple[str, int], say: Callable[[str], object], ended: asyncio.Event) -> None:
    """Serve until it is to end.

    :param place: host and port; port 0: a free one.
    :param say: told the URL, once requests are answered.
    """
    runner = web.AppRunner(SensorApi(settings).app(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, *place).start()
        host, port = runner.addresses[0][:2]
        say(f"http://{host}:{port}")
        await ended.wait()
    finally:
        await runner.cleanup()


async def serve_demo() -> None:
    """Serve on a free port of this machine until the demo ends."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    line = Line(on_end=lambda: loop.call_soon_threadsafe(ended.set))
    await serve(Settings(), ("127.0.0.1", 0), lambda url: line.say({"url": url}), ended)


async def serve_alone(host: str, port: int) -> None:
    """Serve until a signal to end, whatever standard input is."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await serve(Settings(), (host, port), lambda url: print(url, flush=True), ended)


def main() -> None:
    """Without arguments this is a child of the demo; with any it stands alone."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.api", description="A strict and unreliable API for sensor readings."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0: a free one")
    arguments = parser.parse_args()
    asyncio.run(serve_alone(arguments.host, arguments.port) if len(sys.argv) > 1 else serve_demo())


if __name__ == "__main__":
    main()
