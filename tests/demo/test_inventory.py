"""demo/inventory.py does what it says: parts that are always the same, some that are missing, and faults that end."""

import asyncio

import aiohttp
import pytest
from sensor_api import get, running

from demo.api_rules import fault_of
from demo.inventory import MISSING_IDS, TYPES, part
from demo.reads import READ_FAULTS

pytestmark = pytest.mark.anyio


async def test_a_part_is_one_item_with_its_place_and_its_tags(anyio_backend):
    async with running() as client:
        (item,) = (await get(client, "/inventory/pump?id=7"))["data"]["items"]
    assert list(item) == ["sku", "stock", "location", "tags"]
    assert item["sku"] == "PUMP-0007"
    assert list(item["location"]) == ["geoLabel", "latitude", "longitude"]
    assert ", shelf " in item["location"]["geoLabel"]


async def test_a_part_is_always_the_same_and_its_type_counts(anyio_backend):
    async with running() as first, running() as second:
        for kind in TYPES:
            assert await get(first, f"/inventory/{kind}?id=7") == await get(second, f"/inventory/{kind}?id=7")
    stocks = [part(kind, number)["stock"] for kind in TYPES for number in range(50)]
    assert len(set(stocks)) > 50
    assert {len(part("pump", number)["tags"]) for number in range(50)} == {0, 1, 2}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("pump?id=7", 200),
        ("bolt?id=7", 404),
        *((f"{kind}?id={number}", 404) for kind in TYPES for number in MISSING_IDS),
        ("pump", 400),
        ("pump?id=seven", 400),
    ],
)
async def test_what_is_not_there_is_a_404_and_what_is_no_id_a_400(anyio_backend, path, status):
    async with running() as client, client.get(f"/inventory/{path}") as answer:
        assert answer.status == status
        assert ("error" in await answer.json()) == (status != 200)


async def test_the_limit_is_the_inventorys_own(anyio_backend):
    async with running(inventory_per_second=2, requests_per_second=1, listing_per_second=1) as client:
        answers = [await client.get("/inventory/pump?id=1") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        stats = await get(client, "/_stats")
        inventory = stats["inventory"]
        assert (inventory["requests"], inventory["over_limit"], inventory["busiest_second"]) == (3, 1, 3)
        assert (stats["over_limit"], stats["listing"]["over_limit"]) == (0, 0)


@pytest.mark.parametrize(("fault", "status"), [("error", 500), ("reset", None)])
async def test_a_fault_spoils_one_request_and_the_retry_comes_through(anyio_backend, fault, status):
    paths = (f"/inventory/pump?id={number}" for number in range(1000))
    faults = ((path, [fault_of(path, attempt, 0.5, READ_FAULTS) for attempt in (1, 2)]) for path in paths)
    path = next(path for path, found in faults if found == [fault, None])
    async with running(read_fault_share=0.5) as client:
        if status is None:
            with pytest.raises(aiohttp.ClientError):
                await client.get(path)
        else:
            assert (await client.get(path)).status == status
        assert (await client.get(path)).status == 200
        assert (await get(client, "/_stats"))["inventory"]["faults"][fault] == 1


async def test_an_answer_takes_its_time(anyio_backend):
    async with running(inventory_seconds=0.2) as client:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await get(client, "/inventory/valve?id=5")
        assert loop.time() - start >= 0.2
