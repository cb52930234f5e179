"""Counts, reasons and latency percentiles of a window, cumulative over the tries of its task."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from airflow_async_rest.core.answers.tally import Tally
from airflow_async_rest.core.letters.folder import ROW_REFUSED
from airflow_async_rest.core.sending.meter import Meter

_MOST_REPLAYS = 20  # the latest


class Commit(StrEnum):
    """What became of what reading the rows has changed; it is committed only once all of them are settled."""

    NONE = ""  # nothing, so far
    BEGUN = "begun"  # it is committed, or not: nobody knows
    DONE = "done"
    UNDONE = "undone"  # for good: more rows failed than are accepted


@dataclass
class RowTotals:
    """Rows of a load, over all tries.

    :param staged: waiting for the merge.
    :param loaded: in the destination.
    :param refused: by the database.
    """

    staged: int = 0
    loaded: int = 0
    refused: int = 0

    def report(self) -> dict[str, int]:
        """Return the counts as people read them."""
        return {"rows_loaded": self.loaded, "rows_refused": self.refused, "rows_staged": self.staged}


class Totals:
    """What became of the rows of a window, over all tries.

    ``read == delivered + failed + skipped + unfinished`` at any moment. ``failed_now``, how often items failed and why,
    is of this try only, and never less: one that is sent again, and fails again, counts twice.

    :param earlier: :meth:`to_json` of the try before.
    :param tally: of a job that loads rows: what goes on counting what of the answers leads nowhere.
    :ivar complete: whether every row was read, and is delivered, skipped or dead.
    :ivar commit: of what reading them has changed.
    :ivar is_after_clear: whether what is no longer dead is delivered later than the task itself would have done it.
    :ivar broken_off: items that failed in this try after a page of theirs was read.
    :ivar replays: what came of the dead letters that the task has sent again because somebody chose them: number of the
        try -> how many were ``sent``, ``delivered``, and ``failed``.
    :ivar last_messages: reason -> what was said of the last item, or row, that failed for it.
    """

    def __init__(self, earlier: Mapping[str, Any] | None = None, tally: Tally | None = None) -> None:
        earlier = earlier or {}
        self.read: int = earlier.get("read", 0)
        self.delivered: int = earlier.get("delivered", 0)
        self.already_there: int = earlier.get("already_there", 0)  # part of the delivered
        self.delivered_later: int = earlier.get("delivered_later", 0)  # of the delivered, what was a dead letter before
        self.skipped: int = earlier.get("skipped", 0)
        self.complete: bool = earlier.get("complete", False)
        self.commit = Commit(earlier.get("commit", Commit.NONE))
        self.reasons: Counter[str] = Counter(earlier.get("reasons", {}))
        self.failed_now: Counter[str] = Counter()
        self.is_after_clear = False
        self.broken_off = 0
        self.replays: dict[str, Mapping[str, int]] = dict(earlier.get("replays", {}))
        self._replay: str | None = None
        self._replayed_before: Mapping[str, int] = {}
        self.last_messages: dict[str, str] = {}
        self.meter = Meter(earlier.get("requests", 0), earlier.get("retries", 0), earlier.get("latencies"))
        self.rows = RowTotals(**earlier.get("rows", {})) if tally or "rows" in earlier else None
        self.tally = tally or Tally(ignored=earlier.get("keys_ignored"), unfound=earlier.get("paths_not_found"))
        self._earlier_seconds: float = earlier.get("elapsed_seconds", 0.0)
        self._started = time.monotonic()
        self._stopped: float | None = None

    @property
    def failed(self) -> int:
        """Items that are dead letters now."""
        return self.reasons.total()

    @property
    def failures(self) -> Counter[str]:
        """Why items failed, and rows."""
        refused = self.rows.refused if self.rows else 0
        return self.reasons + Counter({ROW_REFUSED: refused})

    @property
    def row_totals(self) -> RowTotals:
        """The counts of rows, of a job that fetches."""
        assert self.rows is not None  # noqa: S101  (nobody else asks)
        return self.rows

    @property
    def elapsed_seconds(self) -> float:
        """Time spent running, over all tries."""
        now = time.monotonic() if self._stopped is None else self._stopped
        return self._earlier_seconds + now - self._started

    def stop_clock(self) -> None:
        """Count no time from now on.

        No checkpoint has the time of the last writes, so a later try would report less than this one.
        """
        self._stopped = time.monotonic()

    def failed_again(self, reason: str, *, is_counted: bool = False) -> None:
        """Count one dead letter. :param is_counted: by an earlier sitting of this try."""
        self.reasons[reason] += 1
        self.failed_now[reason] += not is_counted

    def no_longer_failed(self, reason: str) -> None:
        """Take one dead letter back: it is being sent again, or was delivered by a replay."""
        self.reasons[reason] -= 1
        self.reasons += Counter()  # drops a reason that nobody has any more

    def begin_replay(self, number: int) -> None:
        """Note that a try sends chosen dead letters again. What an earlier sitting had on its way goes once more."""
        self._replay = str(number)
        before = self.replays.pop(self._replay, {})
        self._replayed_before = {**before, "sent": before.get("delivered", 0) + before.get("failed", 0)}
        self.note_replay({"sent": 0, "delivered": 0, "failed": 0})

    def note_replay(self, counts: Mapping[str, int]) -> None:
        """Note what came of them in this sitting, so far; nothing where the try is no replay."""
        if self._replay is not None:
            all_of_it = {name: self._replayed_before.get(name, 0) + count for name, count in counts.items()}
            kept = {**self.replays, self._replay: all_of_it}
            self.replays = dict(list(kept.items())[-_MOST_REPLAYS:])

    def resolve(self, count: int = 1) -> None:
        """Count dead letters that are delivered after all."""
        self.delivered_later += count if self.is_after_clear else 0

    def to_json(self) -> dict[str, Any]:
        """Return the counts as a checkpoint keeps them."""
        return {
            "read": self.read,
            "delivered": self.delivered,
            "already_there": self.already_there,
            **({"delivered_later": self.delivered_later} if self.delivered_later else {}),
            "skipped": self.skipped,
            "complete": self.complete,
            **({"commit": self.commit} if self.commit else {}),
            **({"replays": dict(self.replays)} if self.replays else {}),
            "reasons": dict(self.reasons),
            "requests": self.meter.requests,
            "retries": self.meter.retries,
            "elapsed_seconds": round(self.elapsed_seconds, 3),
            "latencies": self.meter.latencies.to_json(),
            **(self._of_rows() if self.rows else {}),
        }

    def settled(self) -> dict[str, Any]:
        """Return the counts without what is dead, or on its way: of a source that will have that once more."""
        done = self.delivered + self.skipped
        return {**self.to_json(), "read": done, "reasons": {}, "complete": False}

    def report(self, unfinished: int) -> dict[str, Any]:
        """Return the counts as people read them."""
        elapsed = self.elapsed_seconds
        return {
            "read": self.read,
            "delivered": self.delivered,
            "already_there": self.already_there,
            "delivered_later": self.delivered_later,
            "failed": self.failed,
            "skipped": self.skipped,
            "unfinished": unfinished,
            "retries": self.meter.retries,
            "requests": self.meter.requests,
            "elapsed_seconds": round(elapsed, 3),
            "items_per_second": round(self.delivered / elapsed, 1) if elapsed > 0 else 0.0,
            "latency_ms": self.meter.latencies.percentiles_ms(),
            "reasons": dict(self.failures.most_common()),
            **({"replay": self.replays[self._replay]} if self._replay is not None else {}),
            **({"replays": dict(self.replays)} if self.replays else {}),
            **(self._report_of_rows() if self.rows else {}),
        }

    def _of_rows(self) -> dict[str, Any]:
        counts = {"keys_ignored": dict(self.tally.ignored), "paths_not_found": dict(self.tally.unfound.counts)}
        return {"rows": asdict(self.row_totals), **counts}

    def _report_of_rows(self) -> dict[str, Any]:
        unfound = {path: count for path, count in self.tally.unfound.counts.items() if count}
        ignored = dict(self.tally.ignored.most_common())
        return {**self.row_totals.report(), "keys_ignored": ignored, "paths_not_found": unfound}
