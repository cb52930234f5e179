"""demo/api.py running inside a test, and readings for it."""

from contextlib import asynccontextmanager

from aiohttp.test_utils import TestClient, TestServer

from demo.api import SensorApi
from demo.api_rules import Settings


@asynccontextmanager
async def running(**settings):
    """Give a client of an API that refuses reading 13 and has no faults, unless told otherwise."""
    defaults = {"refused_ids": frozenset({13}), "fault_share": 0.0, "bulk_fault_share": 0.0, "slow_seconds": 0.0}
    api = SensorApi(Settings(**(defaults | settings)))
    async with TestClient(TestServer(api.app())) as client:
        yield client


def reading(number=1, **changes):
    return {"id": number, "name": "sensor-01", "value": 20.5, "measured_at": "2026-03-02T00:00:00+00:00"} | changes


async def get(client, path):
    async with client.get(path) as answer:
        return await answer.json()
