"""Which life of a run a task belongs to: a run that is deleted, and made again under the same id, is another one.

Nothing that Airflow tells a task is the same in all tries of a run and differs between its lives: a task instance's id
changes with each try, the run's ``start_date`` and ``queued_at`` with each Clear, and its dates and ids are the same
when a backfill makes it again. But the task state store is kept over retries and Clears, and goes when the run is
deleted, or the database is; and another deployment has its own. So the first try of a life leaves a mark there, which
names the life's own dead-letter folder, and is in the checkpoint of its load.
"""

import re
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from airflow.sdk import Context

Result = TypeVar("Result")

MARK = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
_KEY = "life"
_SECONDS_A_CALL = 10.0
# Calls of deliver() in several threads of a first try have one life.
_turn = threading.Lock()


class Life(NamedTuple):
    """A life of a task instance.

    :param mark: sorts by the time at which it began; empty where the first try left none, as earlier versions did.
    :param is_known: whether the state store was there to be asked.
    """

    mark: str = ""
    is_known: bool = True


UNMARKED = Life()


def life_of(context: "Context") -> Life:
    """Find out the life; its first try begins it. A state store that fails costs 10 s at most."""
    store: Any = context.get("task_state_store")
    if store is None:
        return UNMARKED
    with _turn:
        try:
            mark = _timed(store.get, _KEY)
            if mark is None and context["ti"].try_number > 1:
                return UNMARKED
            mark = mark if isinstance(mark, str) and MARK.fullmatch(mark) else _new_mark()
            _timed(store.set, _KEY, mark)  # each time: the store forgets what nobody has changed for 30 days
        except Exception:  # noqa: BLE001  (it costs resumability, not the delivery)
            return Life(is_known=False)
        return Life(mark)


def _new_mark() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def _timed(call: Callable[..., Result], *args: Any) -> Result:
    """Call, on a thread of its own. :raises TimeoutError: after 10 s; the call runs on."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(call(*args))
        except BaseException as error:  # noqa: BLE001  (raised again where it is awaited)
            future.set_exception(error)

    threading.Thread(target=copy_context().run, args=(run,), name="async-rest-life", daemon=True).start()
    return future.result(_SECONDS_A_CALL)
