"""What is measured of requests: how many, how long they take, and when the API has stood still for too long.

No clock of its own.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

from airflow_async_rest.core.bounds import USUAL
from airflow_async_rest.core.errors import MostlyFailingError, QuotaExhaustedError
from airflow_async_rest.core.sending.retry import RequestRetry

# 5 % wide buckets from 0.1 ms: a percentile is right to 2.5 %, and 300 counters reach ten minutes.
_BUCKET_FLOOR_SECONDS = 1e-4
_LOG_WIDTH = math.log(1.05)
_BUCKET_ENDS = [_BUCKET_FLOOR_SECONDS * math.exp(place * _LOG_WIDTH) for place in range(1, 400)]
_FEWEST_FAILURES = 5


class LatencyHistogram:
    """Latencies in logarithmic buckets: any number of them in a few hundred counters."""

    def __init__(self, buckets: Mapping[Any, int] | None = None) -> None:
        self._buckets: Counter[int] = Counter({int(bucket): count for bucket, count in (buckets or {}).items()})

    def add(self, seconds: float) -> None:
        """Count one latency."""
        self._buckets[bisect_right(_BUCKET_ENDS, seconds)] += 1

    def percentiles_ms(self, shares: Iterable[float] = (0.50, 0.95, 0.99)) -> dict[str, float | None]:
        """Return ``{"p50": milliseconds, ...}``; None where nothing was counted."""
        names, total = {f"p{share * 100:.0f}": share for share in shares}, self._buckets.total()
        values = self._milliseconds_at(share * total for share in names.values()) if total else [None] * len(names)
        return dict(zip(names, values, strict=True))

    def sample_ms(self, most: int) -> list[float]:
        """Return so many latencies, or all when they are fewer, that are spread as all of them are."""
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
        """Return the counters as JSON keeps them."""
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

    def sent(self, seconds: float | None = None) -> None:
        """Count a request out again.

        :param seconds: that its answer took; None where none came.
        """
        self.in_flight -= 1
        if seconds is not None:
            self.latencies.add(seconds)


class Standstill:
    """When an API answers nothing well, or only asks for pauses, for too long.

    Progress is an answer that settles something, whatever it says. Failures count only when they are more than a single
    item can have: one row that hangs is no reason to stop.

    :param retry: tells how often one request fails, and how long a pause may be.
    :param most_seconds: without progress, failing or waiting; pauses that the author allows may be longer.
    :ivar failures: attempts in a row that failed, without asking for a pause.
    :ivar seconds: how long there was nothing but these.
    """

    def __init__(self, retry: RequestRetry, most_seconds: float = USUAL.standstill_seconds) -> None:
        self._most_seconds = most_seconds
        self._fewest_failures = max(_FEWEST_FAILURES, retry.max_attempts + 1)
        self._longest_pause = retry.max_retry_after_seconds
        self._most_paused = max(most_seconds, self._longest_pause)
        self._progressed_at = self._failing_since = -math.inf
        self._paused_at: float | None = None
        self._pausing_since = -math.inf
        self.failures = 0
        self.seconds = 0.0
        self._last_failure = ""

    def progressed(self, now: float, sent_at: float) -> None:
        """Note that the API has settled something.

        :param sent_at: when it was asked: what was in flight when a pause began says nothing about its end.
        """
        self._progressed_at = now
        if self.failures:
            self.failures, self.seconds = 0, 0.0
        if self._paused_at is not None and sent_at > self._paused_at:
            self._paused_at = None

    def failed(self, now: float, sent_at: float, how: str) -> None:
        """Note that an attempt has failed, and may be made again: no answer, or one that settles nothing."""
        self._last_failure = how
        if not self.failures:
            self._failing_since = max(sent_at, self._progressed_at)
        self.failures += 1
        self.seconds = now - self._failing_since

    @property
    def is_too_long(self) -> bool:
        """Whether nothing more should be sent."""
        return self.failures >= self._fewest_failures and self.seconds >= self._most_seconds

    def error(self) -> MostlyFailingError:
        """Say what stands still, for how long."""
        return MostlyFailingError(
            f"the API has not answered well for {self.seconds:.0f} s: {self.failures} requests in a row failed, the "
            f"last one with {self._last_failure}. A retry goes on where this try ended"
        )

    def paused(self, now: float, sent_at: float, seconds: float) -> float:
        """Note that the API asks for a pause.

        :param sent_at: when the request was sent that it answers so.
        :return: seconds without progress before it, if with this pause they are too many; else 0.
        """
        if self._paused_at is None:
            self._paused_at, self._pausing_since = now, max(sent_at, self._progressed_at)
        waited = sent_at - self._pausing_since if sent_at > self._paused_at else 0.0
        return waited if waited + seconds > self._most_paused else 0.0

    def quota_error(self, now: float, sent_at: float, seconds: float) -> QuotaExhaustedError | None:
        """Return why a pause is longer than we honour, by itself or with those before it; None where it is not.

        :param sent_at: when the request was sent that is answered by asking for it.
        """
        if seconds > self._longest_pause:
            return QuotaExhaustedError(
                f"the API asks for a pause of {seconds:.0f} s, which is longer than "
                f"RequestRetry(max_retry_after_seconds={self._longest_pause:g}): its quota is gone",
                seconds,
            )
        if not (waited := self.paused(now, sent_at, seconds)):
            return None
        return QuotaExhaustedError(
            f"the API asks for {seconds:.0f} s more after pauses of {waited:.0f} s in which it took nothing: its quota "
            "is gone, or it is away",
            seconds,
        )
