"""What is sent of PostgreSQL's values, whatever they are, by either of its drivers."""

import json
from datetime import date, timedelta
from decimal import Decimal

import pytest
from sent_values import encode, read, sent
from tables import every_row

from airflow_async_rest.core.errors import ConfigurationError, EncodeError


@every_row(
    ("value", "form"),
    [
        ("DATE 'infinity'", '"infinity"'),
        ("DATE '-infinity'", '"-infinity"'),
        ("DATE '0044-03-15 BC'", '"0044-03-15 BC"'),
        ("DATE '10000-01-01'", '"10000-01-01"'),
        ("TIMESTAMP 'infinity'", '"infinity"'),
        ("TIMESTAMP '0044-03-15 01:00 BC'", '"0044-03-15 01:00:00 BC"'),
        ("TIMESTAMP '10000-01-01'", '"10000-01-01 00:00:00"'),
        ("TIMESTAMPTZ '-infinity'", '"-infinity"'),
        ("TIMESTAMPTZ '10000-01-01 00:00Z'", '"10000-01-01 00:00:00+00"'),
        ("TIMESTAMPTZ '0044-03-15 01:00Z BC'", '"0044-03-15 01:00:00+00 BC"'),
        ("TIME '24:00'", '"24:00:00"'),
        ("TIMETZ '24:00Z'", '"24:00:00+00"'),
        ("INTERVAL '1 month'", '"P1M"'),
        ("INTERVAL '1 year'", '"P1Y"'),
        ("INTERVAL '14 mons 3 days 04:05:06.70'", '"P1Y2M3DT4H5M6.7S"'),
        ("INTERVAL '-1 mon +2 days -00:00:01'", '"P-1M2DT-1S"'),
        ("INTERVAL '100000000 years'", '"P100000000Y"'),
        ("INTERVAL '2000000000 days'", '"P2000000000D"'),
        ("INTERVAL 'infinity'", '"infinity"'),
        ("INTERVAL '1 day 2 seconds'", '"P1DT2S"'),
        ("ARRAY[INTERVAL '1 mon']", '["P1M"]'),
        ("ARRAY[DATE 'infinity', DATE '2026-07-01']", '["infinity","2026-07-01"]'),
        ("ARRAY[ARRAY[TIME '24:00']]", '[["24:00:00"]]'),
        ("DATERANGE('2026-07-01', 'infinity')", '"[2026-07-01,infinity)"'),
        ("ARRAY[DATERANGE('2026-07-01', '2026-07-03')]", '["[2026-07-01,2026-07-03)"]'),
        ("TSRANGE(NULL, '10000-01-01')", '"(,\\"10000-01-01 00:00:00\\")"'),
        ("ARRAY['ok', 'no']::mood[]", '["ok","no"]'),
        ("ARRAY[1, NULL]::positive[]", "[1,null]"),
        ("ARRAY[1]::very_positive[]", "[1]"),
        ("ARRAY[ROW(1, 'a b')::pair, NULL]", '["(1,\\"a b\\")",null]'),
        ("ARRAY['{1,2}'::some_ints]", "[[1,2]]"),
        ("ARRAY['{ok,NULL}'::moods]", '[["ok",null]]'),
        ("ARRAY['{no}'::more_moods]", '[["no"]]'),
        ("ARRAY['[1,2)'::own_range]", '["[1,2)"]'),
        ("'ok'::mood", '"ok"'),
        ("'[1,2)'::own_range", '"[1,2)"'),
        ("JSONB '0.12345678901234567890'", "0.12345678901234567890"),
        ("JSONB '123456789012345678901234567890.5'", "123456789012345678901234567890.5"),
        ("JSON '1E400'", "1E400"),
        ("JSON '1e-400'", "1e-400"),
        ("JSON '[1e9999999999999999999]'", "[1e9999999999999999999]"),
        ("repeat('9', 5000)::jsonb", "9" * 5000),
        ("(repeat('[', 250) || repeat(']', 250))::jsonb", "[" * 250 + "]" * 250),
        ("ARRAY[JSONB '{\"a\": 1}']", '[{"a":1}]'),
        ("'[-3:-2][5:6]={{1,2},{3,4}}'::int[]", "[[1,2],[3,4]]"),
        ("""'[0:1][0:0]={{infinity},{2026-07-01}}'::date[]""", '[["infinity"],["2026-07-01"]]'),
        ("'[0:1]={ok,no}'::mood[]", '["ok","no"]'),
        ("ARRAY[ARRAY['infinity', '1 mon'], ARRAY['-1 day', NULL]]::interval[]", '[["infinity","P1M"],["-P1DT0S",null]]'),
        ("ARRAY[TSTZRANGE('0044-03-15 BC', '10000-01-01')]", '["[\\"0044-03-15 00:00:00+00 BC\\",\\"10000-01-01 00:00:00+00\\")"]'),
        ("ARRAY[ARRAY['(1,2),(3,4)'::box, NULL]]", '[["(3,4),(1,2)",null]]'),
        ("'[0:1]={(3,4),(1,2);(7,8),(5,6)}'::box[]", '["(3,4),(1,2)","(7,8),(5,6)"]'),
        ("'{}'::box[]", "[]"),
        ("ARRAY['1 2'::int2vector, NULL]", '["1 2",null]'),
        ("ARRAY['1 2'::oidvector]", '["1 2"]'),
        ("(SELECT most_common_vals FROM pg_stats LIMIT 0)", "null"),
        ("ROW(1, 'a b')::pair", '"(1,\\"a b\\")"'),
        ("ARRAY['a,b', '{x}', 'NULL', NULL]::odd[]", '["a,b","{x}","NULL",null]'),
        ("'{\"a\": [1]}'::document", '{"a":[1]}'),
        ("ARRAY['{\"a\": [1]}'::document]", '[{"a":[1]}]'),
        ("JSON '[\"\\u0000\"]'", '["\\u0000"]'),
        ("TIMETZ '24:00-15:59'", '"24:00:00-15:59"'),
        ("TIMESTAMPTZ '0001-01-01 00:00+12'", '"0001-12-31 12:00:00+00 BC"'),
        ("TIMESTAMPTZ '9999-12-31 23:59:59-12'", '"10000-01-01 11:59:59+00"'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("embed_json", [False, True])
def test_what_a_driver_cannot_load_is_sent_as_its_text_and_no_value_loses_anything(own_types, value, form, embed_json):
    assert sent(f"SELECT {value} AS v", embed_json=embed_json) == form


@pytest.fixture
def own_types(driver):
    driver(
        "DROP TYPE IF EXISTS mood, odd, pair, own_range CASCADE",
        "DROP DOMAIN IF EXISTS very_positive, positive, some_ints, document, more_moods, moods CASCADE",
        "CREATE TYPE mood AS ENUM ('ok', 'no')",
        "CREATE TYPE odd AS ENUM ('a,b', '{x}', 'NULL')",
        "CREATE DOMAIN document AS jsonb",
        "CREATE DOMAIN moods AS mood[]",
        "CREATE DOMAIN more_moods AS moods",
        "CREATE TYPE pair AS (a int, b text)",
        "CREATE TYPE own_range AS RANGE (subtype = float4)",
        "CREATE DOMAIN positive AS int CHECK (value > 0)",
        "CREATE DOMAIN very_positive AS positive",
        "CREATE DOMAIN some_ints AS int[]",
    )


@pytest.mark.parametrize("value", ["ROW(1, ARRAY[2])", "ARRAY[ROW(1, ARRAY[2])]"])
def test_a_record_of_no_type_is_its_text_where_nobody_looks_into_it(driver, value):
    assert "(1,{2})" in sent(f"SELECT {value} AS v", embed_json=True)


STYLES = ["DateStyle=German", "DateStyle=SQL,DMY", "DateStyle=Postgres"] + [
    f"IntervalStyle={style}" for style in ("postgres_verbose", "sql_standard", "iso_8601")
]


@pytest.mark.parametrize("setting", [*STYLES, "extra_float_digits=-10", "bytea_output=escape"])
def test_what_is_sent_does_not_depend_on_how_a_server_writes(driver, postgres, setting):
    driver(f"ALTER DATABASE {postgres.database} SET {setting.partition('=')[0]} = {setting.partition('=')[2]}")
    values = {
        "DATE '10000-02-03'": '"10000-02-03"',
        "ARRAY[TIMESTAMP '0044-03-15 01:00 BC']": '["0044-03-15 01:00:00 BC"]',
        "TIMESTAMPTZ '2026-07-01 12:00:00.5Z'": '"2026-07-01T12:00:00.500000+00:00"',
        "TSTZRANGE('2026-07-01Z', NULL)": '"[\\"2026-07-01 00:00:00+00\\",)"',
        "INTERVAL '1 day 2 seconds'": '"P1DT2S"',
        "INTERVAL '-1 mon +2 days -00:00:01'": '"P-1M2DT-1S"',
        "ARRAY[INTERVAL '-1 day +00:00:01']": '["-P0DT86399S"]',
        "INTERVAL '0'": '"P0DT0S"',
        "0.1::float8 + 0.2": "0.30000000000000004",
        "'\\x00ff'::bytea": '"AP8="',
    }
    try:
        assert {value: sent(f"SELECT {value} AS v") for value in values} == values
    finally:
        driver(f"ALTER DATABASE {postgres.database} RESET {setting.partition('=')[0]}")


@pytest.mark.parametrize("depth", [300, 5_000])
def test_deeply_nested_json_is_embedded_and_a_transform_gets_what_python_can_make_of_it(driver, depth):
    sql = f"SELECT (repeat('[', {depth}) || repeat(']', {depth}))::jsonb AS v"
    text = "[" * depth + "]" * depth
    assert sent(sql, embed_json=True) == text
    [row] = read(sql)
    assert row["v"] == text if type(row["v"]) is str else depth < 10_000
    assert type(row["v"]) is list or depth == 5_000


def test_deeply_nested_json_that_a_transform_returns_is_refused_by_its_column(driver):
    [row] = read("SELECT 1 AS id, (repeat('[', 300) || repeat(']', 300))::jsonb AS v")
    with pytest.raises(EncodeError, match="column 'v': "):
        encode(row)


def test_half_a_character_in_json_is_embedded_and_for_a_transform_what_python_makes_of_it(driver):
    sql = r"""SELECT JSON '["\ud800"]' AS v"""
    assert sent(sql, embed_json=True) == r'["\ud800"]'
    [row] = read(sql)
    assert row["v"] == ["\ud800"]


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "x, y: z", "b": [1, {"c": null}]}',
        r'{"a": "say \", \": \\", "b": "\\"}',
        '{ "a" :\n\t[ 1 , "\\n  " ] }\n',
        '"  "',
        r'"\u0001 \u00e9"',
    ],
)
def test_embedded_json_is_the_same_on_one_line(driver, text):
    embedded = sent(f"SELECT $${text}$$::json AS v", embed_json=True)
    assert json.loads(embedded) == json.loads(text)
    assert "\n" not in embedded
    assert len(embedded) <= len(json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)) + 10


def test_a_transform_gets_what_the_driver_gives_wherever_it_can_give_it(driver):
    [row] = read(
        """SELECT DATE '2026-07-01' AS day, INTERVAL '1 mon' AS month, JSONB '{"a": [1.5, 0.12345678901234567890]}' AS j,
        DATERANGE('2026-07-01', '2026-07-02') AS days, DATE 'infinity' AS never"""
    )
    assert row["day"] == date(2026, 7, 1)
    assert row["month"] + timedelta(days=1) == timedelta(days=31)
    assert row["j"] == {"a": [1.5, Decimal("0.12345678901234567890")]}
    assert type(row["j"]["a"][0]) is float
    assert row["days"].lower == date(2026, 7, 1)
    assert row["never"] == "infinity"


def test_rows_that_are_not_streamed_are_loaded_the_same_way(driver):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    driver(
        "DROP TABLE IF EXISTS claimed",
        "CREATE TABLE claimed AS SELECT i, DATE 'infinity' AS v FROM generate_series(1, 5) i",
    )
    chunks = ChunkedSqlHook("source_db").chunks("DELETE FROM claimed RETURNING i, v", None, 2, read_only=False)
    assert [[row["v"] for row in chunk] for chunk in chunks] == [["infinity"] * 2, ["infinity"] * 2, ["infinity"]]


def test_bytes_are_bytes_whatever_reads_them(driver):
    (row,) = read(r"SELECT '\x00ff'::bytea AS a, ARRAY['\x00ff', NULL]::bytea[] AS b, NULL::bytea AS c, ''::bytea AS d")
    assert row == {"a": b"\x00\xff", "b": [b"\x00\xff", None], "c": None, "d": b""}
    assert (type(row["a"]), type(row["b"][0])) == (bytes, bytes)


def test_an_error_of_the_server_stays_an_error(driver):
    with pytest.raises(ConfigurationError, match=r"division by zero.*cast its column"):
        read("SELECT 1 / (3 - i) AS v FROM generate_series(1, 5) i")


@pytest.mark.parametrize("name", ["psycopg", "psycopg2"])
def test_an_encoding_that_cannot_hold_a_text_is_named(request, connect, postgres, name):
    request.getfixturevalue(name)
    scheme = {"sqlalchemy_scheme": "postgresql+psycopg2"} if name == "psycopg2" else {}
    connect("source_db", **postgres.connection(), extra=scheme | {"client_encoding": "LATIN1"})
    with pytest.raises(ConfigurationError, match='write {"client_encoding": "UTF8"} into'):
        read("SELECT chr(8364 + i) AS v FROM generate_series(0, 5) i")
    assert sent("SELECT chr(233) AS v") == '"é"'


@pytest.mark.parametrize("name", ["psycopg", "psycopg2"])
def test_a_database_that_does_not_say_what_texts_are_is_told_to_by_the_connection(request, connect, postgres, name):
    request.getfixturevalue(name)
    fields = postgres.connection() | {"schema": "ascii"}
    scheme = {"sqlalchemy_scheme": "postgresql+psycopg2"} if name == "psycopg2" else {}
    with postgres.open(autocommit=True) as server:
        server.execute("DROP DATABASE IF EXISTS ascii WITH (FORCE)")
        server.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
    sql = r"SELECT convert_from('\xe9'::bytea, 'SQL_ASCII') AS v"
    for encoding in ({}, {"client_encoding": "UTF8"}):
        connect("source_db", **fields, extra=scheme | encoding)
        with pytest.raises(ConfigurationError, match="client_encoding"):
            read(sql)
    connect("source_db", **fields, extra=scheme | {"client_encoding": "LATIN1"})
    assert sent(sql) == '"é"'
    assert sent("""SELECT convert_from('{"a": "\\351"}'::bytea, 'SQL_ASCII')::json AS v""") == '{"a":"é"}'
