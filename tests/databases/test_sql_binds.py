"""What is a bind in SQL, database by database: decided over texts alone."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from tables import every_row

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.databases.binds import Query
from airflow_async_rest.databases.dialects.registry import dialect_named
from airflow_async_rest.tasks.checking.query import check_parameters

ALL = ("postgresql", "oracle", "sqlite", "mysql", "mariadb", "mssql", "snowflake", "default")
POSTGRES = ("postgresql",)

# what people write -> (the databases that read it so, its binds)
SQL = {
    "at >= :a AND at<:b": (ALL, "ab"),
    "at >= :a::timestamptz": (ALL, "a"),
    "at >= :a :: date AND b::text = c :: d": (ALL, "a"),
    "a := :b": (ALL, "b"),
    "f(x =>:b, y:=:c)": (ALL, "bc"),
    "'at :n' || :b": (ALL, "b"),
    "'it''s :n' || :b": (ALL, "b"),
    '"a :n" = :b AND "a""b :n" = :c': (ALL, "bc"),
    "-- :n\n:b": (ALL, "b"),
    "/* :n */:b": (ALL, "b"),
    "/* ' :n */ :b -- ' :n\n": (ALL, "b"),
    "'--' || :a || '/*' || :b": (ALL, "ab"),
    "'12:30' < x AND y[1:2]": (ALL, ""),
    "SELECT payload:key, f(x):path, \"a\":path, json_object('key':n)": (ALL, ""),
    "r\\:n AND ':n' AND '\\:n' AND x\\:\\:n": (("postgresql", "sqlite", "default"), ""),
    "tags[1:n] || tags[lo:hi]": (ALL, ""),
    "tags[lo :hi] || tags[f(x) :n] || tags[a[1] :n] || tags[:2]": (POSTGRES, ""),
    "tags[:lo : :hi] || ARRAY[:a, :b] || tags[:c::int]": (POSTGRES, ["lo", "hi", "a", "b", "c"]),
    "tags[1 + :a] || tags[x AND:b] || tags[f(:c):n]": (POSTGRES, "abc"),
    "a LIKE:a AND(b BETWEEN:b AND:c)OR NOT:d LIMIT:e OFFSET:f": (ALL, "abcdef"),
    "t.limit:n, origin:n": (ALL, ""),
    "ARRAY[CASE WHEN :a THEN :b END, (SELECT 1 LIMIT :c)]": (POSTGRES, "abc"),
    r"E'\' :n' || e'\\' || :b": (POSTGRES, "b"),
    "'\\' || :b || '\\'": (("postgresql", "oracle", "sqlite", "mssql", "default"), "b"),
    "E'a'\n  '\\' :n' || :b": (POSTGRES, "b"),
    "name'\\' || :b": (POSTGRES, "b"),
    "$$ :n ' $$ || $a$ :n $$ $b$ $a$ || :b": (("postgresql", "default"), "b"),
    "a$b$ || :b || c$b$": (POSTGRES, "b"),
    "/* /* :n */ :n */ :b": (("postgresql", "mssql"), "b"),
    "/* /* :n */ :a": (("oracle", "sqlite", "mysql", "mariadb", "default"), "a"),
    "a ` :b": (POSTGRES, "b"),
    "`a :n` = :b": (("sqlite", "mysql", "mariadb", "default"), "b"),
    """'\\' :n' || "\\" :n" || :b""": (("mysql", "mariadb", "snowflake"), "b"),
    "# ' :n\n:b": (("mysql", "mariadb"), "b"),
    "5--:b": (("mysql", "mariadb"), "b"),
    "5--:n": (("postgresql", "oracle", "sqlite", "default"), ""),
    "[a :n] = :b": (("sqlite", "mssql"), "b"),
    "[a]] :n] = :b": (("mssql",), "b"),
    "q'[it's :n]' || Q'{:n}' || nq'(:n)' || Nq'<:n>' || q'!:n'!' || :b": (("oracle",), "b"),
    "q'|:n|' || seq'|' || :b": (("oracle",), "b"),
}


@every_row(("sql", "dialect"), [(sql, dialect) for sql, (dialects, _) in SQL.items() for dialect in dialects])
def test_what_is_a_bind(sql, dialect):
    binds = list(SQL[sql][1])
    query = Query.read(f"SELECT {sql}", dialect_named(dialect))
    assert [bind.name for bind in query.binds()] == binds
    filled, values = query.fill(dict.fromkeys(binds, 1))
    statement = text(filled)
    assert list(statement.compile().params) == list(values) == list(dict.fromkeys(binds))
    assert str(statement.compile()).replace(" ", "") == query.sql.replace("\\:", ":").replace(" ", "")


def inside(before, after, forbidden, escape=lambda text: text):
    """Any text, put into a quote or a comment which does not end in it."""
    return (
        st.text()
        .filter(lambda text: not any(part in text for part in forbidden))
        .map(lambda text: before + escape(text) + after)
    )


def doubled(mark):
    return inside(mark, mark, [], lambda text: text.replace(mark, mark * 2))


def with_backslashes(before, mark):
    return inside(before, mark, [], lambda text: text.replace("\\", "\\\\").replace(mark, f"\\{mark}"))


LINE = ["\n", "\r"]
QUOTES = {
    "postgresql": [
        doubled("'"), doubled('"'), with_backslashes("E'", "'"), inside("$a$", "$a$", ["$"]), inside("--", "\n", LINE),
        inside("/*", "*/", ["/*", "*/"]).map(lambda text: text.removesuffix("*/") + " */"),
        inside("/* /*", " */ :n */", ["/", "*"]),
    ],
    "oracle": [
        doubled("'"), doubled('"'), inside("q'[", "]'", ["]"]), inside("Q'{", "}'", ["}"]), inside("nq'!", "!'", ["!"]),
        inside("--", "\n", LINE), inside("/*", " */", ["*/"]),
    ],
    "sqlite": [
        doubled("'"), doubled('"'), doubled("`"), inside("[", "]", ["]"]), inside("--", "\n", LINE),
        inside("/*", " */", ["*/"]),
    ],
    "mysql": [
        doubled("`"), with_backslashes("'", "'"), with_backslashes('"', '"'), inside("-- ", "\n", LINE),
        inside("#", "\n", LINE), inside("/*", " */", ["*/"]),
    ],
    "default": [doubled("'"), doubled('"'), doubled("`"), inside("--", "\n", LINE), inside("/*", " */", ["*/"])],
}  # fmt: skip


@given(st.sampled_from(sorted(QUOTES)).flatmap(lambda name: st.tuples(st.just(name), st.one_of(QUOTES[name]))))
def test_text_in_a_quote_or_a_comment_is_never_a_bind_and_stays_as_it_is(case):
    dialect, quoted = case
    query = Query.read(f"SELECT :a, {quoted} , :b FROM t", dialect_named(dialect))
    assert query.names == {"a", "b"}
    assert query.bare.endswith(", :b FROM t")
    as_written = str(text(query.fill({"a": 1, "b": 2})[0]).compile())
    assert as_written == query.sql if "\\:" not in quoted else as_written.endswith(", :b FROM t")


@given(st.text(alphabet="':\\\"$`[]/*-#qE\n a1;(){}%"), st.sampled_from(sorted(QUOTES)))
def test_any_text_is_read_to_its_end_and_sqlalchemy_sees_the_same_binds(sql, dialect):
    query = Query.read(f"SELECT {sql}", dialect_named(dialect))
    assert len(query.bare) == len(query.sql)
    filled, values = query.fill(dict.fromkeys(query.names, 1))
    assert set(text(filled).compile().params) == set(values) == query.names


LISTS = {  # SQL, values -> the text handed on, its values
    "a list": ("id IN :ids", {"ids": [7, 8]}, "id IN (:ids__0, :ids__1)", {"ids__0": 7, "ids__1": 8}),
    "a tuple in brackets": ("id IN ( :ids )", {"ids": (7,)}, "id IN (:ids__0)", {"ids__0": 7}),
    "without a list": ("id in :ids", {"ids": 7}, "id in (:ids__0)", {"ids__0": 7}),
    "in brackets without a list": ("id IN (:a, :b)", {"a": 7, "b": 8}, "id IN (:a, :b)", {"a": 7, "b": 8}),
    "a text": ("id IN (:ids)", {"ids": "ab"}, "id IN (:ids__0)", {"ids__0": "ab"}),
    "a comment between": ("id IN /* :n */ :ids", {"ids": [7]}, "id IN /* \\:n */ (:ids__0)", {"ids__0": 7}),
    "rows": (
        "(a, b) IN :p",
        {"p": [(1, 2), (3, None)]},
        "(a, b) IN ((:p__0__0, :p__0__1), (:p__1__0, NULL))",
        {"p__0__0": 1, "p__0__1": 2, "p__1__0": 3},
    ),
    "is it null": (":o IS NULL OR o = :o", {"o": "me"}, "1 IS NULL OR o = :o", {"o": "me"}),
    "is it not null": (":o  is\nNOT null", {"o": 7}, "1  is\nNOT null", {}),
    "it is null": (":o IS NULL", {"o": None}, "NULL IS NULL", {}),
    "a cast is": (":o::text IS NULL", {"o": "me"}, ":o\\:\\:text IS NULL", {"o": "me"}),
    "none": ("id IN :ids AND a", {"ids": []}, "id IN (NULL) IS TRUE AND a", {}),
    "none, negated": ("id NOT IN (:ids)", {"ids": ()}, "id NOT IN (NULL) IS NULL", {}),
    "NULL": ("a = :a OR :a IS NULL", {"a": None}, "a = NULL OR NULL IS NULL", {}),
    "an array": ("id = ANY(:ids)", {"ids": [7]}, "id = ANY(:ids)", {"ids": [7]}),
    "a set": ("id IN :ids", {"ids": {8, 7}}, "id IN (:ids__0, :ids__1)", {"ids__0": 7, "ids__1": 8}),
    "no set": ("id IN :ids", {"ids": frozenset()}, "id IN (NULL) IS TRUE", {}),
    "keys": ("id IN :ids", {"ids": {7: "a"}.keys()}, "id IN (:ids__0)", {"ids__0": 7}),
    "values": ("id IN :ids", {"ids": {"a": 7}.values()}, "id IN (:ids__0)", {"ids__0": 7}),
    "an array of numpy's": ("id IN :ids", {"ids": np.array([7])}, "id IN (:ids__0)", {"ids__0": 7}),
    "JSON": ("a @> :a::jsonb", {"a": [{"b": 1}]}, r"a @> :a__json\:\:jsonb", {"a__json": '[{"b":1}]'}),
    "JSON, by CAST": ("CAST(:a AS json)", {"a": (1, None)}, "CAST(:a__json AS json)", {"a__json": "[1,null]"}),
    "an array of JSON": ("a = :a :: jsonb[]", {"a": [{}]}, r"a = :a \:\: jsonb[]", {"a": ["{}"]}),
    "both": ("a = ANY(:a) OR b = :a::json", {"a": [1]}, r"a = ANY(:a) OR b = :a__json\:\:json", {"a": [1], "a__json": "[1]"}),
    "min": ("min(:ids)", {"ids": 7}, "min(:ids)", {"ids": 7}),
}  # fmt: skip


@pytest.mark.parametrize(("sql", "values", "handed_on", "filled"), LISTS.values(), ids=LISTS.keys())
def test_a_list_after_in_is_a_bind_for_each_of_its_values(sql, values, handed_on, filled):
    assert Query.read(sql, dialect_named("postgresql")).fill(values) == (handed_on, filled)


ENDS = {
    "SELECT 1;": "SELECT 1",
    "SELECT 1 ; ; -- done": "SELECT 1 ",
    "SELECT ';' -- all;": "SELECT ';' -- all;",
    "SELECT 1 /* ; */ ;\n": "SELECT 1 /* ; */ ",
}


@pytest.mark.parametrize(("sql", "read"), ENDS.items())
def test_the_semicolon_at_the_end_is_left_out(sql, read):
    assert Query.read(sql, dialect_named("postgresql")).sql == read


OTHER_STYLES = {  # SQL -> what is said to be written instead; None: nothing, it means something else
    "at > %(window_start)s": ":window_start",
    "at > '%(window_start)s'": ":window_start",
    "at > {window_end}": ":window_end",
    "at > '{window_end}'": ":window_end",
    "at > {{ window_end }}": ":window_end",
    "at > ${window_end}": ":window_end",
    "at > @window_start": ":window_start",
    "at > $window_start": ":window_start",
    "at > &window_start": ":window_start",
    "a = %(other)s": ":other",
    "a = {known}": ":known",
    "a = {unknown}": None,
    "a = '{known}'": None,
    "a = '%(known)s'": None,
    "-- at > %(window_start)s {window_end}\n a": None,
    "flags&window_start": None,
    "'@window_start' || '&window_end'": None,
}


@every_row(("sql", "instead"), OTHER_STYLES.items())
@pytest.mark.parametrize("dialect", ["postgresql", "oracle", "sqlite", "mysql", "default"])
def test_a_bind_in_another_style_is_told_how_it_is_written_here(sql, instead, dialect):
    query = Query.read(f"SELECT 1 FROM t WHERE {sql}", dialect_named(dialect))
    if instead is None:
        query.check({"known"})
    else:
        with pytest.raises(ConfigurationError, match=f"write the bind as {instead}, whatever the database"):
            query.check({"known"})


NAMELESS = {  # SQL -> the bind without a name; None: it means something else
    "at >= %s AND a": "%s",
    "f(%s, 1)": "%s",
    "at > ?": "?",
    "id IN (?, ?)": "?",
    "id IN ?": "?",
    "a BETWEEN ? AND 3 LIMIT 3": "?",
    "doc->>?": "?",
    "a LIMIT %s": "%s",
    "a %s": None,
    "(a) %s": None,
    "doc ? 'a' AND tags ?| b AND tags ?& c": None,
    "a = '?' OR b = '%s' -- = ?": None,
    "a = :b": None,
}


@every_row(("sql", "bind"), NAMELESS.items())
@pytest.mark.parametrize("dialect", ["postgresql", "oracle", "sqlite", "mysql", "default"])
def test_a_bind_without_a_name_is_told_how_it_is_written_here(sql, bind, dialect):
    query = Query.read(f"SELECT 1 FROM t WHERE {sql}", dialect_named(dialect))
    if bind is None:
        query.check({"b"})
    else:
        with pytest.raises(
            ConfigurationError, match=rf"the bind '{re.escape(bind)}' without a name: write binds as :name"
        ):
            query.check({"b"})


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite", "mysql"])
def test_a_second_statement_is_refused(dialect):
    Query.read("SELECT ';' /* ; */ -- ;\n;", dialect_named(dialect)).check(())
    with pytest.raises(ConfigurationError, match="sql has more than one statement"):
        Query.read("SELECT 1; DELETE FROM t", dialect_named(dialect)).check(())


@pytest.mark.parametrize(
    ("sql", "only_selects"),
    [
        ("DELETE FROM t RETURNING id", False),
        ("WITH d AS (update t SET a = 1 RETURNING id) SELECT id FROM d", False),
        ("INSERT  INTO t SELECT 1 RETURNING id", False),
        ("CALL next_ones(1)", False),
        ("SHOW search_path", False),
        ("EXPLAIN SELECT 1", False),
        ("CREATE TEMP TABLE t AS SELECT 1", False),
        ("selected", False),
        ("-- all\n SELECT id FROM t", True),
        ("((SELECT 1) UNION (SELECT 2))", True),
        ("WITH d AS (SELECT 1) SELECT * FROM d", True),
        ("VALUES (1), (2)", True),
        ("TABLE t", True),
        ("SELECT id FROM t FOR UPDATE", True),
        ("SELECT id FROM t FOR NO KEY\nUPDATE", True),
        ("SELECT 'DELETE FROM t' FROM t -- DELETE FROM t", True),
        ("SELECT update, inserted FROM t", True),
    ],
)
def test_a_statement_that_does_more_than_select_is_known(sql, only_selects):
    assert Query.read(sql, dialect_named("postgresql")).only_selects is only_selects


def test_what_may_be_a_slice_is_a_bind_if_it_has_a_value():
    query = Query.read("SELECT tags[:n] || tags[:n:m]", dialect_named("postgresql"))
    query.check(())
    assert query.fill({}) == (r"SELECT tags[\:n] || tags[\:n\:m]", {})
    assert query.fill({"n": 2}) == (r"SELECT tags[:n] || tags[:n\:m]", {"n": 2})


def test_a_copy_is_refused_because_it_gives_no_rows():
    with pytest.raises(ConfigurationError, match="write the SELECT of its rows"):
        Query.read("/* all */ COPY (SELECT 1) TO STDOUT", dialect_named("postgresql")).check(())


@pytest.mark.parametrize("sql", [None, 3, "", " \n"])
def test_sql_that_is_no_text_is_refused(sql):
    with pytest.raises(ConfigurationError, match="sql=.*: write a SELECT, or the path of a .sql file"):
        Query.read(sql, dialect_named("postgresql"))


def test_parameters_are_a_dict_or_nothing():
    assert check_parameters(None) == {}
    assert check_parameters({"a": 1}) == {"a": 1}
    for wrong in ((3,), [3], "", '{"a": 1}', 0, {"a-b": 1}, {"": 1}):
        with pytest.raises(ConfigurationError, match="parameters= .*write a dict"):
            check_parameters(wrong)
    with pytest.raises(ConfigurationError) as raised:
        check_parameters('{"password": "secret"}')
    assert "secret" not in str(raised.value)
