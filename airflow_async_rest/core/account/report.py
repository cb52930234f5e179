"""Counts, reasons and latency percentiles of a window, cumulative over the tries of its task."""

import math
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from enum import StrEnum
from itertools import accumulate
from typing import Any

from airflow_async_rest.core.keeping.loading import RowTotals
from airflow_async_rest.core.letters.folder import ROW_REFUSED


class Commit(StrEnum):
    """What became of what reading the rows has changed; it is committed only once all of them are settled."""

    NONE = ""  # nothing, so far
    BEGUN = "begun"  # it is committed, or not: nobody knows
    DONE = "done"
    UNDONE = "undone"  # for good: more rows failed than are accepted


# 5 % wide buckets from 0.1 ms: a percentile is right to 2.5 %, and 300 counters reach ten minutes.
_BUCKET_FLOOR_SECONDS = 1e-4
_LOG_WIDTH = math.log(1.05)


class LatencyHistogram:
    """Latencies in logarithmic buckets: any number of them in a few hundred counters."""

    def __init__(self, buckets: Mapping[Any, int] | None = None) -> None:
        self._buckets: Counter[int] = Counter({int(bucket): count for bucket, count in (buckets or {}).items()})

    def add(self, seconds: float) -> None:
        """Count one latency."""
        self._buckets[int(math.log(max(seconds, _BUCKET_FLOOR_SECONDS) / _BUCKET_FLOOR_SECONDS) / _LOG_WIDTH)] += 1

    def percentiles_ms(self, shares: Iterable[float] = (0.50, 0.95, 0.99)) -> dict[str, float | None]:
        """Give ``{"p50": milliseconds, ...}``; None where nothing was counted."""
        names, total = {f"p{share * 100:.0f}": share for share in shares}, self._buckets.total()
        values = self._milliseconds_at(share * total for share in names.values()) if total else [None] * len(names)
        return dict(zip(names, values, strict=True))

    def sample_ms(self, most: int) -> list[float]:
        """Give so many latencies, or all when they are fewer, that are spread as all of them are."""
        total = self._buckets.total()
        count = min(most, total)
        return self._milliseconds_at((number + 0.5) * total / count for number in range(count))

    def _milliseconds_at(self, ranks: Iterable[float]) -> list[float]:
        buckets = sorted(self._buckets)
        seen = list(accumulate(self._buckets[bucket] for bucket in buckets))
        places = [buckets[min(bisect_left(seen, rank), len(seen) - 1)] for rank in ranks]
        return [round(_BUCKET_FLOOR_SECONDS * math.exp((place + 0.5) * _LOG_WIDTH) * 1000, 2) for place in places]

    def __add__(self, other: "LatencyHistogram") -> "LatencyHistogram":
        return LatencyHistogram(self._buckets + other._buckets)

    def __sub__(self, earlier: "LatencyHistogram") -> "LatencyHistogram":
        return LatencyHistogram(self._buckets - earlier._buckets)

    def to_json(self) -> dict[str, int]:
        """Give the counters as JSON keeps them."""
        return {str(bucket): count for bucket, count in sorted(self._buckets.items())}


class Meter:
    """Counts requests: how many, how many again, how many at this moment, how long they take.

    ``retried``, why they were sent again, is of this try only.
    """

    def __init__(self, requests: int = 0, retries: int = 0, latencies: Mapping[str, int] | None = None) -> None:
        self.requests = requests
        self.retries = retries
        self.retried: Counter[str] = Counter()
        self.in_flight = 0
        self.latencies = LatencyHistogram(latencies)

    def sending(self, attempt: int, reason: str = "") -> None:
        """Count a request that is being sent.

        :param attempt: 1 for an item's first.
        :param reason: why the attempt before failed.
        """
        self.requests += 1
        if attempt > 1:
            self.retries += 1
            self.retried[reason] += 1
        self.in_flight += 1

    def answered(self, seconds: float) -> None:
        """Count the latency of an answer."""
        self.latencies.add(seconds)

    def sent(self) -> None:
        """Count a request out again, answered or not."""
        self.in_flight -= 1


class Totals:
    """What became of the rows of a window, over all tries.

    ``read == delivered + failed + skipped + unfinished`` at any moment. ``failed_now``, how often items failed and why,
    is of this try only, and never less: one that is sent again, and fails again, counts twice.

    :param earlier: :meth:`to_json` of the try before.
    :ivar complete: whether every row was read, and is delivered, skipped or dead.
    :ivar commit: of what reading them has changed.
    :ivar broken_off: items that failed in this try after a page of theirs was read.
    :ivar last_words: reason -> what was said of the last item, or row, that failed for it.
    """

    def __init__(self, earlier: Mapping[str, Any] | None = None) -> None:
        earlier = earlier or {}
        self.read: int = earlier.get("read", 0)
        self.delivered: int = earlier.get("delivered", 0)
        self.already_there: int = earlier.get("already_there", 0)  # part of the delivered
        self.skipped: int = earlier.get("skipped", 0)
        self.complete: bool = earlier.get("complete", False)
        self.commit = Commit(earlier.get("commit", Commit.NONE))
        self.reasons: Counter[str] = Counter(earlier.get("reasons", {}))
        self.failed_now: Counter[str] = Counter()
        self.broken_off = 0
        self.last_words: dict[str, str] = {}
        self.meter = Meter(earlier.get("requests", 0), earlier.get("retries", 0), earlier.get("latencies"))
        self.rows: RowTotals | None = RowTotals(**earlier["rows"]) if "rows" in earlier else None
        self.keys_ignored: Counter[str] = Counter(earlier.get("keys_ignored", {}))
        self.paths_not_found: dict[str, int] | None = earlier.get("paths_not_found")
        self._earlier_seconds: float = earlier.get("elapsed_seconds", 0.0)
        self._started = time.monotonic()

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
    def elapsed_seconds(self) -> float:
        """Time spent running, over all tries."""
        return self._earlier_seconds + time.monotonic() - self._started

    def failed_again(self, reason: str) -> None:
        """Count one dead letter."""
        self.reasons[reason] += 1
        self.failed_now[reason] += 1

    def no_longer_failed(self, reason: str) -> None:
        """Take one dead letter back: it is being sent again, or was delivered by a replay."""
        self.reasons[reason] -= 1
        self.reasons += Counter()  # drops a reason that nobody has any more

    def to_json(self) -> dict[str, Any]:
        """Give the counts as a checkpoint keeps them."""
        return {
            "read": self.read,
            "delivered": self.delivered,
            "already_there": self.already_there,
            "skipped": self.skipped,
            "complete": self.complete,
            **({"commit": self.commit} if self.commit else {}),
            "reasons": dict(self.reasons),
            "requests": self.meter.requests,
            "retries": self.meter.retries,
            "elapsed_seconds": round(self.elapsed_seconds, 3),
            "latencies": self.meter.latencies.to_json(),
            **(self._of_rows() if self.rows else {}),
        }

    def report(self, unfinished: int) -> dict[str, Any]:
        """Give the counts as people read them."""
        elapsed = self.elapsed_seconds
        return {
            "read": self.read,
            "delivered": self.delivered,
            "already_there": self.already_there,
            "failed": self.failed,
            "skipped": self.skipped,
            "unfinished": unfinished,
            "retries": self.meter.retries,
            "requests": self.meter.requests,
            "elapsed_seconds": round(elapsed, 3),
            "items_per_second": round(self.delivered / elapsed, 1) if elapsed > 0 else 0.0,
            "latency_ms": self.meter.latencies.percentiles_ms(),
            "reasons": dict(self.failures.most_common()),
            **(self._report_of_rows() if self.rows else {}),
        }

    def _of_rows(self) -> dict[str, Any]:
        assert self.rows is not None  # noqa: S101  (for the type checker)
        unfound = {} if self.paths_not_found is None else {"paths_not_found": dict(self.paths_not_found)}
        return {"rows": asdict(self.rows), "keys_ignored": dict(self.keys_ignored), **unfound}

    def _report_of_rows(self) -> dict[str, Any]:
        assert self.rows is not None  # noqa: S101  (for the type checker)
        unfound = {path: count for path, count in (self.paths_not_found or {}).items() if count}
        ignored = dict(self.keys_ignored.most_common())
        return {**self.rows.report(), "keys_ignored": ignored, "paths_not_found": unfound}
