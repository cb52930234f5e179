"""What is written while a job runs never keeps the job from running, or from its end."""

import asyncio
import logging
import threading

import pytest

from airflow_async_rest.core.account.recorder import Recorder
from airflow_async_rest.core.bounds import Bounds
from airflow_async_rest.core.errors import (
    ConfigurationError,
    DeadLetterStoreError,
    KilledError,
    LoadError,
    StoppedError,
)
from airflow_async_rest.core.keeping.intervals import Writing
from airflow_async_rest.core.keeping.row_sink import RowBuffer
from airflow_async_rest.core.models import DeadLetter, Item
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.watching.log import JobLog


class Unwritten:
    """A keeper that takes no rows out of the buffer: they stay due."""

    def __init__(self, error=None) -> None:
        self.error, self.writes, self.third = error, 0, asyncio.Event()
        self.due = asyncio.Event()

    async def write(self, recorder, progress):
        self.writes += 1
        self.due.set()
        if self.writes == 3:
            self.third.set()
        if self.error is not None:
            raise self.error


@pytest.fixture
def begin(ends):
    """Write with a keeper and a stop while rows are due."""

    def begin(keeper, stop, progress=dict, letters=(), **bounds):
        buffer, log = RowBuffer(), JobLog(logging.getLogger("job"), str)
        buffer.due.set()
        keeper.due = buffer.due
        bounds = Bounds(progress_every_seconds=0.0, **bounds)
        recorder = Recorder(None, sample_payloads=False, retry=RequestRetry(), bounds=bounds)
        for letter in letters:
            recorder.record(letter)
        writing = Writing(keeper, log, recorder, progress, stop, observe=lambda: None, buffer=buffer, bounds=bounds)
        return writing.at_intervals()

    return begin


def test_a_stop_from_outside_is_heard_while_rows_stay_due(begin):
    async def main():
        stop, keeper = StopSwitch(), Unwritten()
        async with begin(keeper, stop):
            await keeper.third.wait()
            threading.Thread(target=stop.pull, args=(KilledError("SIGTERM"),)).start()
            await stop.wait()
        return stop.error

    assert str(asyncio.run(main())) == "SIGTERM"


def test_a_stop_that_comes_as_the_loop_is_closed_harms_nobody():
    class Closing(asyncio.SelectorEventLoop):
        """Is closed as soon as somebody has looked that it is not."""

        def call_soon_threadsafe(self, *what, **more):
            self.close()
            return super().call_soon_threadsafe(*what, **more)

    loop, stop = Closing(), StopSwitch()
    waiting = loop.create_task(stop.wait())
    loop.run_until_complete(asyncio.sleep(0))
    waiting.cancel()
    loop.run_until_complete(asyncio.wait([waiting]))
    stop.pull(KilledError("SIGTERM"))
    assert (str(stop.error), loop.is_closed()) == ("SIGTERM", True)


@pytest.mark.parametrize(
    "error", [LoadError("away"), ConfigurationError("no column"), KilledError("nobody takes them")]
)
def test_rows_that_cannot_be_kept_stop_the_job_and_are_tried_once(begin, error):
    async def main():
        stop, keeper = StopSwitch(), Unwritten(error)
        async with begin(keeper, stop):
            await stop.wait()
            for _ in range(10):
                await asyncio.sleep(0)
        return stop.error, keeper.writes

    assert asyncio.run(main()) == (error, 1)


def test_a_folder_that_is_away_is_asked_once_in_an_interval(begin):
    async def main():
        stop, keeper = StopSwitch(), Unwritten(DeadLetterStoreError("away"))
        async with begin(keeper, stop):
            for _ in range(100):
                await asyncio.sleep(0)
        return stop.error, keeper.writes

    assert asyncio.run(main()) == (None, 1)


@pytest.mark.parametrize(("size", "writes"), [(5_000_000, 3), (1, 10)])
def test_a_folder_that_is_away_is_waited_for_a_while_when_there_is_no_room_for_more_letters(begin, size, writes):
    bounds = {"write_every_seconds": 0.0, "most_failed_writes": 3}
    row = {"v": "x" * size}
    letter = DeadLetter.of(Item(0, 0, row, row), "transform")

    async def main():
        stop, keeper = StopSwitch(), Unwritten(DeadLetterStoreError("away"))
        async with begin(keeper, stop, letters=[letter], **bounds):
            while stop.error is None and keeper.writes < writes:
                await asyncio.sleep(0)
        return stop.error, keeper.writes

    error, tried = asyncio.run(main())
    assert tried == writes
    assert (str(error) == "1 dead letter cannot be written: away") is (size > 1)


def test_a_writer_that_fails_stops_the_job_which_would_wait_for_it(begin):
    async def main():
        stop = StopSwitch()
        async with begin(Unwritten(), stop, progress=lambda: 1 / 0):
            await stop.wait()
        return stop.error

    error = asyncio.run(main())
    assert isinstance(error, StoppedError)
    assert "ZeroDivisionError" in str(error)
