import asyncio
import threading
import weakref
from contextvars import ContextVar

import pytest

from airflow_async_rest.core.worker_thread import WorkerThread

pytestmark = pytest.mark.anyio


@pytest.fixture
def thread():
    thread = WorkerThread("tested")
    yield thread
    thread.close()


async def test_calls_run_on_one_thread_in_their_order(thread):
    order, threads = [], set()

    def note(number):
        order.append(number)
        threads.add(threading.current_thread())
        return number

    assert await asyncio.gather(*(thread.submit(note, number) for number in range(50))) == list(range(50))
    assert order == list(range(50))
    [found] = threads
    assert found is not threading.current_thread()
    assert found.daemon
    assert found.name == "tested"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
async def test_what_a_call_raises_is_raised_where_it_is_awaited_and_the_thread_goes_on(thread, error):
    def fail():
        raise error("no")

    failing = thread.submit(fail)
    await asyncio.wait([failing])
    assert isinstance(failing.exception(), error)
    assert await thread.call(lambda: 5) == 5


async def test_a_call_carries_the_context_along(thread):
    variable: ContextVar[int] = ContextVar("variable")
    variable.set(7)
    assert await thread.call(variable.get) == 7


async def test_a_call_that_takes_too_long_runs_on_all_the_same(thread):
    release, done = threading.Event(), threading.Event()
    await thread.call(lambda: None)  # one that has not begun when the time is over never will

    def slow():
        release.wait(30)
        done.set()

    with pytest.raises(TimeoutError):
        await thread.call(slow, timeout_seconds=0.1)
    release.set()
    assert await asyncio.to_thread(done.wait, 30)


async def test_a_cancelled_caller_does_not_cancel_the_call(thread):
    started, release, done = threading.Event(), threading.Event(), threading.Event()

    def slow():
        started.set()
        release.wait(30)
        done.set()

    caller = asyncio.create_task(thread.call(slow))
    await asyncio.to_thread(started.wait, 30)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    release.set()
    assert await asyncio.to_thread(done.wait, 30)
    assert await thread.call(lambda: 5) == 5


async def test_closing_ends_the_thread_after_the_calls_already_queued():
    thread, found = WorkerThread("ending"), []
    last = thread.submit(lambda: found.append(threading.current_thread()))
    thread.close()
    await last
    await asyncio.to_thread(found[0].join, 30)
    assert not found[0].is_alive()


async def test_no_thread_is_started_before_the_first_call():
    WorkerThread("idle").close()
    assert "idle" not in {thread.name for thread in threading.enumerate()}


def test_a_call_that_ends_after_its_loop_harms_nobody(thread, caplog):
    release, done = threading.Event(), threading.Event()

    async def leave_early():
        thread.submit(release.wait, 30)
        thread.submit(done.set)

    asyncio.run(leave_early())
    release.set()
    assert done.wait(30)
    assert caplog.text == ""


async def test_what_a_call_was_given_and_what_it_returned_is_not_kept(thread):
    class Rows(list):
        pass

    given = Rows()
    refs = [weakref.ref(given)]
    result = await thread.call(lambda rows: Rows([*rows, 1]), given)
    refs.append(weakref.ref(result))
    del given, result
    for _ in range(1000):
        if [ref() for ref in refs] == [None, None]:
            break
        await asyncio.sleep(0.001)
    assert [ref() for ref in refs] == [None, None]
