# ruff: noqa: DTZ001  (times without an offset are among what is tested)
import json
import math
import subprocess
import sys
from array import array
from collections import UserDict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import ip_address, ip_network
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range
from tables import every_row

from airflow_async_rest.core.encoding.durations import CalendarDuration, format_duration, iso_of_interval
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder, encode_anything, stable_bytes
from airflow_async_rest.core.errors import EncodeError

NAN = float("nan")
encode = JsonEncoder()


class Colour(IntEnum):
    RED = 1
    HUGE = 2**70


class Weight(Enum):
    UNKNOWN = NAN
    HUGE = 2**70


class Measured(float):
    """As a library's number with a unit."""


class Nanoseconds(timedelta):
    """As pandas' Timedelta."""

    nanoseconds = 7

    def __neg__(self):
        return Nanoseconds(seconds=1)


@dataclass
class Point:
    x: float


class Foreign:
    pass


class Months(NamedTuple):
    """As a driver's type for an interval: a tuple that is more than its parts."""

    count: int


class NotATime(datetime):
    """As pandas' NaT: a datetime that does not equal itself."""

    def __ne__(self, other):
        return True

    __hash__ = datetime.__hash__

    def isoformat(self, *args, **kwargs):
        return "NaT"


NAT = NotATime(2026, 1, 1)


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def self_containing() -> list:
    value: list = []
    value.append(value)
    return value


@every_row(
    ("payload", "body"),
    [
        (Decimal("0.10"), b"0.10"),
        (Decimal("123456789012345678901234567890.123456789"), b"123456789012345678901234567890.123456789"),
        (Decimal("-0"), b"-0"),
        (Decimal("1E+3"), b"1E+3"),
        (2**63, b"9223372036854775808"),
        (2**64, b"18446744073709551616"),
        (-(2**63) - 1, b"-9223372036854775809"),
        ({"a": [1, (2**70, True)]}, b'{"a":[1,[1180591620717411303424,true]]}'),
        ({"a": Colour.RED, "b": 2**70}, b'{"a":1,"b":1180591620717411303424}'),
        (Colour.HUGE, b"1180591620717411303424"),
        ({1: "a", 2**40: Decimal("1.0")}, b'{"1":"a","1099511627776":1.0}'),
        ({UUID(int=1): None}, b'{"00000000-0000-0000-0000-000000000001":null}'),
        ({"a": None, "b": "null"}, b'{"a":null,"b":"null"}'),
        (b"\x00\xff", b'"AP8="'),
        (bytearray(b"ab"), b'"YWI="'),
        (memoryview(b"ab"), b'"YWI="'),
        (datetime(2026, 1, 2, 3, 4, 5), b'"2026-01-02T03:04:05+00:00"'),
        (datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2))), b'"2026-01-02T00:00:00+02:00"'),
        (date(2026, 1, 2), b'"2026-01-02"'),
        (time(1, 2, 3), b'"01:02:03"'),
        (time(1, 2, tzinfo=UTC), b'"01:02:00+00:00"'),
        ({"at": datetime(2026, 1, 2), "open": time(8, tzinfo=UTC)}, b'{"at":"2026-01-02T00:00:00+00:00","open":"08:00:00+00:00"}'),
        (timedelta(hours=-1), b'"-P0DT3600S"'),
        (ip_address("::1"), b'"::1"'),
        (ip_network("10.0.0.0/8"), b'"10.0.0.0/8"'),
        (MappingProxyType({"a": UserDict(b=1)}), b'{"a":{"b":1}}'),
        (np.int64(-5), b"-5"),
        (np.uint64(2**64 - 1), b"18446744073709551615"),
        (np.float32(0.5), b"0.5"),
        (np.float64(0.1), b"0.1"),
        (np.bool_(True), b"true"),
        (np.str_("é"), '"é"'.encode()),
        (np.array([[1, 2], [3, 4]])[:, ::-1], b"[[2,1],[4,3]]"),
        (np.array([0.5, 1.5], dtype="float16"), b"[0.5,1.5]"),
        (np.array(["a", None, Decimal("0.10")], dtype=object), b'["a",null,0.10]'),
        (np.array(7), b"7"),
        (np.datetime64("2026-01-02"), b'"2026-01-02"'),
        (np.datetime64("2026-01-02T03:04:05"), b'"2026-01-02T03:04:05+00:00"'),
        (np.datetime64("2026-01-02T03:04:05.123456000"), b'"2026-01-02T03:04:05.123456+00:00"'),
        (np.datetime64("2026-01-02T03:04:05.123456789"), b'"2026-01-02T03:04:05.123456789+00:00"'),
        (np.array(["2026-01-02T03:04:05"], dtype="datetime64[ns]"), b'["2026-01-02T03:04:05+00:00"]'),
        (np.timedelta64(90, "s"), b'"P0DT90S"'),
        (np.timedelta64(1_500_000_000, "ns"), b'"P0DT1.5S"'),
        (np.timedelta64(1, "ns"), b'"PT0.000000001S"'),
        (np.timedelta64(-1_500_000_001, "ns"), b'"-PT1.500000001S"'),
        (np.timedelta64(2**62, "D"), b'"PT398449671992126314905600S"'),
        (np.timedelta64(14, "M"), b'"P14M"'),
        (np.timedelta64(-1, "Y"), b'"P-12M"'),
        (np.datetime64("12026-01-02T00:00:00"), b'"12026-01-02T00:00:00"'),
        (np.array([2**70], dtype=object), b"[1180591620717411303424]"),
        (Nanoseconds(seconds=-1), b'"-P0DT1.000000007S"'),
        (memoryview(b"abc")[::2], b'"YWM="'),
        (Measured(1.5), b"1.5"),
        (Point(2**70), b'{"x":1180591620717411303424}'),
        ([Weight.HUGE], b"[1180591620717411303424]"),
        ({Decimal("1.50"): 1, ip_address("::1"): 2, np.int64(3): 3, 2**70: 4}, b'{"1.50":1,"::1":2,"3":3,"1180591620717411303424":4}'),
        (array("d", [0.5]), b"[0.5]"),
        (CalendarDuration.of(timedelta(days=30), "P1M"), b'"P1M"'),
        (Range(1, 3), b'"[1,3)"'),
        (Range(None, Decimal("1E-7"), "(]"), b'"(,0.0000001]"'),
        (Range(empty=True), b'"empty"'),
        (Range(date(2026, 1, 2), "infinity"), b'"[2026-01-02,infinity)"'),
        (Range(datetime(2026, 1, 2, tzinfo=UTC), datetime(999, 1, 2, microsecond=500)), b'"[\\"2026-01-02 00:00:00+00\\",\\"0999-01-02 00:00:00.0005\\")"'),
        (Range('a "b', ""), b'"[\\"a \\"\\"b\\",\\"\\")"'),
        (Multirange([Range(1, 3), Range(5, None, "()")]), b'"{[1,3),(5,)}"'),
        (Multirange([]), b'"{}"'),
        ("é\u2028\0", '"é\u2028\\u0000"'.encode()),
    ],
)  # fmt: skip
def test_what_databases_return_is_encoded_exactly(payload, body):
    assert encode(payload) == body
    json.loads(body)


@every_row(
    "payload",
    [
        NAN,
        math.inf,
        [[1, [None, -math.inf]]],
        {"a": {"b": (1.0, NAN)}},
        {NAN: 1},
        MappingProxyType({"a": NAN}),
        Point(NAN),
        [Weight.UNKNOWN],
        {"a": NAN, 1: 2**64},
        Decimal("NaN"),
        Decimal("sNaN"),
        [Decimal("-Infinity")],
        {"a": Decimal("NaN"), 1: 2},
        "\ud800",
        {"\ud800": 1},
        {b"bytes": 1},
        {(1, 2): 3},
        {1, 2},
        object(),
        [10**5000],
        nested(300),
        self_containing(),
        {"a": 2**64, "b": Foreign()},
        Months(1),
        {"a": 2**64, "b": Months(1)},
        NAT,
        {"a": [NAT], "b": 2**64},
        np.float32("nan"),
        np.float64("inf"),
        np.array([1, NAN]),
        [np.array([[NAN]], dtype="float16")],
        array("d", [NAN]),
        np.datetime64("NaT"),
        np.timedelta64("NaT"),
        np.array(["NaT"], dtype="datetime64[ns]"),
        np.timedelta64(5),
        {np.datetime64("NaT"): 1},
        {NAT: 1},
        {Decimal("NaN"): 1},
        Measured("nan"),
        np.complex64(1),
        np.longdouble(1),
    ],
)
@every_row("naive_timezone", [None, ZoneInfo("Europe/Prague")])
def test_what_json_cannot_carry_is_refused(payload, naive_timezone):
    with pytest.raises(EncodeError):
        JsonEncoder(naive_timezone)(payload)


class Detached:
    """As an object of an ORM whose session is closed."""

    def __getattr__(self, name):
        raise RuntimeError("it is detached")


class DetachedRow(UserDict):
    def __getitem__(self, name):
        raise RuntimeError("it is detached")


@pytest.mark.parametrize("payload", [{"seen_at": Detached()}, DetachedRow(seen_at=1), {"seen_at": DetachedRow(x=1)}])
def test_what_raises_when_it_is_read_is_refused_and_stops_no_other_payload(payload):
    with pytest.raises(EncodeError, match=r"column 'seen_at': the payload has no JSON form: it is detached\."):
        encode(payload)
    with pytest.raises(EncodeError, match="it is detached"):
        JsonEncoder().each([{"a": 1}, payload])
    assert json.loads(encode_anything(payload))  # in the dead letter it is shown somehow


def test_the_refusal_names_the_type_and_what_to_do():
    with pytest.raises(EncodeError, match=r"a .*Foreign has no JSON form; return something else from transform"):
        encode({"a": [Foreign()]})


@pytest.mark.parametrize(
    "value",
    [NAN, Decimal("NaN"), NAT, np.datetime64("NaT"), np.array([NAN]), np.float32("nan"), Foreign(), [[{"x": NAN}]], "\ud800"],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
@pytest.mark.parametrize("beside", [{}, {"n": 2**70}])
def test_the_refusal_names_the_column(value, beside):
    with pytest.raises(EncodeError, match="column 'seen_at': "):
        encode({"id": None, **beside, "seen_at": value, "x": 1})


@every_row(
    ("value", "text"),
    [
        (datetime(2026, 1, 2, 3), "2026-01-02T03:00:00+01:00"),
        (datetime(2026, 7, 2, 3, microsecond=5), "2026-07-02T03:00:00.000005+02:00"),
        (datetime(2026, 7, 2, tzinfo=UTC), "2026-07-02T00:00:00+00:00"),
        (np.datetime64("2026-07-02T03:00:00.000000001"), "2026-07-02T03:00:00.000000001+02:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(1, 2), "01:02:00"),
        ({datetime(2026, 1, 2): 1}, {"2026-01-02T00:00:00+01:00": 1}),
    ],
)
@every_row("beside", [0, 2**70])
def test_a_naive_time_gets_the_offset_of_its_zone(value, text, beside):
    body = JsonEncoder(ZoneInfo("Europe/Prague"))({"at": value, "n": beside})
    assert json.loads(body) == {"at": text, "n": beside}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(), "P0DT0S"),
        (timedelta(days=-1, seconds=-2, microseconds=-500_000), "-P1DT2.5S"),
        (timedelta(microseconds=1), "P0DT0.000001S"),
        (timedelta(days=40, hours=1), "P40DT3600S"),
        (timedelta(seconds=10), "P0DT10S"),
    ],
)
def test_a_duration_is_exact(value, text):
    assert format_duration(value) == text


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | st.binary()
ANYTHING = st.recursive(
    SCALARS | st.decimals() | st.datetimes() | st.timedeltas() | st.uuids() | st.builds(Foreign) | st.builds(Rude),
    lambda inner: st.lists(inner) | st.dictionaries(SCALARS, inner) | st.frozensets(SCALARS),
    max_leaves=8,
)


@every_row(
    ("text", "iso"),
    [
        ("1 mon", "P1M"),
        ("1 year 2 mons -3 days +04:05:06.7", "P1Y2M-3DT4H5M6.7S"),
        ("-1 mons -00:00:00.5", "P-1MT-0.5S"),
        ("00:00:00", "PT0S"),
        ("-2 years", "P-2Y"),
        ("2000000000 days 2562047788:00:54.775807", "P2000000000DT2562047788H54.775807S"),
        ("infinity", "infinity"),
        ("P1M", "P1M"),
        ("", ""),
    ],
)
def test_what_postgresql_writes_is_iso_8601(text, iso):
    assert iso_of_interval(text) == iso


@pytest.mark.slow("fifty examples")
@given(ANYTHING)
def test_anything_is_written_for_people(value):
    json.loads(encode_anything(value))


@pytest.mark.slow("fifty examples")
@given(ANYTHING)
def test_anything_has_the_same_bytes_again(value):
    assert stable_bytes(value) == stable_bytes(value)


@pytest.mark.slow("fifty examples")
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))  # fmt: skip
def test_what_json_can_carry_comes_back_equal(value):
    assert json.loads(encode(value)) == value


@every_row(
    ("value", "shown"),
    [
        ({"a": NAN, 2: Decimal("sNaN")}, {"a": "nan", "2": "Decimal('sNaN')"}),
        ([2**64, Colour.RED, Colour.HUGE], [2**64, 1, 2**70]),
        ({"\ud800": "\udfff"}, {"\\ud800": "\\udfff"}),
        (b"ab", "YWI="),
        ({3, 1, 2}, [1, 2, 3]),
        ([10**5000], ["<builtins.int>"]),
        (Rude(), f"<{__name__}.Rude>"),
    ],
)
def test_what_has_no_json_form_is_written_as_text(value, shown):
    assert json.loads(encode_anything(value)) == shown


@pytest.mark.parametrize("value", [nested(300), self_containing()], ids=["deep", "containing itself"])
def test_what_is_too_deep_is_cut(value):
    json.loads(encode_anything(value))


def test_bytes_for_digests_are_the_same_in_every_process():
    program = (
        "from airflow_async_rest.core.encoding.json_encoder import stable_bytes\n"
        "class A: pass\n"
        "class B: __hash__ = lambda self: 1\n"
        "print(stable_bytes([{'a', 'b', 'c'}, {1: A()}, B(), '\\ud800']))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
    assert b" at 0x" not in found.pop()


def test_bytes_for_digests_differ_where_values_differ():
    values = ["a", "b", 1, "1", 1.5, None, [], {}, "\ud800", "\ud801", 2**64, 2**65, b"a"]
    assert len({stable_bytes([value]) for value in values}) == len(values)
