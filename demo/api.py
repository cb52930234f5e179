"""A child: a small REST API that is as strict and as unreliable as real ones, and counts what it does.

``PUT /sensors/{id}`` stores a reading, ``POST /archive/_bulk`` many of them in another collection.
``GET /readings/{style}`` lists the week's readings in pages, ``GET /inventory/{type}`` tells of one part, slowly.
``python -m demo.api --port 8000`` starts it alone, to try things with.
"""

import argparse
import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

from demo.api_rules import FAULTS, Books, Rules, Settings, fault_of, parse_reading
from demo.archive import Archive
from demo.children import Line
from demo.inventory import Inventory
from demo.listing import Listing


class SensorApi:
    """The API and its books."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules = Rules(settings)
        self._books = Books()
        self._archive = Archive(self._rules)
        self._listing = Listing(settings)
        self._inventory = Inventory(settings)
        self._attempts: Counter[int] = Counter()
        self._keys: set[str] = set()

    def app(self) -> web.Application:
        """Make the application: what a client uses, and what the demo asks (``_...``, outside the rate limit)."""
        app = web.Application()
        app.router.add_put("/sensors/{id:[0-9]+}", self.put_sensor)
        app.router.add_get("/sensors/{id:[0-9]+}", self.get_sensor)
        app.router.add_post("/archive/_bulk", self._archive.post_bulk)
        app.router.add_get("/readings/{style}", self._listing.get_page)
        app.router.add_get("/inventory/{type}", self._inventory.get_part)
        app.router.add_get("/_stats", self.stats)
        app.router.add_get("/_ids", self.ids)
        app.router.add_post("/_accept", self.accept)
        return app

    async def put_sensor(self, request: web.Request) -> web.StreamResponse:
        """Store a reading, unless something is wrong with it or with the day."""
        self._books.counts["requests"] += 1
        number, body = int(request.match_info["id"]), await request.read()
        if not self._rules.admit():
            return web.json_response({"error": "too many requests"}, status=429, headers={"Retry-After": "1"})
        try:
            reading = parse_reading(body, number)
        except ValueError as error:
            self._books.counts["bad requests"] += 1
            return web.json_response({"error": str(error)}, status=400)
        if refusal := self._rules.refusal(number):
            self._books.refused.add(number)
            return web.json_response({"error": refusal}, status=422)
        return await self._store_or_fail(request, reading)

    async def _store_or_fail(self, request: web.Request, reading: dict[str, Any]) -> web.StreamResponse:
        number = reading["id"]
        self._attempts[number] += 1
        fault = fault_of(number, self._attempts[number], self._settings.fault_share)
        if fault:
            self._books.counts[fault] += 1
        if fault == "error":
            return web.json_response({"error": "something went wrong"}, status=500)
        if fault != "reset":
            self._store(request.headers.get("Idempotency-Key"), reading)
        if fault in ("reset", "lost answer"):
            request.transport.abort()
        if fault == "slow":
            await asyncio.sleep(self._settings.slow_seconds)
        return web.json_response({"id": number})

    def _store(self, key: str | None, reading: dict[str, Any]) -> None:
        """Store a reading; one that comes again under its key is stored already."""
        if key in self._keys:
            self._books.counts["repeats"] += 1
            return
        if key is not None:
            self._keys.add(key)
        self._books.store(reading)

    async def get_sensor(self, request: web.Request) -> web.Response:
        """Return a reading."""
        reading = self._books.readings.get(int(request.match_info["id"]))
        return web.json_response(reading) if reading else web.json_response({"error": "not found"}, status=404)

    async def stats(self, _: web.Request) -> web.Response:
        """Return the counts."""
        return web.json_response(
            {
                **self._books.stats(),
                "faults": {fault: self._books.counts[fault] for fault in FAULTS},
                "archive": self._archive.stats(),
                "listing": self._listing.stats(),
                "inventory": self._inventory.stats(),
                "over_limit": self._rules.second.over_limit,
                "busiest_second": self._rules.second.busiest,
            }
        )

    async def ids(self, _: web.Request) -> web.Response:
        """Return the ids of both collections: how often each was stored, and which were refused."""
        return web.json_response({**self._books.ids(), "archive": self._archive.books.ids()})

    async def accept(self, _: web.Request) -> web.Response:
        """Refuse nothing from now on."""
        self._rules.accept_all()
        return web.Response(status=204)


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
