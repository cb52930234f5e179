"""MySQL and MariaDB as far as no server is needed: what a session is told, what numbers mean, how values are written."""

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from airflow_async_rest.core.errors import ConfigurationError, EncodeError
from airflow_async_rest.databases.dialects.mysql import cells, session
from airflow_async_rest.databases.dialects.mysql.values import LOADED
from airflow_async_rest.databases.dialects.registry import dialect_named
from airflow_async_rest.databases.quotes import blank
from airflow_async_rest.databases.values.columns import Column, Kind

STRICT = "STRICT_ALL_TABLES,STRICT_TRANS_TABLES,NO_AUTO_VALUE_ON_ZERO"
SQL_MODES = {
    "": STRICT,
    "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO": (
        "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO"
    ),
    "NO_ZERO_DATE,ANSI_QUOTES,NO_BACKSLASH_ESCAPES": f"NO_ZERO_DATE,{STRICT}",
    "REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ANSI": (
        f"REAL_AS_FLOAT,PIPES_AS_CONCAT,IGNORE_SPACE,{STRICT}"
    ),
}


@pytest.mark.parametrize("modes", SQL_MODES)
def test_a_load_is_strict_whatever_the_modes_are_of_which_the_others_stay(modes):
    assert session.strict_mode(modes) == SQL_MODES[modes]


def test_a_session_is_told_what_its_server_has():
    found = {"net_write_timeout": "60", "wait_timeout": "31536000", "max_statement_time": "5.0", "sql_mode": ""}
    [reads] = session.statements(found, loads=False)
    assert (
        reads
        == "SET SESSION net_write_timeout = 86400, SESSION wait_timeout = 31536000, SESSION max_statement_time = 0"
    )
    loads, isolation = session.statements(found, loads=True)
    assert loads == f"{reads}, SESSION sql_mode = '{STRICT}'"
    assert isolation == "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"


def test_the_isolation_stays_where_replicas_are_sent_statements():
    assert len(session.statements({"wait_timeout": "1", "binlog_format": "STATEMENT"}, loads=True)) == 1


# A connection's extra -> what the driver is told of TLS.
TLS = [
    ({}, {}),
    ({"ssl": {}}, {}),
    ({"ssl": {"ca": "/ca"}}, {"ssl": {"ca": "/ca"}, "ssl_mode": "VERIFY_CA"}),
    ({"ssl": '{"ca": "/ca"}'}, {"ssl": {"ca": "/ca"}, "ssl_mode": "VERIFY_CA"}),
    ({"ssl": {"capath": "/cas"}}, {"ssl": {"capath": "/cas"}, "ssl_mode": "VERIFY_CA"}),
    ({"ssl": {"cert": "/c", "key": "/k"}}, {"ssl": {"cert": "/c", "key": "/k"}, "ssl_mode": "REQUIRED"}),
    ({"ssl": {"ca": "/ca"}, "ssl_mode": "REQUIRED"}, {"ssl": {"ca": "/ca"}, "ssl_mode": "REQUIRED"}),
    ({"ssl": {"ca": "/ca"}, "ssl_mode": "verify_identity"}, {"ssl": {"ca": "/ca"}, "ssl_mode": "VERIFY_IDENTITY"}),
    ({"ssl": True}, {"ssl_mode": "REQUIRED"}),
    ({"ssl": "true"}, {"ssl_mode": "REQUIRED"}),
    ({"ssl_mode": "PREFERRED"}, {"ssl_mode": "PREFERRED"}),
]


@pytest.mark.parametrize(("extra", "told"), TLS)
def test_a_connection_that_names_a_ca_verifies_it(extra, told):
    assert session.tls(extra) == told
    assert session.needs_tls(told) == ("ssl" in told or told.get("ssl_mode") == "REQUIRED")


WRONG_TLS = [
    ({"ssl": {"ca": "/ca"}, "ssl_mode": "PREFERRED"}, "VERIFY_CA"),
    ({"ssl": {"capath": "/cas"}, "ssl_mode": "disabled"}, "VERIFY_CA"),
    ({"ssl_mode": "verify"}, "'verify'"),
    ({"ssl": {"ca_file": "/ca"}}, "'ca_file'"),
    ({"ssl": {"ca": "/ca", "check_hostname": True}}, "'check_hostname'"),
    ({"ssl": "/ca"}, "no JSON"),
    ({"ssl": ["/ca"]}, "no object"),
]


@pytest.mark.parametrize(("extra", "named"), WRONG_TLS)
def test_a_tls_that_would_be_read_as_another_is_refused_by_name(extra, named):
    with pytest.raises(ConfigurationError, match=named):
        session.tls(extra)


KINDS = {
    "is_transient": [1020, 1040, 1053, 1205, 1213, 1317, 1412, 1927, 1969, 2002, 2003, 2006, 2013, 3024, 4031],
    "is_refusal": [1048, 1062, 1264, 1265, 1292, 1364, 1366, 1406, 1452, 1644, 1690, 3140, 3819, 4025],
    "is_forbidden": [1044, 1142, 1143, 1227, 1370],
    "is_login_refused": [1044, 1045, 1049, 1130, 1698, 1862, 2059],
    "is_write_refused": [1290, 1792, 1836],
    "": [1054, 1064, 1109, 1146, 1305, 9999],
}


class OperationalError(Exception):
    """As the driver calls most of its errors."""


@pytest.mark.parametrize("code", sorted({code for codes in KINDS.values() for code in codes}))
def test_an_error_is_of_one_kind_by_its_number(code):
    dialect, error = dialect_named("mysql"), OperationalError(code, "words")
    said = [name for name in KINDS if name and getattr(dialect, name)(error)]
    expected = [name for name, codes in KINDS.items() if name and code in codes]
    assert said == expected
    assert dialect.is_wrong(error) is (not {"is_transient", "is_refusal"}.intersection(expected))


def test_after_a_deadlock_its_savepoint_is_gone():
    assert dialect_named("mysql").is_transient(OperationalError(1305, "SAVEPOINT sa_savepoint_1 does not exist"))


# kind, type, values -> in SQL, in a file
WRITTEN = [
    (Kind.TEXT, "", ["it's", "a\\b", "\0\t\n", ""], ["'it\\'s'", "'a\\\\b'", "'\\0\t\n'", "''"],
     ["it's", "a\\\\b", "\\0\\t\\n", ""]),
    (Kind.TEXT, "", ["plain", None, "\\N"], ["'plain'", "NULL", "'\\\\N'"], ["plain", "\\N", "\\\\N"]),
    (Kind.TEXT, "", [1, True, math.nan, {"a": 1}], ["'1'", "'true'", "'NaN'", "'{\"a\":1}'"],
     ["1", "true", "NaN", '{"a":1}']),
    (Kind.INTEGER, "int(11)", [1, None, -(2**63)], ["1", "NULL", str(-(2**63))], ["1", "\\N", str(-(2**63))]),
    (Kind.INTEGER, "bit(8)", ["5", True, 2.0], ["5", "1", "2"], ["5", "1", "2"]),
    (Kind.NUMBER, "double", [0.5, 1e300], ["0.5", "1e+300"], ["0.5", "1e+300"]),
    (Kind.NUMBER, "decimal(10,2)", [Decimal("1.10"), "7", Decimal("1e999999")], ["1.10", "'7'", "'1E+999999'"],
     ["1.10", "7", "1E+999999"]),
    (Kind.NAIVE_TIME, "datetime", ["2026-11-01T12:00:00Z", "2026-11-01T12:00:00.5Z"],
     ["'2026-11-01 12:00:00'", "'2026-11-01 12:00:00.5'"], ["2026-11-01 12:00:00", "2026-11-01 12:00:00.5"]),
    (Kind.NAIVE_TIME, "datetime", ["2026-11-01T12:00:00+02:00", datetime(2026, 1, 2, tzinfo=UTC)],
     ["'2026-11-01 10:00:00'", "'2026-01-02 00:00:00'"], ["2026-11-01 10:00:00", "2026-01-02 00:00:00"]),
    (Kind.DATE, "date", [date(2026, 1, 2), "2026-01-02T10:00:00Z"], ["'2026-01-02'"] * 2, ["2026-01-02"] * 2),
    (Kind.BINARY, "blob", [b"\0'", "\\x00ff", "text", b""], ["X'0027'", "X'00ff'", "X'74657874'", "X''"],
     ["0027", "00ff", "74657874", ""]),
    (Kind.OTHER, "point", [b"\x01", None], ["X'01'", "NULL"], ["01", "\\N"]),
    (Kind.OTHER, "time", [timedelta(hours=-26, microseconds=-5), time(1, 2), "PT1H0.5S", "P"],
     ["'-26:00:00.000005'", "'01:02:00'", "'01:00:00.500000'", "'00:00:00.000000'"],
     ["-26:00:00.000005", "01:02:00", "01:00:00.500000", "00:00:00.000000"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "type_", "values", "in_sql", "in_file"), WRITTEN)
def test_a_value_is_written_so_that_it_is_read_as_it_is(kind, type_, values, in_sql, in_file):
    column, convert = Column("thing", kind, staged_as=type_), dialect_named("mysql").converter(kind)
    for form, expected in ((cells.SQL, in_sql), (cells.FILE, in_file)):
        assert list(cells.rows(form, [column], [values], [convert])) == [(text,) for text in expected]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.INTEGER, 1.5),
        (Kind.INTEGER, "2.5"),
        (Kind.INTEGER, Decimal("0.1")),
        (Kind.INTEGER, math.inf),
        (Kind.NUMBER, math.nan),
        (Kind.NUMBER, Decimal("NaN")),
        pytest.param(Kind.NUMBER, 10**5000, id="5,000 digits"),
        (Kind.OTHER, math.inf),
    ],
)
def test_a_number_that_would_be_another_is_refused(kind, value):
    with pytest.raises(EncodeError):
        LOADED[kind](value)


# type -> what LOAD DATA reads into, what is made of it
TARGETS = {
    "int(11)": ("`a`", ""),
    "bit(3)": ("@c0", "`a` = CAST(@c0 AS UNSIGNED)"),
    "multipolygon": ("@c0", "`a` = UNHEX(@c0)"),
}


@pytest.mark.parametrize("type_", TARGETS)
def test_what_is_no_text_is_read_into_a_variable(type_):
    assert cells.target(Column("a", Kind.OTHER, staged_as=type_), "`a`", "@c0") == TARGETS[type_]


QUOTES = {
    "no backslash escapes": ({"backslashes": False}, r"'\' :a "),
    "names in double quotes": ({"names_in_double": True}, r'"\" :a '),
    "texts beside names": ({"names_in_double": True}, r"'\' x' :a "),
    "as it comes": ({}, r'"\" x" :a '),
}


@pytest.mark.parametrize("modes", QUOTES)
def test_quotes_end_where_the_modes_say(modes):
    changed, sql = QUOTES[modes]
    bare = blank(sql, dialect_named("mysql").quotes._replace(**changed))
    assert bare.endswith(" :a ")
    assert set(bare[:-4]) <= set("'\"")


class FakeConnection:
    def __init__(self, **extra):
        self.conn_id, self.extra_dejson = "warehouse", extra


@pytest.mark.parametrize("client", ["pymysql", "mysql-connector-python"])
def test_another_client_is_refused_by_name(client):
    with pytest.raises(ConfigurationError, match=f"'warehouse' has .*{client}"):
        dialect_named("mysql").prepare_connection(FakeConnection(client=client))
