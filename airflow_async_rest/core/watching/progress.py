"""What a running job shows to those who watch it: its report so far, and what is of interest only meanwhile."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_async_rest.core.limits.limiter import Limiter
from airflow_async_rest.core.reading.source import Expected

_MEANWHILE = frozenset(
    (
        *("target", "in_flight", "concurrency", "limit_share_used", "rate_limit", "shared_limit", "expected"),
        *("history", "updated_at"),
    )
)


def report_of(progress: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report in a progress, without what is of interest only while the job runs."""
    return {name: value for name, value in progress.items() if name not in _MEANWHILE}


@dataclass(eq=False)
class Progress:
    """Knows what the last minutes were like.

    :param target: what goes where, for people to read.
    :param rate_limit: requests, and the seconds they are allowed in; None without a limit.
    :param concurrency: gives how many requests may be in flight at this moment.
    :param expected: tells how many items there will be, as soon as that is known.
    :param most_moments: that are remembered.
    """

    target: str
    limiter: Limiter
    rate_limit: tuple[int, float] | None
    concurrency: Callable[[], int]
    expected: Callable[[], Expected | None]
    most_moments: int

    def __post_init__(self) -> None:
        self._history: deque[list[float]] = deque(maxlen=self.most_moments)

    def of(self, report: Mapping[str, Any], in_flight: int) -> dict[str, Any]:
        """Return the progress of this moment, as plain JSON.

        :param report: of this moment.
        :param in_flight: requests.
        """
        now, share, expected = time.time(), self.limiter.share_used(), self.expected()
        failed = report["failed"]
        self._history.append([round(now, 1), report["delivered"] + failed + report["skipped"], failed])
        limit = self.rate_limit
        return {
            **report,
            "target": self.target,
            "in_flight": in_flight,
            "concurrency": self.concurrency(),
            "limit_share_used": None if share is None else round(share, 3),
            "rate_limit": limit and {"count": limit[0], "seconds": limit[1]},
            "shared_limit": self.limiter.standing(),
            "expected": expected and asdict(expected),
            "history": list(self._history),
            "updated_at": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
        }
