"""Requests, counted: how many, how many again, how many at this moment, and how long they take."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

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

    def answered(self, seconds: float) -> None:
        """Count the latency of an answer."""
        self.latencies.add(seconds)

    def sent(self) -> None:
        """Count a request out again, answered or not."""
        self.in_flight -= 1
