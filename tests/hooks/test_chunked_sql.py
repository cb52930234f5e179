"""ChunkedSqlHook: the same suite on every database there is; Oracle where ORACLE_DSN names one."""

import os
import sqlite3
import weakref
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from urllib.parse import unquote, urlsplit

import pytest

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import ConfigurationError

WINDOW = {"window_start": datetime(2026, 11, 1, tzinfo=UTC), "window_end": datetime(2026, 11, 2, tzinfo=UTC)}
IN_WINDOW = "SELECT id FROM {table} WHERE at >= :window_start AND at < :window_end ORDER BY id"


@pytest.fixture
def sqlite(connect, tmp_path):
    (path := tmp_path / "source.db").touch()
    connect("source_db", conn_type="sqlite", host=str(path))

    def execute(*statements):
        with sqlite3.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)

    return execute


@pytest.fixture
def oracle(connect):
    if "ORACLE_DSN" not in os.environ:
        pytest.skip("needs an Oracle database: set ORACLE_DSN=oracle://user:password@host:port/service")
    import oracledb

    dsn = urlsplit(os.environ["ORACLE_DSN"])
    login, password, service = dsn.username, unquote(dsn.password), dsn.path.strip("/")
    place = {"host": dsn.hostname, "port": dsn.port or 1521}
    # The service stands in the extra: what stands in the field "schema" becomes the session's schema too.
    connect("source_db", conn_type="oracle", login=login, password=password, extra={"service_name": service}, **place)

    def execute(*statements):
        with oracledb.connect(user=login, password=password, service_name=service, **place) as connection:
            for statement in statements:
                connection.cursor().execute(statement)
            connection.commit()

    return execute


@pytest.fixture
def postgresql(connect, postgres):
    connect("source_db", **postgres.connection())
    return postgres.execute


# database -> (type of the column, how a literal of it is written)
COLUMNS = {
    "postgresql-timestamptz": ("timestamptz", "TIMESTAMP WITH TIME ZONE '{} +00:00'"),
    "postgresql-timestamp": ("timestamp", "TIMESTAMP '{}'"),
    "postgresql-date": ("date", "DATE '{:.10}'"),
    "sqlite-text": ("text", "'{}'"),
    "sqlite-text with microseconds": ("text", "'{}.000000'"),
    "oracle-DATE": ("DATE", "TO_DATE('{}', 'YYYY-MM-DD HH24:MI:SS')"),
    "oracle-TIMESTAMP": ("TIMESTAMP", "TIMESTAMP '{}'"),
    "oracle-TIMESTAMP WITH TIME ZONE": ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP '{} +00:00'"),
}


def read(sql, parameters=None, chunk_size=2):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    return list(ChunkedSqlHook("source_db").iter_chunks(sql, parameters, chunk_size))


@pytest.fixture(params=["postgresql", "sqlite", "oracle"])
def database(request):
    """Each database in turn: (its name, a function that executes statements)."""
    return request.param, request.getfixturevalue(request.param)


@pytest.mark.parametrize("case", COLUMNS)
def test_a_row_on_window_start_is_in_and_one_on_window_end_is_not(request, case):
    execute = request.getfixturevalue(case.split("-")[0])
    kind, literal = COLUMNS[case]
    times = ["2026-10-31 23:59:59", "2026-11-01 00:00:00", "2026-11-01 12:00:00", "2026-11-02 00:00:00"]
    if "date" in case.lower() and "postgresql" in case:
        times = ["2026-10-31", "2026-11-01", "2026-11-01", "2026-11-02"]
    drop_table(execute, case.split("-")[0], "bounds")
    execute(
        f"CREATE TABLE bounds (id int, at {kind})",
        *(f"INSERT INTO bounds VALUES ({i}, {literal.format(time)})" for i, time in enumerate(times)),
    )
    rows = [row["id"] for chunk in read(IN_WINDOW.format(table="bounds"), WINDOW) for row in chunk]
    assert rows == [1, 2]


def drop_table(execute, database: str, name: str) -> None:
    if database != "oracle":
        execute(f"DROP TABLE IF EXISTS {name}")
    else:
        execute(
            f"BEGIN EXECUTE IMMEDIATE 'DROP TABLE {name}'; EXCEPTION WHEN OTHERS THEN "
            "IF SQLCODE != -942 THEN RAISE; END IF; END;"
        )


def test_rows_come_in_chunks_of_dicts_with_the_databases_column_names(database):
    name, execute = database
    drop_table(execute, name, "named")
    execute(
        'CREATE TABLE named (id int, "Mixed Case" int)', *(f"INSERT INTO named VALUES ({i}, {i})" for i in range(5))
    )
    chunks = read('SELECT id, "Mixed Case" FROM named WHERE id >= :smallest ORDER BY id', {"smallest": 0})
    assert [len(chunk) for chunk in chunks] == [2, 2, 1]
    assert chunks[0] == [{"id": 0, "Mixed Case": 0}, {"id": 1, "Mixed Case": 1}]


def count(sql, parameters=None, **arguments):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    chunks = ChunkedSqlHook("source_db").chunks(sql, parameters, **arguments)
    assert chunks.expected is None
    rows = sum(map(len, chunks))
    if chunks.expected is not None and chunks.expected.how == "counted":
        assert chunks.expected.items == rows
    return chunks.expected and (chunks.expected.items, chunks.expected.how)


def test_rows_are_counted_when_asked_for(database):
    name, execute = database
    drop_table(execute, name, "counted")
    execute("CREATE TABLE counted (id int)", *(f"INSERT INTO counted VALUES ({i})" for i in range(7)))
    sql = "SELECT id FROM counted WHERE id >= :smallest ORDER BY id;"
    assert count(sql, {"smallest": 2}, count_rows=True) == (5, "counted")
    assert count("SELECT id FROM counted  -- all of them", count_rows=True) == (7, "counted")
    if name != "postgresql":
        assert count(sql, {"smallest": 2}) is None


def test_postgresql_estimates_without_reading(postgresql):
    postgresql(
        "DROP TABLE IF EXISTS estimated",
        "CREATE TABLE estimated AS SELECT i AS id, '2026-11-01Z'::timestamptz + i * interval '1 minute' AS at "
        "FROM generate_series(1, 10000) AS i",
        "ANALYZE estimated",
    )
    items, how = count(IN_WINDOW.format(table="estimated"), WINDOW)
    assert (how, 1300 < items < 1600) == ("about", True)  # 1,440 of these minutes are in the window
    with pytest.raises(ConfigurationError, match="no_such_column"):
        count("SELECT no_such_column FROM estimated")


@pytest.mark.parametrize("count_rows", [False, True])
@pytest.mark.parametrize("close", ["", ") x", ") counted"])
def test_a_second_statement_is_never_run(postgresql, count_rows, close):
    """As a template may bring it in, where anybody may trigger the DAG."""
    postgresql("DROP TABLE IF EXISTS victim", "CREATE TABLE victim AS SELECT 1 AS id")
    with pytest.raises(ConfigurationError):
        count(f"SELECT id FROM victim{close}; DELETE FROM victim; COMMIT; --", count_rows=count_rows)
    assert postgresql("SELECT count(*) FROM victim") == [(1,)]


def test_what_cannot_be_estimated_is_read_all_the_same(postgresql):
    postgresql("DROP TABLE IF EXISTS locked", "CREATE TABLE locked AS SELECT generate_series(1, 3) AS id")
    assert count("SELECT id AS x, id AS y FROM locked FOR UPDATE", read_only=False) is not None


DIGITS = "12345678901234567890123456789012345678"
AT = datetime(2026, 7, 1, 12, 0, 0, 5)  # noqa: DTZ001
# database -> type of a column -> (how a literal of it is written, what is read of it)
VALUES = {
    "postgresql": {
        "bigint": ("-9223372036854775808", -(2**63)),
        "numeric": (f"0.{DIGITS}", Decimal(f"0.{DIGITS}")),
        "numeric(38)": (DIGITS, Decimal(DIGITS)),
        "double precision": ("0.1", 0.1),
        "boolean": ("true", True),
        "date": ("'2026-07-01'", date(2026, 7, 1)),
        "timestamp": ("'2026-07-01 12:00:00.000005'", AT),
        "timestamptz": ("'2026-07-01 14:00:00.000005 +02:00'", AT.replace(tzinfo=UTC)),
        "text": ("repeat('é', 40000)", "é" * 40_000),
        "bytea": (r"'\x00ff'", b"\x00\xff"),
        "interval": ("'1 day 2 seconds'", timedelta(days=1, seconds=2)),
        "jsonb": ("""'{"a": [1, null]}'""", {"a": [1, None]}),
    },
    "sqlite": {
        "integer": ("-9223372036854775808", -(2**63)),
        "real": ("0.1", 0.1),
        "text": ("'é'", "é"),
        "blob": ("x'00ff'", b"\x00\xff"),
    },
    "oracle": {
        "NUMBER(38)": (DIGITS, int(DIGITS)),
        "NUMBER": (f"0.{DIGITS}", Decimal(f"0.{DIGITS}")),
        "NUMBER(12,2)": ("0.25", Decimal("0.25")),
        "NUMBER(10,-2)": ("1234", 1200),
        "FLOAT": (f"0.{DIGITS}", Decimal(f"0.{DIGITS}")),
        "BINARY_FLOAT": ("0.5f", 0.5),
        "BINARY_DOUBLE": ("0.1d", 0.1),
        "DATE": ("TO_DATE('2026-07-01 12:00:00', 'YYYY-MM-DD HH24:MI:SS')", AT.replace(microsecond=0)),
        "TIMESTAMP(6)": ("TIMESTAMP '2026-07-01 12:00:00.000005'", AT),
        "TIMESTAMP(6) WITH TIME ZONE": ("TIMESTAMP '2026-07-01 14:00:00.000005 +02:00'", AT.replace(tzinfo=UTC)),
        "TIMESTAMP(5) WITH TIME ZONE": ("TIMESTAMP '2026-07-01 14:00:00 Europe/Prague'", AT.replace(microsecond=0, tzinfo=UTC)),
        "TIMESTAMP(6) WITH LOCAL TIME ZONE": ("TIMESTAMP '2026-07-01 14:00:00.000005 +02:00'", AT.replace(tzinfo=UTC)),
        "CLOB": (" || ".join(["TO_CLOB(RPAD('x', 4000, 'x'))"] * 10), "x" * 40_000),
        "NCLOB": ("TO_NCLOB(UNISTR('\\20ac'))", "€"),
        "BLOB": ("HEXTORAW('00FF')", b"\x00\xff"),
        "RAW(2)": ("HEXTORAW('00FF')", b"\x00\xff"),
        "CHAR(4)": ("'a'", "a   "),
        "INTERVAL DAY TO SECOND": ("INTERVAL '1 00:00:02' DAY TO SECOND", timedelta(days=1, seconds=2)),
    },
}  # fmt: skip


def test_values_of_every_type_and_nulls_are_read_exactly(database):
    name, execute = database
    drop_table(execute, name, "kinds")
    kinds = VALUES[name]
    execute(
        "CREATE TABLE kinds (id int, " + ", ".join(f"c{i} {kind}" for i, kind in enumerate(kinds)) + ")",
        f"INSERT INTO kinds VALUES (1, {', '.join(literal for literal, _ in kinds.values())})",
        f"INSERT INTO kinds VALUES (2, {', '.join('NULL' for _ in kinds)})",
    )
    (rows,) = read("SELECT * FROM kinds ORDER BY id")
    assert {kind: rows[0][f"c{i}"] for i, kind in enumerate(kinds)} == {
        kind: value for kind, (_, value) in kinds.items()
    }
    assert [type(rows[0][f"c{i}"]) for i in range(len(kinds))] == [type(value) for _, value in kinds.values()]
    assert rows[1] == {"id": 2} | {f"c{i}": None for i in range(len(kinds))}
    JsonEncoder()(rows[0])


@pytest.mark.parametrize(
    "case", ["postgresql-timestamptz", "sqlite-text", "oracle-TIMESTAMP", "oracle-TIMESTAMP WITH TIME ZONE"]
)
def test_a_bind_keeps_its_fraction_of_a_second(request, case):
    name, (kind, literal) = case.split("-")[0], COLUMNS[case]
    execute = request.getfixturevalue(name)
    drop_table(execute, name, "fractions")
    times = ["2026-07-01 12:00:00.250000", "2026-07-01 12:00:00.750000"]
    execute(
        f"CREATE TABLE fractions (id int, at {kind})",
        *(f"INSERT INTO fractions VALUES ({i}, {literal.format(time)})" for i, time in enumerate(times)),
    )
    between = datetime(2026, 7, 1, 12, 0, 0, 500_000, tzinfo=UTC)
    assert read("SELECT id FROM fractions WHERE at >= :since", {"since": between}) == [[{"id": 1}]]


def test_an_empty_result_has_no_chunks(database):
    name, execute = database
    drop_table(execute, name, "empty")
    execute("CREATE TABLE empty (id int)")
    assert read("SELECT id FROM empty") == []


def test_wrong_sql_is_refused_with_the_databases_words(database):
    with pytest.raises(ConfigurationError, match="the database refuses the sql: .*(?i:nowhere|942)"):
        read("SELECT id FROM nowhere")


def test_a_query_can_be_read_again(sqlite):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    sqlite("CREATE TABLE again (id int)", "INSERT INTO again VALUES (1)")
    chunks = ChunkedSqlHook("source_db").chunks("SELECT id FROM again")
    assert list(chunks) == list(chunks) == [[{"id": 1}]]


def test_a_big_result_streams_instead_of_being_fetched_whole(postgresql):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    # Fetched whole this would never end: the first chunk is there long before the last row exists.
    chunks = iter(ChunkedSqlHook("source_db").chunks("SELECT generate_series(1, 1000000000000) AS i", None, 10))
    assert [row["i"] for row in next(chunks)] == list(range(1, 11))
    chunks.close()


class _Row(dict):
    """A row that can be looked for once it is let go."""

    __slots__ = ("__weakref__",)


def test_a_chunk_is_let_go_before_the_next_one_is_read(sqlite, monkeypatch):
    from airflow_async_rest.hooks import chunked_sql

    there, named_rows = [], chunked_sql.named_rows

    def weak_rows(names, rows):
        assert [row() for row in there] == [None] * len(there)
        made = [_Row(row) for row in named_rows(names, rows)]
        there.extend(map(weakref.ref, made))
        return made

    monkeypatch.setattr(chunked_sql, "named_rows", weak_rows)
    sql = "SELECT 1 AS id UNION ALL SELECT 2 UNION ALL SELECT 3"
    chunks = iter(chunked_sql.ChunkedSqlHook("source_db").chunks(sql, chunk_size=1))
    assert [next(chunks)[0]["id"] for _ in range(3)] == [1, 2, 3]
    assert next(chunks, None) is None


def test_a_connection_that_asks_for_dict_cursors_gives_the_same_rows(connect, postgres):
    connect("source_db", **postgres.connection(), extra='{"cursor": "dictcursor"}')
    assert read("SELECT 1 AS id, 'a' AS name") == [[{"id": 1, "name": "a"}]]


def test_a_database_that_nobody_has_tried_is_read_by_plain_db_api_which_is_said_once(
    connect, tmp_path, untried, caplog
):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    path = tmp_path / "plain.db"
    connect("source_db", conn_type="sqlite", host=str(path))
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE plain (id int, name text)")
        connection.executemany("INSERT INTO plain VALUES (?, ?)", [(i, f"n{i}") for i in range(5)])
    sql = "SELECT id, name FROM plain WHERE name <> :not AND id >= :low ORDER BY id"
    assert read(sql, {"low": 1, "not": "n3"}) == [
        [{"id": 1, "name": "n1"}, {"id": 2, "name": "n2"}],
        [{"id": 4, "name": "n4"}],
    ]
    with pytest.raises(ConfigurationError, match="the database refuses the sql: You can only execute one statement"):
        list(ChunkedSqlHook("source_db").iter_chunks("SELECT 1; SELECT 2"))
    assert [record.message for record in caplog.records if "never tried" in record.message] == [
        "Reading from a database of type 'sqlite' was never tried: it is read by plain DB-API"
    ]


def test_binds_take_the_form_that_the_databases_columns_compare_with():
    import pendulum

    from airflow_async_rest.databases.bind_values import bind_value
    from airflow_async_rest.databases.dialects.registry import dialect_named

    prague = timezone(timedelta(hours=2))
    instant = datetime(2026, 7, 1, 2, 0, tzinfo=prague)
    assert bind_value(instant, dialect_named("postgresql")) == datetime(2026, 7, 1, tzinfo=UTC)
    assert bind_value(instant, dialect_named("oracle")) == datetime(2026, 7, 1)  # noqa: DTZ001
    assert bind_value(instant, dialect_named("sqlite")) == "2026-07-01 00:00:00"
    assert bind_value(datetime(2026, 7, 1, 2, 0, 0, 5), dialect_named("sqlite")) == "2026-07-01 02:00:00.000005"  # noqa: DTZ001
    assert bind_value(date(2026, 7, 1), dialect_named("sqlite")) == "2026-07-01"
    assert bind_value(date(2026, 7, 1), dialect_named("oracle")) == date(2026, 7, 1)
    assert bind_value(Decimal("1.5"), dialect_named("oracle")) == Decimal("1.5")
    assert type(bind_value(pendulum.datetime(2026, 7, 1), dialect_named("postgresql"))) is datetime


def test_the_oracle_path_connects_with_the_real_driver_and_dialect(connect):
    """No Oracle is needed to see that the statement compiles for it and that its own driver does the connecting."""
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    connect("source_db", conn_type="oracle", host="127.0.0.1", port=1, login="u", password="p@ss:w/ord", schema="FREE")
    chunks = ChunkedSqlHook("source_db").chunks(IN_WINDOW.format(table="t"), WINDOW)
    assert (chunks._engine.dialect.name, chunks._engine.dialect.driver) == ("oracle", "oracledb")
    assert ":window_start" in str(chunks._statement.compile(chunks._engine))
    with pytest.raises(Exception, match="DPY-6005"):  # the driver's own: cannot connect
        next(iter(chunks))


@pytest.mark.parametrize("before", ["\ufeff", "\ufeff\n ", " \n\ufeff"])
def test_a_mark_of_byte_order_before_the_sql_is_left_out(sqlite, before):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    sqlite("CREATE TABLE named (id int)", "INSERT INTO named VALUES (1)")
    assert list(ChunkedSqlHook("source_db").chunks(f"{before}SELECT id FROM named;", {})) == [[{"id": 1}]]
    with pytest.raises(ConfigurationError, match="write a SELECT"):
        ChunkedSqlHook("source_db").chunks(before, {})
