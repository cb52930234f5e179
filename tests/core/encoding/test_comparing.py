"""Which keys are one key."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

from tables import every_row

from airflow_async_rest.core.encoding.comparing import comparable, same_key
from airflow_async_rest.core.encoding.json_encoder import stable_bytes
from airflow_async_rest.core.letters.lines import parse_exactly

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ONE = [1, 1.0, Decimal(1), Decimal("1.0"), Decimal("1.00"), Decimal("1E0"), Decimal("0.1E+1")]


def keys_of(values):
    """What a row has, and what its dead letter has after it was read again."""
    for value in values:
        identity = stable_bytes(value if isinstance(value, list) else [value])
        yield same_key(identity)
        yield same_key(stable_bytes(parse_exactly(identity)))


@every_row(
    "values",
    [
        ONE,
        [0, -0.0, Decimal("0.00"), Decimal("0E-9"), Decimal("-0")],
        [-7, Decimal("-7.0")],
        [100, Decimal("1E+2"), 1e2],
        [10**30, Decimal(10**30), Decimal("1E+30")],
        [NOON, NOON.astimezone(timezone(timedelta(hours=2))), NOON.astimezone(timezone(timedelta(hours=-5, minutes=-30)))],
        [NOON.replace(tzinfo=None), NOON],
        [["a", 1], ["a", Decimal("1.0")]],
        [[NOON, 2], [NOON.astimezone(timezone(timedelta(hours=9))), Decimal("2.000")]],
        [UUID(int=5), str(UUID(int=5))],
        ["abc"],
        ["2026 is no date"],
        ["1"],
        [datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))],
        [Decimal("1E+999999999")],
    ],
)  # fmt: skip
def test_equal_keys_are_one(values):
    assert len({*keys_of(values)}) == 1


def test_others_are_not():
    different = [
        1, "1", True, 0, False, "a", "A", 1.5, Decimal("1.50000000000000000001"), 10**20, 10**20 + 1, "1.0", "", "true",
        NOON, NOON + timedelta(microseconds=1), NOON.isoformat()[:10], "2026-01-01T12:00:00", ["1", 1], ["1", 2], ["a", "b"],
        'say "a"', "2026-01-01T12:00:00.0000001Z",
    ]  # fmt: skip
    assert len({*keys_of(different)}) == len(different)


def test_equal_json_is_equal():
    assert comparable([1, {"a": [True], "b": 2}]) == comparable([1.0, {"b": Decimal("2.0"), "a": [True]}])
    assert len({comparable(value) for value in (0, False, [], {}, "", None, [0], [False])}) == 8
