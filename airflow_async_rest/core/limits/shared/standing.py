"""How a shared limit stands: what all who share it take, and a slower pace that the API tells."""

from airflow_async_rest.core.limits.shared.store import AS_BEFORE, Slow

_SAMPLE_SECONDS = 2.0
# A pace is told when it differs by this share from the one before.
OTHER_PACE = 0.1


class Samples:
    """How many places all have taken, at a few moments: what they take in a second at present."""

    def __init__(self) -> None:
        self._earlier = self._later = self._last = (0.0, 0)
        self._has_begun = False

    def add(self, now: float, granted: int) -> None:
        """Note how many there are."""
        if not self._has_begun or granted < self._last[1]:  # a store may forget
            self._earlier = self._later = (now, granted)
            self._has_begun = True
        elif now - self._later[0] >= _SAMPLE_SECONDS:
            self._earlier, self._later = self._later, (now, granted)
        self._last = (now, granted)

    @property
    def rate(self) -> float | None:
        """Places a second; None where that is not known."""
        seconds = self._last[0] - self._earlier[0]
        return (self._last[1] - self._earlier[1]) / seconds if seconds > 0 else None


class SlowPace:
    """A slower pace that the API tells one task, until the store has been told."""

    def __init__(self) -> None:
        self._interval, self._until, self._is_told = 0.0, 0.0, True
        self._told_until = 0.0

    def holds(self, now: float) -> bool:
        """Return whether this task is the one that was told of it."""
        return self._until > now

    def change(self, interval: float, seconds: float, now: float) -> bool:
        """Keep to a pace for so long from now, or with an interval of 0 no longer. :return: whether it begins."""
        was_slow, before = self.holds(now), self._interval
        self._interval, self._until = interval, now + seconds if interval else 0.0
        # Of a limit that rolls, each answer tells of a later end.
        ends_soon = interval > 0 and self._told_until - now < seconds / 2
        if abs(interval - before) > OTHER_PACE * before or was_slow != bool(interval) or ends_soon:
            self._is_told = False
        return bool(interval) and not was_slow

    def to_tell(self, now: float) -> Slow:
        """Return what the store does not know yet."""
        if self._is_told:
            return AS_BEFORE
        self._is_told, self._told_until = True, self._until
        return Slow(self._interval, max(0.0, self._until - now))

    def is_lost(self, told: Slow) -> None:
        """Note that what :meth:`to_tell` returned did not arrive."""
        self._is_told = self._is_told and told is AS_BEFORE
