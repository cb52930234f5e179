"""Rows as the text of a COPY: what the server makes of it."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

from airflow_async_rest.core.errors import EncodeError
from airflow_async_rest.databases.dialects.postgresql.copy_text import array_text, copy_text
from airflow_async_rest.databases.values.columns import Kind

# What PostgreSQL can keep of a text: no NUL, no half of a surrogate pair.
TEXTS = some.text(some.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
SPECIAL = some.sampled_from(
    ["\\N", "\\", "\\.", "", "\t", "\n", "\r\n", "\\t", "NULL", '"', "'", "{}", "é", "🌍", "\u2028", "\x7f"]
)
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
ROWS = some.lists(
    some.tuples(
        some.none() | TEXTS | SPECIAL,
        some.none() | some.integers(-(2**63), 2**63 - 1),
        some.none() | some.integers() | some.decimals(allow_nan=False, allow_infinity=False, places=10),
        some.none() | some.floats(allow_nan=False),
        some.none() | some.booleans(),
        JSON,
        some.none() | some.lists(some.none() | TEXTS | SPECIAL, max_size=4),
        some.none() | some.binary(max_size=10),
        some.none() | some.datetimes(timezones=some.just(timezone(timedelta(hours=2))), min_value=datetime(1000, 1, 1)),  # noqa: DTZ001
    ),
    min_size=1,
    max_size=5,
)  # fmt: skip
TYPES = {
    "text": Kind.TEXT,
    "bigint": Kind.INTEGER,
    "numeric": Kind.NUMBER,
    "float8": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
    "json": Kind.JSON,
    "text[]": Kind.TEXT_ARRAY,
    "bytea": Kind.BINARY,
    "timestamp": Kind.NAIVE_TIME,
}


@pytest.fixture(scope="module")
def server(postgres):
    with postgres.open() as connection:
        connection.execute(
            "CREATE TEMP TABLE copied (" + ", ".join(f"c{i} {kind}" for i, kind in enumerate(TYPES)) + ")"
        )
        yield connection
        connection.rollback()


def round_trip(connection, rows):
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE copied")
        with cursor.copy("COPY copied FROM STDIN") as copy:
            copy.write(copy_text(list(zip(TYPES.values(), zip(*rows, strict=True), strict=True))))
        return cursor.execute("SELECT * FROM copied").fetchall()


def as_read(row):
    """What the driver makes of a row: JSON's null is the database's NULL, and times are in UTC."""
    *others, at = row
    return (*others, at and at.astimezone(UTC).replace(tzinfo=None))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
@example(rows=[(None, None, None, None, None, None, None, None, None)] * 2)
@example(rows=[("\\N", 0, Decimal("1e5"), float("inf"), True, "\\N", ["\\N", None, "NULL", ""], b"\\", None)])
def test_rows_reach_the_server_exactly(server, rows):
    assert round_trip(server, rows) == [as_read(row) for row in rows]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "{}"),
        ([1, 2.5, True, None], '{"1","2.5","true",NULL}'),
        ([["a"], ["b"]], '{{"a"},{"b"}}'),
        (['"', "\\", "NULL", ""], '{"\\"","\\\\","NULL",""}'),
        ([{"a": 1}], '{"{\\"a\\":1}"}'),
    ],
    ids=repr,
)
def test_a_list_as_an_array(values, text):
    assert array_text(values) == text


@pytest.mark.parametrize(
    ("kind", "values", "text"),
    [
        (Kind.TEXT, [1, 2], "1\n2\n"),
        (Kind.TEXT, [1, None, "a\tb"], "1\n\\N\na\\tb\n"),
        (Kind.TEXT, [True, 0.5, Decimal("1.10"), {"a": "\n"}], 'true\n0.5\n1.10\n{"a":"\\\\n"}\n'),
        (Kind.INTEGER, [1, 2.0, Decimal("3.00"), 1e3, None], "1\n2\n3\n1000\n\\N\n"),
        (
            Kind.INTEGER,
            [1.5, float("nan"), "7", True],
            "1.5\nNaN\n7\n1\n",
        ),  # the first two are the database's to refuse
        (Kind.TEXT, [float("nan"), float("inf"), float("-inf"), 0.5], "NaN\nInfinity\n-Infinity\n0.5\n"),
        (Kind.NUMBER, [2.0, True, Decimal("3.00")], "2.0\n1\n3.00\n"),
        (Kind.NUMBER, [1, 1e-7, -0.0, 0.1], "1\n1e-7\n-0.0\n0.1\n"),
        (Kind.NUMBER, [0.5, float("nan"), float("-inf"), 1e22], "0.5\nnan\n-inf\n1e+22\n"),
        (Kind.INTEGER, [1.2345678901234568e18, 1e38], f"1234567890123456800\n{10**38}\n"),
        (Kind.DATE, ["0044-03-15 (BC)"], "0044-03-15 (BC)\n"),
        (Kind.INTEGER, [1, -(2**63), 2**70], f"1\n{-(2**63)}\n{2**70}\n"),
        (Kind.OTHER, [1e22, 1], "1e+22\n1\n"),  # it may be a text
        (Kind.OURS, [0, 1 << 24], "0\n16777216\n"),
        (Kind.BOOLEAN, [1, 0], "1\n0\n"),
        (Kind.BOOLEAN, [True, None, "yes"], "true\n\\N\nyes\n"),
        (Kind.JSON, ["a", 1, None, []], '"a"\n1\n\\N\n[]\n'),
        (Kind.DATE, [date(2026, 7, 1), "2026-07-01T12:00:00Z"], "2026-07-01\n2026-07-01T12:00:00Z\n"),
        (
            Kind.TIME_OF_DAY,
            ["12:30", "12:30Z", "12:30+00:00", "12:30-00", "24:00", time(12), None],
            "12:30\n12:30Z\n12:30+00:00\n12:30-00\n24:00\n12:00:00\n\\N\n",
        ),
        (
            Kind.TIME_OF_DAY,
            ["12:30 PM", "12:30 gmt", "2026-07-01T12:30:00 Z", "23:59:59.9999999"],
            "12:30 PM\n12:30 gmt\n2026-07-01T12:30:00 Z\n23:59:59.999999\n",
        ),
        (Kind.TIME_OF_DAY_ARRAY, [["12:30Z", None], "{12:30,NULL}"], '{"12:30Z",NULL}\n{12:30,NULL}\n'),
        (
            Kind.ZONED_TIME_OF_DAY,
            ["12:30 GMT+0200", "12:30 utc-5", "12:30 EST", "12:30 GMT"],
            "12:30+0200\n12:30-5\n12:30 EST\n12:30 GMT\n",
        ),
        (Kind.ZONED_TIME_OF_DAY_ARRAY, [["12:30 GMT+2"], "{12:30 GMT+2}"], '{"12:30+2"}\n{12:30+2}\n'),
        (
            Kind.NAIVE_RANGE,
            [
                "[2026-07-01,2026-08-01)",
                "[2026-07-01 12:00:00,2026-08-01 12:00:00)",
                "empty",
                "(,2026-07-01T12:00:00Z]",
            ],
            "[2026-07-01,2026-08-01)\n[2026-07-01 12:00:00,2026-08-01 12:00:00)\nempty\n(,2026-07-01T12:00:00Z]\n",
        ),
        (Kind.OTHER, [time(12), timedelta(seconds=1)], "12:00:00\nP0DT1S\n"),
        (Kind.ARRAY, ["{1,2}", (1, 2)], '{1,2}\n{"1","2"}\n'),
        (
            Kind.JSON_ARRAY,
            [["1", {"a": None}, None], [[1, 2], [3]]],
            '{"\\\\"1\\\\"","{\\\\"a\\\\":null}",NULL}\n{"[1,2]","[3]"}\n',
        ),
        (Kind.TIME_ARRAY, [["2026-07-01 14:00 GMT+0200", None]], '{"2026-07-01T14:00:00+02:00",NULL}\n'),
        (Kind.AWARE_TIME, ["2026-07-01 14:00 utc+2", date(2026, 7, 1)], "2026-07-01T14:00:00+02:00\n2026-07-01\n"),
        (Kind.AWARE_TIME, ["2026-07-01 14:00+02:00 (CEST)", None], "2026-07-01T14:00:00+02:00\n\\N\n"),
        (Kind.AWARE_TIME, ["1 Aug 2026 14:00 Utc-1", "1 August 2026"], "2026-08-01T14:00:00-01:00\n1 August 2026\n"),
        (Kind.AWARE_TIME, ["2026-07-01T23:59:59,9999999Z"], "2026-07-01T23:59:59,999999Z\n"),
        (Kind.DATE, ["2026-07-01T14:00+02:00[Europe/Oslo]", 20260701], "2026-07-01T14:00:00+02:00\n20260701\n"),
        (Kind.INTEGER, [Decimal("1e999999999")], "1E+999999999\n"),
        (Kind.BINARY, [b"\x00", "\\x00"], "\\\\x00\n\\\\x00\n"),
        (Kind.NAIVE_TIME, ["2026-07-01T14:00:00+02:00", "infinity"], "2026-07-01T12:00:00\ninfinity\n"),
        # The server would round, and the last moment of a day be the next day's.
        (Kind.AWARE_TIME, ["2026-07-01T23:59:59.9999999Z", None], "2026-07-01T23:59:59.999999Z\n\\N\n"),
        (
            Kind.AWARE_TIME,
            ["23:59:59.999999999-03 2026-07-01", date(2026, 7, 1)],
            "23:59:59.999999-03 2026-07-01\n2026-07-01\n",
        ),
        (Kind.AWARE_TIME, ["2026-07-01 23:59:59.9999999 GMT+2"], "2026-07-01T23:59:59.999999+02:00\n"),
        (Kind.NAIVE_TIME, ["Wed, 01 Jul 2026 23:59:59.9999999 GMT"], "Wed, 01 Jul 2026 23:59:59.999999 GMT\n"),
        (Kind.NAIVE_TIME, ["2026-07-01T23:59:59.9999999+00:00"], "2026-07-01T23:59:59.999999\n"),
        (Kind.TIME_ARRAY, ["{2026-07-01 14:00 GMT+2}"], "{2026-07-01 14:00+2}\n"),
        (Kind.TIME_ARRAY, [["2026-07-01T23:59:59.9999999Z"]], '{"2026-07-01T23:59:59.999999Z"}\n'),
        (Kind.TEXT, ["2026-07-01T23:59:59.9999999Z"], "2026-07-01T23:59:59.9999999Z\n"),
    ],
)
def test_a_column_as_text(kind, values, text):
    assert copy_text([(kind, values)]).decode() == text


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.TIME_OF_DAY, "12:30+05:30"),
        (Kind.TIME_OF_DAY, "12:30 EST"),
        (Kind.TIME_OF_DAY, "12:30 GMT+2"),
        (Kind.TIME_OF_DAY, "2026-07-01 12:30 America/New_York"),
        (Kind.TIME_OF_DAY, "040506-08"),
        (Kind.TIME_OF_DAY_ARRAY, [["12:30"], ["12:30 PST"]]),
        (Kind.TIME_OF_DAY_ARRAY, "{12:30+02,12:30}"),
        (Kind.NAIVE_RANGE, "[2026-07-01T12:00:00+02:00,2026-08-01)"),
        (Kind.NAIVE_RANGE, '{["2026-07-01 12:00:00 EST",)}'),
    ],
)
def test_a_zone_that_the_server_would_drop_is_refused(kind, value):
    with pytest.raises(EncodeError, match="has an offset, or a zone, which the column's type does not keep: write UTC"):
        copy_text([(kind, [value])])


@pytest.mark.parametrize("kind", [Kind.NAIVE_TIME, Kind.AWARE_TIME, Kind.DATE, Kind.TIME_ARRAY])
@pytest.mark.parametrize("seconds", [1772430912, "1772430912", 1772430912000, 1230912, 0])
def test_seconds_since_1970_are_no_date_of_a_far_year(kind, seconds):
    for neighbours in ([], [None], ["2026-07-01"]):
        values = [[value] if kind is Kind.TIME_ARRAY else value for value in [*neighbours, seconds]]
        with pytest.raises(EncodeError, match=rf"^{seconds} is a number, not a time: .* a function as rows="):
            copy_text([(kind, values)])


@pytest.mark.parametrize("kind", [Kind.TIME_OF_DAY, Kind.ZONED_TIME_OF_DAY, Kind.TIME_OF_DAY_ARRAY])
@pytest.mark.parametrize("seconds", [1430, 3600, 1430.5, Decimal("1430.25"), 0])
def test_seconds_since_midnight_are_no_hours_and_minutes(kind, seconds):
    with pytest.raises(EncodeError, match=rf"^{seconds} is a number, not a time of day: .* a function as rows="):
        copy_text([(kind, [[seconds] if kind is Kind.TIME_OF_DAY_ARRAY else seconds])])
    assert copy_text([(Kind.TIME_OF_DAY, ["1430"])]) == b"1430\n"  # which is ISO 8601


def test_columns_stand_side_by_side():
    assert copy_text([(Kind.INTEGER, (1, 2)), (Kind.TEXT, ("a", None))]) == b"1\ta\n2\t\\N\n"
