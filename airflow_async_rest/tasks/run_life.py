"""What the state store tells a try besides its checkpoint: which life of its run it is in, and what to replay.

A run that is deleted, and made again under the same id, is in another life. Nothing that Airflow tells a task is the
same in all tries of a run and differs between its lives: a task instance's id changes with each try, the run's
``start_date`` and ``queued_at`` with each Clear, and its dates and ids are the same when a backfill makes it again. But
the task state store is kept over retries and Clears, and goes when the run is deleted, or the database is; and another
deployment has its own. (State in a folder is forgotten by the first try.) So the first try of a life leaves a mark
there, which names the life's own dead-letter folder, and is in the checkpoint of its load.
"""

import contextlib
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from airflow_async_rest.compat.task_context import is_first_start
from airflow_async_rest.core.account.report import Totals
from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.errors import ConfigurationError, ReplacedError, StoppedError
from airflow_async_rest.core.keeping.try_store import TryStore
from airflow_async_rest.core.letters.filter import LetterFilter
from airflow_async_rest.core.worker_thread import WorkerThread
from airflow_async_rest.tasks.storage.state_stores import sitting_store, state_store, was_cleared

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_async_rest.core.keeping.stores import StateStore

MARK = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
_KEY = "life"
# Calls of deliver() in several threads of a first try have one life.
_turn = threading.Lock()


Result = TypeVar("Result")


def _within(seconds: float, call: Callable[[], Result]) -> Result:
    """Ask the state store. :raises TimeoutError: when it takes longer."""
    thread = WorkerThread("async-rest-state")
    try:
        return thread.wait_for(call, seconds)
    finally:
        thread.close()


class Life(NamedTuple):
    """A life of a task instance.

    :param mark: sorts by the time at which it began; empty where the first try left none, as earlier versions did.
    :param is_known: whether the state store has answered.
    """

    mark: str = ""
    is_known: bool = True


UNMARKED = Life()


def life_of(context: "Context", bounds: Bounds = USUAL) -> Life:
    """Find out the life; its first try begins it.

    A state store that fails costs a first try 10 s at most; a later one a minute, because without the mark it does not
    find what the tries before have left.

    :raises ReplacedError: when a later try has taken over.
    """
    store = state_store(context)
    if store is None:
        return UNMARKED
    given_up, try_number = threading.Event(), context["ti"].try_number
    seconds = bounds.load_seconds if is_first_start(context) else bounds.patient_load_seconds
    with _turn:
        try:
            return Life(_within(seconds, lambda: _find_mark(store, try_number, given_up)))
        except ReplacedError:
            raise
        except Exception:  # noqa: BLE001  (it costs resumability, not the delivery)
            return Life(is_known=False)
        finally:
            given_up.set()


def begin_state(context: "Context", *, is_preview: bool) -> None:
    """Have a folder forget what another life of the run has left there, before anything can end a first try.

    A try that ends in a wrong argument has no other use for it; what the next one finds is its own.

    :param is_preview: then nothing is left there that was not there before.
    """
    if context["ti"].try_number <= 1 and isinstance(store := state_store(context), TryStore):
        with contextlib.suppress(Exception):  # whoever needs the state says that it fails
            _within(USUAL.load_seconds, store.forget_other_life if is_preview else lambda: store.get(_KEY))


def nothing_done() -> dict[str, Any]:
    """Return the report of a try that has come to nothing."""
    return Totals().report(0) | {"elapsed_seconds": 0.0, "complete": False, "dead_letters": None}


def leave_error(context: "Context", sentence: str, within_seconds: float = USUAL.load_seconds) -> dict[str, Any] | None:
    """Leave why a try has ended that has come to no report, in the progress.

    What that says of the tries before stays, where the next one goes on with it. A state store that fails costs no more
    than that.

    :return: the progress; None where the state store does not say what that was.
    """
    left: dict[str, Any] | None = None

    def leave(store: TryStore) -> None:
        nonlocal left
        before = store.get("progress")
        progress = before if _goes_on(before, store, context["ti"].max_tries) else nothing_done()
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        left = {**progress, "error": sentence, "updated_at": now}
        store.set("progress", left)

    with contextlib.suppress(Exception):
        if (store := sitting_store(context)) is None:
            return nothing_done() | {"error": sentence}
        _within(within_seconds, lambda: leave(store))  # which refuses a sitting that another has replaced
    return left


def _goes_on(progress: Any, store: TryStore, max_tries: int) -> bool:
    """Return whether a progress is of an account that goes on, or of this very sitting.

    One that has succeeded leaves no checkpoint; a replay goes on with it all the same. The checkpoint of a load is in
    its destination, and a task without one may go on after a wait: whether these are over, the progress says.
    """
    if not isinstance(progress, dict) or "read" not in progress:
        return False
    if store.has_written("progress") or store.get("checkpoint") is not None or _is_to_replay(store, max_tries):
        return True
    is_complete, has_failed = progress.get("complete") is True, bool(progress.get("error"))
    return not (is_complete or has_failed) or ("rows_loaded" in progress and has_failed)


def _is_to_replay(store: "StateStore", max_tries: int) -> bool:
    """Return whether dead letters of the window were asked for, by the latest Clear."""
    accepted = store.get("replaying")
    return store.get("replay") is not None or (isinstance(accepted, dict) and accepted.get("accepted") == max_tries)


def _find_mark(store: "StateStore", try_number: int, given_up: threading.Event) -> str:
    """Return the mark, which a first try makes; empty where that left none.

    That has one for all its sittings: where an earlier one has left something, and no mark, it goes on without.

    :param given_up: set when the mark is no longer waited for: this try then goes without one.
    """
    mark, now = store.get(_KEY), datetime.now(UTC)
    if isinstance(mark, str) and MARK.fullmatch(mark):
        if not mark.startswith(f"{now:%Y%m%d}"):  # the store forgets what nobody has changed for 30 days
            with contextlib.suppress(Exception):
                store.set(_KEY, mark)
        return mark
    if mark is None and (try_number > 1 or any(store.get(key) is not None for key in ("waits", "checkpoint"))):
        return ""
    if mark is None and given_up.is_set():
        return ""
    mark = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    store.set(_KEY, mark)
    if given_up.is_set():  # kept too late: the next sitting would look for this one's letters below it
        store.delete(_KEY)
    return mark


def replay_request(context: "Context", *, payloads: bool, is_preview: bool) -> LetterFilter | None:
    """Find out whether this try is for dead letters that a person chose in the UI to be sent again, and which.

    The state store's ``replay`` has the request until a try takes it up. Then it is in ``replaying``, for the tries of
    the same Clear, which ``max_tries`` tells from the next: a second press of the button does not take it away.

    :param payloads: whether the UI shows payloads, so that a search looks at them.
    :param is_preview: then it is only looked at, and the next try takes it up.
    :raises ConfigurationError: when it is not understood.
    :raises StoppedError: when the state store fails after a Clear: all but what was chosen might be sent.
    """
    store, ti = state_store(context), context["ti"]
    if store is None or ti.try_number == 1:  # nothing has failed yet
        return None
    cleared = was_cleared(ti)
    seconds = USUAL.patient_load_seconds if cleared else USUAL.load_seconds
    try:
        return _within(seconds, lambda: _request(store, ti.max_tries, payloads=payloads, takes_up=not is_preview))
    except (ConfigurationError, StoppedError):
        raise
    except Exception as error:
        if cleared:
            raise StoppedError(f"the state store, which has requests to replay, fails: {error}") from error
        return None  # nobody can have asked for it; a state store that fails costs resumability, not the delivery


def _request(store: "StateStore", max_tries: int, *, payloads: bool, takes_up: bool) -> LetterFilter | None:
    get = store.peek if isinstance(store, TryStore) and not takes_up else store.get
    asked = get("replay")
    request = get("replaying") if asked is None else asked
    if request is None:
        return None
    if asked is None and (not isinstance(request, Mapping) or request.get("accepted") != max_tries):
        if takes_up:
            store.delete("replaying")
        return None
    chosen = LetterFilter.from_json(request, payloads=payloads)
    if asked is not None and takes_up:
        try:
            store.set("replaying", {**asked, "accepted": max_tries})
            store.delete("replay")
        except Exception as error:  # known to be asked for, whatever max_tries says: the retries may have been changed
            raise StoppedError(f"the state store, which has requests to replay, fails: {error}") from error
    return chosen


def forget_checkpoint(context: "Context") -> None:
    """Remove the checkpoint of a task that has succeeded: a Clear then starts over.

    :raises TimeoutError: when the state store takes too long.
    """
    store = state_store(context)
    if store is not None:
        _within(USUAL.patient_load_seconds, lambda: store.delete("checkpoint"))
