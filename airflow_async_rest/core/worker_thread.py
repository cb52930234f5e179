"""One daemon thread that runs blocking calls for the event loop, in their order."""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context, copy_context
from typing import Any, TypeVar

Result = TypeVar("Result")


class WorkerThread:
    """Runs one blocking call after the other.

    Unlike ``loop.run_in_executor`` it carries the context variables along (logs, traces), is a daemon (a call
    that hangs does not keep the process alive), and a cancelled caller does not cancel a call under way.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[tuple[Future[Any], Context, Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, function: Callable[..., Result], *args: Any) -> "asyncio.Future[Result]":
        """Queue a call.

        :return: its result, to be awaited in the running loop; when that is cancelled before its turn, it never runs.
        """
        return asyncio.wrap_future(self.queue(function, *args))

    def queue(self, function: Callable[..., Result], *args: Any) -> "Future[Result]":
        """Queue a call. :return: its result, to be waited for in any thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        future: Future[Result] = Future()
        self._calls.put((future, copy_context(), lambda: function(*args)))
        return future

    async def call(self, function: Callable[..., Result], *args: Any, timeout_seconds: float | None = None) -> Result:
        """Run a call and return its result.

        :raises TimeoutError: when it takes longer; it runs on all the same.
        """
        return await asyncio.wait_for(self.submit(function, *args), timeout_seconds)

    def wait_for(self, function: Callable[..., Result], timeout_seconds: float) -> Result:
        """Run a call and return its result, where there is no loop.

        :raises TimeoutError: when it takes longer; it runs on all the same.
        """
        try:
            return self.queue(function).result(timeout_seconds)
        except TimeoutError as error:
            raise TimeoutError(str(error) or f"no answer within {timeout_seconds:g} s") from None

    def close(self) -> None:
        """End the thread after the calls already queued; returns at once."""
        self._calls.put(None)

    def _run(self) -> None:
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        """Run a call; what it was given and what it returns, rows perhaps, is not kept until the next one comes.

        :return: whether there will be more.
        """
        if (entry := self._calls.get()) is None:
            return False
        future, context, call = entry
        del entry
        if future.set_running_or_notify_cancel():
            try:
                result = context.run(call)
            except BaseException as error:  # noqa: BLE001  (raised again where it is awaited)
                del call
                future.set_exception(error)
            else:
                del call  # before the loop goes on
                future.set_result(result)
        return True
