"""demo/api.py does what it says: limits, refusals, faults, and honest books."""

import json
import subprocess
import sys
from urllib.request import urlopen

import aiohttp
import pytest
from checkout import REPOSITORY
from sensor_api import get, reading, running

from demo.api_rules import SlidingSecond, fault_of

pytestmark = pytest.mark.anyio


async def put(client, number=1, key=None, **changes):
    headers = {"Idempotency-Key": key} if key else {}
    async with client.put(f"/sensors/{number}", json=reading(number, **changes), headers=headers) as answer:
        return answer.status, await answer.text()


async def test_a_reading_is_stored_and_can_be_read(anyio_backend):
    async with running() as client:
        assert (await put(client, 5))[0] == 200
        assert await get(client, "/sensors/5") == reading(5)
        assert (await client.get("/sensors/6")).status == 404


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ('{"id": 1', "not valid JSON"),
        ("[1]", "must be an object"),
        ('{"id": 1, "name": "x", "value": 1}', "with the fields id, name, value, measured_at"),
        ('{"id": 1, "name": "x", "value": "1", "measured_at": "2026-03-02"}', "value is of a wrong type"),
        ('{"id": 1, "name": "x", "value": true, "measured_at": "2026-03-02"}', "value is of a wrong type"),
        ('{"id": 2, "name": "x", "value": 1, "measured_at": "2026-03-02"}', "the id in the body is 2, in the path 1"),
    ],
)
async def test_a_wrong_body_is_a_400_with_the_reason(anyio_backend, body, why):
    async with running() as client:
        async with client.put("/sensors/1", data=body) as answer:
            assert (answer.status, why in (await answer.json())["error"]) == (400, True)
        stats = await get(client, "/_stats")
        assert (stats["bad_requests"], stats["stored"]) == (1, 0)


async def test_the_handful_is_refused_with_a_reason_until_it_is_accepted(anyio_backend):
    async with running() as client:
        status, text = await put(client, 13)
        assert (status, "withdrawn" in text) == (422, True)
        nothing = {"times_stored": {}, "refused": []}
        assert await get(client, "/_ids") == {"times_stored": {}, "refused": [13], "archive": nothing}
        assert (await client.post("/_accept")).status == 204
        assert (await put(client, 13))[0] == 200
        assert await get(client, "/_ids") == {"times_stored": {"13": 1}, "refused": [13], "archive": nothing}


async def test_the_same_key_twice_is_stored_once_and_another_key_again(anyio_backend):
    async with running() as client:
        assert [(await put(client, 1, key))[0] for key in ("a", "a", "b", None, None)] == [200] * 5
        assert (await get(client, "/_ids"))["times_stored"] == {"1": 4}
        assert (await get(client, "/_stats"))["repeats"] == 1


async def test_requests_over_the_limit_get_a_429_and_are_counted(anyio_backend):
    async with running(requests_per_second=3) as client:
        answers = [await client.put(f"/sensors/{number}", json=reading(number)) for number in range(1, 6)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[-1].headers["Retry-After"] == "1"
        stats = await get(client, "/_stats")
        assert (stats["requests"], stats["stored"], stats["over_limit"], stats["busiest_second"]) == (5, 3, 2, 4)


def test_the_second_slides():
    second = SlidingSecond(2)
    assert [second.admit(now) for now in (0.0, 0.9, 0.95, 1.0, 1.5, 1.95)] == [True, True, False, True, False, True]
    assert second.over_limit == 2


@pytest.mark.parametrize(
    ("fault", "status", "stored"), [("error", 500, 0), ("reset", None, 0), ("lost answer", None, 1), ("slow", 200, 1)]
)
async def test_a_fault_spoils_one_request_and_the_retry_comes_through(anyio_backend, fault, status, stored):
    share = 0.5
    number = next(n for n in range(1000) if fault_of(n, 1, share) == fault and fault_of(n, 2, share) is None)
    async with running(fault_share=share) as client:
        if status is None:
            with pytest.raises(aiohttp.ClientError):
                await put(client, number, "key")
        else:
            assert (await put(client, number, "key"))[0] == status
        assert (await get(client, "/_stats"))["stored"] == stored
        assert (await put(client, number, "key"))[0] == 200
        assert (await get(client, "/_ids"))["times_stored"] == {str(number): 1}
        assert (await get(client, "/_stats"))["faults"][fault] == 1


def test_the_faults_are_the_share_asked_for_always_the_same_and_end():
    faults = [fault_of(number, 1, 0.04) for number in range(20_000)]
    assert faults == [fault_of(number, 1, 0.04) for number in range(20_000)]
    shares = [faults.count(fault) / 20_000 for fault in ("error", "reset", "lost answer", "slow")]
    assert shares == pytest.approx([0.01] * 4, abs=0.002)
    assert {fault_of(number, 3, 0.04) for number in range(20_000)} == {None}


def test_it_stands_alone_whatever_standard_input_is_and_ends_on_a_signal():
    process = subprocess.Popen(
        [sys.executable, "-m", "demo.api", "--port", "0"],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = process.stdout.readline().strip()
        with urlopen(f"{url}/_stats") as answer:
            assert json.load(answer)["requests"] == 0
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
