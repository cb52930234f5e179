"""Snowflake without a server: values and their refusals, names, errors, sessions. What its emulator does is run too."""

import io
import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from uuid import UUID

import pytest

errors = pytest.importorskip("snowflake.connector.errors", reason="needs snowflake: make databases")
parquet = pytest.importorskip("pyarrow.parquet")

from airflow_async_rest.core.errors import ConfigurationError  # noqa: E402
from airflow_async_rest.databases.binds import Query  # noqa: E402
from airflow_async_rest.databases.dialects.snowflake.engine import snowflake_engine, type_of  # noqa: E402
from airflow_async_rest.databases.dialects.snowflake.files import select_columns, write_file  # noqa: E402
from airflow_async_rest.databases.dialects.snowflake.snowflake import Snowflake  # noqa: E402
from airflow_async_rest.databases.dialects.snowflake.values import column_values  # noqa: E402
from airflow_async_rest.databases.names import quoted  # noqa: E402
from airflow_async_rest.databases.values.columns import Column, Kind  # noqa: E402

SNOWFLAKE = Snowflake()


def column(written):
    return Column("thing", SNOWFLAKE.kind_of(type_of(written)), staged_as=written)


TAKEN = [
    ("NUMBER(38,0)", 7, "7"),
    ("NUMBER(38,0)", -(10**37), f"-{10**37}"),
    ("NUMBER(38,0)", 7.0, "7"),
    ("NUMBER(38,0)", "7", "7"),
    ("NUMBER(38,0)", True, "1"),
    ("NUMBER(38,18)", Decimal("12345678901234567890.123456789012345678"), "12345678901234567890.123456789012345678"),
    ("NUMBER(5,2)", "999.99", "999.99"),
    ("FLOAT", 1.5, "1.5"),
    ("FLOAT", "1e-7", "1e-7"),
    ("FLOAT", float("nan"), "nan"),
    ("VARCHAR(5)", "", ""),
    ("VARCHAR(5)", "ä" * 5, "ä" * 5),
    ("VARCHAR(5)", 12, "12"),
    ("TIMESTAMP_NTZ(9)", "2026-11-01T14:00:00+02:00", "2026-11-01 12:00:00"),
    ("TIMESTAMP_NTZ(9)", "2026-11-01", "2026-11-01 00:00:00"),
    ("TIMESTAMP_NTZ(9)", datetime(2026, 11, 1, 12, tzinfo=UTC), "2026-11-01 12:00:00"),
    ("TIME(9)", "12:30Z", "12:30:00"),
    ("TIME(9)", time(12, 30, 0, 5), "12:30:00.000005"),
    ("TIMESTAMP_LTZ(9)", "2026-11-01 12:00:00", "2026-11-01 12:00:00+00:00"),
    ("TIMESTAMP_TZ(9)", "2026-11-01T14:00:00.123456+02:00", "2026-11-01 12:00:00.123456+00:00"),
    ("DATE", "2026-11-01T12:00:00Z", "2026-11-01"),
    ("DATE", date(2026, 11, 1), "2026-11-01"),
    ("BOOLEAN", "yes", "true"),
    ("BOOLEAN", 0, "false"),
    ("BINARY", b"\x00\xff", b"\x00\xff"),
    ("BINARY", "\\x00ff", b"\x00\xff"),
    ("BINARY", "00ff", b"\x00\xff"),
    ("VARIANT", {"a": [None]}, '{"a":[null]}'),
    ("ARRAY", [1, 2], "[1,2]"),
    ("TIME(9)", "12:00:00", "12:00:00"),
]


@pytest.mark.parametrize(("written", "value", "expected"), TAKEN)
def test_a_value_is_sent_as_snowflake_reads_it(written, value, expected):
    assert column_values(column(written), [value, None]) == ([expected, None], {})


REFUSED = [
    ("NUMBER(38,0)", 1.5),
    ("NUMBER(38,0)", "twelve"),
    ("NUMBER(3,0)", 1000),
    ("NUMBER(38,0)", 10**38),
    ("NUMBER(5,2)", "1000"),
    ("NUMBER(38,2)", Decimal("NaN")),
    ("NUMBER(38,0)", Decimal("1e999999")),
    ("FLOAT", "much"),
    ("VARCHAR(5)", "abcdef"),
    ("VARCHAR(5)", "\ud83d"),
    ("DATE", "2026-02-30"),
    ("DATE", "1772430912"),
    ("TIMESTAMP_NTZ(9)", "2026-11-01T25:00:00"),
    ("TIMESTAMP_TZ(9)", "soon"),
    ("BOOLEAN", "perhaps"),
    ("BINARY", "no bytes"),
    ("BINARY", {"a": 1}),
    ("VARIANT", float("inf")),
    ("TIME(9)", "12:30 EST"),
    ("TIME(9)", "12:30+02:00"),
    ("TIME(9)", "noon"),
    ("FLOAT", "1e400"),
    ("FLOAT", Decimal("-1e999")),
    ("FLOAT", "1e-400"),
]


@pytest.mark.parametrize(("written", "value"), REFUSED)
def test_what_it_would_refuse_is_found_before_with_the_column_and_why(written, value):
    good = column_values(column(written), [None, value, None])
    assert good[0] == [None] * 3
    assert list(good[1]) == [1]
    assert good[1][1].startswith("thing: ")
    assert len(good[1][1]) < 200


def test_many_times_of_one_form_are_sent_as_they_are_and_others_in_utc():
    times = [f"2026-11-01T{hour:02}:00:00Z" for hour in range(24)]
    assert column_values(column("TIMESTAMP_NTZ(9)"), times) == (times, {})
    assert column_values(column("DATE"), times) == (["2026-11-01"] * 24, {})
    mixed, refused = column_values(
        column("TIMESTAMP_TZ(9)"), [*times, "2026-11-01T01:00:00+02:00", "2026-13-01T00:00:00Z"]
    )
    assert mixed[24] == "2026-10-31 23:00:00+00:00"
    assert list(refused) == [25]


def test_a_file_has_the_rows_that_are_taken_and_tells_the_others():
    columns = [Column("place", Kind.OURS), column("NUMBER(38,0)"), column("ARRAY"), column("BINARY")]
    batches = [[[1, 2], [10, "x"], [[1], None], [b"a", b""]], [[3], [None], [[]], [None]]]
    file = io.BytesIO()
    assert write_file(file, columns, batches)[0] == 2
    assert list(write_file(io.BytesIO(), columns, batches)[1]) == [1]
    rows = parquet.read_table(file).to_pylist()
    assert [tuple(row.values()) for row in rows] == [("1", "10", "[1]", b"a"), ("3", None, "[]", None)]
    selected = "$1:c0::VARCHAR, $1:c1::VARCHAR, PARSE_JSON($1:c2::VARCHAR)::ARRAY, $1:c3::BINARY"
    assert select_columns(columns) == selected


NAMES = [("things", "things"), ("THINGS", '"THINGS"'), ("Mixed", '"Mixed"'), ("order", '"order"'), ("a b", '"a b"')]


@pytest.mark.parametrize(("name", "expected"), NAMES)
def test_a_name_in_small_letters_is_one_without_quotes(name, expected):
    assert quoted(name, snowflake_engine(lambda: None).dialect) == expected


def test_a_schema_may_have_its_database_before_it():
    dialect = snowflake_engine(lambda: None).dialect
    assert quoted("analytics.Raw", dialect, is_schema=True) == 'analytics."Raw"'


def error(kind, number, state="n/a"):
    return getattr(errors, kind)(msg="words", errno=number, sqlstate=state)


# What it says -> transient, refusal, forbidden, wrong
ERRORS = {
    ("ProgrammingError", 2003, "42S02"): "wrong",
    ("ProgrammingError", 904, "42000"): "wrong",
    ("ProgrammingError", 1003, "42000"): "wrong",
    ("ProgrammingError", 3001, "42501"): "forbidden",
    ("ProgrammingError", 604, "57014"): "transient",
    ("ProgrammingError", 625, "57014"): "transient",
    ("ProgrammingError", 606, "57P03"): "transient",
    ("ProgrammingError", 390114, "08001"): "transient",
    ("ProgrammingError", 100038, "22018"): "refusal",
    ("ProgrammingError", 100072, "22000"): "refusal",
    ("DatabaseError", 250001, "08001"): "login",
    ("DatabaseError", 250001, "28000"): "login",
    ("ForbiddenError", 250001, "08001"): "login",
    ("OperationalError", 250001, "08001"): "transient",
    ("ServiceUnavailableError", 290503, "n/a"): "transient",
    ("InternalServerError", 290500, "n/a"): "transient",
}


@pytest.mark.parametrize(("raised", "expected"), ERRORS.items(), ids=str)
def test_an_error_is_told_by_its_number(raised, expected):
    it = error(*raised)
    assert SNOWFLAKE.is_transient(it) == (expected == "transient")
    assert SNOWFLAKE.is_refusal(it) == (expected == "refusal")
    assert SNOWFLAKE.is_forbidden(it) == (expected == "forbidden")
    assert SNOWFLAKE.is_login_refused(it) == (expected == "login")
    assert SNOWFLAKE.is_wrong(it) == (expected in {"wrong", "forbidden", "refusal"})


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-01",
        "2026-11-01T18:00:00-08:00",
        "2026-11-01 23:59:59.999999",
        datetime(2026, 11, 1, 18, tzinfo=timezone(timedelta(hours=-8))),
        date(2026, 11, 1),
    ],
    ids=str,
)
def test_the_day_of_a_date_is_the_one_that_is_written(value):
    assert column_values(Column("noted", Kind.DATE), [value]) == (["2026-11-01"], {})


def test_each_session_is_in_utc_and_keeps_what_the_connection_says_besides():
    from airflow.sdk import Connection

    session = {"TIMEZONE": "America/Los_Angeles", "QUERY_TAG": "mine", "WEEK_START": 1}
    extra = json.dumps({"account": "a", "session_parameters": session})
    given = Connection(conn_id="c", conn_type="snowflake", extra=extra)
    prepared = SNOWFLAKE.prepare_connection(given).extra_dejson
    assert prepared["account"] == "a"
    found = prepared["session_parameters"]
    assert (found["TIMEZONE"], found["AUTOCOMMIT"], found["QUERY_TAG"], found["WEEK_START"]) == (
        "UTC",
        False,
        "mine",
        1,
    )
    assert given.extra_dejson["session_parameters"] == session


def test_session_parameters_that_are_none_are_refused_by_name():
    from airflow.sdk import Connection

    given = Connection(conn_id="c", conn_type="snowflake", extra='{"session_parameters": "TIMEZONE=UTC"}')
    with pytest.raises(ConfigurationError, match="session_parameters"):
        SNOWFLAKE.prepare_connection(given)


def test_the_connector_has_the_attribute_that_says_how_binds_are_written():
    connection = pytest.importorskip("snowflake.connector").SnowflakeConnection
    assert connection.is_pyformat.fget(SimpleNamespace(_paramstyle="pyformat"))
    raw = SimpleNamespace(_paramstyle="pyformat")
    SNOWFLAKE.prepare_raw(raw)
    assert not connection.is_pyformat.fget(raw)


def test_cancel_ends_what_the_session_runs_and_nothing_where_there_is_none():
    sent = []
    cursor = SimpleNamespace(execute=lambda *it: sent.append(it), close=lambda: None)
    SNOWFLAKE.cancel(SimpleNamespace(cursor=lambda: cursor, session_id=12))
    SNOWFLAKE.cancel(None)
    assert sent == [("SELECT SYSTEM$CANCEL_ALL_QUERIES(?)", [12])]


BINDS = {
    "SELECT src:customer.name, x FROM t WHERE at >= :start": {"start"},
    "SELECT $1:c0::varchar FROM @stage // :none\nWHERE a = :a": {"a"},
    "SELECT 'it\\'s :none' FROM t -- :none": set(),
    'SELECT $$ :none $$, "a:b" FROM t': set(),
}


@pytest.mark.parametrize(("sql", "names"), BINDS.items())
def test_paths_of_json_and_comments_have_no_binds(sql, names):
    assert Query.read(sql, SNOWFLAKE).names == names


@pytest.mark.parametrize(
    ("value", "bound"), [(UUID(int=1), str(UUID(int=1))), (timedelta(seconds=1.5), 1.5), ("text", "text"), (1, 1)]
)
def test_a_bind_is_what_the_connector_takes(value, bound):
    assert SNOWFLAKE.bind(value) == bound
