"""Values into columns of every type, by way of the staging table; rows that are refused on the way."""

import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import zip_longest
from uuid import UUID

import pytest
from loads import every_driver

from airflow_async_rest.core.encoding.json_encoder import encode_anything
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.keeping.row_sink import LoadState, PlacedRow
from airflow_async_rest.core.letters.lines import parse_exactly

ZONES = [
    "Wed, 01 Jul 2026 14:00:00 +0200", "2026-07-01 14:00:00 EET", "2026-07-01 15:00:00 Europe/Helsinki",
    "Wed Jul 01 2026 15:00:00 GMT+0300 (Eastern European Summer Time)", "2026-07-01T15:00:00+03:00[Europe/Helsinki]", "2026-07-01 14:00:00 +0200", "Wed, 01 Jul 2026 12:00:00 GMT",
]  # fmt: skip
DIGITS = Decimal("123456789012345678901234567890.123456789")
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
NAIVE = NOON.replace(tzinfo=None)
AWKWARD = ["\\N", "\\", "", "a\tb", "a\nb\r\n", 'it\'s "so"', "é🌍\u2028", "NULL", "{}", "%s :x", "\x7f", " "]

# database -> type -> [(what the API has, what is read of the table)]
VALUES = {
    "postgresql": {
        "int": [(1, 1), (1.0, 1), ("7", 7), (True, 1), (Decimal("3.00"), 3)],
        "bigint": [(2**63 - 1, 2**63 - 1), (-(2**63), -(2**63))],
        "numeric": [(DIGITS, DIGITS), (2**70, Decimal(2**70)), (0.1, Decimal("0.1")), ("NaN", "NaN"), (Decimal("1E+3"), 1000)],
        "double precision": [(0.1, 0.1), (1, 1.0), (Decimal("0.5"), 0.5), ("Infinity", float("inf"))],
        "boolean": [(True, True), (False, False), ("yes", True), (1, True), (0, False)],
        "text": [*((text, text) for text in AWKWARD), (5, "5"), (True, "true"), ({"a": [1]}, '{"a":[1]}'), (0.1, "0.1")],
        "varchar(3)": [("éé🌍", "éé🌍")],
        "jsonb": [({"a": [1, None, "\t"]}, {"a": [1, None, "\t"]}), ([], []), ("a", "a"), (1.5, 1.5), (False, False)],
        "json": [({"b": 1, "a": "\\N"}, {"b": 1, "a": "\\N"})],
        "text[]": [(["a", None, "NULL", "", '"', "\\"], ["a", None, "NULL", "", '"', "\\"]), ([], []), ([["a"], ["b"]], [["a"], ["b"]])],
        "bigint[]": [([1, 2**40], [1, 2**40])],
        "jsonb[]": [(["1", 1, None, {"a": []}, [2]], ["1", 1, None, {"a": []}, [2]])],
        "bytea": [("\\x00ff", b"\x00\xff"), (b"\\\x00", b"\\\x00")],
        "uuid": [(str(UUID(int=7)), UUID(int=7)), (UUID(int=7), UUID(int=7))],
        "date": [("2026-07-01", date(2026, 7, 1)), ("2026-07-01T23:00:00Z", date(2026, 7, 1)), (date(2026, 7, 1), date(2026, 7, 1)), *((text, date(2026, 7, 1)) for text in ZONES), (20260701, date(2026, 7, 1))],
        "time": [("12:30", time(12, 30)), (time(1), time(1))],
        "interval": [("P1DT2S", timedelta(days=1, seconds=2)), (timedelta(seconds=-1.5), timedelta(seconds=-1.5))],
        "timestamp": [("2026-07-01T14:00:00+02:00", NAIVE), ("2026-07-01T12:00:00Z", NAIVE), ("2026-07-01 12:00", NAIVE), (NOON, NAIVE), ("2026-07-01", datetime(2026, 7, 1)), *((text, NAIVE) for text in ZONES), ("July 1 2026 14:00 +02", NAIVE), ("Wed Jul 01 14:00:00 EET 2026", NAIVE), ("Wed, 1 Jul 2026 02:00:00 PM +0200", NAIVE)],  # noqa: DTZ001
        "timestamp[]": [(["2026-07-01T14:00:00+02:00", None, "2026-07-01 15:00 Europe/Helsinki"], [NAIVE, None, NAIVE]), (ZONES, [NAIVE] * len(ZONES))],
        "timestamptz": [("2026-07-01T14:00:00+02:00", NOON), ("2026-07-01T12:00:00", NOON), (NOON, NOON), (NAIVE, NOON), *((text, NOON) for text in ZONES)],
        "mood": [("sad", "sad")],
        "positive": [(5, 5)],
        "document": [("a", "a"), ({"a": 1}, {"a": 1})],
        "moment": [("2026-07-01T14:00:00+02:00", NAIVE), *((text, NAIVE) for text in ZONES)],
    },
    "sqlite": {
        "integer": [(1, 1), (1.0, 1), ("7", 7), (True, 1), (2**63 - 1, 2**63 - 1), (2**63, float(2**63)), ("9223372036854775807", 2**63 - 1), (10**18 + 1, 10**18 + 1)],
        "numeric(10, 2)": [(Decimal("0.25"), 0.25), (3, 3)],
        "real": [(0.1, 0.1), (1, 1.0)],
        "boolean": [(True, 1), (False, 0), ("yes", 1), ("False", 0), (" t ", 1), (0, 0), ("maybe", "maybe")],
        "text": [*((text, text) for text in AWKWARD), (5, "5"), (True, "true"), ({"a": [1]}, '{"a":[1]}'), (DIGITS, str(DIGITS)), (NOON, "2026-07-01T12:00:00+00:00")],
        "json": [({"a": [1, None]}, '{"a":[1,null]}'), ("a", '"a"'), ([], "[]"), ([10**30], f"[{10**30}]"), (str(10**30), f'"{10**30}"'), (7, 7)],
        "blob": [(b"\x00\xff", b"\x00\xff")],
        "date": [("2026-07-01", "2026-07-01"), ("2026-07-01T23:00:00Z", "2026-07-01")],
        "timestamp": [("2026-07-01T14:00:00+02:00", "2026-07-01 12:00:00"), (NOON, "2026-07-01 12:00:00"), *((text, "2026-07-01 12:00:00") for text in ZONES)],
        "time": [("12:30", "12:30"), (time(1), "01:00:00")],
    },
    "oracle": {
        "NUMBER(19)": [(1, 1), (1.0, 1), ("7", 7), (True, 1), (2**62, 2**62)],
        "NUMBER": [(Decimal("0.25"), 0.25), ("1.5", 1.5), (2**70, 2**70)],
        "BINARY_DOUBLE": [(0.1, 0.1)],
        "VARCHAR2(4000)": [*((text, text or None) for text in AWKWARD), (5, "5"), (True, "true"), ({"a": [1]}, '{"a":[1]}')],
        "TIMESTAMP": [("2026-07-01T14:00:00.000005+02:00", NAIVE.replace(microsecond=5)), (NOON, NAIVE)],
        "DATE": [("2026-07-01T14:00:00+02:00", NAIVE), ("2026-07-01", datetime(2026, 7, 1))],  # noqa: DTZ001
        "TIMESTAMP WITH TIME ZONE": [("2026-07-01T14:00:00+02:00", NAIVE), (NOON, NAIVE)],
        "RAW(2)": [(b"\x00\xff", b"\x00\xff"), ("00ff", b"\x00\xff")],
    },
}  # fmt: skip
OWN_TYPES = (
    "CREATE TYPE mood AS ENUM ('sad', 'ok')",
    "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
    "CREATE DOMAIN document AS jsonb",
    "CREATE DOMAIN moment AS timestamp",
)


@pytest.fixture
def typed(database):
    """Make the table: ``typed(columns)``, of some with each type."""
    if database.name == "postgresql":
        database.execute(*OWN_TYPES)
    return lambda types: database.create(
        ", ".join(["id {int}", *(f"v{number} {type_}" for number, type_ in enumerate(types))])
    )


def comparable(value):
    return str(value) if value != value else value  # noqa: PLR0124  (NaN)


@every_driver
def test_values_of_every_type_are_loaded_exactly_and_null_as_null(database, typed):
    cases = VALUES[database.name]
    typed(cases)
    rows = [
        {"id": place, **{f"v{n}": case and case[0] for n, case in enumerate(line)}}
        for place, line in enumerate(zip_longest(*cases.values(), [None] * 20))
    ]
    assert database.load(rows).refused == {}
    for (type_, values), read in zip(cases.items(), list(zip(*database.rows(), strict=True))[1:], strict=True):
        expected = [value for _, value in values]
        assert {type_: [comparable(value) for value in read[: len(values)]]} == {type_: expected}
        assert {type_: set(read[len(values) :])} == {type_: {None}}


# database -> type -> what it does not take
WRONG = {
    "postgresql": {
        "int": ["x", 2**31, 1.5, {}, ""],
        "numeric(4, 2)": [1000, "x"],
        "boolean": ["maybe", 2],
        "text": ["a\0b", "\ud800"],
        "varchar(3)": ["abcd"],
        "jsonb": [
            {"a": "\0"},
            {"a": ["\ud800"]},
            {"\ud800": 1},
            float("nan"),
            {"a": [float("inf")]},
            [Decimal("NaN")],
            ["null", float("nan")],
        ],
        "text[]": ["no list", [["a"], "b"]],
        "bytea": ["\\x0", {"base64": "?"}, [1]],
        "uuid": ["7"],
        "date": ["soon", "2026-02-30", 1772430912],
        "time": ["12:30:00+02:00", "12:30-0330", time(12, tzinfo=timezone(timedelta(hours=1))), "noon"],
        "timestamp": ["soon", 5, 1772430912, "1772430912", "0001-01-01T00:00:00+05:00"],
        "timestamptz": ["2026-07-01T25:00:00Z", 1772430912],
        "timestamptz[]": [[1772430912]],
        "mood": ["angry"],
        "positive": [0],
    },
    "sqlite": {
        "text": ["\ud800", {"a": float("nan")}],
        "json": ["\ud800", float("nan"), [1, {"a": float("-inf")}], 12345678901234567890123, Decimal("-1e400")],
        "real": [float("nan"), Decimal("1e400"), "1e400", "-1e400"],
        "integer": [
            Decimal("1e400"),
            12345678901234567891,
            "12345678901234567891",
            Decimal(-12345678901234567891),
            "9" * 400,
        ],
        "numeric(30)": [12345678901234567891],
        "blob": [{"base64": "?"}],
        "timestamp": ["0001-01-01T00:00:00+05:00"],
    },
    "oracle": {
        "NUMBER(4)": ["x", 10_000],
        "VARCHAR2(3)": ["abcd", "\ud800"],
        "TIMESTAMP": ["soon", "0001-01-01T00:00:00+05:00"],
    },
}


@every_driver
def test_a_row_that_is_wrong_is_refused_alone_with_the_databases_words(database, typed):
    cases = WRONG[database.name]
    typed(cases)
    bad = [(type_, f"v{n}", value) for n, (type_, values) in enumerate(cases.items()) for value in values]
    rows = [{}, *({column: value} for _, column, value in bad), {}]
    loaded = database.load([{"id": place, **row} for place, row in enumerate(rows)])
    taken = [(type_, value) for place, (type_, _, value) in enumerate(bad, 1) if place not in loaded.refused]
    assert taken == []
    assert all(words and "\n" not in words for words in loaded.refused.values())
    assert [id_ for id_, *_ in database.rows()] == [0, len(rows) - 1]


@every_driver
@pytest.mark.parametrize("bad", [[0], [9], [3, 4, 5], list(range(10))], ids=str)
@pytest.mark.parametrize("where", ["at the staging", "at the merge"])
def test_wherever_the_refused_rows_are_the_others_are_loaded(database, bad, where):
    if where == "at the staging" and database.name == "sqlite":
        pytest.skip("its staging table takes everything")
    database.create("id {int} PRIMARY KEY CHECK (id >= 0), label {text}")
    wrong = "x" if where == "at the staging" else -1
    rows = [{"id": wrong if place in bad else place, "label": f"n{place}"} for place in range(10)]
    loaded = database.load(rows)
    refused = loaded.at_staging if where == "at the staging" else loaded.at_merge
    assert {row.place: dict(row.values)["label"] for row in refused} == {place: f"n{place}" for place in bad}
    assert [id_ for id_, _ in database.rows()] == [place for place in range(10) if place not in bad]
    assert loaded.loaded == 10 - len(bad)


def test_a_database_of_another_encoding_gets_what_it_can_keep(postgresql, postgres, connect):
    def execute(*statements):
        with postgres.open(dbname="latin") as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    with postgres.open(autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS latin")
        connection.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    connect("warehouse", **postgres.connection() | {"schema": "latin"})
    execute("CREATE TABLE things (id int, label text)")
    loaded = postgresql.load([{"id": 1, "label": "é"}, {"id": 2, "label": "🌍"}])
    assert list(loaded.refused) == [1]
    assert execute("SELECT id, length(label) FROM things") == [(1, 1)]


# Columns of which something is refused at the merge: type -> value.
AGAIN = {
    "postgresql": {
        "jsonb": {"a": Decimal("0.12345678901234567890")},
        "json": "text",
        "text[]": ["a", None, "é\\"],
        "bytea": "\\x00ff",
        "timestamptz": "9999-12-31T23:59:59-05:00",
        "timestamp": "infinity",
        "date": "0044-03-15 BC",
        "numeric": "NaN",
        "interval": "P1DT2S",
        "int4range": "[1,5)",
        "inet": "10.0.0.0/8",
        "boolean": True,
        "text": "\\N\t",
        "time": "12:30",
        "timetz": "12:30 GMT+2",
        "time[]": ["12:30", None, "24:00"],
        "timestamp[]": ["infinity", "2026-07-01T14:00:00+02:00"],
        "date[]": ["0044-03-15 BC"],
        "tsrange": "[2026-07-01,)",
        "interval[]": ["P1M"],
    },
    "sqlite": {"json": {"a": ["b"]}, "text": "a", "timestamp": "2026-07-01T14:00:00+02:00", "boolean": True},
    "oracle": {"VARCHAR2(9)": "a", "TIMESTAMP": "2026-07-01T14:00:00+02:00", "NUMBER": Decimal("0.25")},
}


@every_driver
def test_a_row_that_is_refused_at_the_merge_comes_back_as_it_can_be_staged_again(database, typed):
    """It is written as a dead letter, which is JSON, and read from there."""
    cases = AGAIN[database.name]
    typed(cases)
    database.execute("CREATE UNIQUE INDEX by_id ON things (id)", "SELECT 1 AS one FROM things")
    row = {f"v{n}": value for n, value in enumerate(cases.values())}
    loaded = database.load([{"id": 1, **row}, {"id": 1, **row}])
    [refused] = loaded.at_merge
    again = parse_exactly(encode_anything(refused.values))
    assert database.load([again | {"id": 2}], run="again").refused == {}
    as_text = "CAST(v{} AS text)" if database.name == "postgresql" else "v{}"
    (_, *first), (_, *second) = database.rows(", ".join(["id", *(as_text.format(n) for n in range(len(cases)))]))
    assert dict(zip(cases, first, strict=True)) == dict(zip(cases, second, strict=True))
    assert None not in first


def test_a_row_that_is_refused_at_the_staging_comes_back_as_it_was(database):
    database.create("id {int}, label {text} NOT NULL")
    row = {"id": "x", "label": "a", "else": {"b": 1}}
    loaded = database.load([row | {"id": 1}, row]) if database.name != "sqlite" else None
    if loaded is not None:
        assert [refused.values for refused in loaded.at_staging] == [row]


def test_bytes_that_are_refused_at_the_staging_can_be_staged_again(postgresql):
    postgresql.create("id {int}, v bytea")
    [refused] = postgresql.load([{"id": "x", "v": b"\x00\xff"}]).at_staging
    again = json.loads(encode_anything(refused.values)) | {"id": 1}
    postgresql.load([again], run="again")
    assert postgresql.rows() == [(1, b"\x00\xff")]


@pytest.mark.release
def test_a_table_that_refuses_nearly_everything_ends_the_load(postgresql):
    postgresql.create("id {int}")
    with pytest.raises(ConfigurationError, match=r"the destination table refuses nearly all rows .* Fix the table"):
        postgresql.load([{"id": "x"}] * 1001)
    assert postgresql.rows() == []


def test_chunks_are_staged_one_after_the_other_and_merged_at_once(database):
    database.create("id {int}, label {text}")
    loader = database.loader()
    assert loader.open() is None
    loader.begin(resumed=False, staged=0)
    for chunk in range(3):
        assert loader.stage([PlacedRow(chunk * 2 + n, {"id": chunk * 2 + n}) for n in range(2)]) == []
        loader.commit({"chunks": chunk}, LoadState.STAGING, 0)
        assert database.rows() == []
    assert loader.merge(first=True).loaded == 6
    assert database.rows() == []
    loader.commit({}, LoadState.DONE, 6)
    assert len(database.rows()) == 6
    assert database.staging_tables() == []


def test_the_parameter_of_a_statement_may_be_of_another_type_in_every_row(database):
    database.create("id {int}, label {text}")
    values = [1, "a", None, 2.5, True, {"a": 1}, [1], Decimal("1.10"), NOON, time(1), timedelta(seconds=1), UUID(int=1)]
    assert database.load([{"id": n, "label": value} for n, value in enumerate(values)]).refused == {}
    assert database.rows()[5] == (5, '{"a":1}')


def test_a_chunk_whose_numbers_are_texts_here_and_there_is_loaded(database):
    database.create("id {int}, label {text}")
    assert database.load([{"id": n if n % 2 else str(n)} for n in range(4)]).loaded == 4
    assert [id_ for id_, _ in database.rows()] == [0, 1, 2, 3]
