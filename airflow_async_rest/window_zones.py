"""In which time zone the dates of a window are, which decides where its days begin."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from airflow_async_rest.core.errors import ConfigurationError

# Of offsets that differ by more, the end's is not what clocks of the start's zone show later on.
_MOST_CHANGE = timedelta(hours=1)


def parse_zone(value: object) -> tzinfo:
    """Read the argument ``window_timezone``. :raises ConfigurationError: when it names no zone."""
    if isinstance(value, tzinfo):
        return value
    try:
        return ZoneInfo(value.strip()) if isinstance(value, str) else ZoneInfo("")
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Europe" is a folder of zones
        raise ConfigurationError(f"window_timezone={value!r}: write a name such as 'Europe/Helsinki'.") from None


def zone_of(start: datetime, end: datetime, usual: tzinfo) -> tzinfo:
    """Return the zone of a window, from how its ends are written.

    UTC is how templates and :func:`split_windows` write any instant, so it says nothing. Another offset is no zone, as
    it does not say when clocks change: where ``usual`` has the same, that is what is meant.

    :param usual: where the start says nothing: the zone of the DAG's timetable.
    """
    own = start.tzinfo
    if own is None or (own.utcoffset(None) == timedelta() and not end.utcoffset()):
        return usual
    if own.utcoffset(None) is None:
        return own
    if _agrees(usual, start) and _agrees(usual, end):
        return usual
    change = (end.utcoffset() or timedelta()) - (start.utcoffset() or timedelta())
    return _WrittenOffsets(start, end) if end.tzinfo and timedelta() < abs(change) <= _MOST_CHANGE else own


def _agrees(zone: tzinfo, written: datetime) -> bool:
    return written.tzinfo is None or written.astimezone(zone).utcoffset() == written.utcoffset()


class _WrittenOffsets(tzinfo):
    """The offset of a window's start until its end, which is written with another: it is unknown when clocks change."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self._offsets = start.utcoffset(), end.utcoffset()
        self._end_on_clocks, self._end = end.replace(tzinfo=None), end.astimezone(UTC)

    def utcoffset(self, clocks: datetime | None) -> timedelta | None:
        """Return the offset of what clocks show; None for no time, as zones whose offset changes have it."""
        return None if clocks is None else self._offsets[clocks.replace(tzinfo=None) >= self._end_on_clocks]

    def fromutc(self, instant: datetime) -> datetime:
        """Return what clocks show."""
        return instant + (self._offsets[instant.replace(tzinfo=UTC) >= self._end] or timedelta())

    def dst(self, clocks: datetime | None) -> None:
        """Return nothing: it is not known."""

    def tzname(self, clocks: datetime | None) -> str:  # noqa: ARG002
        """Return the offset of the start."""
        return f"UTC{self._offsets[0]}"
