"""What the demo's API allows, when it fails, and the books that it keeps."""

import hashlib
import json
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from demo.week import REFUSED_IDS

FAULTS = ("error", "reset", "lost answer", "slow")
_FIELDS = {"id": {int}, "name": {str}, "value": {int, float}, "measured_at": {str}}
# A request that has failed twice comes through: an API that recovers.
_FAULTY_ATTEMPTS = 2


@dataclass(frozen=True)
class Settings:
    """How the API behaves.

    :param requests_per_second: in any sliding second, to what is stored; more are answered with 429.
    :param listing_per_second: the same for pages of the listing, counted by themselves.
    :param inventory_per_second: the same for parts of the inventory, counted by themselves.
    :param refused_ids: answered with 422, until ``POST /_accept``.
    :param fault_share: of the requests: a 500, a reset connection, an answer that is lost, a slow answer.
    :param bulk_fault_share: of the bulk requests, of which there are few: these, and some items that are not stored.
    :param read_fault_share: of the pages and parts that are read: a 500, a reset connection.
    :param most_lines: of a bulk request; more are answered with 413.
    :param slow_seconds: how slow.
    :param inventory_seconds: what every answer of the inventory takes.
    """

    requests_per_second: int = 500
    listing_per_second: int = 200
    inventory_per_second: int = 100
    refused_ids: frozenset[int] = REFUSED_IDS
    fault_share: float = 0.04
    bulk_fault_share: float = 0.3
    read_fault_share: float = 0.1
    most_lines: int = 1000
    slow_seconds: float = 0.3
    inventory_seconds: float = 0.2


class SlidingSecond:
    """Counts requests of the last second."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._admitted: deque[float] = deque()
        self.over_limit = 0
        self.busiest = 0

    def admit(self, now: float) -> bool:
        """Count a request; tell whether it is within the limit."""
        while self._admitted and self._admitted[0] <= now - 1:
            self._admitted.popleft()
        self.busiest = max(self.busiest, len(self._admitted) + 1)
        if len(self._admitted) >= self._limit:
            self.over_limit += 1
            return False
        self._admitted.append(now)
        return True


class Rules:
    """What holds for every request that stores, whichever collection it is for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.second = SlidingSecond(settings.requests_per_second)
        self._accepts_all = False

    def admit(self) -> bool:
        """Count a request; tell whether it is within the limit."""
        return self.second.admit(time.monotonic())

    def refusal(self, number: int) -> str | None:
        """Say why a reading is refused; None: it is not."""
        if number in self.settings.refused_ids and not self._accepts_all:
            return f"reading {number} is of a sensor that was withdrawn"
        return None

    def accept_all(self) -> None:
        """Refuse nothing from now on."""
        self._accepts_all = True


class Books:
    """What a collection has stored and refused, and what was counted about its requests."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.readings: dict[int, Mapping[str, Any]] = {}
        self.times_stored: Counter[int] = Counter()
        self.refused: set[int] = set()

    def store(self, reading: Mapping[str, Any]) -> None:
        """Store a reading, once more if it is there already."""
        self.readings[reading["id"]] = reading
        self.times_stored[reading["id"]] += 1

    def stats(self) -> dict[str, int]:
        """Return the counts that all collections have."""
        return {
            "requests": self.counts["requests"],
            "bad_requests": self.counts["bad requests"],
            "stored": len(self.times_stored),
            "repeats": self.counts["repeats"],
            "refused": len(self.refused),
        }

    def ids(self) -> dict[str, Any]:
        """Return the ids: how often each was stored, and which were refused."""
        return {"times_stored": self.times_stored, "refused": sorted(self.refused)}


def parse_reading(body: bytes, number: int | None = None) -> dict[str, Any]:
    """Read a reading.

    :param number: its id, where the path names it.
    :raises ValueError: when it is not one, or another one.
    """
    try:
        reading = json.loads(body)
    except ValueError:
        raise ValueError("the body is not valid JSON") from None
    if not isinstance(reading, dict) or reading.keys() != _FIELDS.keys():
        raise ValueError(f"the body must be an object with the fields {', '.join(_FIELDS)}")
    wrong = [name for name, kinds in _FIELDS.items() if type(reading[name]) not in kinds]
    if wrong:
        raise ValueError(f"{wrong[0]} is of a wrong type")
    if number not in (None, reading["id"]):
        raise ValueError(f"the id in the body is {reading['id']}, in the path {number}")
    return reading


def fault_of(what: object, attempt: int, share: float, faults: tuple[str, ...] = FAULTS) -> str | None:
    """Decide by a hash whether a request fails and how: the same on every day and machine."""
    if attempt > _FAULTY_ATTEMPTS:
        return None
    drawn = int.from_bytes(hashlib.blake2b(f"{what}:{attempt}".encode(), digest_size=4).digest()) / 2**32
    return faults[int(drawn / share * len(faults))] if drawn < share else None
