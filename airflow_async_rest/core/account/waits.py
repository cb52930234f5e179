"""The waits of a window for its quota: from when to when, and why; and for how long it may wait still. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

from airflow_async_rest.core.account.checkpoint import Try
from airflow_async_rest.core.account.stored import checked_totals

_MOST_KEPT, _LONGEST_WHY = 20, 300
# A scheduler that hears of a task's end after it has queued it again takes that for a failure; its loop may take 5 s.
_LEAST_SECONDS = 15.0
_NONE = Try(0, ())


class Wait(NamedTuple):
    """A stretch of time in which a task did not run, because its quota was gone; in UTC, ISO 8601."""

    since: str
    until: str
    why: str


@dataclass(frozen=True)
class Waits:
    """What a window has waited for.

    :param latest: the latest waits, in their order.
    :param last: the try that has waited last.
    :param began: when the first wait of its series of tries did; None where none of these has waited.
    :param counts: of what that try has settled, where no checkpoint has them: those of
        :class:`~airflow_async_rest.core.account.report.Totals`.
    """

    latest: tuple[Wait, ...] = ()
    last: Try = _NONE
    began: datetime | None = None
    counts: Mapping[str, Any] = field(default_factory=dict)

    def of(self, this_try: Try | None, *, resumes: bool) -> Self:
        """Return what counts for a try: a Clear may wait again, and reports what was before if it goes on with that.

        :param resumes: whether the try goes on with the account of those before it.
        """
        this = this_try or _NONE
        counts = self.counts if self.last == this else {}
        if self.last.series == this.series:
            return replace(self, last=this, counts=counts)
        return replace(self, latest=self.latest if resumes else (), last=this, began=None, counts=counts)

    def end_of(self, seconds: float, jitter: float, most: timedelta, now: datetime) -> datetime | None:
        """Return when a wait of so many seconds ends, or None: it would be too long since the first one began.

        :param jitter: seconds that are added, so that tasks which wait for the same do not all come back at once.
        :param most: from the beginning of the first wait to the end of the last.
        """
        left = (most - (now - (self.began or now))).total_seconds()
        least = max(seconds, _LEAST_SECONDS)
        return now + timedelta(seconds=min(left, max(least, seconds + jitter))) if least <= left else None

    def and_then(self, now: datetime, until: datetime, why: str, counts: Mapping[str, Any]) -> Self:
        """Return them with one more."""
        latest = (*self.latest, Wait(_text(now), _text(until), why[:_LONGEST_WHY]))
        return replace(self, latest=latest[-_MOST_KEPT:], began=self.began or now, counts=counts)

    def report(self) -> list[dict[str, str]]:
        """Return the latest waits as people read them."""
        return [wait._asdict() for wait in self.latest]

    def to_json(self) -> dict[str, Any]:
        """Return them as the state store keeps them."""
        return {
            "try": [self.last.number, *self.last.series],
            "began": self.began and _text(self.began),
            "waits": [list(wait) for wait in self.latest],
            **({"counts": dict(self.counts)} if self.counts else {}),
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read them back; what is something else says nothing."""
        try:
            latest = tuple(Wait(*map(str, wait)) for wait in value["waits"])
            began = value["began"] and datetime.fromisoformat(value["began"]).astimezone(UTC)
            number, *series = map(int, value["try"])
            counts = checked_totals(value.get("counts", {}))
            return cls(latest[-_MOST_KEPT:], Try(number, tuple(series)), began or None, counts)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            return cls()


def _text(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds")
