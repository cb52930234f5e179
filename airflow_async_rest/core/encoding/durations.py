"""Durations as ISO 8601 has them: of seconds, which are exact, and of months, which have no fixed length."""

import re
from datetime import timedelta

_PARTS = re.compile(
    r"(?:([+-]?\d+) years?\s*)?(?:([+-]?\d+) mon(?:th)?s?\s*)?(?:([+-]?\d+) days?\s*)?"
    r"(?:([+-]?)(\d+):(\d+):(\d+)(\.\d+)?)?"
)


class CalendarDuration(timedelta):
    """A duration with months or years: the driver's guess of its length, which is sent as what it is.

    :ivar iso: such as ``P1M``.
    """

    iso: str

    @classmethod
    def of(cls, guess: timedelta, iso: str) -> "CalendarDuration":
        """Return a driver's guess that knows what it was made of."""
        made = cls(guess.days, guess.seconds, guess.microseconds)
        made.iso = iso
        return made


def format_duration(value: timedelta) -> str:
    """Write a duration as ISO 8601, exact to the microsecond, or pandas' nanosecond: ``-P1DT2.5S``."""
    if isinstance(value, CalendarDuration):
        return value.iso
    sign, value = ("-", -value) if value < timedelta() else ("", value)
    seconds, nanoseconds = str(value.seconds), getattr(value, "nanoseconds", 0)
    if value.microseconds or nanoseconds:
        seconds = f"{seconds}.{value.microseconds:06d}{nanoseconds:03d}".rstrip("0")
    return f"{sign}P{value.days}DT{seconds}S"


def format_months(years: int, months: int) -> str:
    """Write years and months as ISO 8601: ``P1Y2M``."""
    return _format((years, "Y"), (months, "M")) or "P0M"


def iso_of_interval(text: str) -> str:
    """Write as ISO 8601 what PostgreSQL writes as ``1 year 2 mons -3 days +04:05:06.7``: ``P1Y2M-3DT4H5M6.7S``.

    So does DuckDB, but for its ``months``.

    :return: another text (``infinity``, another IntervalStyle) as it is.
    """
    found = _PARTS.fullmatch(text)
    if not found or not text:
        return text
    years, months, days, sign, hours, minutes, seconds, fraction = found.groups()
    date = _format((years, "Y"), (months, "M"), (days, "D")) or "P"
    time = "".join(f"{sign}{int(value)}{unit}" for value, unit in ((hours, "H"), (minutes, "M")) if int(value or 0))
    if int(seconds or 0) or (fraction or "").strip(".0"):
        time += f"{sign}{int(seconds)}{(fraction or '').rstrip('0').rstrip('.')}S"
    time = time.replace("+", "")
    return f"{date}T{time}" if time else date if date != "P" else "PT0S"


def _format(*parts: tuple[int | str | None, str]) -> str:
    written = "".join(f"{int(value)}{unit}" for value, unit in parts if value and int(value))
    return written and f"P{written}"
