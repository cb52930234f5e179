"""The slow side of the demo's API: ``GET /inventory/{type}?id=N`` tells where a part lies, one part a request."""

import asyncio
from random import Random
from typing import Any

from aiohttp import web

from demo.api_rules import Settings
from demo.reads import Reads

TYPES = ("pump", "valve", "sensor")
# Of every type: parts that were never put on a shelf.
MISSING_IDS = frozenset({4, 21, 42})
_PLACES = {"Zürich": (47.3769, 8.5417), "Rotterdam": (51.9244, 4.4777), "Porto": (41.1496, -8.6109)}
_TAGS = ("spare", "sealed", "calibrated", "fragile")


class Inventory:
    """An endpoint whose answers take their time."""

    def __init__(self, settings: Settings) -> None:
        self._seconds = settings.inventory_seconds
        self._reads = Reads(settings.inventory_per_second, settings.read_fault_share)

    async def get_part(self, request: web.Request) -> web.StreamResponse:
        """Return a part; 404 when there is none."""
        if spoiled := self._reads.spoil(request):
            return spoiled
        kind, number = request.match_info["type"], request.query.get("id", "")
        await asyncio.sleep(self._seconds)
        if not (number.isascii() and number.isdigit()):
            return web.json_response({"error": "id must be a number"}, status=400)
        if kind not in TYPES or int(number) in MISSING_IDS:
            return web.json_response({"error": f"there is no {kind} {number}"}, status=404)
        return web.json_response({"data": {"items": [part(kind, int(number))]}})

    def stats(self) -> dict[str, Any]:
        """Return the counts."""
        return self._reads.stats()


def part(kind: str, number: int) -> dict[str, Any]:
    """Make up a part: the same on every day and machine."""
    random = Random(f"{kind} {number}")
    place = random.choice(sorted(_PLACES))
    latitude, longitude = _PLACES[place]
    return {
        "sku": f"{kind.upper()}-{number:04}",
        "stock": random.randrange(100),
        "location": {
            "geoLabel": f"{place}, shelf {random.randint(1, 40)}",
            "latitude": latitude,
            "longitude": longitude,
        },
        "tags": random.sample(_TAGS, random.randrange(3)),
    }
