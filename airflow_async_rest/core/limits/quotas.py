"""What an answer tells of the API's limit before it is used up: how many requests remain, and until when."""

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, NamedTuple

from airflow_async_rest.core.limits.header_values import Policy, now_of_api, policies, read_number, read_reset
from airflow_async_rest.core.limits.limiter import Limiter
from airflow_async_rest.core.requests.headers import joined, lines_of

_LONGEST_SECONDS = 32 * 86_400.0  # a month; what is longer is no time
# As long as more than this share of a limit remains, nobody is slowed down: a short job is over before.
_AMPLE = 0.5
# How late a reset may be, which is told in rounded numbers; and what the last requests before it keep away from it.
_MARGIN_SECONDS = 0.01
# Of what remains, requests in flight may have been counted already, or not.
_LEAST_LEFT = 0.25


class QuotaHeaders(NamedTuple):
    """The names of the headers in which an API tells of its limit.

    :param limit: the whole of it; None where it is not told.
    """

    remaining: str
    reset: str
    limit: str | None = None


COMMON = (
    QuotaHeaders("X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-Limit"),
    QuotaHeaders("X-Rate-Limit-Remaining", "X-Rate-Limit-Reset", "X-Rate-Limit-Limit"),
    QuotaHeaders("RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Limit"),
)


class Quota(NamedTuple):
    """What remains of a limit: requests, for so many seconds. The whole of it is None where it is not told."""

    remaining: float
    seconds: float
    limit: float | None = None

    @property
    def makes_sense(self) -> bool:
        """Whether it can be kept to."""
        fits = self.limit is None or (self.limit >= 1 and self.remaining <= self.limit)
        return fits and 0 <= self.remaining < math.inf and 0 <= self.seconds <= _LONGEST_SECONDS

    def interval(self, in_flight: int) -> float:
        """Return how many seconds apart requests spread what remains over the time; 0 while there is plenty.

        :param in_flight: requests that may still be counted.
        """
        left = max(1, self.remaining * _LEAST_LEFT, self.remaining - in_flight)
        return 0.0 if self.limit is not None and left > self.limit * _AMPLE else self.seconds / left


_NO_SENSE = Quota(-1, -1)


def iter_quotas(headers: Mapping[str, str], families: tuple[QuotaHeaders, ...], now: datetime) -> Iterator[Quota]:
    """Yield what an answer tells, of one or several limits; some of it may make no sense.

    ``RateLimit`` with ``RateLimit-Policy`` is read as the 11th draft of the IETF has them, and as earlier ones had.

    :param headers: in any case.
    :param now: by our clock.
    """
    now = now_of_api(headers, now)
    for policy in policies_of(headers):
        if policy.unit != "requests":
            continue
        if policy.remaining is None or policy.seconds is None:
            yield _NO_SENSE
        else:
            yield Quota(policy.remaining, policy.seconds, policy.limit)
    yield from _of_families(headers, families, now)


def policies_of(headers: Mapping[str, str]) -> Iterator[Policy]:
    """Yield what ``RateLimit`` says of each limit, with what ``RateLimit-Policy`` does.

    Where the time is not said, the window of the policy bounds it.
    """
    if "RateLimit" not in headers:
        return
    wholes = {policy.name: policy for policy in policies(joined(headers, "RateLimit-Policy"))}
    for policy in policies(joined(headers, "RateLimit")):
        whole = wholes.get(policy.name, policy)
        seconds = whole.window if policy.seconds is None else policy.seconds
        unit = policy.unit if whole.unit == "requests" else whole.unit
        yield policy._replace(seconds=seconds, limit=whole.limit, unit=unit)


def lines_of_family(headers: Mapping[str, str], names: QuotaHeaders) -> Iterator[tuple[str | None, ...]]:
    """Yield what remains of each limit that an answer tells of, when it starts again, and the whole of it.

    In several lines, each is of one limit: a gateway's, and the API's behind it. Where they do not pair, the last
    reset counts for all that is left, and the last that remains for all resets: one of them may be told once for all.
    """
    remaining, resets = _values(headers, names.remaining), _values(headers, names.reset)
    count = max(len(remaining), len(resets))
    remaining, resets = [one + one[-1:] * (count - len(one)) for one in (remaining, resets)]
    limits = _values(headers, names.limit)[:count] if names.limit else []
    yield from zip_longest(remaining, resets, limits)


def _values(headers: Mapping[str, str], name: str) -> list[str]:
    """Return the values of a header's lines; a gateway may have put numbers of several lines into one."""
    values: list[str] = []
    for line in lines_of(headers, name):
        parts = line.split(", ")
        values += [line] if None in map(read_number, parts) else parts
    return values


def _of_families(headers: Mapping[str, str], families: tuple[QuotaHeaders, ...], now: datetime) -> Iterator[Quota]:
    for names in families:
        for remaining, ends, limit in lines_of_family(headers, names):
            if remaining is not None and ends is not None:
                yield _of_headers(remaining, ends, limit, now)


def _of_headers(remaining: str, ends: str, limit: str | None, now: datetime) -> Quota:
    left, seconds = read_number(remaining), read_reset(ends, now)
    # Of "100, 100;w=60" the first number is the limit.
    whole = None if limit is None else read_number(limit.partition(",")[0].partition(";")[0])
    if left is None or seconds is None or (limit is not None and whole is None):
        return _NO_SENSE
    return Quota(left, seconds, whole)


class ToldLimit:
    """Slows a job down to what its API tells remains, before it refuses anything.

    :param in_flight: gives how many requests are.
    :param families: of headers to look for.
    :param longest_seconds: what would hold requests back for longer is left to the API: its refusal ends the try.
    :param say: logs what somebody should know.
    :ivar names: of headers, one of which an answer has that tells something.
    """

    def __init__(
        self,
        limiter: Limiter,
        in_flight: Callable[[], int],
        *,
        families: tuple[QuotaHeaders, ...] = COMMON,
        longest_seconds: float,
        say: Callable[..., None],
    ) -> None:
        self._limiter, self._in_flight, self._families = limiter, in_flight, families
        self._longest_seconds, self._say = longest_seconds, say
        self.names = ("RateLimit", *(names.remaining for names in families))
        self._has_said: set[str] = set()

    def heed(self, headers: Mapping[str, str]) -> None:
        """Slow down, or pause, as an answer's headers ask for."""
        told = list(iter_quotas(headers, self._families, datetime.now(UTC)))
        quotas = [quota._replace(seconds=quota.seconds + _MARGIN_SECONDS) for quota in told if quota.makes_sense]
        if len(quotas) < len(told):
            self._say_once("The API tells of a limit in a way that makes no sense, which is ignored. (Logged once.)")
        if not quotas:
            return
        if (pause := max((quota.seconds for quota in quotas if not quota.remaining), default=0)) > 0:
            if pause <= self._longest_seconds and self._limiter.pause(pause):
                text = "The API tells that nothing remains of its limit for %.0f s: all requests wait. (Logged once.)"
                self._say_once(text, pause)
            return
        in_flight = self._in_flight()
        paces = [(quota.interval(in_flight), quota.seconds, quota.remaining) for quota in quotas]
        interval, seconds, remaining = max(paces)
        if interval > self._longest_seconds:
            return
        if self._limiter.slow_down(interval, seconds):
            text = "The API tells that %.0f requests remain for %.0f s: they are spread over that time. (Logged once.)"
            self._say_once(text, remaining, seconds)

    def _say_once(self, text: str, *values: Any) -> None:
        if text not in self._has_said:
            self._has_said.add(text)
            self._say(text, *values)
