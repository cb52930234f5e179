"""What is sent of every type of PostgreSQL, and of arrays of it, by either of its drivers."""

import json

import pytest
from sent_values import encode, read, sent

# type -> (a value as the database writes it, what is sent of it)
BUILT_IN = {
    "boolean": ("true", "true"),
    "bytea": ("\\x00ff", '"AP8="'),
    '"char"': ("a", '"a"'),
    "name": ("n", '"n"'),
    "bigint": ("-9223372036854775808", "-9223372036854775808"),
    "smallint": ("-1", "-1"),
    "integer": ("1", "1"),
    "regproc": ("now", '"now"'),
    "text": ('é, "x"', '"é, \\"x\\""'),
    "oid": ("4294967295", "4294967295"),
    "tid": ("(0,1)", '"(0,1)"'),
    "xid": ("7", '"7"'),
    "cid": ("7", '"7"'),
    "json": ('{"a" : 0.12345678901234567890}', '{"a":0.12345678901234567890}'),
    "point": ("(1,2)", '"(1,2)"'),
    "lseg": ("[(1,2),(3,4)]", '"[(1,2),(3,4)]"'),
    "path": ("((1,2),(3,4))", '"((1,2),(3,4))"'),
    "box": ("(3,4),(1,2)", '"(3,4),(1,2)"'),
    "polygon": ("((1,2),(3,4))", '"((1,2),(3,4))"'),
    "line": ("{1,2,3}", '"{1,2,3}"'),
    "cidr": ("10.0.0.0/8", '"10.0.0.0/8"'),
    "real": ("0.1", "0.1"),
    "double precision": ("0.1", "0.1"),
    "circle": ("<(1,2),3>", '"<(1,2),3>"'),
    "macaddr8": ("08:00:2b:01:02:03:04:05", '"08:00:2b:01:02:03:04:05"'),
    "money": ("1.50", '"$1.50"'),
    "macaddr": ("08:00:2b:01:02:03", '"08:00:2b:01:02:03"'),
    "inet": ("10.0.0.1/8", '"10.0.0.1/8"'),
    "aclitem": ("postgres=r/postgres", '"postgres=r/postgres"'),
    "character": ("a", '"a"'),
    "character varying": ("a", '"a"'),
    "date": ("2026-07-01", '"2026-07-01"'),
    "time without time zone": ("12:00:00.000005", '"12:00:00.000005"'),
    "timestamp without time zone": ("2026-07-01 12:00", '"2026-07-01T12:00:00+00:00"'),
    "timestamp with time zone": ("2026-07-01 12:00+02", '"2026-07-01T10:00:00+00:00"'),
    "interval": ("1 mon", '"P1M"'),
    "time with time zone": ("12:00+02", '"12:00:00+02:00"'),
    "bit": ("1", '"1"'),
    "bit varying": ("101", '"101"'),
    "numeric": ("0.12345678901234567890", "0.12345678901234567890"),
    "refcursor": ("c", '"c"'),
    "regoper": ("|/", '"|/"'),
    "regprocedure": ("now()", '"now()"'),
    "regoperator": ("+(integer,integer)", '"+(integer,integer)"'),
    "regclass": ("pg_class", '"pg_class"'),
    "regtype": ("integer", '"integer"'),
    "uuid": ("00000000-0000-0000-0000-000000000001", '"00000000-0000-0000-0000-000000000001"'),
    "txid_snapshot": ("10:20:10", '"10:20:10"'),
    "pg_lsn": ("0/1", '"0/1"'),
    "tsvector": ("'a':1 'b'", "\"'a':1 'b'\""),
    "tsquery": ("'a' & 'b'", "\"'a' & 'b'\""),
    "regconfig": ("english", '"english"'),
    "regdictionary": ("simple", '"simple"'),
    "jsonb": ('{"a": [0.12345678901234567890, 1.5]}', '{"a":[0.12345678901234567890,1.5]}'),
    "int4range": ("[1,3)", '"[1,3)"'),
    "numrange": ("[0.50,)", '"[0.50,)"'),
    "tsrange": (
        '["2026-07-01 12:00:00","2026-07-02 12:00:00.5")',
        '"[\\"2026-07-01 12:00:00\\",\\"2026-07-02 12:00:00.5\\")"',
    ),
    "tstzrange": ('["2026-07-01 12:00:00+00",infinity)', '"[\\"2026-07-01 12:00:00+00\\",infinity)"'),
    "daterange": ("[2026-07-01,2026-07-02)", '"[2026-07-01,2026-07-02)"'),
    "int8range": ("empty", '"empty"'),
    "jsonpath": ("$.a", '"$.\\"a\\""'),
    "regnamespace": ("pg_catalog", '"pg_catalog"'),
    "regrole": ("postgres", '"postgres"'),
    "regcollation": ('"C"', '"\\"C\\""'),
    "int4multirange": ("{[1,3),[5,7)}", '"{[1,3),[5,7)}"'),
    "nummultirange": ("{}", '"{}"'),
    "tsmultirange": (
        '{["2026-07-01 12:00:00","2026-07-02 12:00:00")}',
        '"{[\\"2026-07-01 12:00:00\\",\\"2026-07-02 12:00:00\\")}"',
    ),
    "tstzmultirange": (
        '{["2026-07-01 12:00:00+00","2026-07-02 12:00:00+00")}',
        '"{[\\"2026-07-01 12:00:00+00\\",\\"2026-07-02 12:00:00+00\\")}"',
    ),
    "datemultirange": ("{[2026-07-01,2026-07-02)}", '"{[2026-07-01,2026-07-02)}"'),
    "int8multirange": ("{[1,3)}", '"{[1,3)}"'),
    "pg_snapshot": ("10:20:10", '"10:20:10"'),
    "xid8": ("7", '"7"'),
    "int2vector": ("1 2", '"1 2"'),
    "oidvector": ("1 2", '"1 2"'),
}
# type -> a query for one: there is no way to write them, or no array of them
FROM_CATALOGS = {
    "pg_node_tree": "SELECT ev_action FROM pg_rewrite LIMIT 1",
    "pg_ndistinct": "SELECT stxdndistinct FROM pg_statistic_ext_data",
    "pg_dependencies": "SELECT stxddependencies FROM pg_statistic_ext_data",
    "pg_mcv_list": "SELECT stxdmcv FROM pg_statistic_ext_data",
}
# Of the insides of indexes, which no query gives; and one that this server was built without.
OUT_OF_REACH = {"pg_brin_bloom_summary", "pg_brin_minmax_multi_summary", "gtsvector", "xml"}


@pytest.mark.parametrize("embed_json", [False, True])
def test_every_built_in_type_and_array_of_it_is_sent_as_what_it_is(driver, embed_json):
    kinds = driver(
        "SELECT format_type(oid, NULL) FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typrelid = 0 "
        "AND typtype IN ('b', 'r', 'm') AND NOT (typcategory = 'A' AND typarray = 0)"
    )
    assert {kind for (kind,) in kinds} - OUT_OF_REACH == BUILT_IN.keys() | FROM_CATALOGS.keys()
    columns = [
        f"CAST($${text}$$ AS {kind}) AS one{i}, ARRAY[CAST($${text}$$ AS {kind}), NULL] AS many{i}, "
        f"array_fill(CAST($${text}$$ AS {kind}), ARRAY[2, 1], ARRAY[0, -1]) AS nested{i}"
        for i, (kind, (text, _)) in enumerate(BUILT_IN.items())
    ]
    [row] = read(f"SELECT {', '.join(columns)}", embed_json=embed_json)
    forms = [encode({"v": value})[5:-1].decode() for value in row.values()]
    table = {kind: form for kind, (_, form) in BUILT_IN.items()}
    assert dict(zip(BUILT_IN, forms[::3], strict=True)) == table
    assert dict(zip(BUILT_IN, forms[1::3], strict=True)) == {kind: f"[{form},null]" for kind, form in table.items()}
    assert dict(zip(BUILT_IN, forms[2::3], strict=True)) == {
        kind: f"[[{form}],[{form}]]" for kind, form in table.items()
    }


@pytest.mark.parametrize("query", FROM_CATALOGS.values(), ids=FROM_CATALOGS.keys())
def test_what_only_the_catalogs_have_is_sent_as_its_text(driver, query):
    driver(
        "DROP TABLE IF EXISTS measured",
        "CREATE TABLE measured AS SELECT i % 2 AS a, i % 2 AS b FROM generate_series(1, 100) i",
        "CREATE STATISTICS of_both ON a, b FROM measured",
        "ANALYZE measured",
    )
    text_of_it = driver(f"SELECT CAST(({query}) AS text)")[0][0]
    assert text_of_it
    assert json.loads(sent(f"SELECT ({query}) AS v")) == text_of_it
