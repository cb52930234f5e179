"""The seam to where a shared limit is kept, by whose clock it goes."""

import json
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import NamedTuple, Protocol

from airflow_async_rest.core.limits.limits import Limits

# Days are counted in quarters of an hour: every zone of today begins its days at one, and any 24 hours are at most a
# quarter more. Of one that is begun all counts, so that there are never more than the limit.
QUARTER_SECONDS = 900
QUARTERS_A_DAY = 96
# Who has a stricter limit for the same key, or a slower pace, is remembered for so long after it was last said.
CLAIM_SECONDS = 60.0
# Who has many requests waiting gets no more places at once than who has the fewest, who is remembered for a moment: so
# all tasks get equal shares. Where all have many, they get many at once, which costs the least. Where no place of
# anybody's is still to come, nobody is held back for others.
ALWAYS_PLACES, FEWEST_SECONDS = 5, 0.5
# How far the places may lag behind the clock, which makes up for the way to the store.
LAG_SECONDS = 0.005


class Grant(NamedTuple):
    """Places in time, and what else whoever takes them should know.

    :param places: how many; 0 when a day's limit is used up.
    :param wait_seconds: from the store's answer to the first of them; below 0 where it is over. Without a place: until
        one more of the day may be free.
    :param interval: seconds from one place to the next.
    :param counted: how many the day's limits have been charged with.
    :param pause_seconds: how long everybody pauses still.
    :param granted: how many places all have taken, since the store remembers.
    :param began: since when it does, by its clock; another moment: it has forgotten what it handed out.
    :param now: when it answered, by its clock; 0 where it does not say.
    """

    places: int
    wait_seconds: float
    interval: float
    counted: int
    pause_seconds: float
    granted: int
    began: float = 0.0
    now: float = 0.0


class Slow(NamedTuple):
    """A slower pace that the API tells: seconds from one request to the next, and for how many seconds."""

    interval: float
    seconds: float


AS_BEFORE = Slow(0.0, -1.0)  # what was told before counts


class LimitStore(Protocol):
    """Hands out places in time, one after the other, to all who ask with the same key. One atomic step each.

    :ivar block_seconds: how much of the limit this task takes at once, at most; one place in any case.
    """

    block_seconds: float

    async def open(self, on_pause: Callable[[float], None]) -> None:
        """Connect, and make what is missing there.

        :param on_pause: called with the seconds when another task asks everybody to pause, where the store can tell.
        :raises ConfigurationError: when it will never work like this; says what to do.
        :raises StoreAwayError: when it does not answer.
        """

    async def take(self, places: int, counted: int, slow: Slow = AS_BEFORE) -> Grant:
        """Take the next places; none to ask whether the store is there.

        :param places: at most so many.
        :param counted: what to charge the day's limits with, where they have as much; below 0 gives back.
        :param slow: keep everybody to this pace; with an interval of 0, to no slower one than the limit's.
        :raises StoreAwayError: when it does not answer.
        """

    async def pause(self, seconds: float) -> None:
        """Hold everybody back for this long from now. :raises StoreAwayError: when it does not answer."""

    async def close(self) -> None:
        """Disconnect."""


class Asked(NamedTuple):
    """A limit, as a store is told it with each question.

    :param interval: seconds from one place to the next; 0 where nothing is paced.
    :param days: the limits that are counted, as JSON.
    """

    interval: float
    days: str


@lru_cache(maxsize=16)
def asked(limits: Limits, today: date) -> Asked:
    """Return what a store is told. The days' bounds are told, not chosen: the store knows what time it is.

    :param today: in UTC, give or take a day.
    """
    pace = limits.pace
    days = [{"requests": day.requests, "starts": day.starts(today)} for day in limits.days]
    return Asked(pace.interval if pace else 0.0, json.dumps(days))
