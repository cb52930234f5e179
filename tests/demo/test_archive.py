"""demo/archive.py does what it says: each reading is answered for, the rules are those of the rest, the books honest."""

import json

import aiohttp
import pytest
from sensor_api import get, reading, running

from demo.api_rules import fault_of
from demo.archive import _BULK_FAULTS

pytestmark = pytest.mark.anyio

NDJSON = "application/x-ndjson"


def ndjson(*numbers):
    return "".join(json.dumps(reading(number)) + "\n" for number in numbers)


async def post(client, body, key=None, content_type=NDJSON):
    headers = {"Content-Type": content_type} | ({"Idempotency-Key": key} if key else {})
    async with client.post("/archive/_bulk", data=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def books(client):
    ids = await get(client, "/_ids")
    return {int(number): times for number, times in ids["archive"]["times_stored"].items()}


async def stats(client):
    return (await get(client, "/_stats"))["archive"]


def fault_in(*numbers, attempt=1, share=0.5):
    """What becomes of a request with these readings."""
    return fault_of(ndjson(numbers[0]).strip().encode(), attempt, share, _BULK_FAULTS)


async def test_readings_are_stored_and_answered_for_in_their_order(anyio_backend):
    async with running() as client:
        assert await post(client, ndjson(7, 5)) == (200, [{"id": 7, "status": 201}, {"id": 5, "status": 201}])
        assert await books(client) == {5: 1, 7: 1}
        counts = await stats(client)
        assert (counts["requests"], counts["lines"], counts["stored"], counts["bad_requests"]) == (1, 2, 2, 0)


async def test_the_archive_and_the_sensors_have_their_own_books(anyio_backend):
    async with running() as client:
        await post(client, ndjson(7))
        await client.put("/sensors/8", json=reading(8))
        assert (await get(client, "/_ids"))["times_stored"] == {"8": 1}
        assert await books(client) == {7: 1}
        assert ((await get(client, "/_stats"))["requests"], (await stats(client))["requests"]) == (1, 1)


async def test_one_that_is_refused_does_not_hold_up_the_others_until_it_is_accepted(anyio_backend):
    async with running() as client:
        status, (first, second, third) = await post(client, ndjson(12, 13, 14), "a")
        assert (status, first["status"], second["status"], third["status"]) == (207, 201, 422, 201)
        assert (second["id"], second["error"]) == (13, "reading 13 is of a sensor that was withdrawn")
        assert (await get(client, "/_ids"))["archive"] == {"times_stored": {"12": 1, "14": 1}, "refused": [13]}
        assert (await client.post("/_accept")).status == 204
        assert await post(client, ndjson(13), "b") == (200, [{"id": 13, "status": 201}])


async def test_a_line_that_is_no_reading_is_a_400_among_the_others(anyio_backend):
    async with running() as client:
        status, results = await post(client, ndjson(1) + '{"id": 2\n\n{"id": 3}\n' + ndjson(4))
        assert (status, [result["status"] for result in results]) == (207, [201, 400, 400, 400, 201])
        assert results[1] == {"id": None, "status": 400, "error": "the body is not valid JSON"}
        assert (await stats(client))["bad_lines"] == 3


@pytest.mark.parametrize(
    ("body", "content_type", "status", "why"),
    [
        (ndjson(1), "application/json", 415, "must be application/x-ndjson"),
        (ndjson(1).rstrip(), NDJSON, 400, "must end with a newline"),
        ("", NDJSON, 400, "must end with a newline"),
        (ndjson(*range(1, 5)), NDJSON, 413, "3 lines at most"),
    ],
)
async def test_a_request_that_is_wrong_as_a_whole_stores_nothing(anyio_backend, body, content_type, status, why):
    async with running(most_lines=3) as client:
        answered, text = await post(client, body, content_type=content_type)
        assert (answered, why in text["error"]) == (status, True)
        counts = await stats(client)
        assert (counts["bad_requests"], counts["lines"], counts["stored"]) == (1, 0, 0)


async def test_the_same_key_again_has_the_same_answer_and_stores_nothing(anyio_backend):
    async with running() as client:
        first = await post(client, ndjson(12, 13), "a")
        await client.post("/_accept")
        assert await post(client, ndjson(12, 13), "a") == first
        assert await books(client) == {12: 1}
        assert (await stats(client))["repeats"] == 1
        for key in ("b", None, None):
            assert (await post(client, ndjson(12), key))[0] == 200
        assert await books(client) == {12: 4}


async def test_the_same_key_after_an_answer_that_stored_nothing_is_a_new_request(anyio_backend):
    async with running() as client:
        assert (await post(client, ndjson(13), "a"))[0] == 207
        await client.post("/_accept")
        assert (await post(client, ndjson(13), "a"))[0] == 200


async def test_a_bulk_request_counts_one_within_the_limit_of_all(anyio_backend):
    async with running(requests_per_second=2) as client:
        assert (await post(client, ndjson(*range(20, 40))))[0] == 200
        assert (await client.put("/sensors/1", json=reading(1))).status == 200
        assert (await post(client, ndjson(2)))[0] == 429
        assert (await client.put("/sensors/3", json=reading(3))).status == 429
        assert (await get(client, "/_stats"))["over_limit"] == 2
        assert (await stats(client))["requests"] == 2


@pytest.mark.parametrize(
    ("fault", "status", "stored"), [("error", 500, 0), ("reset", None, 0), ("lost answer", None, 2), ("slow", 200, 2)]
)
async def test_a_fault_spoils_a_whole_request_and_the_retry_comes_through(anyio_backend, fault, status, stored):
    number = next(n for n in range(20, 1000) if fault_in(n) == fault and fault_in(n, attempt=2) is None)
    body = ndjson(number, number + 1)
    async with running(bulk_fault_share=0.5) as client:
        if status is None:
            with pytest.raises(aiohttp.ClientError):
                await post(client, body, "a")
        else:
            assert (await post(client, body, "a"))[0] == status
        assert len(await books(client)) == stored
        assert (await post(client, body, "a"))[0] == 200
        assert await books(client) == {number: 1, number + 1: 1}
        assert (await stats(client))["faults"][fault] == 1


async def test_some_readings_are_not_stored_and_come_through_when_they_come_again(anyio_backend):
    numbers = range(next(n for n in range(20, 1000) if fault_in(n) == "partly stored"), 2000)[:50]
    async with running(bulk_fault_share=0.5) as client:
        status, results = await post(client, ndjson(*numbers), "a")
        left = [result["id"] for result in results if result["status"] == 503]
        assert (status, 1 <= len(left) <= 20) == (207, True)
        assert {result["status"] for result in results} == {201, 503}
        assert await books(client) == dict.fromkeys(set(numbers) - set(left), 1)
        assert (await stats(client))["not_stored"] == len(left)
    async with running() as client:
        assert (await post(client, ndjson(*left), "b"))[0] == 200


def test_a_request_comes_through_after_two_faults():
    assert {fault_in(number, attempt=3, share=1.0) for number in range(20, 200)} == {None}
