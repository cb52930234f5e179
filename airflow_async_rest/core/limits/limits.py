"""The limits that an author writes: "100/s", "10000/d UTC", or several of them. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from airflow_async_rest.core.errors import ConfigurationError

# Pacing at exactly the limit lets timer jitter put one too many into a sliding second (measured: 202 of 200).
PACE = 0.98
# Of the time that the pace leaves, how much a place may be late: the rest is for what comes between it and the request.
_LATE = 0.6
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_LIMIT = re.compile(r"\s*([0-9]{1,9})\s*/\s*(?:([smh])|d(?:\s+([A-Za-z][A-Za-z0-9_+/-]*))?)\s*")
_MOST_LIMITS = 8
# A day's clock may be wrong by as much, and still the day is the right one: the store says when now is.
_DAYS_AROUND = 2


class Rate(NamedTuple):
    """So many requests in any period of so many seconds, up to an hour: paced."""

    requests: int
    seconds: float

    @property
    def interval(self) -> float:
        """Seconds from one request to the next."""
        return self.seconds / (self.requests * PACE)


class Day(NamedTuple):
    """So many requests a day: counted.

    :param zone: in which a day is one of the calendar; None: any 24 hours.
    """

    requests: int
    zone: str | None = None

    def starts(self, today: date) -> list[float]:
        """Return when the days around today begin, in seconds since 1970; none where any 24 hours are one."""
        if self.zone is None:
            return []
        days = [today + timedelta(days=count) for count in range(-_DAYS_AROUND, _DAYS_AROUND + 2)]
        return [datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.zone)).timestamp() for day in days]


@dataclass(frozen=True)
class Limits:
    """Limits that hold together.

    :param rates: those that are paced.
    :param days: those that are counted.
    """

    rates: tuple[Rate, ...] = ()
    days: tuple[Day, ...] = ()

    @property
    def pace(self) -> Rate | None:
        """The strictest one of those that are paced: who keeps to it evenly keeps to all."""
        return max(self.rates, key=lambda rate: rate.interval, default=None)

    @property
    def latest_seconds(self) -> float:
        """How late a request may go out at its pace so that no period, wherever it begins, has too many."""
        pace = self.pace
        return min(rate.requests * pace.interval - rate.seconds for rate in self.rates) * _LATE if pace else 0.0

    def __bool__(self) -> bool:
        return bool(self.rates or self.days)


def parse_limits(value: Any, name: str = "rate_limit") -> Limits:
    """Read ``"100/s"``, ``"10/s, 10000/d UTC"``, or a list of such limits; None is none.

    :param name: of the argument, or of the connection's field.
    :raises ConfigurationError: when it is anything else.
    """
    if value is None:
        return Limits()
    texts: Sequence[Any] = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not 1 <= len(texts) <= _MOST_LIMITS:
        raise _wrong(name, value)
    found = [_parse(text, name, value) for text in texts]
    rates = tuple(limit for limit in found if isinstance(limit, Rate))
    return Limits(rates, tuple(limit for limit in found if isinstance(limit, Day)))


def _parse(text: Any, name: str, value: Any) -> Rate | Day:
    match = _LIMIT.fullmatch(text) if isinstance(text, str) else None
    if match is None or int(match[1]) == 0:
        raise _wrong(name, value)
    if match[2]:
        return Rate(int(match[1]), _UNITS[match[2]])
    if match[3]:
        _check_zone(match[3], name, value)
    return Day(int(match[1]), match[3])


def _check_zone(zone: str, name: str, value: Any) -> None:
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, LookupError):  # OSError: "Europe" is a folder of zones
        raise ConfigurationError(
            f"{name}={value!r}: {zone!r} is no time zone; write a name such as 'UTC' or 'Europe/Prague', or none for "
            "any 24 hours."
        ) from None


def _wrong(name: str, value: Any) -> ConfigurationError:
    return ConfigurationError(
        f"{name}={value!r}: write a number of requests and a unit, such as '100/s', '6000/m' or '10000/h', or None for "
        "no limit; several in a list. A day's, '10000/d UTC', is kept in a store (rate_limit_conn_id)."
    )
