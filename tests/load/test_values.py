"""What a driver is given for a column, of the values that answers and items have."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import types
from sqlalchemy.dialects import oracle, postgresql, sqlite

from airflow_async_rest.databases.dialects.registry import dialect_named
from airflow_async_rest.databases.values.column_values import json_text, naive_utc, text_of
from airflow_async_rest.databases.values.columns import Kind

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
NAIVE = NOON.replace(tzinfo=None)
PRAGUE = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        (types.BigInteger(), Kind.INTEGER),
        (types.Numeric(30, 2), Kind.NUMBER),
        (types.Double(), Kind.NUMBER),
        (types.Text(), Kind.TEXT),
        (types.Boolean(), Kind.BOOLEAN),
        (types.Date(), Kind.DATE),
        (types.Time(), Kind.OTHER),
        (types.NullType(), Kind.OTHER),
        (postgresql.TIMESTAMP(timezone=True), Kind.AWARE_TIME),
        (postgresql.TIMESTAMP(), Kind.NAIVE_TIME),
        (postgresql.JSONB(), Kind.JSON),
        (postgresql.ARRAY(types.Text()), Kind.TEXT_ARRAY),
        (postgresql.ARRAY(types.Integer()), Kind.ARRAY),
        (postgresql.ARRAY(postgresql.TIMESTAMP()), Kind.TIME_ARRAY),
        (postgresql.ARRAY(postgresql.JSONB()), Kind.JSON_ARRAY),
        (postgresql.ARRAY(types.Date()), Kind.TIME_ARRAY),
        (postgresql.ARRAY(postgresql.TIME()), Kind.TIME_OF_DAY_ARRAY),
        (postgresql.ARRAY(postgresql.TIME(timezone=True)), Kind.ZONED_TIME_OF_DAY_ARRAY),
        (postgresql.DOMAIN("d", postgresql.TIME(timezone=True)), Kind.ZONED_TIME_OF_DAY),
        (postgresql.TSRANGE(), Kind.NAIVE_RANGE),
        (postgresql.BYTEA(), Kind.BINARY),
        (postgresql.UUID(), Kind.OTHER),
        (postgresql.INTERVAL(), Kind.OTHER),
        (postgresql.ENUM("a", name="e"), Kind.TEXT),
        (postgresql.DOMAIN("d", postgresql.JSONB()), Kind.JSON),
        (postgresql.DOMAIN("d", postgresql.DOMAIN("e", postgresql.TIMESTAMP())), Kind.NAIVE_TIME),
        (oracle.DATE(), Kind.NAIVE_TIME),
        (oracle.TIMESTAMP(timezone=True), Kind.AWARE_TIME),
        (oracle.TIMESTAMP(local_timezone=True), Kind.NAIVE_TIME),
        (oracle.NUMBER(38), Kind.INTEGER),  # by SQLAlchemy, whatever its scale
        (oracle.NUMBER(), Kind.INTEGER),
        (oracle.BINARY_DOUBLE(), Kind.NUMBER),
        (oracle.CLOB(), Kind.TEXT),
        (oracle.RAW(2), Kind.BINARY),
        (sqlite.JSON(), Kind.JSON),
    ],
    ids=repr,
)
def test_what_matters_of_a_columns_type(type_, kind):
    database = type(type_).__module__.split(".")[2]
    assert dialect_named(database).kind_of(type_) is kind


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-07-01T14:00:00+02:00", NAIVE),
        (" 2026-07-01T12:00:00Z ", NAIVE),
        (NOON.astimezone(PRAGUE), NAIVE),
        ("2026-07-01T12:00:00", NAIVE),
        (NAIVE, NAIVE),
        ("2026-07-01", "2026-07-01"),  # no time, and so no zone
        (date(2026, 7, 1), date(2026, 7, 1)),
        ("yesterday", "yesterday"),
        ("", ""),
        (5, 5),
    ],
)
def test_a_time_with_an_offset_is_written_in_utc_where_a_column_has_no_offset(value, expected):
    assert naive_utc(value) == expected
    assert type(naive_utc(value)) is type(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (2**70, str(2**70)),
        (Decimal("0.10"), "0.10"),
        ("a\tb", "a\tb"),
        (NOON, "2026-07-01T12:00:00+00:00"),
        (date(2026, 7, 1), "2026-07-01"),
        (time(12, 30), "12:30:00"),
        (timedelta(days=1, seconds=2), "P1DT2S"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ([], "[]"),
        (b"\x00\xff", "00ff"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
    ids=repr,
)
def test_a_value_as_text(value, text):
    assert text_of(value) == text


def test_json_keeps_all_digits():
    assert (
        json_text({"a": Decimal("0.12345678901234567890"), "b": 2**70}) == f'{{"a":0.12345678901234567890,"b":{2**70}}}'
    )


# dialect -> kind -> value -> what is bound
BOUND = {
    "sqlite": {
        Kind.JSON: [({"a": 1}, '{"a":1}'), ("a", '"a"'), (None, None), (False, "false")],
        Kind.NAIVE_TIME: [("2026-07-01T14:00:00+02:00", "2026-07-01 12:00:00"), (NOON, "2026-07-01 12:00:00")],
        Kind.DATE: [("2026-07-01T14:00:00Z", "2026-07-01"), ("2026-07-01", "2026-07-01"), (NOON, "2026-07-01")],
        Kind.TEXT: [(5, "5"), (True, "true"), ([1], "[1]"), ("", ""), (NOON, "2026-07-01T12:00:00+00:00")],
        Kind.INTEGER: [(True, 1), (5, 5), (2**63, str(2**63)), (-(2**63), -(2**63)), ("5", "5")],
        Kind.NUMBER: [(0.5, 0.5), (Decimal("0.10"), "0.10"), (True, 1)],
        Kind.BOOLEAN: [(True, True)],
        Kind.BINARY: [(b"\x00", b"\x00"), ("\\x00ff", b"\x00\xff"), ("\\xyz", "\\xyz"), ("00", "00")],
        Kind.OTHER: [({"a": 1}, '{"a":1}'), (time(1), "01:00:00"), (timedelta(seconds=1), "P0DT1S"), (None, None)],
    },
    "oracle": {
        Kind.JSON: [({"a": 1}, '{"a":1}')],
        Kind.NAIVE_TIME: [("2026-07-01T14:00:00+02:00", NAIVE), ("2026-07-01", datetime(2026, 7, 1)), (date(2026, 7, 1), date(2026, 7, 1))],  # noqa: DTZ001
        # the driver drops the offset, and writes the time as UTC
        Kind.AWARE_TIME: [("2026-07-01T14:00:00+02:00", NOON), (NOON.astimezone(PRAGUE), NOON), (NAIVE, NAIVE)],
        Kind.TEXT: [(5, "5"), (True, "true"), ({}, "{}")],
        Kind.INTEGER: [(True, 1), (2**70, 2**70), ("5", Decimal(5)), ("five", "five")],
        Kind.NUMBER: [(Decimal("0.10"), Decimal("0.10")), ("1.50", Decimal("1.50")), ("NaN", "NaN")],
        Kind.BINARY: [(b"\x00", b"\x00")],
        Kind.OTHER: [(timedelta(seconds=1), timedelta(seconds=1)), (UUID(int=1), str(UUID(int=1)))],
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "kind", "value", "bound"),
    [(d, kind, *case) for d, kinds in BOUND.items() for kind, cases in kinds.items() for case in cases],
)
def test_what_a_driver_is_given(dialect, kind, value, bound):
    given = dialect_named(dialect).converter(kind)(value)
    assert given == bound
    assert type(given) is type(bound)
    if isinstance(value, datetime) and dialect == "oracle":
        assert given.utcoffset() == bound.utcoffset()
