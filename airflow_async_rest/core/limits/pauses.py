"""For how long an answer asks us to wait, in the forms that APIs document. Pure."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from multidict import CIMultiDict, CIMultiDictProxy

from airflow_async_rest.core.requests.headers import joined, lines_of

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_SECONDS = re.compile(r"\s*s(?:ec(?:ond)?s?)?\s*$", re.IGNORECASE)
# Numbers below the first are seconds from now, 31 years at most; from the second on, milliseconds since 1970.
_EPOCH_SECONDS, _EPOCH_MILLISECONDS = 1e9, 1e11
_NO_TIME = 1e14  # milliseconds, of the year 5138
# An item of a list as RFC 9651 has them, with its parameters: "hour";r=0;t=30;pk=:QUJD:
_TEXT = r'"(?:[^"\\]|\\.)*"'
_VALUE = rf"(?:{_TEXT}|:[A-Za-z0-9+/=]*:|[^\s;,]+)"
_ITEM = re.compile(rf"\s*({_TEXT}|[^\s;,=\"]+)((?:\s*;\s*[a-z*][a-z0-9_.*-]*(?:\s*=\s*{_VALUE})?)*)\s*(?:,|$)")
_PARAMETER = re.compile(rf";\s*([a-z*][a-z0-9_.*-]*)\s*=\s*({_VALUE})")
# Drafts 3 to 7: limit=100, remaining=0, reset=30
_EARLIER = re.compile(r"\b(limit|remaining|reset)\s*=\s*([0-9]+)")
_BODY_BYTES = 65_536
# Where bodies say it: Google's is in error.details[], Telegram's in parameters.
_PLACES = ("error", "errors", "parameters", "details")


def requested_pause(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> float | None:
    """Find out for how many seconds an answer asks us to wait.

    Forms are asked in turn, the most exact first; what cannot be read says nothing. When a limit starts again
    counts only where it is used up, and a body only beside a 429.

    OpenAI's ``x-ratelimit-reset-requests: 6m0s`` is not read: it tells when *all* of a limit is back, not when
    the next request may come, and which of several limits refused this one is not said.

    :param headers: in any case.
    :param now: by our clock.
    :return: 0 or more; infinity for a number that is too large; None when nothing readable is said.
    """
    if not isinstance(headers, CIMultiDict | CIMultiDictProxy):
        headers = CIMultiDict(headers)
    now = now_of_api(headers, now)
    pause = _first(headers, _DELAYS, now)
    if pause is None and status in {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}:
        used_up = _is_used_up(headers)
        # A 403 is about a limit only if it says so. A 429 beside a limit that is not used up is for another one.
        if used_up or (used_up is None and status == HTTPStatus.TOO_MANY_REQUESTS):
            pause = _first(headers, _RESETS, now)
            pause = _of_policies(joined(headers, "RateLimit")) if pause is None else pause
    if pause is None and status == HTTPStatus.TOO_MANY_REQUESTS:
        pause = _of_body(body, now)
    return pause


def _first(said: Mapping[str, object], forms: "_Forms", now: datetime) -> float | None:
    for name, read in forms:
        pauses = [pause for value in lines_of(said, name) if (pause := read(value, now)) is not None]
        if pauses:  # of a gateway's and the API's the longest: who comes earlier is refused again
            return max(pauses)
    return None


def read_number(value: object) -> float | None:
    """Read a number of 0 or more, or the text of one: digits, however many, with or without a fraction."""
    if isinstance(value, float):
        return value if 0 <= value < math.inf else None
    if isinstance(value, str) and _NUMBER.fullmatch(value := value.strip()):
        return float(value)
    return None


def _seconds(value: object, _now: datetime) -> float | None:
    return read_number(value)


def _milliseconds(value: object, _now: datetime) -> float | None:
    number = read_number(value)
    return None if number is None else number / 1000


def _delay(value: object, now: datetime) -> float | None:
    """Read seconds, or the time when they are over."""
    number = read_number(value)
    return _until(value, now) if number is None else number


def _retry_after(value: object, now: datetime) -> float | None:
    """Read a ``Retry-After``, also where it came twice (``120, 120``), has a unit, or is a time since 1970."""
    parts = value.split(",") if isinstance(value, str) else []
    numbers = [read_number(_SECONDS.sub("", part)) for part in parts]
    pauses = [number for number in numbers if number is not None]
    if not pauses or len(pauses) < len(parts):
        return _until(value, now)
    longest = max(pauses)
    return read_reset(str(longest), now) if _EPOCH_SECONDS <= longest < _NO_TIME else longest


def now_of_api(headers: Mapping[str, str], now: datetime) -> datetime:
    """Return what time it is by the clock that an answer's own times are told by: its ``Date``, else ours.

    :param headers: in any case.
    :param now: by our clock.
    """
    date = _time(headers.get("Date", ""))
    # A Date has no fractions: ours has, and is the more exact one where both say the same.
    return now if date is None or timedelta(0) <= now - date < timedelta(seconds=1) else date


def _until(value: object, now: datetime) -> float | None:
    when = _time(value) if isinstance(value, str) else None
    return None if when is None else max(0.0, (when - now).total_seconds())


@lru_cache(maxsize=16)  # a second has one Date, and many answers
def _time(text: str) -> datetime | None:
    """Read a time: ISO 8601, or an HTTP-date in one of its three forms (RFC 9110, section 5.6.7)."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            when = parse(text.strip())
        except (ValueError, OverflowError):
            continue
        return when if when.tzinfo else when.replace(tzinfo=UTC)
    return None


def read_reset(value: object, now: datetime) -> float | None:
    """Read when a limit starts again: seconds from now, seconds or milliseconds since 1970, or a time."""
    number = read_number(value)
    if number is None or number < _EPOCH_SECONDS:
        return _delay(value, now)
    since_1970 = number if number < _EPOCH_MILLISECONDS else number / 1000
    return max(0.0, since_1970 - now.timestamp())


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
    if earlier := dict(_EARLIER.findall(text)):
        remaining, seconds, limit = (read_number(earlier.get(name)) for name in ("remaining", "reset", "limit"))
        yield Policy("", remaining, seconds, limit)
        return
    for name, parameters in _ITEM.findall(text):
        said = {parameter: found.strip('"') for parameter, found in _PARAMETER.findall(parameters)}
        remaining, seconds, limit, window = (read_number(said.get(parameter)) for parameter in "rtqw")
        yield Policy(name.strip('"'), remaining, seconds, limit, window, said.get("qu", "requests"))


def _of_policies(value: str) -> float | None:
    """Read the pause for the limit that is used up most; of several alike, for the one that lasts longest."""
    told = [(one.remaining, one.seconds) for one in policies(value)]
    found = [(remaining, seconds) for remaining, seconds in told if remaining is not None and seconds is not None]
    least = min((remaining for remaining, _ in found), default=None)
    return max((seconds for remaining, seconds in found if remaining == least), default=None)


def _is_used_up(headers: Mapping[str, str]) -> bool | None:
    """Return whether nothing remains of a limit; None when that is not said."""
    names = ("X-RateLimit-Remaining", "X-Rate-Limit-Remaining", "RateLimit-Remaining")
    lines = [line for name in names for line in lines_of(headers, name)]
    said = [number for line in lines if (number := read_number(line)) is not None]
    if 0 in said or any(one.remaining == 0 for one in policies(joined(headers, "RateLimit"))):
        return True
    return False if said else None


def _of_body(body: bytes, now: datetime) -> float | None:
    if len(body) >= _BODY_BYTES:
        return None
    try:
        # Whole numbers stay text: Python refuses to convert very long ones. NaN and Infinity are no numbers of JSON.
        places = [json.loads(body, parse_int=str, parse_constant=str)]
    except (ValueError, RecursionError):
        return None
    for place in places:  # grows meanwhile, at most to what the body has
        if isinstance(place, list):
            places += place
        elif isinstance(place, dict):
            if (pause := _first(place, _FIELDS, now)) is not None:
                return pause
            places += [place[name] for name in _PLACES if name in place]
    return None


def _duration(value: object, now: datetime) -> float | None:
    """Read a duration as Protocol Buffers write it in JSON (``3.5s``), or a delay."""
    return _delay(value.strip().removesuffix("s") if isinstance(value, str) else value, now)


_Forms = tuple[tuple[str, Callable[[object, datetime], float | None]], ...]
_DELAYS: _Forms = (
    ("retry-after-ms", _milliseconds),
    ("x-ms-retry-after-ms", _milliseconds),
    ("Retry-After", _retry_after),
)
_RESETS: _Forms = (
    ("X-RateLimit-Reset-After", _seconds),
    ("X-RateLimit-Reset", read_reset),
    ("X-Rate-Limit-Reset", read_reset),
    ("RateLimit-Reset", read_reset),
)
_FIELDS: _Forms = (
    ("retry_after_ms", _milliseconds),
    ("retryAfterMs", _milliseconds),
    ("retry_after", _delay),
    ("retryAfter", _delay),
    ("retryDelay", _duration),
)
