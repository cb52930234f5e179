"""The state in a folder as one try sees it: of this life of its run only, and not once a later try has taken over.

Airflow's own store goes with the run, and refuses a try that another has replaced. Files know nothing of that. So each
try leaves a claim in the folder, and looks at it before it writes.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, NamedTuple, Self

from airflow_async_rest.core.errors import StoppedError
from airflow_async_rest.core.keeping.folder_store import FolderStore

log = logging.getLogger(__name__)

_CLAIM = "try"
# "rescheduled": {"try_number": 1, "run_started": "2026-11-01T00:00:00.000000+00:00"} -- this try starts once more.
_RESCHEDULED = "rescheduled"


class Turn(Enum):
    """What a try is to what lies in the folder."""

    GOES_ON = auto()
    """It is of the same life of the run."""
    BEGINS = auto()
    """It is the first of another life: the run was deleted, and made again under the same id."""
    IS_OVER = auto()
    """A later try has the folder now."""


class Claim(NamedTuple):
    """Which try has the folder.

    :param started: when, in UTC (ISO 8601), by its worker's clock; empty where that is not known.
    :param process: distinguishes two starts of the same try.
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

        :param was_cleared: whether somebody has cleared the task in this life of its run, with which the run may have
            begun once more.
        """
        if last == self:
            return Turn.GOES_ON
        if last is not None and self.run and last.run:
            if self.run != last.run:
                return Turn.GOES_ON if was_cleared and self.try_number > last.try_number else Turn.BEGINS
            if self.try_number <= last.try_number and self.started and self.started < last.started:
                return Turn.IS_OVER
        if self.try_number > 1:
            return Turn.GOES_ON if last is None or self.try_number >= last.try_number else Turn.BEGINS
        return Turn.GOES_ON if is_rescheduled else Turn.BEGINS


def as_text(instant: datetime | None) -> str:
    """Return an instant so that texts compare as instants do; an empty one for None."""
    return "" if instant is None else instant.astimezone(UTC).isoformat(timespec="microseconds")


class TryStore:
    """The state store of one try, in a folder.

    :param open_folder: called in the thread of the first call: object storage may ask Airflow for its connection.
    :param was_cleared: see :meth:`Claim.turn_after`.
    """

    def __init__(self, open_folder: Callable[[], FolderStore], claim: Claim, *, was_cleared: bool = False) -> None:
        self._open_folder = open_folder
        self._claim = claim
        self._was_cleared = was_cleared
        self._this_start = {"try_number": claim.try_number, "run_started": claim.run}
        self._folder: FolderStore | None = None
        self._turn = threading.Lock()

    def get(self, key: str) -> Any:
        """Return a value of this life of the run, or None. :raises StoppedError: when a later try has taken over."""
        with self._turn:
            return self._taken(to_write=False).get(key)

    def set(self, key: str, value: Any) -> None:
        """Keep a value. :raises StoppedError: when a later try has taken over."""
        with self._turn:
            self._taken(to_write=True).set(key, value)

    def delete(self, key: str) -> None:
        """Forget a key. :raises StoppedError: when a later try has taken over."""
        with self._turn:
            self._taken(to_write=True).delete(key)

    def forget_other_life(self) -> None:
        """Remove what another life of the run has left, and leave nothing: of a preview, there is nothing to keep."""
        with self._turn:
            folder = self._folder = self._folder or self._open_folder()
            last = Claim.from_json(folder.get(_CLAIM))
            if last is not None and last.run != self._claim.run and self._turn_after(last, folder) is Turn.BEGINS:
                self._forget(last, folder)

    def reschedule(self) -> None:
        """Have the state stay for the next start of this very try, which has the same number."""
        self.set(_RESCHEDULED, self._this_start)

    def _taken(self, *, to_write: bool) -> FolderStore:
        """Take the folder over, without what another life of the run has left.

        :param to_write: else a folder that cannot be written is read all the same.
        """
        folder = self._folder = self._folder or self._open_folder()
        last = Claim.from_json(folder.get(_CLAIM))
        if last == self._claim:
            return folder
        turn = self._turn_after(last, folder)
        if turn is Turn.IS_OVER:
            raise StoppedError("a later try of this task has taken over its state")
        if turn is Turn.BEGINS:
            self._forget(last, folder)
        with suppress(*() if to_write else (Exception,)):
            folder.set(_CLAIM, list(self._claim))
        return folder

    def _forget(self, last: Claim | None, folder: FolderStore) -> None:
        """Empty the folder, and say so where that costs a checkpoint."""
        if folder.get("checkpoint") is not None:
            whose = "a try that left no claim" if last is None else str(last)
            log.info(
                "Starting over without the checkpoint in the state folder: it is of %s; this is %s", whose, self._claim
            )
        folder.wipe()

    def _turn_after(self, last: Claim | None, folder: FolderStore) -> Turn:
        is_rescheduled = folder.get(_RESCHEDULED) == self._this_start
        return self._claim.turn_after(last, is_rescheduled=is_rescheduled, was_cleared=self._was_cleared)
