"""What becomes of a bind's value, database by database."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from uuid import UUID

import numpy as np
import pendulum
import pytest

from airflow_async_rest.core.errors import ConfigurationError, EncodeError
from airflow_async_rest.databases.bind_values import bind_value
from airflow_async_rest.databases.binds import Query
from airflow_async_rest.databases.dialects.registry import dialect_named

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
NAIVE = NOON.replace(tzinfo=None)
ONE = UUID(int=1)


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Name(StrEnum):
    ANN = "ann"


VALUES = {  # value -> in PostgreSQL, in SQLite, elsewhere
    "a time with a zone": (datetime(2026, 11, 1, 14, tzinfo=timezone(timedelta(hours=2))), NOON, "2026-11-01 12:00:00", NAIVE),
    "pendulum's": (pendulum.datetime(2026, 11, 1, 12), NOON, "2026-11-01 12:00:00", NAIVE),
    "numpy's time": (np.datetime64("2026-11-01T12:00"), NOON, "2026-11-01 12:00:00", NAIVE),
    "numpy's day": (np.datetime64("2026-11-01"), date(2026, 11, 1), "2026-11-01", date(2026, 11, 1)),
    "a day": (date(2026, 11, 1), date(2026, 11, 1), "2026-11-01", date(2026, 11, 1)),
    "a time of day": (time(10, 30), time(10, 30), "10:30:00", time(10, 30)),
    "a duration": (np.timedelta64(90, "s"), *[timedelta(seconds=90)] * 3),
    "an enum": (Color.RED, *["red"] * 3),
    "an enum of numbers": (Level.HIGH, *[3] * 3),
    "an enum of texts": (Name.ANN, *["ann"] * 3),
    "numpy's integer": (np.int64(7), *[7] * 3),
    "numpy's float": (np.float64(1.5), *[1.5] * 3),
    "numpy's bool": (np.bool_(True), *[True] * 3),
    "numpy's text": (np.str_("a"), *["a"] * 3),
    "a UUID": (ONE, ONE, str(ONE), ONE),
    "a decimal": (Decimal("1.5"), Decimal("1.5"), 1.5, Decimal("1.5")),
    "a whole decimal": (Decimal(9007199254740993), Decimal(9007199254740993), 9007199254740993, Decimal(9007199254740993)),
    "bytes": (b"a", *[b"a"] * 3),
    "a list": ([Color.RED, np.int8(1), None], *[["red", 1, None]] * 3),
    "a range": (range(2), *[[0, 1]] * 3),
    "a set": ({"b", "a", "c"}, *[["a", "b", "c"]] * 3),
    "a matrix": (np.array([[1, 2]]), *[[[1, 2]]] * 3),
    "a dict": ({"a": [1, Color.RED]}, *['{"a":[1,"red"]}'] * 3),
}  # fmt: skip


@pytest.mark.parametrize(("value", "in_postgresql", "in_sqlite", "elsewhere"), VALUES.values(), ids=VALUES.keys())
def test_a_value_has_the_form_that_columns_compare_with(value, in_postgresql, in_sqlite, elsewhere):
    for dialect, form in (("postgresql", in_postgresql), ("sqlite", in_sqlite), ("oracle", elsewhere)):
        found = bind_value(value, dialect_named(dialect))
        assert (found, type(found)) == (form, type(form))


def test_bytes_stay_the_object_they_are():
    for value in (bytearray(b"a"), memoryview(b"a")):
        assert bind_value(value, dialect_named("sqlite")) is value


WRONG = {
    "read once": ((i for i in [1]), "a generator can be read only once: write a list"),
    "no time": (np.datetime64("NaT"), "NaT"),
    "half a pair": ("\ud800", "half a surrogate pair"),
    "a zero byte": ("a\0b", "no text with a zero byte"),
    "no JSON": ({"a": float("nan")}, "nan has no JSON form"),
}


@pytest.mark.parametrize(("value", "message"), WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("sql", ["a = :value", "a IN :value"])
def test_a_value_without_a_form_is_refused_by_name(sql, value, message):
    with pytest.raises(ConfigurationError, match=rf"parameters\['value'\]: .*{message}"):
        Query.read(sql, dialect_named("postgresql")).fill({"value": value})


@pytest.mark.parametrize("value", ["ab", "['a', 'b']", ""])
@pytest.mark.parametrize("sql", ["a IN :value", "a not in:value AND b"])
def test_a_text_is_no_list(sql, value):
    with pytest.raises(ConfigurationError, match=r"parameters\['value'\] is a text, and :value stands after IN"):
        Query.read(sql, dialect_named("postgresql")).fill({"value": value})


def test_a_zero_byte_is_a_text_elsewhere():
    assert bind_value("a\0b", dialect_named("sqlite")) == "a\0b"
    with pytest.raises(EncodeError):
        bind_value("a\0b", dialect_named("postgresql"))
