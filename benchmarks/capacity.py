"""A REST API of limited capacity, in a separate process, on the server's core."""

import argparse
import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.request import urlopen

import uvloop
from aiohttp import web

from benchmarks.api import running_server, serve_until_stdin_closes
from benchmarks.measuring import SERVER_CORE, pin

_UNBOUNDED = 1_000_000


@dataclass(frozen=True)
class Capacity:
    """What the server can handle.

    :param seconds: that each request takes.
    :param places: requests that are worked on at once; the others queue.
    :param refuse_over: with more of them in flight, it answers 503 at once.
    """

    seconds: float = 0.0
    places: int = _UNBOUNDED
    refuse_over: int = _UNBOUNDED


@dataclass(frozen=True)
class LimitedApi:
    """The running server, as a measure sees it."""

    url: str

    def counts(self) -> tuple[int, int]:
        """Return how many requests it has done and refused since the last time this was asked."""
        with urlopen(f"{self.url}/counts", timeout=30) as answer:
            done, refused = json.load(answer)
        return done, refused


@contextmanager
def running_limited_api(capacity: Capacity) -> Iterator[LimitedApi]:
    """Run the server until the block ends."""
    with running_server("benchmarks.capacity", json.dumps(vars(capacity))) as port:
        yield LimitedApi(f"http://127.0.0.1:{port}")


class _Server:
    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._places = asyncio.Semaphore(capacity.places)
        self._in_flight = self._done = self._refused = 0

    async def answer(self, request: web.BaseRequest) -> web.Response:
        await request.read()
        if request.method == "GET":
            counts = self._done, self._refused
            self._done = self._refused = 0
            return web.json_response(counts)
        if self._in_flight >= self._capacity.refuse_over:
            self._refused += 1
            return web.Response(status=503)
        self._in_flight += 1
        try:
            await self._work()
        finally:
            self._in_flight -= 1
        self._done += 1
        return web.Response(body=b"{}", content_type="application/json")

    async def _work(self) -> None:
        if self._capacity.seconds:
            async with self._places:
                await asyncio.sleep(self._capacity.seconds)


async def _serve(capacity: Capacity) -> None:
    await serve_until_stdin_closes(_Server(capacity).answer)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("capacity", type=json.loads)
    pin(SERVER_CORE)
    uvloop.run(_serve(Capacity(**parser.parse_args().capacity)))
