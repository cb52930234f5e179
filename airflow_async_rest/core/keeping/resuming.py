"""How a try takes on the account of those before it: rows are read, or the window's own dead letters sent again."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from airflow_async_rest.core.account.checkpoint import Checkpoint, Resume, Try
from airflow_async_rest.core.account.report import Commit, Totals
from airflow_async_rest.core.errors import ConfigurationError, DeadLetterStoreError, FailuresError, StoppedError
from airflow_async_rest.core.letters.folder import UNREADABLE, DeadLetterFolder, Record
from airflow_async_rest.core.letters.lines import Latest, whole_batches
from airflow_async_rest.core.letters.part_files import PartId
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.core.watching.log import JobLog

# The checkpoint of a key of the state store, ``checkpoint`` or ``settled`` (that of the last success); None: nothing.
ReadCheckpoint = Callable[[str], Awaitable[Checkpoint | None]]
# Dead letters shown in XCom before they are sent again; more would not fit there.
_SAMPLE = 200


class _Letters(NamedTuple):
    """What dead letters say of a window, beside its checkpoint.

    :param counted: index -> reason, by the parts that the checkpoint counts.
    :param latest: by all parts.
    :param unsaid: rows that are no longer dead, which no part says yet: they are not in the others.
    """

    counted: dict[int, str]
    latest: dict[int, Latest]
    unsaid: frozenset[int]

    def without(self, indexes: frozenset[int]) -> "_Letters":
        """Return them without rows that are dead no longer, whatever the parts say."""
        counted = {index: reason for index, reason in self.counted.items() if index not in indexes}
        latest = {index: letter for index, letter in self.latest.items() if index not in indexes}
        return _Letters(counted, latest, self.unsaid | indexes)

    def of_try(self, number: int) -> frozenset[int]:
        """Return the rows that died in a try itself: its parts have its number, or after a reset a higher one."""
        return frozenset(index for index, letter in self.latest.items() if letter.place[0][0] >= number)

    def later_than(self, checkpoint: Checkpoint) -> frozenset[int]:
        """Return the rows that are dead by parts which the checkpoint does not count, and only by them."""
        return frozenset(self.latest.keys() - self.counted.keys() - checkpoint.unfinished)


def _read(folder: DeadLetterFolder, checkpoint: Checkpoint) -> _Letters:
    letters = folder.read(checkpoint.parts)
    _check_not_void(checkpoint, folder.live_parts())
    latest = folder.read_latest()
    # In a part that counts, whatever a replay has said since.
    return _Letters(letters, latest, frozenset()).without(checkpoint.resolved & (letters.keys() | latest.keys()))


def _resume(
    folder: DeadLetterFolder,
    checkpoint: Checkpoint,
    this_try: Try | None,
    letters: _Letters,
    *,
    stays_dead: bool,
    leaves_unreadable: bool,
) -> Resume:
    """Find out what is left.

    :param stays_dead: whether what was being sent when the try before ended, and is dead all the same, stays so: nobody
        chose it now, or it cannot be read again.
    :param leaves_unreadable: whether what the API took, with an answer that cannot be read, is not sent again:
        it may act on that twice.
    """
    # One that was being sent again when the checkpoint was written counts as unfinished there, not as failed.
    counted = {index: reason for index, reason in letters.counted.items() if index not in checkpoint.unfinished}
    known = {index: letter.reason for index, letter in letters.latest.items()}
    again = checkpoint.unfinished & letters.counted.keys() & known.keys() if stays_dead else frozenset[int]()
    checkpoint = checkpoint.with_dead(letters.counted[index] for index in again).without(again)
    counted |= {index: letters.counted[index] for index in again}
    tried = letters.of_try(this_try.number) if this_try and checkpoint.waits_in(this_try) else frozenset[int]()
    # By the latest reason, which may be that of a replay.
    left = {i: why for i, why in counted.items() if i in tried or (leaves_unreadable and known.get(i) == UNREADABLE)}
    delivered = checkpoint.unfinished & (letters.counted.keys() - known.keys())
    return Resume(
        checkpoint.without(delivered),
        delivered=delivered,
        dead={index: reason for index, reason in counted.items() if index in known and index not in left},
        left=left,
        resolved={index: reason for index, reason in counted.items() if index not in known},
        known_dead=frozenset(known),
        dead_batches=whole_batches(letters.latest),
        sample=tuple(islice(folder.iter_records(), _SAMPLE)),
        uncertain=checkpoint.may_be_done.union(index for index, letter in letters.latest.items() if letter.uncertain),
        unsaid=letters.unsaid,
    )


def _fetched_again(resume: Resume) -> Resume:
    """Ask for all that may not be loaded: what is resolved in a part of no checkpoint was not committed with its rows.

    Nobody replays a fetch.
    """
    dead, checkpoint = {**resume.dead, **resume.resolved}, resume.checkpoint
    return replace(
        resume,
        checkpoint=replace(checkpoint, unfinished=checkpoint.unfinished | resume.delivered),
        delivered=frozenset(),
        dead=dead,
        resolved={},
        known_dead=resume.known_dead.union(dead, resume.delivered),
    )


def resume_done(folder: DeadLetterFolder, checkpoint: Checkpoint, log: JobLog) -> Resume:
    """Return the account of a try that succeeded; its dead letters are only shown, so they need not be readable.

    :raises ValueError: when they are void.
    """
    sample: tuple[Record, ...] = ()
    live: list[PartId] = []
    with log.complaining("show the dead letters"):
        live = folder.live_parts()
        sample = tuple(islice(folder.iter_records(), _SAMPLE))
    _check_not_void(checkpoint, live)
    return Resume(
        checkpoint,
        left={record["index"]: record.get("reason", "") for record in sample},
        sample=sample,
        report=checkpoint.report,
    )


def _check_not_void(checkpoint: Checkpoint, live: Sequence[PartId]) -> None:
    if checkpoint.parts and live and live[0] > checkpoint.parts[-1]:
        raise ValueError("a later try has started over, and left no checkpoint")


def resume_without_letters(checkpoint: Checkpoint, why: Exception) -> Resume:
    """Go on by what the checkpoint itself says of failed items.

    :raises Exception: ``why``, when it does not say all: of rows that the database refused, only a letter has the
        values.
    """
    if checkpoint.failed is None or checkpoint.totals["rows"]["refused"]:
        raise why
    others = checkpoint.unfinished | checkpoint.resolved
    dead = {index: reason for index, reason in checkpoint.failed.items() if index not in others}
    return Resume(replace(checkpoint, parts=()), dead=dead, known_dead=frozenset(dead), letters_are_lost=True)


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

    def resume(
        self, folder: DeadLetterFolder, checkpoint: Checkpoint, this_try: Try | None, *, fetches: bool
    ) -> Resume:
        """Find out what is left of a window.

        :param this_try: which may have left it itself, before it waited for its quota.
        :param fetches: whether it is answers that are wanted: asking once more is harmless.
        :raises ValueError: when letters and checkpoint do not belong together.
        :raises DeadLetterStoreError: when letters cannot be read.
        """
        letters = _read(folder, checkpoint)
        # Delivered, by this account, and dead to a try that sent it again: it knew of no account, and left none.
        letters = letters.without(frozenset(i for i in letters.later_than(checkpoint) if i < checkpoint.position))
        may_be_gone = checkpoint.commit in {Commit.BEGUN, Commit.DONE}
        resume = _resume(folder, checkpoint, this_try, letters, stays_dead=may_be_gone, leaves_unreadable=not fetches)
        return _fetched_again(resume) if fetches else resume

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
            f"{counted(len(resume.dead), 'failed one')} before it"
        )
        if in_the_middle:
            how += f"; {in_the_middle} of them at the page that it had come to"
        unreadable = sum(reason == UNREADABLE for reason in resume.left.values())
        if unreadable:
            how += f", and not the {unreadable} whose answers could not be read"
        if of_this_try := len(resume.left) - unreadable:
            how += f", and not the {of_this_try} that failed in this try before it waited"
        if is_done:
            how += "; all is loaded already (for all of it once more, delete this run's line in async_rest_loads)"
        if resume.letters_are_lost:
            how += "; their dead letters cannot be read, and are counted as the database has them"
        return how

    def begin(self, totals: Totals, this_try: Try | None) -> None:
        """Note that rows are about to be read."""
        del this_try
        totals.complete = False

    def end(self, totals: Totals) -> None:
        """Note that all is read and settled."""
        totals.complete |= totals.commit is not Commit.UNDONE

    def find_fault(self, totals: Totals, unfinished: int) -> FailuresError | None:
        """Return why the window is not done, whatever failed; None where it is."""
        del totals, unfinished
        return None


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

    def resume(
        self, folder: DeadLetterFolder, checkpoint: Checkpoint, this_try: Try | None, *, fetches: bool
    ) -> Resume:
        """Find out what is dead, and can be sent again by itself."""
        del fetches  # nobody replays what was fetched
        letters = _read(folder, checkpoint)
        if checkpoint.totals.get("complete") and letters.later_than(checkpoint):
            raise ValueError("there are dead letters of a later try, which left no account")
        return _resume(folder, checkpoint, this_try, letters, stays_dead=True, leaves_unreadable=False)

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

    def begin(self, totals: Totals, this_try: Try | None) -> None:
        """Count what is sent again. Whether every row was read stays as it was, and so in :meth:`end`."""
        totals.begin_replay(this_try.number if this_try else 0)

    def end(self, totals: Totals) -> None:
        """Do nothing."""

    def find_fault(self, totals: Totals, unfinished: int) -> FailuresError | None:
        """Return that rows are missing which only the task itself reads."""
        if not unfinished and totals.complete:
            return None
        return FailuresError(
            "the chosen dead letters are sent, but an earlier try of this task stopped before it had read all its "
            "rows: clear the task, and it goes on there",
            permanent=True,
        )


CONTINUING, REPLAYING = Continuing(), Replaying()
