"""The account of a window: every row is taken once and settled once, and a snapshot says how far that is."""

import asyncio
import hashlib
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from airflow_async_rest.core.account.bookmarks import Bookmark, OpenItems
from airflow_async_rest.core.account.checkpoint import Checkpoint, Resume
from airflow_async_rest.core.account.report import Commit, Totals
from airflow_async_rest.core.account.sample import Sample
from airflow_async_rest.core.account.unwritten import Unwritten
from airflow_async_rest.core.answers.tally import Tally
from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.errors import AsyncRestError
from airflow_async_rest.core.letters.folder import Record
from airflow_async_rest.core.models import DeadLetter, Delivered, Item, Outcome, Skipped
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.verdict import is_permanent

_BREAKER_WINDOW = 200
_BREAKER_FAILURES = 180  # 90 % of the window
# Of identities that are digested together: one by one, it takes three times as long. That of a row without a key is all
# of it, so few large ones may wait.
_DIGESTED_BYTES = 4_096
_BEGIN = Resume(Checkpoint("", 0, "", frozenset(), {}, ()))


@dataclass(frozen=True)
class Snapshot:
    """One moment's state, taken in one go on the event loop's thread.

    :param batches: of the unfinished rows, those that are in one request.
    :param records: dead letters and resolutions, to be written first.
    :param held: those that wait for a later part.
    :param fetched: items whose rows are to be staged with it: delivered in it, though not yet in the account.
    :param bookmarks: of the unfinished items, where those have come to whose first pages are staged with it.
    :param removed: items whose staged rows are to be removed with it, before others are staged.
    :param uncertain: of the unfinished rows, those that the API may have acted on; None while more is sent.
    """

    position: int
    digest: str
    unfinished: frozenset[int]
    batches: tuple[tuple[int, ...], ...]
    totals: dict[str, Any]
    records: list[DeadLetter | Record]
    held: list[DeadLetter | Record]
    fetched: list[int]
    bookmarks: dict[int, Bookmark]
    removed: frozenset[int]
    uncertain: frozenset[int] | None = None


class SourceDigest:
    """A running digest of row identities, which are JSON: there is no zero byte in them."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._new: list[bytes] = []
        self._new_bytes = 0

    def add(self, *identities: bytes) -> None:
        """Take in the identities of the next rows."""
        self._new += identities
        for identity in identities:  # for one, in half the time of sum()
            self._new_bytes += len(identity)
        if self._new_bytes >= _DIGESTED_BYTES:
            self._digest_new()

    def _digest_new(self) -> None:
        self._hash.update(b"\0".join((*self._new, b"")))
        self._new.clear()
        self._new_bytes = 0

    def hexdigest(self) -> str:
        """Return the digest of the rows so far."""
        self._digest_new()
        return self._hash.hexdigest()


class Recorder:
    """Keeps the account. Used on the event loop's thread only, but for ``digest`` (see :meth:`continue_digest`).

    :param resume: what the tries before left; None when the window starts from its first row.
    :param sample_payloads: whether the sample of failed items shows their payloads.
    :param retry: tells which failures are for good.
    :param tally: see :class:`~airflow_async_rest.core.account.report.Totals`.
    :ivar unwritten: dead letters, and what says that some are resolved, that are in no part yet.
    :ivar open_items: items that are fetched page by page.
    """

    def __init__(
        self,
        resume: Resume | None = None,
        *,
        sample_payloads: bool = True,
        retry: RequestRetry | None = None,
        tally: Tally | None = None,
        bounds: Bounds = USUAL,
    ) -> None:
        begin = resume or _BEGIN
        before = begin.checkpoint
        self._retry = retry or RequestRetry()
        self.totals = Totals(before.totals, tally)
        self.resumed_from = before.position if resume else None
        self.delivered_now = 0
        self._position = before.position
        self._digest_before = before.digest
        self._digest: SourceDigest | None = None
        # index -> the request that carries it, as a number; 0: it goes by itself, or nobody knows yet
        self._pending: dict[int, int] = dict.fromkeys(before.unfinished, 0)
        self._requests = count(1)
        for batch in before.batches:
            self._pending.update(dict.fromkeys(batch, next(self._requests)))
        self._dead_before = dict(begin.dead)
        self._known_dead = set(begin.known_dead)
        self.unwritten = Unwritten(bounds)
        self._uncertain = set(begin.uncertain)
        self._again: set[int] = set()  # was dead before, and is sent again
        self._recent: deque[bool] = deque(maxlen=_BREAKER_WINDOW)
        self._recent_failures = 0
        self._all_delivered = False  # all of the recent ones: one more is no news
        self._fetched: list[int] = []
        self.open_items = OpenItems(begin.bookmarks, begin.removed)
        self._sample = Sample(payloads=sample_payloads)
        self._start_from(begin)

    def _start_from(self, resume: Resume) -> None:
        """Bring the account to what the dead letters' folder says now: a replay may have delivered some."""
        for reason in resume.resolved.values():
            self.totals.no_longer_failed(reason)
        self.totals.delivered += (later := len(resume.resolved) + len(resume.delivered))
        self.totals.delivered_later += later
        for index in (*resume.resolved, *resume.delivered, *resume.unsaid):
            # Said again in a part of this try: the part that says it, if any, belongs to no checkpoint.
            self.unwritten.hold({"index": index, "resolved": True})
        for record in resume.sample:
            if record["index"] in resume.counted:
                self._sample.add(record)

    def until_room(self, due: asyncio.Event) -> Awaitable[None] | None:
        """Return what ends when there is room for the dead letter of one more item; None where there is.

        :param due: says that something is to be written now.
        """
        return self.unwritten.make_room(due) if self.unwritten.are_much else None

    def continue_digest(self, digest: SourceDigest) -> None:
        """Go on with the digest of rows 0..position.

        The reading thread calls it once, before it hands over a later row, and leaves the digest alone after.
        """
        self._digest = digest
        self.totals.commit = Commit.NONE  # the rows are there

    def take(self, item: Item) -> None:
        """Note that a row is on its way. Rows come in the order of their index."""
        index, pending = item.index, self._pending
        if index in self._dead_before:
            self.totals.no_longer_failed(self._dead_before.pop(index))
            self._again.add(index)
            self._sample.remove(index)
        elif index not in pending:  # pending already: an earlier try took it and did not finish it
            self._position = index + 1
            self.totals.read += 1
            if self._digest is not None:
                self._digest.add(item.content)
        if item.replayed:
            self._known_dead.add(index)
            self._again.add(index)
        pending.setdefault(index, 0)

    def take_batch(self, items: Sequence[Item]) -> None:
        """Note that rows are on their way together. Batches come in the order of their rows."""
        if self._dead_before or self._digest is None or items[0].index < self._position or items[0].replayed:
            for item in items:
                self.take(item)
        else:  # all new: as many rows as there are, this is done in one go
            self._position = items[-1].index + 1
            self.totals.read += len(items)
            self._digest.add(*[item.content for item in items])
        self.send_together(items)

    def send_together(self, items: Sequence[Item]) -> None:
        """Note that rows that were taken go in one request; what it leaves of another one was in that together."""
        self._pending.update(dict.fromkeys([item.index for item in items], next(self._requests)))

    def leave(self, items: Sequence[Item], error: BaseException) -> None:
        """Note rows that an error ends, as far as they stay unfinished: the API may have acted on some of them.

        :param error: where it is one that nobody has thought of, on all of them.
        """
        is_known = isinstance(error, AsyncRestError | asyncio.CancelledError)
        self._uncertain.update(item.index for item in items if item.uncertain or not is_known)

    def record(self, outcome: Outcome, *, is_news: bool = True) -> None:
        """Note what became of a row.

        :param is_news: whether a failure says anything about the API that others do not say.
        """
        self._pending.pop(outcome.index, None)
        if isinstance(outcome, Delivered):
            totals = self.totals
            totals.delivered += 1
            totals.already_there += outcome.already_there
            self.delivered_now += 1
            if not self._all_delivered:
                self._note(failed=False)
        elif isinstance(outcome, Skipped):
            self.totals.skipped += 1
        else:
            self.totals.failed_again(outcome.reason, is_counted=outcome.is_kept)
            self.totals.last_messages[outcome.reason] = outcome.response_excerpt
            self._sample.add_letter(outcome)
            if not outcome.is_kept:
                self.unwritten.hold(outcome)
            if is_news and not self.refused_again(outcome):
                self._note(failed=True)
            return
        if outcome.index in self._known_dead:
            self._resolve(outcome.index)

    def fetched(self, index: int) -> None:
        """Note that an item was fetched: it is delivered when its rows are kept, see :meth:`confirm`."""
        self._fetched.append(index)
        self.delivered_now += 1
        self._note(failed=False)

    def delivered(self, items: Sequence[Item], already_there: int = 0) -> None:
        """Note that rows were delivered; so many of them by an earlier attempt, whose answer was lost."""
        for item in items:
            del self._pending[item.index]
        if self._known_dead:
            for item in items:
                if item.index in self._known_dead:
                    self._resolve(item.index)
        self.totals.delivered += len(items)
        self.totals.already_there += already_there
        self.delivered_now += len(items)
        self._note(failed=False, count=len(items))

    def _resolve(self, index: int) -> None:
        self._known_dead.discard(index)
        self.totals.resolve()
        self.unwritten.hold({"index": index, "resolved": True})

    def refused_again(self, letter: DeadLetter) -> bool:
        """Return whether an item was dead already, and was refused for good, or not even sent: that is no news."""
        is_old = letter.is_kept or not letter.attempts or is_permanent(letter.reason, self._retry)
        return is_old and letter.index in self._again

    def note_failed(self, count: int) -> None:
        """Note that items failed whose outcome was recorded as no news."""
        self._note(failed=True, count=count)

    def _note(self, *, failed: bool, count: int = 1) -> None:
        if self._all_delivered and not failed:
            return
        for _ in range(min(count, _BREAKER_WINDOW)):
            if len(self._recent) == _BREAKER_WINDOW:
                self._recent_failures -= self._recent[0]
            self._recent.append(failed)
            self._recent_failures += failed
        self._all_delivered = not self._recent_failures and len(self._recent) == _BREAKER_WINDOW

    @property
    def mostly_failing(self) -> bool:
        """Whether at least 90 % of the last 200 outcomes failed."""
        return len(self._recent) == _BREAKER_WINDOW and self._recent_failures >= _BREAKER_FAILURES

    @property
    def accepted(self) -> int:
        """Items that the API has accepted, or answered in whole or in part, in this try and those before it."""
        # What was fetched counts as delivered once it is kept.
        return max(self.totals.delivered, self.delivered_now) + self.totals.broken_off

    @property
    def unfinished(self) -> int:
        """Rows that were taken and have no outcome."""
        return len(self._pending)

    def _note_replay(self) -> None:
        sent = len(self._again)
        settled = sent - len(self._again & self._pending.keys())
        self.totals.note_replay({"sent": sent, "delivered": self.delivered_now, "failed": settled - self.delivered_now})

    def snapshot(self, *, letters: bool = True, last: bool = False) -> Snapshot:
        """Take the state of this moment; what it has is the caller's to write, and to confirm or give back.

        :param letters: whether records go with it; else they are held for a later one.
        :param last: whether nothing more is sent, and nothing is in flight.
        """
        fetched, self._fetched = self._fetched, []
        resolved: list[Record] = [{"index": index, "resolved": True} for index in fetched if index in self._known_dead]
        records: list[DeadLetter | Record] = []
        if letters or resolved:
            records = self.unwritten.take()
        digest = self._digest.hexdigest() if self._digest else self._digest_before
        self._note_replay()
        return Snapshot(
            self._position,
            digest,
            frozenset(self._pending).difference(fetched),
            self._batches(),
            {**self.totals.to_json(), "delivered": self.totals.delivered + len(fetched)},
            [*records, *resolved],
            list(self.unwritten.records),
            fetched,
            *self.open_items.take(),
            uncertain=frozenset(self._uncertain.intersection(self._pending)) if last else None,
        )

    def _batches(self) -> tuple[tuple[int, ...], ...]:
        """Return the unfinished rows that are in one request."""
        requests: dict[int, list[int]] = {}
        for index, request in self._pending.items():
            if request:
                requests.setdefault(request, []).append(index)
        return tuple(tuple(sorted(batch)) for batch in requests.values())

    def confirm(self, snapshot: Snapshot) -> None:
        """Count the items as delivered whose rows are kept now."""
        self.totals.resolve(len(self._known_dead.intersection(snapshot.fetched)))
        for index in snapshot.fetched:
            del self._pending[index]
            self._known_dead.discard(index)
        self.totals.delivered += len(snapshot.fetched)

    def give_back(self, snapshot: Snapshot) -> None:
        """Take back records that could not be written, and items whose rows could not be staged, or removed."""
        fetched = frozenset(snapshot.fetched)  # they are resolved when they are confirmed
        self.unwritten.give_back(
            [one for one in snapshot.records if isinstance(one, DeadLetter) or one["index"] not in fetched]
        )
        self._fetched = snapshot.fetched + self._fetched
        self.open_items.give_back(snapshot.removed)

    def show_refused(self, record: Record) -> None:
        """Add a row that the database refused to the sample of what failed."""
        shown = self._sample.add(record)
        self.totals.last_messages[shown["reason"]] = shown["response_excerpt"]

    def hide_refused(self, index: int, number: int) -> None:
        """Take a row that the database takes now out of the sample."""
        self._sample.remove(index, number)

    def sample(self) -> list[Record]:
        """Return the failed items for XCom, by position, within 48 KB."""
        return self._sample.records()

    def report(self) -> dict[str, Any]:
        """Return the window's numbers so far."""
        self._note_replay()
        return {
            **self.totals.report(self.unfinished),
            "failed_items_omitted": self.totals.failures.total() - len(self._sample),
            "resumed_from": self.resumed_from,
        }
