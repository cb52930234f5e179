import asyncio
import time

import pytest

from airflow_async_rest.core.transport.client import TimeLimit

pytestmark = pytest.mark.anyio


async def lasting(limit, seconds):
    """Take some time; tell whether the limit ended it."""
    task, late = limit.begin(time.perf_counter()), False
    try:
        try:
            await asyncio.sleep(seconds)
        finally:
            late = limit.end(task)
    except asyncio.CancelledError:
        if not late:
            raise
    return late


async def test_only_what_takes_too_long_is_ended():
    limit = TimeLimit(0.5)
    seconds = (0.0, 0.01, 30, 0.02, 30)
    started = time.perf_counter()
    assert await asyncio.gather(*(lasting(limit, one) for one in seconds)) == [False, False, True, False, True]
    assert 0.5 <= time.perf_counter() - started < 25


async def test_each_has_its_own_time():
    limit = TimeLimit(0.5)
    first = asyncio.create_task(lasting(limit, 30))
    await asyncio.sleep(0.4)
    assert await lasting(limit, 0.2) is False
    assert await first is True


async def test_one_timer_is_enough_for_any_number(monkeypatch):
    loop, timers = asyncio.get_running_loop(), []
    call_later = loop.call_later
    monkeypatch.setattr(loop, "call_later", lambda *args: timers.append(args) or call_later(*args))
    limit = TimeLimit(60)
    for _ in range(100):
        limit.end(limit.begin(time.perf_counter()))
    assert len(timers) == 1
    limit.close()


async def test_the_timer_sleeps_when_nobody_is_watched_and_wakes_again():
    limit = TimeLimit(0.02)
    assert await lasting(limit, 0) is False
    await asyncio.sleep(0.05)
    assert limit._timer is None
    assert await lasting(limit, 5) is True


async def test_a_cancellation_by_somebody_else_stays_one():
    limit = TimeLimit(60)
    task = asyncio.create_task(lasting(limit, 5))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not limit._began


async def test_somebody_else_wins_when_both_cancel():
    limit = TimeLimit(60)
    task = asyncio.create_task(lasting(limit, 5))
    await asyncio.sleep(0)
    limit._began[task] = 0.0, 0
    limit._cancel_late()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_that_is_being_cancelled_has_a_limit_too():
    limit = TimeLimit(0.02)

    async def cleaning_up():
        try:
            await asyncio.sleep(5)
        finally:
            assert await lasting(limit, 5) is True

    task = asyncio.create_task(cleaning_up())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
