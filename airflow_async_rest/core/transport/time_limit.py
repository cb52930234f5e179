"""The same time for every request, watched by one timer for all of them."""

import asyncio
import time
from typing import Any


class TimeLimit:
    """Cancels tasks that take too long. Made and used inside one event loop.

    A timer for each request, as :func:`asyncio.timeout` has it, would cost as much as writing the request. All have
    the same time, so whoever began first is due first: one timer, for the first of them, is enough.

    :param seconds: from :meth:`begin` to :meth:`end`.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began: dict[asyncio.Task[Any], tuple[float, int]] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, now: float) -> asyncio.Task[Any]:
        """Watch the task that calls this, from now (``time.perf_counter()``) on."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (a coroutine always runs in one)
        self._began[task] = now, task.cancelling()
        if self._timer is None:
            self._wake_in(self._seconds)
        return task

    def end(self, task: asyncio.Task[Any]) -> bool:
        """Watch it no longer. :return: whether the limit, and nobody else, has cancelled it."""
        _, cancelled_before = self._began.pop(task)
        if task not in self._late:
            return False
        self._late.discard(task)
        return task.uncancel() <= cancelled_before

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _wake_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._cancel_late)

    def _cancel_late(self) -> None:
        self._timer = None
        now = time.perf_counter()
        for task, (began, _) in self._began.items():
            left = began + self._seconds - now
            if left > 0:
                self._wake_in(left)
                return
            if task not in self._late:
                self._late.add(task)
                task.cancel()
