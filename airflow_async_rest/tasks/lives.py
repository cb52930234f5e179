"""Which life of a run a task belongs to: a run that is deleted, and made again under the same id, is another one.

Nothing that Airflow tells a task is the same in all tries of a run and differs between its lives: a task instance's id
changes with each try, the run's ``start_date`` and ``queued_at`` with each Clear, and its dates and ids are the same
when a backfill makes it again. But the task state store is kept over retries and Clears, and goes when the run is
deleted, or the database is; and another deployment has its own. So the first try of a life leaves a mark there, which
names the life's own dead-letter folder, and is in the checkpoint of its load.
"""

import contextlib
import re
import secrets
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from airflow_async_rest.core.worker_thread import WorkerThread

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_async_rest.core.keeping.checkpoints import StateStore

MARK = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
_KEY = "life"
_SECONDS_FOR_A_MARK = 10.0
_SECONDS_FOR_A_LATER_TRY = 60.0
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
    """Find out the life; its first try begins it.

    A state store that fails costs a first try 10 s at most; a later one a minute, because without the mark it does not
    find what the tries before have left.
    """
    store = context.get("task_state_store")
    if store is None:
        return UNMARKED
    thread, given_up, try_number = WorkerThread("async-rest-life"), threading.Event(), context["ti"].try_number
    with _turn:
        try:
            mark = thread.wait_for(
                lambda: _find_mark(store, try_number, given_up),
                _SECONDS_FOR_A_MARK if try_number == 1 else _SECONDS_FOR_A_LATER_TRY,
            )
        except Exception:  # noqa: BLE001  (it costs resumability, not the delivery)
            return Life(is_known=False)
        finally:
            given_up.set()
            thread.close()
    return Life(mark)


def _find_mark(store: "StateStore", try_number: int, given_up: threading.Event) -> str:
    """Return the mark, which a first try makes; empty where that left none.

    :param given_up: set when the mark is no longer waited for: this try then goes without one.
    """
    mark, now = store.get(_KEY), datetime.now(UTC)
    if isinstance(mark, str) and MARK.fullmatch(mark):
        if not mark.startswith(f"{now:%Y%m%d}"):  # the store forgets what nobody has changed for 30 days
            with contextlib.suppress(Exception):
                store.set(_KEY, mark)
        return mark
    if mark is None and (try_number > 1 or given_up.is_set()):
        return ""
    mark = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    store.set(_KEY, mark)
    return mark
