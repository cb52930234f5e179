"""The rows behind the listing, and what a query asks of them."""

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from demo.week import Reading, readings

# A page has no more of them, whatever the client asks for.
MOST_ROWS = 100


def _order(reading: Reading) -> tuple[datetime, int]:
    """Return what the listing is ordered by; no two readings have the same."""
    number, _, _, measured_at = reading
    return measured_at, number


@cache
def _week() -> list[Reading]:
    return sorted(readings(), key=_order)


@dataclass(frozen=True)
class Span:
    """The readings from one time to another, half-open, as places in the week."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def rows(self, place: int, size: int) -> list[dict[str, Any]]:
        """Return rows as JSON has them.

        :param place: of the first one, counted from the beginning of the span.
        """
        first = self.start + place
        return [
            {"id": number, "name": name, "value": value, "measured_at": measured_at.isoformat()}
            for number, name, value, measured_at in _week()[first : min(first + size, self.end)]
        ]


def parse_span(query: Mapping[str, str]) -> Span:
    """Read the span of time. :raises ValueError: when there is none."""
    start, end = (
        bisect_left(_week(), _parse_time(query, name), key=lambda reading: reading[-1]) for name in ("from", "to")
    )
    return Span(start, max(start, end))


def _parse_time(query: Mapping[str, str], name: str) -> datetime:
    text = query.get(name, "")
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name} must be a time such as 2026-03-02T00:00:00Z, and is {text!r}") from None
    if time.tzinfo is None:
        raise ValueError(f"{name} must have an offset from UTC, and is {text!r}")
    return time


def parse_number(query: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    """Read a number. :raises ValueError: when it is not one, or too small."""
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise ValueError(f"{name} must be a number, {least} or more, and is {text!r}")
    return int(text)


def encode_cursor(row: Mapping[str, Any]) -> str:
    """Make the cursor of what comes after a row. It is the API's own affair what it means."""
    return base64.urlsafe_b64encode(f"{row['measured_at']} {row['id']}".encode()).decode()


def place_after(cursor: str | None, span: Span) -> int:
    """Return the place in a span of the first row after a cursor. :raises ValueError: when it is not one."""
    if cursor is None:
        return 0
    try:
        measured_at, number = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().split()
        after = (datetime.fromisoformat(measured_at), int(number))
    except (binascii.Error, ValueError):
        raise ValueError(f"cursor is {cursor!r}, which this API did not give") from None
    return max(0, bisect_right(_week(), after, key=_order) - span.start)
