"""How a try takes on the account of those before it: rows are read, or the window's own dead letters sent again."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from airflow_async_rest.core.account.checkpoint import Checkpoint, Resume, Try
from airflow_async_rest.core.account.recorder import Recorder
from airflow_async_rest.core.account.report import Commit, Totals
from airflow_async_rest.core.errors import ConfigurationError, DeadLetterStoreError, FailuresError, StoppedError
from airflow_async_rest.core.keeping.resuming import resume_from, resume_replaying
from airflow_async_rest.core.letters.folder import DeadLetterFolder

# The checkpoint of a key of the state store, ``checkpoint`` or ``settled`` (that of the last success); None: nothing.
ReadCheckpoint = Callable[[str], Awaitable[Checkpoint | None]]


class Continuing:
    """Rows are read: a try goes on where those before it ended, or starts over where that is not known.

    :ivar publishes_unbegun: whether a try that could not begin has something to say of the window.
    """

    publishes_unbegun = True

    async def choose(self, read: ReadCheckpoint, this_try: Try | None) -> Checkpoint | None:
        """Return the checkpoint to go on with, of those in the state store."""
        found = await read("checkpoint")
        if found is None or found.is_done_for(this_try):
            return found
        # With a report, all is done, and a person wants it done once more.
        is_void = found.report is not None or await self._has_succeeded_since(found, read, this_try)
        return None if is_void else found

    async def _has_succeeded_since(self, found: Checkpoint, read: ReadCheckpoint, this_try: Try | None) -> bool:
        """Return whether a checkpoint is that of a try that lived on beside one that has succeeded."""
        if found.is_of_series(this_try):
            return False
        with contextlib.suppress(ValueError):  # of another version: it says nothing
            success = await read("settled")
            return success is not None and found.is_void_after(success)
        return False

    def check(self, checkpoint: Checkpoint, fingerprint: str) -> None:
        """Check that a checkpoint is of this job. :raises ValueError: when it is not."""
        if checkpoint.fingerprint != fingerprint:
            raise ValueError("the SQL, its binds, the window or another argument is not what it was")

    def resume(self, folder: DeadLetterFolder, checkpoint: Checkpoint, *, fetches: bool) -> Resume:
        """Find out what is left of a window; see :func:`~airflow_async_rest.core.keeping.resuming.resume_from`."""
        return resume_from(folder, checkpoint, fetches=fetches)

    def without_account(self, why: Exception | None) -> str:
        """Return how a try begins that has no account to go on with, for people to read.

        :param why: that cannot be read; None: there is none. A state store that fails costs resumability, not the
            delivery.
        """
        if why is None:
            return "from the start"
        if isinstance(why, ValueError | DeadLetterStoreError):
            return f"starting over from the first row: {getattr(why, 'fact', why)}"
        return f"from the first row, because the state store does not answer ({str(why) or repr(why)})"

    def described(self, resume: Resume, *, is_done: bool) -> str:
        """Return how a try goes on, for people to read."""
        if resume.report is not None:
            return "an earlier try has done everything, which Airflow did not get to know, so nothing is sent"
        before = resume.checkpoint
        in_the_middle = sum(bookmark is not None for bookmark in resume.bookmarks.values())
        how = (
            f"resumed at row {before.position}, sending again {len(before.unfinished)} unfinished and "
            f"{len(resume.dead)} failed ones before it"
        )
        if in_the_middle:
            how += f"; {in_the_middle} of them at the page that it had come to"
        if resume.left:
            how += f", and not the {len(resume.left)} whose answers could not be read"
        if is_done:
            how += "; all is loaded already (for all of it once more, delete this run's line in async_rest_loads)"
        if resume.letters_are_lost:
            how += "; their dead letters cannot be read, and are counted as the database has them"
        return how

    def begin(self, totals: Totals) -> None:
        """Note that rows are about to be read."""
        totals.complete = False

    def end(self, totals: Totals) -> None:
        """Note that all is read and settled."""
        totals.complete |= totals.commit is not Commit.UNDONE

    def find_fault(self, totals: Totals, unfinished: int) -> FailuresError | None:
        """Return why the window is not done, whatever failed; None where it is."""
        del totals, unfinished
        return None

    def report(self, recorder: Recorder) -> dict[str, Any]:
        """Return what the report says besides."""
        del recorder
        return {}


class Replaying(Continuing):
    """The window's own dead letters are sent again, as they were, and nothing else: no rows are read.

    That goes on after a success too, and whatever the arguments are now; without an account nothing could be counted.
    """

    publishes_unbegun = False

    async def choose(self, read: ReadCheckpoint, this_try: Try | None) -> Checkpoint | None:
        """Return the checkpoint to go on with: the one that there is, or that of the last success."""
        del this_try
        return await read("checkpoint") or await read("settled")

    def check(self, checkpoint: Checkpoint, fingerprint: str) -> None:
        """Do nothing: these are requests as they were."""

    def resume(self, folder: DeadLetterFolder, checkpoint: Checkpoint, *, fetches: bool) -> Resume:
        """Find out what is dead; see :func:`~airflow_async_rest.core.keeping.resuming.resume_replaying`."""
        del fetches  # nobody replays what was fetched
        return resume_replaying(folder, checkpoint)

    def without_account(self, why: Exception | None) -> str:
        """Refuse to go on. :raises ConfigurationError: then. :raises StoppedError: when the store does not answer."""
        if why is not None and not isinstance(why, ValueError | DeadLetterStoreError):
            raise StoppedError(f"the state store does not answer: {str(why) or repr(why)}") from why
        raise ConfigurationError(
            "the dead letters of this window cannot be replayed in their task: "
            f"{'the state store has no account of it' if why is None else why}. Clear the task, and it delivers the "
            "window; or send them with ReplayDeadLettersOperator."
        ) from why

    def described(self, resume: Resume, *, is_done: bool) -> str:
        """Return how a try goes on, for people to read."""
        del resume, is_done
        return "sending again what was asked for in Airflow's UI, and nothing else"

    def begin(self, totals: Totals) -> None:
        """Do nothing: whether every row was read stays as it was, and so in :meth:`end`."""

    end = begin

    def find_fault(self, totals: Totals, unfinished: int) -> FailuresError | None:
        """Return that rows are missing which only the task itself reads."""
        if not unfinished and totals.complete:
            return None
        return FailuresError(
            "the dead letters are sent, but an earlier try of this task stopped before it had read all its rows: "
            "clear the task, and it goes on there",
            permanent=True,
        )

    def report(self, recorder: Recorder) -> dict[str, Any]:
        """Return what became of the dead letters."""
        return {"replay": recorder.replayed()}


CONTINUING, REPLAYING = Continuing(), Replaying()
