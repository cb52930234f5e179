"""A row that a database does not take, among others that it takes: its words are in the dead letter."""

import pytest
from every_database.loading import MODES

COLUMNS = (
    "id {integer} NOT NULL PRIMARY KEY, dated {day}, counted {integer}, tiny {short}, "
    "positive {integer} CHECK (positive > 0), needed {integer} NOT NULL"
)
# What it needs of the database -> column, value
BAD = {
    "dates": ("dated", "2026-02-30"),
    "integers": ("counted", "twelve"),
    "lengths": ("tiny", "abcdef"),
    "checks": ("positive", -1),
    "nulls": ("needed", None),
}


@pytest.mark.parametrize("mode", ["append", "upsert"])
@pytest.mark.parametrize("kind", BAD)
def test_one_bad_value_is_one_refused_row(database, load, kind, mode):
    database.needs(kind)
    database.create(COLUMNS)
    good = {"dated": "2026-11-01", "counted": 1, "tiny": "abcde", "positive": 1, "needed": 1}
    column, value = BAD[kind]
    rows = [{"id": n, **good, **({column: value} if n == 7 else {})} for n in range(20)]
    loaded = load(rows, max_failures=1, **MODES[mode])
    assert loaded.state == "success", loaded.error
    assert list(loaded.refused) == [7]
    assert len(loaded.refused[7]) > 10
    assert database.rows("id, counted, tiny, positive, needed") == [(n, 1, "abcde", 1, 1) for n in range(20) if n != 7]


@pytest.mark.parametrize("kind", ["dates", "integers"])
def test_rows_that_are_all_refused_are_as_many_dead_letters(database, load, kind):
    database.needs(kind)
    database.create(COLUMNS)
    column, value = BAD[kind]
    rows = [{"id": n, "needed": 1, column: value} for n in range(3)]
    loaded = load(rows, max_failures=3)
    assert loaded.state == "success", loaded.error
    assert list(loaded.refused) == [0, 1, 2]
    assert database.rows("id") == []


def test_a_conflict_on_another_unique_key_is_a_refused_row_and_overwrites_none(database, load):
    database.needs("unique keys")
    database.create("id {integer} NOT NULL PRIMARY KEY, code {short} UNIQUE, label {text}")
    database.insert(
        [
            {"id": ("integer", str(n)), "code": ("text", code), "label": ("text", "old")}
            for n, code in ((1, "a"), (2, "b"))
        ]
    )
    rows = [{"id": 1, "code": "a"}, {"id": 2, "code": "a"}, {"id": 3, "code": "b"}, {"id": 4, "code": "d"}]
    loaded = load([row | {"label": "new"} for row in rows], max_failures=2, **MODES["upsert"])
    assert loaded.state == "success", loaded.error
    assert sorted(loaded.refused) == [2, 3]
    assert database.rows("id, code, label") == [(1, "a", "new"), (2, "b", "old"), (4, "d", "new")]


def test_a_row_that_is_there_already_is_refused_by_an_append(database, load):
    database.needs("unique keys")
    database.create("id {integer} NOT NULL PRIMARY KEY, label {text}")
    database.insert([{"id": ("integer", "1"), "label": ("text", "old")}])
    loaded = load([{"id": n, "label": "new"} for n in range(3)], max_failures=1)
    assert loaded.state == "success", loaded.error
    assert list(loaded.refused) == [1]
    assert database.rows("id, label") == [(0, "new"), (1, "old"), (2, "new")]
