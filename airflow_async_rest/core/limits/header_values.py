"""What stands in headers that tell of limits: numbers, times, and the policies of ``RateLimit``. Pure."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
# Numbers below the first are seconds from now, 31 years at most; from the second on, thousandths of seconds since 1970,
# or thousandths of these, or of those. What is more than the last is no time: nanoseconds, of the year 5138.
_EPOCH_SECONDS, _EPOCH_MILLISECONDS, _NO_TIME = 1e9, 1e11, 1e20
# An item of a list as RFC 9651 has them, with its parameters: "hour";r=0;t=30;pk=:QUJD:
_TEXT = r'"(?:[^"\\]|\\.)*"'
_VALUE = rf"(?:{_TEXT}|:[A-Za-z0-9+/=]*:|[^\s;,]+)"
_ITEM = re.compile(rf"\s*({_TEXT}|[^\s;,=\"]+)((?:\s*;\s*[a-z*][a-z0-9_.*-]*(?:\s*=\s*{_VALUE})?)*)\s*(?:,|$)")
_PARAMETER = re.compile(rf";\s*([a-z*][a-z0-9_.*-]*)\s*=\s*({_VALUE})")
# Drafts 3 to 7: limit=100, remaining=0, reset=30
_EARLIER = re.compile(r"\b(limit|remaining|reset)\s*=\s*([0-9]+)")


def read_number(value: object) -> float | None:
    """Read a number of 0 or more, or the text of one: digits, however many, with or without a fraction."""
    if isinstance(value, float):
        return value if 0 <= value < math.inf else None
    if isinstance(value, str) and _NUMBER.fullmatch(value := value.strip()):
        return float(value)
    return None


def read_delay(value: object, now: datetime) -> float | None:
    """Read seconds, or the time when they are over."""
    number = read_number(value)
    return read_time(value, now) if number is None else number


def now_of_api(headers: Mapping[str, str], now: datetime) -> datetime:
    """Return what time it is by the clock that an answer's own times are told by: its ``Date``, else ours.

    :param headers: in any case.
    :param now: by our clock.
    """
    date = _time(headers.get("Date", ""))
    # A Date has no fractions: ours has, and is the more exact one where both say the same.
    return now if date is None or timedelta(0) <= now - date < timedelta(seconds=1) else date


def read_time(value: object, now: datetime) -> float | None:
    """Read a time. :return: seconds until then; None for what is none."""
    when = _time(value) if isinstance(value, str) else None
    return None if when is None else max(0.0, (when - now).total_seconds())


@lru_cache(maxsize=16)  # a second has one Date, and many answers
def _time(text: str) -> datetime | None:
    """Read a time: ISO 8601, or an HTTP-date in one of its three forms (RFC 9110, section 5.6.7)."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            when = parse(text.strip().removesuffix(" UTC"))
        except (ValueError, OverflowError):
            continue
        return when if when.tzinfo else when.replace(tzinfo=UTC)
    return None


def read_reset(value: object, now: datetime) -> float | None:
    """Read when a limit starts again: seconds from now, seconds since 1970, down to their billionths, or a time."""
    number = read_number(value)
    return read_time(value, now) if number is None else seconds_from_now(number, now)


def seconds_from_now(number: float, now: datetime) -> float:
    """Return how many seconds from now a number means, which may be a time."""
    if number < _EPOCH_SECONDS:
        return number
    while _EPOCH_MILLISECONDS <= number < _NO_TIME:
        number /= 1000
    return max(0.0, number - now.timestamp())


class Policy(NamedTuple):
    """One of the limits that ``RateLimit``, or ``RateLimit-Policy``, tells of; what it does not say is None.

    :param seconds: until there are more.
    :param window: seconds in which there are ``limit``.
    """

    name: str
    remaining: float | None
    seconds: float | None
    limit: float | None = None
    window: float | None = None
    unit: str = "requests"


def policies(text: str) -> Iterator[Policy]:
    """Yield what each limit says: ``"hour";r=0;t=30, "day";r=9;t=80``; nothing for what cannot be read."""
    if earlier := _EARLIER.findall(text):
        yield from _earlier_policies(earlier)
        return
    for name, parameters in _ITEM.findall(text):
        said = {parameter: found.strip('"') for parameter, found in _PARAMETER.findall(parameters)}
        remaining, seconds, limit, window = (read_number(said.get(parameter)) for parameter in "rtqw")
        yield Policy(name.strip('"'), remaining, seconds, limit, window, said.get("qu", "requests"))


def _earlier_policies(pairs: Iterable[tuple[str, str]]) -> Iterator[Policy]:
    """Yield the limits that names and numbers in their order are of: a name that comes again begins another one."""
    of_one: dict[str, float | None] = {}
    for name, number in chain(pairs, [("", "")]):
        if name in of_one or not name:
            yield Policy("", of_one.get("remaining"), of_one.get("reset"), of_one.get("limit"))
            of_one = {}
        of_one[name] = read_number(number)
