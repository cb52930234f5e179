"""For how long an answer asks us to wait, in the forms that APIs document. Pure."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus

from multidict import CIMultiDict, CIMultiDictProxy

from airflow_async_rest.core.limits.header_values import (
    now_of_api,
    read_delay,
    read_number,
    read_reset,
    read_time,
    seconds_from_now,
)
from airflow_async_rest.core.limits.quotas import COMMON, QuotaHeaders, lines_of_family, policies_of
from airflow_async_rest.core.requests.headers import lines_of

_SECONDS = re.compile(r"\s*s(?:ec(?:ond)?s?)?\s*$", re.IGNORECASE)
# Refusals that may be about a limit. Of others, when it starts again says nothing of when to come back.
_OF_LIMITS = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_BODY_BYTES = 65_536
# Where bodies say it: Google's is in error.details[], Telegram's in parameters, GraphQL's in errors[].extensions.
_PLACES = ("error", "errors", "parameters", "details", "extensions")


def requested_pause(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    families: tuple[QuotaHeaders, ...] = COMMON,
) -> float | None:
    """Find out for how many seconds an answer asks us to wait.

    Forms are asked in turn, the most exact first; what cannot be read says nothing. When a limit starts again
    counts only where it is used up, and a body only beside a 429.

    OpenAI's ``x-ratelimit-reset-requests: 6m0s`` is not read: it tells when *all* of a limit is back, not when
    the next request may come, and which of several limits refused this one is not said.

    :param headers: in any case.
    :param now: by our clock.
    :param families: of headers in which the API may tell of its limit, beside the common ones.
    :return: 0 or more; infinity for a number that is too large; None when nothing readable is said.
    """
    if not isinstance(headers, CIMultiDict | CIMultiDictProxy):
        headers = CIMultiDict(headers)
    now = now_of_api(headers, now)
    pause = _first(headers, _DELAYS, now)
    if not pause and status in _OF_LIMITS:
        pause = _longer(pause, _of_limits(status, headers, now, families))
    if not pause and status == HTTPStatus.TOO_MANY_REQUESTS:
        pause = _longer(pause, _of_body(body, now))
    return pause


def _longer(one: float | None, other: float | None) -> float | None:
    """Return the longer of two pauses: some say "now" in one form, and when in another."""
    return other if one is None else max(one, other or 0.0)


def _first(said: Mapping[str, object], forms: "_Forms", now: datetime) -> float | None:
    """Read the first form that says more than "now"."""
    found = None
    for name, read in forms:
        pauses = [pause for value in lines_of(said, name) if (pause := read(value, now)) is not None]
        if pauses:  # of a gateway's and the API's the longest: who comes earlier is refused again
            found = max(pauses)
        if found:
            break
    return found


def _seconds(value: object, _now: datetime) -> float | None:
    return read_number(value)


def _milliseconds(value: object, _now: datetime) -> float | None:
    number = read_number(value)
    return None if number is None else number / 1000


def _retry_after(value: object, now: datetime) -> float | None:
    """Read a ``Retry-After``, also where it came twice (``120, 120``), has a unit, or is a time since 1970."""
    parts = value.split(",") if isinstance(value, str) else []
    numbers = [read_number(_SECONDS.sub("", part)) for part in parts]
    pauses = [number for number in numbers if number is not None]
    if not pauses or len(pauses) < len(parts):
        return read_time(value, now)
    return seconds_from_now(max(pauses), now)


def _of_limits(
    status: int, headers: Mapping[str, str], now: datetime, families: tuple[QuotaHeaders, ...]
) -> float | None:
    """Read when the limit starts again that is used up: of several, the one that lasts longest."""
    told = [
        (None if remaining is None else read_number(remaining), None if reset is None else read_reset(reset, now))
        for names in {*COMMON, *families}
        for remaining, reset, _ in lines_of_family(headers, names)
    ]
    said = [remaining for remaining, _ in told if remaining is not None]
    of_policies = [(one.remaining, one.seconds) for one in policies_of(headers)]
    is_used_up = 0 in said or any(remaining == 0 for remaining, _ in of_policies)
    # Other statuses are about a limit only if they say so. A 429 beside one that is not used up is for another one.
    if not is_used_up and (said or status != HTTPStatus.TOO_MANY_REQUESTS):
        return None
    if (pause := _first(headers, _RESETS, now)) is not None:
        return pause
    for remaining in (0, None):  # where its own reset is not said, the one that no limit is said beside
        if pauses := [seconds for left, seconds in told if left == remaining and seconds is not None]:
            return max(pauses)
    known = [
        (remaining, seconds) for remaining, seconds in of_policies if remaining is not None and seconds is not None
    ]
    least = min((remaining for remaining, _ in known), default=None)
    return max((seconds for remaining, seconds in known if remaining == least), default=None)


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
    return read_delay(value.strip().removesuffix("s") if isinstance(value, str) else value, now)


_Forms = tuple[tuple[str, Callable[[object, datetime], float | None]], ...]
_DELAYS: _Forms = (
    ("retry-after-ms", _milliseconds),
    ("x-ms-retry-after-ms", _milliseconds),
    ("Retry-After", _retry_after),
)
_RESETS: _Forms = (("X-RateLimit-Reset-After", _seconds),)
_FIELDS: _Forms = (
    ("retry_after_ms", _milliseconds),
    ("retryAfterMs", _milliseconds),
    ("retry_after", read_delay),
    ("retryAfter", read_delay),
    ("retryDelay", _duration),
)
