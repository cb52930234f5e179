"""demo/api.py running inside a test, and readings for it."""

import asyncio
import queue
import threading
from contextlib import asynccontextmanager, contextmanager

from aiohttp.test_utils import TestClient, TestServer

from demo.api import SensorApi, serve
from demo.api_rules import Settings


def make_settings(**settings) -> Settings:
    """Settings of an API that refuses reading 13 and has no faults, unless told otherwise."""
    shares = {"fault_share": 0.0, "bulk_fault_share": 0.0, "read_fault_share": 0.0}
    defaults = {"refused_ids": frozenset({13}), **shares, "slow_seconds": 0.0, "inventory_seconds": 0.0}
    return Settings(**(defaults | settings))


@asynccontextmanager
async def running(**settings):
    """Return a client of the API."""
    async with TestClient(TestServer(SensorApi(make_settings(**settings)).app())) as client:
        yield client


@contextmanager
def serving(**settings):
    """Serve the API in a thread, for code that has an event loop of its own; return its URL."""
    told, loops = queue.Queue(), queue.Queue()

    async def run():
        ended = asyncio.Event()
        loops.put((asyncio.get_running_loop(), ended))
        await serve(make_settings(**settings), ("127.0.0.1", 0), told.put, ended)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    loop, ended = loops.get()
    try:
        yield told.get(timeout=30)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)


def reading(number=1, **changes):
    return {"id": number, "name": "sensor-01", "value": 20.5, "measured_at": "2026-03-02T00:00:00+00:00"} | changes


async def get(client, path):
    async with client.get(path) as answer:
        return await answer.json()
