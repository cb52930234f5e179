"""What one try has done, shown to an observer that may be slow or broken: metrics, say."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_async_rest.core.account.report import Totals
from airflow_async_rest.core.sending.meter import LatencyHistogram
from airflow_async_rest.core.watching.log import JobLog
from airflow_async_rest.core.worker_thread import WorkerThread


@dataclass(frozen=True)
class Activity:
    """What a try has done so far. Unlike the report it leaves the tries before out, so that all tries add up.

    :param counts: (name as in the report, reason or "") -> how often. ``failed`` counts each time that an item failed.
    :param latencies: of its requests.
    :param in_flight: requests at this moment.
    :param ended: whether this is all.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    latencies: LatencyHistogram = field(default_factory=LatencyHistogram)
    in_flight: int = 0
    ended: bool = False

    @classmethod
    def of(cls, totals: Totals, *, ended: bool = False) -> "Activity":
        """Return what totals say, of earlier tries too."""
        meter, rows = totals.meter, totals.rows
        plain = {"delivered": totals.delivered, "skipped": totals.skipped, "requests": meter.requests}
        if rows is not None:
            plain |= {"rows_loaded": rows.loaded, "rows_refused": rows.refused}
        counts = Counter({(name, ""): count for name, count in plain.items()})
        for name, reasons in (("failed", totals.failed_now), ("retries", meter.retried)):
            counts.update({(name, reason): count for reason, count in reasons.items()})
        return cls(counts, meter.latencies + LatencyHistogram(), meter.in_flight, ended)

    def __add__(self, other: "Activity") -> "Activity":
        return Activity(self.counts + other.counts, self.latencies + other.latencies, other.in_flight, other.ended)

    def __sub__(self, earlier: "Activity") -> "Activity":
        counts, latencies = self.counts - earlier.counts, self.latencies - earlier.latencies
        return Activity(counts, latencies, self.in_flight, self.ended)


class Observing:
    """Shows what this try has done. An observer that raises or hangs costs what it would have seen, and no more.

    :param observe: None: nobody looks.
    """

    def __init__(self, observe: Callable[[Activity], None] | None, log: JobLog) -> None:
        self._observe = observe
        self._log = log
        self._thread = WorkerThread("async-rest-observer")
        self._shown: asyncio.Future[None] | None = None
        self._totals = Totals()
        self._earlier = self._before = Activity()

    def begin(self, totals: Totals) -> None:
        """Begin to count with these totals; what they have already is of earlier tries."""
        self._before = self._now()
        self._totals, self._earlier = totals, Activity.of(totals)

    def _now(self, *, ended: bool = False) -> Activity:
        return self._before + (Activity.of(self._totals, ended=ended) - self._earlier)

    def show(self) -> None:
        """Show what was done so far, unless the observer is still busy with what was before."""
        if self._observe is not None and (self._shown is None or self._shown.done()):
            self._submit(self._observe, self._now())

    def end(self) -> None:
        """Show what was done in all."""
        if self._observe is not None:
            self._submit(self._observe, self._now(ended=True))

    def _submit(self, observe: Callable[[Activity], None], activity: Activity) -> None:
        self._shown = self._thread.submit(observe, activity)
        self._shown.add_done_callback(self._shown_or_not)

    def _shown_or_not(self, shown: "asyncio.Future[None]") -> None:
        if not shown.cancelled() and (error := shown.exception()) is not None:
            self._log.complain("emit metrics", error)

    async def close(self, seconds: float) -> None:
        """Wait for what is being shown, so long at most, and end the thread."""
        if self._shown is not None:
            await asyncio.wait([self._shown], timeout=seconds)
        self._thread.close()
