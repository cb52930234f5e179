"""What the demo delivers: a week of made-up sensor readings, always the same."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

_SEED = 20_260_302
_MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = [_MONDAY + timedelta(days=number) for number in range(7)]

# The handful that the API refuses for good: two of Tuesday's, one of Thursday's, three of Saturday's.
REFUSED_IDS = frozenset({3_000, 4_321, 8_192, 13_000, 13_001, 13_579})

TABLE = """
CREATE TABLE sensors (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    value numeric NOT NULL,
    measured_at timestamptz NOT NULL
)
"""

Reading = tuple[int, str, float, datetime]


def readings() -> Iterator[Reading]:
    """Make 2,000 to 3,000 readings a day; the first of a day is at midnight sharp, on the bound of two windows."""
    random = Random(_SEED)
    number = 0
    for day in DAYS:
        count = 2_000 + int(random.random() * 1_001)
        for place in range(count):
            number += 1
            name = f"sensor-{int(random.random() * 50):02}"
            yield number, name, round(15 + 10 * random.random(), 2), day + place * timedelta(days=1) / count
