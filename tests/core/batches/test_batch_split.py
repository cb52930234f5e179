import asyncio
import math

import pytest

from airflow_async_rest.core.batches.split import Acceptance, Probe, Refusal

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("status", "lost", "uncertain", "may_split"),
    [
        (400, False, False, True),
        (400, False, True, True),
        (422, True, False, False),
        (409, False, False, True),
        (409, False, True, False),
        (404, False, True, False),
        (500, False, True, False),
        (500, True, False, False),
    ],
)
def test_halves_are_sent_where_nothing_of_the_whole_may_be_stored(status, lost, uncertain, may_split):
    assert Refusal(status, 10, lost, uncertain).may_split is may_split


@pytest.mark.parametrize(
    ("status", "accepted", "needs_acceptance", "probe"),
    [
        (400, True, False, None),
        (413, False, False, None),
        (409, True, True, None),
        (409, False, True, Probe(19)),
        (404, False, True, Probe(19)),
        (500, True, True, Probe(19, attempts=1)),
        (503, False, True, Probe(19, attempts=1)),
    ],
)
def test_halving_that_may_not_help_is_bounded(status, accepted, needs_acceptance, probe):
    refusal = Refusal(status, 500, lost=False, uncertain=False)
    assert (refusal.needs_acceptance, refusal.probe(accepted=accepted)) == (needs_acceptance, probe)


@pytest.mark.parametrize("items", [2, 3, 10, 500, 10_000])
def test_a_probe_is_enough_for_one_culprit(items):
    probe = Probe.of(items)
    assert 2 * math.ceil(math.log2(items)) <= probe.requests <= 2 * math.log2(items) + 2
    assert [probe.take() for _ in range(probe.requests + 1)][-2:] == [True, False]


async def decided(acceptance, *, ends=False, accepts=False):
    """Let two batches wait, and tell what they are told, or None while nothing is known."""
    with acceptance.delivering(), acceptance.delivering():
        waiting = [asyncio.create_task(acceptance.known()) for _ in range(2)]
        await asyncio.sleep(0)
        if ends:
            acceptance.end()
        if accepts:
            acceptance.note()
        await asyncio.sleep(0)
        known = [task.result() if task.done() else None for task in waiting]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return known


async def test_it_is_known_when_all_workers_wait_or_no_more_batches_come_or_one_is_accepted():
    assert await decided(Acceptance(2)) == [False, False]
    assert await decided(Acceptance(0)) == [False, False]
    assert await decided(Acceptance(3)) == [None, None]
    assert await decided(Acceptance(3), ends=True) == [False, False]
    assert await decided(Acceptance(3), accepts=True) == [True, True]


async def test_whoever_waits_is_told_when_the_last_one_that_could_be_accepted_has_ended():
    acceptance = Acceptance(0)
    with acceptance.delivering():
        other = acceptance.delivering()
        other.__enter__()
        waiting = asyncio.create_task(acceptance.known())
        await asyncio.sleep(0)
        assert not waiting.done()
        other.__exit__(None, None, None)
        assert await waiting is False
