"""The state as one sitting of a try sees it: of this life of its run only, and not once a later one has taken over.

Airflow's own store goes with the run, and refuses a try that another has replaced, but not an earlier start of the same
try. Files know nothing of either. So each sitting leaves a claim there, and looks at it before it writes.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, NamedTuple, Self

from airflow_async_rest.core.errors import ReplacedError

log = logging.getLogger(__name__)

_CLAIM = "try"
# "rescheduled": {"try_number": 1, "run_started": "2026-11-01T00:00:00.000000+00:00"} -- this try starts once more.
_RESCHEDULED = "rescheduled"


class Turn(Enum):
    """What a try is to the state that is there."""

    GOES_ON = auto()
    """It is of the same life of the run."""
    BEGINS = auto()
    """It is the first of another life: the run was deleted, and made again under the same id."""
    IS_OVER = auto()
    """A later try has the folder now."""


class Claim(NamedTuple):
    """Which sitting of which try has the state.

    :param started: when, in UTC (ISO 8601), by its worker's clock; empty where that is not known.
    :param process: distinguishes two starts of the same try: the sitting's owner, at random.
    :param run: tells one life of its run from another: the row that Airflow 2 has of it; for 3, when it began, which is
        the same in all tries until a Clear of a run that has ended. Empty where that is not known.
    """

    try_number: int
    started: str
    process: str
    run: str = ""

    @classmethod
    def of(cls, try_number: int, started: datetime | None, process: str, run: datetime | str | None) -> Self:
        """Return the claim of a try."""
        return cls(try_number, as_text(started), process, run if isinstance(run, str) else as_text(run))

    @classmethod
    def from_json(cls, value: Any) -> Self | None:
        """Return the claim that was stored, or None where there is none that can be read."""
        try:
            number, *texts = value
            return cls(int(number), *map(str, texts))
        except (TypeError, ValueError, OverflowError):
            return None

    def __str__(self) -> str:
        """Return which try of which run it is, for people to read."""
        return f"try {self.try_number} of the run {self.run or 'that is not known'}"

    def turn_after(self, last: Self | None, *, is_rescheduled: bool, was_cleared: bool) -> Turn:
        """Decide what this try is after the one that has the folder.

        The number of a try grows with each retry and each Clear, and begins with 1 when a run is made again (with 0
        where ``airflow tasks test`` runs the task); only a try that asked to be rescheduled starts twice with one.
        Clocks of workers decide within one run only: what another life has left would stand for rows of this one.

        :param is_rescheduled: whether a sitting of this very try has asked for another one: that is this one, whatever
            the clocks say.
        :param was_cleared: whether somebody has cleared the task in this life of its run, with which the run may have
            begun once more.
        """
        if last == self:
            return Turn.GOES_ON
        if last is not None and (order := self._after_run_of(last)) is not None:
            if order < 0 and self.started and self.started < last.started:
                return Turn.IS_OVER  # it was suspended while its run was made again, or cleared
            if order:  # the number of a row is given again by SQLite, and once a database was reset
                return Turn.GOES_ON if was_cleared and self.try_number > last.try_number else Turn.BEGINS
            is_next = is_rescheduled and self.try_number == last.try_number
            if self.try_number <= last.try_number and self.started and self.started < last.started and not is_next:
                return Turn.IS_OVER
        if self.try_number > 1:
            return Turn.GOES_ON if last is None or self.try_number >= last.try_number else Turn.BEGINS
        return Turn.GOES_ON if is_rescheduled else Turn.BEGINS

    def _after_run_of(self, last: Self) -> int | None:
        """Return 0 where both are of one life of the run, 1 where this one's is later, -1 where it is earlier.

        :return: None where that cannot be told: an upgrade of Airflow tells lives in another way.
        """
        ours, theirs = _life(self.run), _life(last.run)
        if not (self.run and last.run) or len(ours) != len(theirs):
            return None
        return (ours > theirs) - (ours < theirs)


def _life(run: str) -> tuple[int | str, ...]:
    """Return the life of a run so that a later one is more: of Airflow 2 the number of its row, of 3 when it began."""
    name, _, row = run.partition("dag_run.id=")
    return (name, int(row)) if row.isdecimal() else (run,)


def as_text(instant: datetime | None) -> str:
    """Return an instant so that texts compare as instants do; an empty one for None."""
    return "" if instant is None else instant.astimezone(UTC).isoformat(timespec="microseconds")


class Sitting:
    """A stretch of a try between two waits, or all of it: what one process does of it.

    :param claim: by which others know it.
    :ivar has_begun: whether it has taken the state: then nobody takes it from a later one again.
    :ivar written: the keys that it has set.
    :ivar lock: of all calls for its state.
    """

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.has_begun = False
        self.written: set[str] = set()
        self.lock = threading.Lock()


class TryStore:
    """The state store of one sitting.

    :param open_store: called in the thread of the first call: object storage may ask Airflow for its connection.
    :param sitting: or its claim.
    :param was_cleared: whether somebody has cleared the task in this life of its run.
    :param outlives_run: whether the store may have what another life of the run has left, as a folder has.
    """

    def __init__(
        self,
        open_store: Callable[[], Any],
        sitting: Sitting | Claim,
        *,
        was_cleared: bool = False,
        outlives_run: bool = True,
    ) -> None:
        self._open_store = open_store
        self._sitting = Sitting(sitting) if isinstance(sitting, Claim) else sitting
        self._claim = self._sitting.claim
        self._was_cleared = was_cleared
        self.outlives_run = outlives_run
        self._this_start = {"try_number": self._claim.try_number, "run_started": self._claim.run}
        self._store: Any = None

    def get(self, key: str) -> Any:
        """Return a value of this life of the run, or None. :raises ReplacedError: when a later one has taken over."""
        with self._sitting.lock:
            return self._taken(to_write=False).get(key)

    def peek(self, key: str) -> Any:
        """Return a value of this life of the run, or None, and take nothing over: of a preview, nothing is kept."""
        with self._sitting.lock:
            store = self._store = self._store or self._open_store()
            last = Claim.from_json(store.get(_CLAIM))
            is_other_life = last not in {None, self._claim} and self._turn_after(last, store) is Turn.BEGINS
            return None if is_other_life and self.outlives_run else store.get(key)

    def set(self, key: str, value: Any) -> None:
        """Keep a value. :raises ReplacedError: when a later one has taken over."""
        with self._sitting.lock:
            self._taken(to_write=True).set(key, value)
            self._sitting.written.add(key)

    def has_written(self, key: str) -> bool:
        """Return whether this sitting has set a key."""
        return key in self._sitting.written

    def delete(self, key: str) -> None:
        """Forget a key. :raises ReplacedError: when a later one has taken over."""
        with self._sitting.lock:
            self._taken(to_write=True).delete(key)

    def forget_other_life(self) -> None:
        """Remove what another life of the run has left, and leave nothing: of a preview, there is nothing to keep."""
        with self._sitting.lock:
            store = self._store = self._store or self._open_store()
            last = Claim.from_json(store.get(_CLAIM))
            if last is not None and last.run != self._claim.run and self._turn_after(last, store) is Turn.BEGINS:
                self._forget(last, store)

    def reschedule(self) -> None:
        """Have the next start of this very try, which has the same number, find the state, and be known as the next."""
        self.set(_RESCHEDULED, self._this_start)

    def _taken(self, *, to_write: bool) -> Any:
        """Take the store over, without what another life of the run has left.

        Between the look and the write that follows, another one may take over: stores have no compare-and-set. Each
        looks before each write, so of those who have begun, only the last one goes on.

        :param to_write: else a folder that cannot be written is read all the same.
        """
        store = self._store = self._store or self._open_store()
        last = Claim.from_json(store.get(_CLAIM))
        if last == self._claim:
            self._sitting.has_begun = True
            return store
        turn = Turn.IS_OVER if last is not None and self._sitting.has_begun else self._turn_after(last, store)
        if turn is Turn.IS_OVER:
            raise ReplacedError("a later try of this task has taken over its state")
        if turn is Turn.BEGINS and self.outlives_run:
            self._forget(last, store)
        with suppress(*() if to_write else (Exception,)):
            store.set(_CLAIM, list(self._claim))
            self._sitting.has_begun = True
        return store

    def _forget(self, last: Claim | None, store: Any) -> None:
        """Empty the folder, and say so where that costs a checkpoint."""
        if store.get("checkpoint") is not None:
            whose = "a try that left no claim" if last is None else str(last)
            log.info(
                "Starting over without the checkpoint in the state folder: it is of %s; this is %s", whose, self._claim
            )
        store.wipe()

    def _turn_after(self, last: Claim | None, store: Any) -> Turn:
        is_rescheduled = store.get(_RESCHEDULED) == self._this_start
        return self._claim.turn_after(last, is_rescheduled=is_rescheduled, was_cleared=self._was_cleared)
