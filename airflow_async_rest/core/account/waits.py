"""The waits of a window for its quota: from when to when, and why; and for how long it may wait still. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

_MOST_KEPT, _LONGEST_WHY = 20, 300


class Wait(NamedTuple):
    """A stretch of time in which a task did not run, because its quota was gone; in UTC, ISO 8601."""

    since: str
    until: str
    why: str


@dataclass(frozen=True)
class Waits:
    """What a window has waited for.

    :param latest: the latest waits, in their order.
    :param series: of the tries that have waited; see :class:`~airflow_async_rest.core.account.checkpoint.Try`.
    :param began: when the first of these waits did; None where none of this series has waited.
    """

    latest: tuple[Wait, ...] = ()
    series: tuple[int, ...] = ()
    began: datetime | None = None

    def of_series(self, series: Sequence[int], *, resumes: bool) -> Self:
        """Return what counts for a try: a Clear may wait anew, and reports what was before if it goes on with that.

        :param resumes: whether the try goes on with the account of those before it.
        """
        if self.series == tuple(series):
            return self
        return replace(self, latest=self.latest if resumes else (), series=tuple(series), began=None)

    def end_of(self, seconds: float, jitter: float, most: timedelta, now: datetime) -> datetime | None:
        """Return when a wait of so many seconds ends, or None: it would be too long since the first one began.

        :param jitter: seconds that are added, so that tasks which wait for the same do not all come back at once.
        :param most: from the beginning of the first wait to the end of the last.
        """
        left = (most - (now - (self.began or now))).total_seconds()
        return now + timedelta(seconds=min(left, seconds + jitter)) if 0 < left >= seconds else None

    def and_then(self, now: datetime, until: datetime, why: str) -> Self:
        """Return them with one more."""
        wait = Wait(_text(now), _text(until), why[:_LONGEST_WHY])
        return replace(self, latest=(*self.latest, wait)[-_MOST_KEPT:], began=self.began or now)

    def report(self) -> list[dict[str, str]]:
        """Return the latest waits as people read them."""
        return [wait._asdict() for wait in self.latest]

    def to_json(self) -> dict[str, Any]:
        """Return them as the state store keeps them."""
        return {
            "series": list(self.series),
            "began": self.began and _text(self.began),
            "waits": [list(wait) for wait in self.latest],
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read them back; what is something else says nothing."""
        try:
            latest = tuple(Wait(*map(str, wait)) for wait in value["waits"])
            began = value["began"] and datetime.fromisoformat(value["began"]).astimezone(UTC)
            return cls(latest[-_MOST_KEPT:], tuple(map(int, value["series"])), began or None)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
            return cls()


def _text(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds")
