"""How far a window has come, and whether the source is still the same; ``core/keeping/keeper.py`` writes it."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from airflow_async_rest.core.account.bookmarks import Bookmark
from airflow_async_rest.core.account.report import Commit
from airflow_async_rest.core.account.stored import (
    checked_parts,
    checked_rows,
    checked_runs,
    checked_totals,
    whole_number,
)
from airflow_async_rest.core.encoding.json_encoder import stable_bytes
from airflow_async_rest.core.letters.folder import Record
from airflow_async_rest.core.letters.lines import Latest, whole_batches
from airflow_async_rest.core.letters.part_files import PartId, to_runs
from airflow_async_rest.core.models import DeadLetter

_VERSION = 2
# An earlier version of this package would fetch an open item from its first page, and keep what of it is staged.
_VERSION_WITH_BOOKMARKS = 3
_VERSIONS = (_VERSION, _VERSION_WITH_BOOKMARKS)
# Of unfinished rows, more only where dead letters cannot be written.
_MOST_SINGLY = 1_000
# So many dead items a load's checkpoint can name, which is written again with every chunk of rows.
_MOST_NAMED = 10_000
# So many characters may say which unfinished rows are uncertain: where it takes more, all of them are.
_MOST_CHARACTERS = 8_000


class Try(NamedTuple):
    """One run of the task.

    :param number: later tries have higher ones.
    :param series: equal for tries between which nobody has cleared the task.
    """

    number: int
    series: tuple[int, ...]

    @property
    def is_after_clear(self) -> bool:
        """Whether somebody has cleared the task, which allows it more tries than its retries: the last number."""
        return len(self.series) > 1 and self.series[0] > self.series[-1]


@dataclass(frozen=True)
class Checkpoint:
    """Where a retry goes on.

    :param fingerprint: of the job: rendered SQL, binds, window, method, endpoint, key.
    :param position: rows handed to the workers so far; each is settled, dead, or in ``unfinished``.
    :param digest: of the identities of rows 0..position.
    :param unfinished: rows below the position that have no outcome yet.
    :param totals: see :class:`~airflow_async_rest.core.account.report.Totals`.
    :param parts: the dead-letter parts that belong to these totals.
    :param batches: of the unfinished rows, those that were in one request, each batch in its order.
    :param resolved: rows that are dead letters in these parts and nowhere else: no part could be written to say so.
    :param bookmarks: of items whose first pages are staged, where they have come to; None where they cannot go on.
    :param written_by: None where that is not known.
    :param waits: whether that try ended in a wait for its quota, and goes on itself.
    :param report: that of the try which has written it, once that has succeeded; None before.
    :param failed: index -> reason of what is dead, where it must be known without its letters; None: it is not.
    :param uncertain: of the unfinished rows, those that the API may have acted on; None where that is not known, as
        while more is sent: it may have acted on any.
    """

    fingerprint: str
    position: int
    digest: str
    unfinished: frozenset[int]
    totals: Mapping[str, Any]
    parts: tuple[PartId, ...]
    batches: tuple[tuple[int, ...], ...] = ()
    resolved: frozenset[int] = frozenset()
    bookmarks: Mapping[int, Bookmark | None] = field(default_factory=dict)
    written_by: Try | None = None
    waits: bool = False
    report: Mapping[str, Any] | None = None
    failed: Mapping[int, str] | None = None
    uncertain: frozenset[int] | None = None

    @property
    def may_be_done(self) -> frozenset[int]:
        """Unfinished rows that the API may have acted on, because the answer to a request was lost."""
        return self.unfinished if self.uncertain is None else self.unfinished & self.uncertain

    @property
    def commit(self) -> Commit:
        """What is known of the commit of what reading the rows has changed."""
        return Commit(self.totals.get("commit", Commit.NONE))

    def is_done_for(self, this_try: Try | None) -> bool:
        """Return whether this try has nothing to do: an earlier one succeeded, and Airflow did not get to know.

        After a Clear there is all to do again, because a person asked for it.
        """
        before = self.written_by
        if self.report is None or before is None or this_try is None:
            return False
        return before.series == this_try.series and before.number < this_try.number

    def waits_in(self, this_try: Try) -> bool:
        """Return whether this very try left it, to wait for its quota: what failed in it had its attempts."""
        return self.waits and self.written_by == this_try

    def is_of_series(self, this_try: Try | None) -> bool:
        """Return whether nobody has cleared the task since it was written, as far as is known."""
        return this_try is None or (self.written_by is not None and self.written_by.series == this_try.series)

    def may_be_of_series(self, this_try: Try | None) -> bool:
        """Return the same, but True where it is not known which try wrote it."""
        return self.written_by is None or self.is_of_series(this_try)

    def is_void_after(self, success: "Checkpoint") -> bool:
        """Return whether this or a later try has succeeded: then it is left by one that went on running beside it."""
        if success.report is None or success.written_by is None:
            return False
        return self.written_by is None or self.written_by.number <= success.written_by.number

    def without(self, indexes: frozenset[int]) -> "Checkpoint":
        """Return it with these rows finished."""
        batches = (tuple(index for index in batch if index not in indexes) for batch in self.batches)
        return replace(self, unfinished=self.unfinished - indexes, batches=tuple(batch for batch in batches if batch))

    def with_dead(self, reasons: Iterable[str]) -> "Checkpoint":
        """Return it with more dead letters counted, of rows that were unfinished."""
        counted = Counter(self.totals.get("reasons", {})) + Counter(reasons)
        return replace(self, totals={**self.totals, "reasons": dict(counted)})

    def before(self, records: Iterable[DeadLetter | Record]) -> "Checkpoint":
        """Return it without records that are in no part yet.

        What failed counts as unfinished, so that a retry sends it again, in the same requests.
        """
        letters = {record.index: record for record in records if isinstance(record, DeadLetter)}
        resolved = {record["index"] for record in records if not isinstance(record, DeadLetter)}
        latest = {index: Latest.of(letter) for index, letter in letters.items()}
        reasons = Counter(self.totals.get("reasons", {})) - Counter(letter.reason for letter in letters.values())
        return replace(
            self,
            unfinished=self.unfinished.union(letters),
            batches=(*self.batches, *whole_batches(latest)),
            resolved=self.resolved.union(resolved - letters.keys()),
            totals={**self.totals, "reasons": dict(reasons)},
            uncertain=None if self.uncertain is None else self.uncertain.union(_uncertain_of(letters.values())),
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as the state store keeps it."""
        alone = sorted(self.unfinished.difference(*self.batches))
        return {
            "version": _VERSION_WITH_BOOKMARKS if self.bookmarks else _VERSION,
            "fingerprint": self.fingerprint,
            "position": self.position,
            "digest": self.digest,
            "unfinished": alone if len(alone) <= _MOST_SINGLY else _runs(alone),
            "batches": [_runs(batch) for batch in self.batches],
            "totals": dict(self.totals),
            "parts": to_runs(self.parts),
            **({"resolved": _runs(sorted(self.resolved))} if self.resolved else {}),
            **(
                {"bookmarks": {str(i): one and one.to_json() for i, one in self.bookmarks.items()}}
                if self.bookmarks
                else {}
            ),
            **({"written_by": [self.written_by.number, *self.written_by.series]} if self.written_by else {}),
            **({"waits": True} if self.waits else {}),
            **({"report": dict(self.report)} if self.report is not None else {}),
            **(_failed_to_json(self.failed) if self.failed is not None else {}),
            **self._uncertain_to_json(),
        }

    def _uncertain_to_json(self) -> dict[str, Any]:
        """Return what says which rows are uncertain: nothing, where all that are unfinished are."""
        rows = self.may_be_done
        text = _runs(sorted(rows)) if rows else ""
        return {} if rows == self.unfinished or len(text) > _MOST_CHARACTERS else {"uncertain": text}

    @classmethod
    def from_json(cls, value: Any) -> "Checkpoint":
        """Read it back. :raises ValueError: when it is not one of this version."""
        if not isinstance(value, dict) or value.get("version") not in _VERSIONS:
            raise ValueError("not a checkpoint of this version")
        try:
            writer, report, alone = value.get("written_by"), value.get("report"), value["unfinished"]
            batches = tuple(_numbers(runs) for runs in value["batches"])
            return cls(
                fingerprint=str(value["fingerprint"]),
                position=whole_number(value["position"]),
                digest=str(value["digest"]),
                unfinished=checked_rows(_numbers(alone) if isinstance(alone, str) else alone).union(*batches),
                totals=checked_totals(value["totals"]),
                parts=checked_parts(value["parts"]),
                batches=batches,
                resolved=frozenset(_numbers(value.get("resolved", ""))),
                bookmarks={
                    int(index): bookmark and Bookmark.from_json(bookmark)
                    for index, bookmark in value.get("bookmarks", {}).items()
                },
                written_by=Try(int(writer[0]), tuple(map(int, writer[1:]))) if writer else None,
                waits=value.get("waits") is True,
                report=None if report is None else dict(report),
                failed=_failed_from_json(value.get("failed")),
                uncertain=frozenset(_numbers(value["uncertain"])) if "uncertain" in value else None,
            )
        except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"not a checkpoint: {error!r}") from None


def _uncertain_of(letters: Iterable[DeadLetter]) -> frozenset[int]:
    return frozenset(letter.index for letter in letters if letter.uncertain)


def _runs(numbers: Sequence[int]) -> str:
    """Write ascending numbers as the first one, how many follow on each other, the gap after them, and so on.

    The state store takes 64 KB, and a batch of which every other item is unfinished has 250 runs.
    """
    runs, last = [numbers[0], 0], numbers[0] - 1
    for number in numbers:
        if number > last + 1:
            runs += [number - last - 1, 0]
        runs[-1] += 1
        last = number
    return " ".join(map(str, runs))


def _numbers(runs: str) -> tuple[int, ...]:
    numbers: list[int] = []
    end = 0
    for gap, count in zip(*[iter(checked_runs(runs))] * 2, strict=True):
        numbers += range(end + gap, end + gap + count)
        end += gap + count
    return tuple(numbers)


def failed_after(failed: Mapping[int, str], records: Sequence[DeadLetter | Record]) -> dict[int, str]:
    """Return the items that are dead, by index with their reason, after what some records say of them."""
    after = dict(failed)
    for record in records:
        if isinstance(record, DeadLetter):
            after[record.index] = record.reason
        elif "row_number" not in record:
            after.pop(record["index"], None)
    return after


def _failed_to_json(failed: Mapping[int, str]) -> dict[str, Any]:
    """Return what a checkpoint says of them: nothing, where they are too many."""
    if len(failed) > _MOST_NAMED:
        return {}
    reasons: dict[str, list[int]] = {}
    for index, reason in failed.items():
        reasons.setdefault(reason, []).append(index)
    return {"failed": reasons}


def _failed_from_json(reasons: Any) -> dict[int, str] | None:
    """Read them back. :return: None where the checkpoint says nothing of them."""
    if not isinstance(reasons, dict):
        return None
    return {whole_number(index): reason for reason, indexes in reasons.items() for index in indexes}


@dataclass(frozen=True)
class Resume:
    """What a retry knows of the tries before.

    :param dead: index -> reason of the dead letters that the totals count and that are sent again.
    :param left: those that the totals count, and that stay dead: the API took them, and its answer cannot be read; or
        they have failed in this very try, which had to wait.
    :param resolved: index -> reason of those that the totals count and a replay has delivered since.
    :param delivered: those that were being sent again, and that a replay has delivered since.
    :param known_dead: all indexes that some part calls dead; a delivery is noted for each.
    :param sample: records of dead letters, to be shown while they are not sent again yet.
    :param dead_batches: of the dead ones, those that were in one request.
    :param uncertain: rows that the API may have acted on, because the answer to a request was lost.
    :param unsaid: rows that are no longer dead, which no part says yet.
    :param report: of an earlier try that has done everything; None where there is something left to do.
    :param letters_are_lost: whether what is dead is known from the checkpoint only.
    """

    checkpoint: Checkpoint
    dead: Mapping[int, str] = field(default_factory=dict)
    left: Mapping[int, str] = field(default_factory=dict)
    resolved: Mapping[int, str] = field(default_factory=dict)
    delivered: frozenset[int] = frozenset()
    known_dead: frozenset[int] = frozenset()
    sample: tuple[Record, ...] = ()
    dead_batches: tuple[tuple[int, ...], ...] = ()
    uncertain: frozenset[int] = frozenset()
    unsaid: frozenset[int] = frozenset()
    report: Mapping[str, Any] | None = None
    letters_are_lost: bool = False

    @property
    def counted(self) -> frozenset[int]:
        """Rows that are dead letters, and count as that."""
        return frozenset(self.left).union(self.dead)

    @property
    def bookmarks(self) -> dict[int, Bookmark]:
        """Where unfinished items go on."""
        found = self.checkpoint.bookmarks.items()
        return {index: bookmark for index, bookmark in found if bookmark and index in self.checkpoint.unfinished}

    @property
    def removed(self) -> frozenset[int]:
        """Items whose first pages are staged, and which do not go on after them."""
        return frozenset(self.checkpoint.bookmarks).difference(self.bookmarks)

    @property
    def batches(self) -> tuple[tuple[int, ...], ...]:
        """What goes in one request again, so that it has the same idempotency key."""
        dead = (batch for batch in self.dead_batches if all(index in self.dead for index in batch))
        return (*self.checkpoint.batches, *dead)

    def stands_for(self, this_try: Try | None) -> bool:
        """Return whether an account of rows that cannot be read again is that of this try; else there are new rows.

        A Clear has the new ones, where nothing is left to do about the old ones.
        """
        return bool(self.counted) or (self.checkpoint.is_of_series(this_try) and not self.resolved)

    def wants(self, index: int) -> bool:
        """Return whether a row below the position is sent again."""
        return index in self.dead or index in self.checkpoint.unfinished


def fingerprint(*parts: Any) -> str:
    """Return a digest of what makes a job this job and no other."""
    return hashlib.blake2b(stable_bytes(list(parts)), digest_size=16).hexdigest()
