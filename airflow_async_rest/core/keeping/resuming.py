"""Checkpoint and dead letters -> where a retry goes on. Reads files, and blocks."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from airflow_async_rest.core.account.checkpoint import Checkpoint, Resume
from airflow_async_rest.core.account.report import Commit
from airflow_async_rest.core.letters.folder import UNREADABLE, DeadLetterFolder, Record
from airflow_async_rest.core.letters.lines import Latest, whole_batches
from airflow_async_rest.core.letters.part_files import PartId
from airflow_async_rest.core.watching.log import Journal

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

    def later_than(self, checkpoint: Checkpoint) -> frozenset[int]:
        """Return the rows that are dead by parts which the checkpoint does not count, and only by them."""
        return frozenset(self.latest.keys() - self.counted.keys() - checkpoint.unfinished)


def _read(folder: DeadLetterFolder, checkpoint: Checkpoint) -> _Letters:
    letters = folder.read(checkpoint.parts)
    _check_not_void(checkpoint, folder.live_parts())
    latest = folder.read_latest()
    # In a part that counts, whatever a replay has said since.
    return _Letters(letters, latest, frozenset()).without(checkpoint.resolved & (letters.keys() | latest.keys()))


def resume_from(folder: DeadLetterFolder, checkpoint: Checkpoint, *, fetches: bool) -> Resume:
    """Find out what is left of a window whose rows are read once more.

    :param fetches: whether it is answers that are wanted: asking once more is harmless.
    :raises ValueError: when letters and checkpoint do not belong together.
    :raises DeadLetterStoreError: when letters cannot be read.
    """
    letters = _read(folder, checkpoint)
    # Delivered, by this account, and dead to a try that sent it again: it knew of no account, and left none.
    letters = letters.without(frozenset(i for i in letters.later_than(checkpoint) if i < checkpoint.position))
    may_be_gone = checkpoint.commit in {Commit.BEGUN, Commit.DONE}
    resume = _resume(folder, checkpoint, letters, stays_dead=may_be_gone, leaves_unreadable=not fetches)
    return _fetched_again(resume) if fetches else resume


def resume_replaying(folder: DeadLetterFolder, checkpoint: Checkpoint) -> Resume:
    """Find out which dead letters of a window can be sent again, by themselves; see :func:`resume_from`."""
    letters = _read(folder, checkpoint)
    if checkpoint.totals.get("complete") and letters.later_than(checkpoint):
        raise ValueError("there are dead letters of a later try, which left no account")
    return _resume(folder, checkpoint, letters, stays_dead=True, leaves_unreadable=False)


def _resume(
    folder: DeadLetterFolder, checkpoint: Checkpoint, letters: _Letters, *, stays_dead: bool, leaves_unreadable: bool
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
    # By the latest reason, which may be that of a replay.
    left = frozenset(i for i in counted if leaves_unreadable and known.get(i) == UNREADABLE)
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
        uncertain=checkpoint.unfinished.union(index for index, letter in letters.latest.items() if letter.uncertain),
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


def resume_done(folder: DeadLetterFolder, checkpoint: Checkpoint, journal: Journal) -> Resume:
    """Return the account of a try that succeeded; its dead letters are only shown, so they need not be readable.

    :raises ValueError: when they are void.
    """
    sample: tuple[Record, ...] = ()
    live: list[PartId] = []
    with journal.complaining("show the dead letters"):
        live = folder.live_parts()
        sample = tuple(islice(folder.iter_records(), _SAMPLE))
    _check_not_void(checkpoint, live)
    return Resume(
        checkpoint, left=frozenset(record["index"] for record in sample), sample=sample, report=checkpoint.report
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
