"""ChunkedSqlHook on Oracle, as far as that can be seen without a server; see fake_oracle.py.

With one, tests/hooks/test_chunked_sql.py shows the rest: set ORACLE_DSN.
"""

import json
from array import array
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from unittest.mock import create_autospec

import oracledb
import pytest
from fake_oracle import FakeOracle, column, driver_error, error, fetched_as
from oracledb import errors
from sqlalchemy.exc import DBAPIError

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import ConfigurationError, EncodeError

ID = column("ID", oracledb.DB_TYPE_NUMBER, 10, 0)
NOON = datetime(2026, 7, 1, 12)  # noqa: DTZ001  (the driver knows no zones)


@pytest.fixture
def place(connect):
    """Where the connection points to: ``place(service_name=...)``."""

    def make(**extra):
        schema = extra.pop("schema", None)
        connect(
            "source_db", conn_type="oracle", host="db", login="me", password="p@s:s/w#?rd%", schema=schema, extra=extra
        )

    make(service_name="FREEPDB1")
    return make


@pytest.fixture
def oracle(place, monkeypatch):
    """A database to script; the hook's own ``get_conn`` connects to it."""
    database = FakeOracle([ID], [(1,), (2,), (3,)])
    database.connect = create_autospec(oracledb.connect, return_value=database.connection)
    monkeypatch.setattr(oracledb, "connect", database.connect)
    yield database
    database.end()


def prepare(sql="SELECT id FROM t", parameters=None, chunk_size=2):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    return ChunkedSqlHook("source_db").chunks(sql, parameters, chunk_size)


def read(sql="SELECT id FROM t", parameters=None, chunk_size=2):
    return [row for chunk in prepare(sql, parameters, chunk_size) for row in chunk]


def test_the_session_is_in_utc_before_the_query_runs_as_it_is_written(oracle):
    read("SELECT id FROM t WHERE at >= :since ORDER BY id;", {"since": datetime(2026, 7, 1, 2, tzinfo=UTC)})
    assert oracle.executed == [
        ("ALTER SESSION SET TIME_ZONE = '+00:00'", {}),
        ("SET TRANSACTION READ ONLY", {}),
        ("SELECT id FROM t WHERE at >= :since ORDER BY id", {"since": datetime(2026, 7, 1, 2)}),  # noqa: DTZ001
    ]


def test_rows_come_in_chunks_and_everything_is_closed_at_the_end(oracle):
    assert list(prepare()) == [[{"id": 1}, {"id": 2}], [{"id": 3}]]
    oracle.query.close.assert_called_once_with()
    oracle.connection.close.assert_called_once_with()


def test_everything_is_closed_when_nobody_reads_on(oracle):
    chunks = iter(prepare())
    next(chunks)
    chunks.close()
    oracle.query.close.assert_called_once_with()
    oracle.connection.close.assert_called_once_with()


@pytest.mark.parametrize(
    ("columns", "chunk_size", "at_first"),
    [
        ([ID], 50, 50),
        ([ID], 5000, 250),
        ([ID, column("DOC", oracledb.DB_TYPE_CLOB)], 5000, 10),
        ([ID, column("DOC", oracledb.DB_TYPE_JSON)], 5, 5),
    ],
)
def test_a_round_trip_brings_as_many_rows_as_are_fetched(oracle, columns, chunk_size, at_first):
    oracle.columns, oracle.rows = columns, [(1, "x")[: len(columns)]] * 3
    chunks = prepare(chunk_size=chunk_size)
    execute, executed, fetched = oracle._answer, [], []

    def answer(cursor, sql):  # in thick mode it stays like this
        executed.append(cursor.arraysize)
        execute(cursor, sql)
        fetch = cursor.fetchmany.side_effect
        cursor.fetchmany.side_effect = lambda size: fetched.append((size, cursor.arraysize)) or fetch(size)

    oracle._answer = answer
    assert len([row for chunk in chunks for row in chunk]) == 3
    assert executed == [at_first]
    assert fetched == [(1, 1), (2, 2), (min(4, chunk_size - 3), min(4, chunk_size - 3))]


def test_a_cancel_reaches_the_connection_while_it_reads_and_no_longer(oracle):
    chunks = prepare()
    reading = iter(chunks)
    next(reading)
    chunks.cancel()
    oracle.connection.cancel.assert_called_once_with()
    reading.close()
    chunks.cancel()
    oracle.connection.cancel.assert_called_once_with()


def test_binds_may_have_names_that_oracle_reserves(oracle):
    read("SELECT id FROM t WHERE a = :date AND b = :start AND c = :Mixed", {"date": 1, "start": 2, "Mixed": 3})
    assert oracle.executed[-1] == (
        'SELECT id FROM t WHERE a = :"date" AND b = :"start" AND c = :Mixed',
        {'"date"': 1, '"start"': 2, "Mixed": 3},
    )


def test_only_a_datetime_with_a_fraction_is_bound_as_timestamp(oracle):
    fraction = datetime(2026, 7, 1, 2, 0, 0, 5, tzinfo=UTC)
    read(
        "SELECT id FROM t WHERE at >= :a AND at < :date AND day = :c",
        {"a": datetime(2026, 7, 1, tzinfo=UTC), "date": fraction, "c": date(2026, 7, 1)},
    )
    oracle.query.setinputsizes.assert_called_once_with(**{'"date"': oracledb.DB_TYPE_TIMESTAMP})
    assert oracle.executed[-1][1]['"date"'] == fraction.replace(tzinfo=None)


@pytest.mark.parametrize("kind", [oracledb.DB_TYPE_TIMESTAMP_TZ, oracledb.DB_TYPE_TIMESTAMP_LTZ])
def test_the_database_is_asked_for_times_with_a_zone_in_utc(oracle, kind):
    oracle.columns, oracle.rows = [ID, column("Seen At", kind, 0, 6)], [(1, NOON), (2, None)]
    rows = read('SELECT id, at AS "Seen At" FROM t WHERE id > :low ORDER BY id -- newest last', {"low": 0})
    assert oracle.parsed == ['SELECT id, at AS "Seen At" FROM t WHERE id > :low ORDER BY id -- newest last']
    assert oracle.executed[-1] == (
        'SELECT "ID", SYS_EXTRACT_UTC("Seen At") AS "Seen At" FROM (\n' + oracle.parsed[0] + "\n)",
        {"low": 0},
    )
    assert rows == [{"id": 1, "Seen At": NOON.replace(tzinfo=UTC)}, {"id": 2, "Seen At": None}]
    assert fetched_as(oracle.query, oracle.columns[1]).type is oracledb.DB_TYPE_TIMESTAMP


def test_a_naive_time_stays_naive(oracle):
    oracle.columns, oracle.rows = [column("AT", oracledb.DB_TYPE_DATE)], [(NOON,)]
    assert read() == [{"at": NOON}]


TYPES = {  # type -> (what the driver is told to fetch it as; None: its own choice, which is right)
    "NUMBER(10)": (column("C", oracledb.DB_TYPE_NUMBER, 10, 0), None),
    "NUMBER(38)": (column("C", oracledb.DB_TYPE_NUMBER, 38, 0), None),
    "NUMBER(12,2)": (column("C", oracledb.DB_TYPE_NUMBER, 12, 2), oracledb.DB_TYPE_NUMBER),
    "NUMBER": (column("C", oracledb.DB_TYPE_NUMBER, 0, -127), oracledb.DB_TYPE_NUMBER),
    "an expression": (column("C", oracledb.DB_TYPE_NUMBER, 0, 0), oracledb.DB_TYPE_NUMBER),
    "NUMBER(*,2)": (column("C", oracledb.DB_TYPE_NUMBER, 0, 2), oracledb.DB_TYPE_NUMBER),
    "NUMBER(10,-2)": (column("C", oracledb.DB_TYPE_NUMBER, 10, -2), oracledb.DB_TYPE_NUMBER),
    "FLOAT": (column("C", oracledb.DB_TYPE_NUMBER, 126, -127), oracledb.DB_TYPE_NUMBER),
    "BINARY_FLOAT": (column("C", oracledb.DB_TYPE_BINARY_FLOAT), None),
    "BINARY_DOUBLE": (column("C", oracledb.DB_TYPE_BINARY_DOUBLE), None),
    "CLOB": (column("C", oracledb.DB_TYPE_CLOB), oracledb.DB_TYPE_VARCHAR),
    "NCLOB": (column("C", oracledb.DB_TYPE_NCLOB), oracledb.DB_TYPE_NVARCHAR),
    "BLOB": (column("C", oracledb.DB_TYPE_BLOB), oracledb.DB_TYPE_RAW),
    "RAW": (column("C", oracledb.DB_TYPE_RAW), None),
    "CHAR": (column("C", oracledb.DB_TYPE_CHAR), None),
    "DATE": (column("C", oracledb.DB_TYPE_DATE), None),
    "TIMESTAMP": (column("C", oracledb.DB_TYPE_TIMESTAMP, 0, 6), None),
    "INTERVAL DAY TO SECOND": (column("C", oracledb.DB_TYPE_INTERVAL_DS, 2, 6), None),
    "INTERVAL YEAR TO MONTH": (column("C", oracledb.DB_TYPE_INTERVAL_YM, 2, 0), None),
    "JSON": (column("C", oracledb.DB_TYPE_JSON), None),
    "BOOLEAN": (column("C", oracledb.DB_TYPE_BOOLEAN), None),
    "VECTOR": (column("C", oracledb.DB_TYPE_VECTOR), None),
}


@pytest.mark.parametrize("case", TYPES)
def test_what_a_column_is_fetched_as(oracle, case):
    info, expected = TYPES[case]
    oracle.columns, oracle.rows = [info], []
    assert read() == []
    variable = fetched_as(oracle.query, info)
    assert (variable and variable.type) == expected
    if expected is oracledb.DB_TYPE_NUMBER:  # and so not as a float: the driver's variable takes all of a Decimal
        variable.setvalue(0, Decimal("0.1234567890123456789012345678901234567"))
        assert variable.getvalue() == Decimal("0.1234567890123456789012345678901234567")


DIGITS = "12345678901234567890123456789012345678"


@pytest.mark.parametrize(
    ("case", "value", "body"),
    [
        ("NUMBER(38)", int(DIGITS), DIGITS),
        ("NUMBER(12,2)", Decimal("0.10"), "0.10"),
        ("NUMBER", Decimal(DIGITS), DIGITS),
        ("NUMBER", Decimal(f"-0.{DIGITS}"), f"-0.{DIGITS}"),
        ("NUMBER", Decimal(f"{DIGITS}0000"), f"{DIGITS}0000"),
        ("FLOAT", Decimal("2.50"), "2.50"),
        ("NUMBER(10,-2)", Decimal(1200), "1200"),
        ("BINARY_FLOAT", 1e30, "1e+30"),
        ("BINARY_DOUBLE", 0.1, "0.1"),
        ("CLOB", "é" * 40_000, '"' + "é" * 40_000 + '"'),
        ("NCLOB", "\u2028", '"\u2028"'),
        ("BLOB", b"\x00\xff", '"AP8="'),
        ("RAW", b"\x00\xff", '"AP8="'),
        ("CHAR", "a   ", '"a   "'),
        ("DATE", NOON, '"2026-07-01T12:00:00+00:00"'),
        ("TIMESTAMP", NOON.replace(microsecond=5), '"2026-07-01T12:00:00.000005+00:00"'),
        ("INTERVAL DAY TO SECOND", timedelta(days=1, seconds=2), '"P1DT2S"'),
        ("INTERVAL YEAR TO MONTH", oracledb.IntervalYM(1, 2), '"P1Y2M"'),
        ("INTERVAL YEAR TO MONTH", oracledb.IntervalYM(0, -2), '"P-2M"'),
        ("INTERVAL YEAR TO MONTH", oracledb.IntervalYM(0, 0), '"P0M"'),
        ("VECTOR", array("f", [0.5, 2]), "[0.5,2.0]"),
        ("JSON", {"a": [Decimal("0.10"), None, True]}, '{"a":[0.10,null,true]}'),
        ("BOOLEAN", True, "true"),
        ("BOOLEAN", None, "null"),
    ],
)
def test_a_value_is_sent_exactly(oracle, case, value, body):
    oracle.columns, oracle.rows = [TYPES[case][0]], [(value,)]
    (row,) = read()
    assert JsonEncoder()(row).decode() == f'{{"c":{body}}}'
    json.loads(body)


def test_a_time_with_a_zone_is_sent_as_its_instant_whatever_the_connection_says_of_naive_ones(oracle):
    oracle.columns, oracle.rows = [column("AT", oracledb.DB_TYPE_TIMESTAMP_TZ, 0, 6)], [(NOON,)]
    (row,) = read("SELECT at FROM t")
    assert JsonEncoder(timezone(timedelta(hours=5)))(row) == b'{"at":"2026-07-01T12:00:00+00:00"}'


@pytest.mark.parametrize("beside", [0, 2**70])
@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        Decimal("NaN"),
        array("f", [float("nan")]),
        oracledb.SparseVector(3, [0], [1.0]),
        create_autospec(oracledb.LOB, instance=True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_json_form_is_refused_by_name(value, beside):
    with pytest.raises(EncodeError, match="return (a number|something else).* from transform"):
        JsonEncoder()({"n": beside, "c": value})


@pytest.mark.parametrize("code", [904, 936, 942, 1008, 1031, 1722, 1858])
def test_a_wrong_sql_is_refused_with_the_databases_words(oracle, code):
    oracle.refuse = error(code, "no such thing")
    with pytest.raises(ConfigurationError, match=f"the database refuses the sql: ORA-{code:05}: no such thing"):
        read()


@pytest.mark.parametrize(
    "refusal",
    [
        *(error(code) for code in (28, 54, 1013, 1033, 1089, 1555, 1652, 3113, 3135, 4068, 12514, 12571)),
        driver_error(errors.ERR_CONNECTION_CLOSED),
        driver_error(errors.ERR_CALL_TIMEOUT_EXCEEDED, timeout=5),
        driver_error(errors.ERR_NOT_CONNECTED),
    ],
    ids=lambda refusal: refusal.args[0].full_code + f"-{refusal.args[0].code}",
)
def test_a_database_that_is_down_or_busy_can_be_asked_again(oracle, refusal):
    oracle.refuse = refusal
    with pytest.raises(DBAPIError) as raised:
        read()
    assert raised.value.orig is refusal


def test_what_is_no_query_is_refused(oracle):
    oracle.columns, oracle.rows = [], []
    with pytest.raises(ConfigurationError, match="sql returns no rows: write a SELECT"):
        read("UPDATE t SET id = 1")


@pytest.mark.parametrize(
    ("where", "target", "schema"),
    [
        ({"service_name": "FREEPDB1"}, "(SERVICE_NAME=FREEPDB1)", None),
        ({"service_name": "FREEPDB1", "schema": "sales"}, "(SERVICE_NAME=FREEPDB1)", "sales"),
        ({"schema": "FREEPDB1"}, "(SERVICE_NAME=FREEPDB1)", None),
        ({"sid": "ORCL"}, "(SID=ORCL)", None),
        ({"dsn": "db:1521/FREEPDB1", "service_name": ""}, "db:1521/FREEPDB1", None),
    ],
)
def test_the_hook_connects_whatever_the_password_is_made_of(oracle, place, where, target, schema):
    place(**where)
    assert read() == [{"id": 1}, {"id": 2}, {"id": 3}]
    arguments = oracle.connect.call_args.kwargs
    assert (arguments["user"], arguments["password"]) == ("me", "p@s:s/w#?rd%")
    assert target in arguments["dsn"]
    assert oracle.connection.current_schema == schema


def test_a_connection_with_both_a_sid_and_a_service_name_is_refused(oracle, place):
    place(sid="A", service_name="B")
    with pytest.raises(ConfigurationError, match="At most one allowed for 'sid', and 'service name'"):
        prepare()


def test_the_statement_is_sqlalchemys_for_oracle_and_sqlalchemys_handler_stays_in_force(oracle):
    chunks = prepare("SELECT id FROM t WHERE at >= :window_start", {"window_start": NOON})
    assert (chunks._engine.dialect.name, chunks._engine.dialect.driver) == ("oracle", "oracledb")
    list(chunks)
    assert oracle.connection.outputtypehandler.__module__.startswith("sqlalchemy.")
    assert SimpleNamespace(**oracle.executed[-1][1]) == SimpleNamespace(window_start=NOON)


def test_two_columns_of_one_name_are_told_by_name_with_a_zoned_one_too(oracle):
    oracle.columns, oracle.rows = [ID, ID, column("AT", oracledb.DB_TYPE_TIMESTAMP_TZ)], [(1, 1, NOON)]
    with pytest.raises(ConfigurationError, match="two columns named 'id'"):
        read("SELECT id, id, at FROM t")
    assert oracle.executed[-1][0] == "SELECT id, id, at FROM t"


def test_a_query_that_may_change_something_says_so_to_nobody_and_is_committed_at_the_end(oracle):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    chunks = iter(ChunkedSqlHook("source_db").chunks("SELECT id FROM t", None, 2, read_only=False))
    next(chunks)
    oracle.connection.commit.assert_not_called()
    assert list(chunks) == [[{"id": 3}]]
    assert "SET TRANSACTION READ ONLY" not in dict(oracle.executed)
    oracle.connection.commit.assert_called_once_with()


def test_a_refusal_to_change_something_says_how_it_is_allowed(oracle):
    oracle.refuse_query = error(1456, "may not perform insert, delete, update operation")
    with pytest.raises(ConfigurationError, match=r"(?s)ORA-01456: may not .* with read_only=False it may change data"):
        read("SELECT id FROM t FOR UPDATE")


def test_an_error_of_a_wrapped_query_says_that_it_was_wrapped(oracle):
    oracle.columns, oracle.refuse_query = [column("AT", oracledb.DB_TYPE_TIMESTAMP_TZ)], error(2014, "no FOR UPDATE")
    with pytest.raises(ConfigurationError, match=r"(?s)no FOR UPDATE.* It was sent as SELECT SYS_EXTRACT_UTC"):
        read("SELECT at FROM t FOR UPDATE")
