"""Rows that do not all have the same columns: what is missing is not null, row by row."""

import random

import pytest
from loads import every_driver, placed

from airflow_async_rest.core.keeping.row_sink import LoadState

UPSERT = {"load_mode": "upsert", "conflict_key": "id"}
TABLE = "id {int} PRIMARY KEY, status {text} DEFAULT 'new' NOT NULL, note {text} DEFAULT 'none', label {text}"
OLD = "INSERT INTO things VALUES (1, 'old', 'by hand', 'here')"
NEW = {"status": "new", "note": "none", "label": None}

# rows of one load -> what the row with id 1, which was there, and others are then: (status, note, label)
UPSERTS = {
    "a column that no row has": ([{"id": 1, "status": "x"}], {1: ("x", "by hand", "here")}),
    "the key alone": ([{"id": 1}, {"id": 2}], {1: ("old", "by hand", "here"), 2: ("new", "none", None)}),
    "a column that another row has": (
        [{"id": 1, "status": "x"}, {"id": 2, "note": "y"}],
        {1: ("x", "by hand", "here"), 2: ("new", "y", None)},
    ),
    "null is a value": ([{"id": 1, "note": None, "label": None}, {"id": 2, "note": None}], {1: ("old", None, None), 2: ("new", None, None)}),
    "a default that must not be null": (
        [{"id": 2, "status": "x"}, {"id": 3}, {"id": 1}],
        {1: ("old", "by hand", "here"), 2: ("x", "none", None), 3: ("new", "none", None)},
    ),
    "the same key again": ([{"id": 1, "status": "a"}, {"id": 1, "note": "b"}], {1: ("a", "b", "here")}),
    "the same new key again": ([{"id": 2, "status": "a"}, {"id": 2, "note": "b"}], {2: ("a", "b", None)}),
    "null after a value": ([{"id": 1, "note": "a", "label": "c"}, {"id": 1, "note": None}], {1: ("old", None, "c")}),
    "a value after null": ([{"id": 2, "note": None}, {"id": 2, "note": "a", "label": "b"}], {2: ("new", "a", "b")}),
    "three times, and another between": (
        [{"id": 2, "note": "a"}, {"id": 3, "label": "z"}, {"id": 2, "status": "b", "note": "b"}, {"id": 2, "status": "c"}],
        {2: ("c", "b", None), 3: ("new", "none", "z")},
    ),
}  # fmt: skip


@every_driver
@pytest.mark.parametrize("case", UPSERTS)
def test_an_upsert_changes_what_a_row_has_and_nothing_else(database, case):
    rows, expected = UPSERTS[case]
    database.create(TABLE)
    database.execute(OLD, "SELECT 1 AS one FROM things")
    assert database.load(rows, **UPSERT).refused == {}
    found = {id_: rest for id_, *rest in database.rows()}
    assert found == {1: ["old", "by hand", "here"]} | {id_: list(rest) for id_, rest in expected.items()}


@pytest.mark.parametrize("mode", ["append", "replace_window"])
def test_a_missing_key_is_the_columns_default_for_each_row_by_itself(database, mode):
    database.create(f"{TABLE}, at {{timestamp}} DEFAULT NULL")
    rows = [
        {"id": 1, "status": "x"}, {"id": 2}, {"id": 3, "note": None, "label": "l"}, {"id": 4, "note": "n"},
        {"id": 5, "status": "y", "note": None, "label": None},
    ]  # fmt: skip
    window = {"window_column": "at"} if mode == "replace_window" else {}
    loaded = database.load([row | {"at": "2026-11-01T12:00:00Z"} for row in rows], load_mode=mode, **window)
    assert (loaded.loaded, loaded.refused) == (5, {})
    assert database.rows("id, status, note, label") == [
        (1, "x", "none", None),
        (2, "new", "none", None),
        (3, "new", None, "l"),
        (4, "new", "n", None),
        (5, "y", None, None),
    ]


def test_a_key_that_only_later_rows_have_is_loaded(database):
    database.create(TABLE)
    loader = database.loader()
    loader.open()
    loader.begin(resumed=False, staged=0)
    for first, row in enumerate([{"id": 1}, {"id": 2, "label": "a", "else": 1}, {"id": 3, "status": "late"}]):
        assert loader.stage(placed([row], first)) == []
        loader.commit({}, LoadState.STAGING, 0)
    assert loader.merge(first=True).loaded == 3
    loader.commit({}, LoadState.DONE, 3)
    assert database.rows() == [(1, "new", "none", None), (2, "new", "none", "a"), (3, "late", "none", None)]


@every_driver
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_a_retry_knows_which_columns_the_staged_rows_have(database, mode):
    database.create(TABLE)
    database.execute(OLD, "SELECT 1 AS one FROM things")
    arguments = UPSERT if mode == "upsert" else {}
    loader = database.loader(**arguments)
    loader.open()
    loader.begin(resumed=False, staged=0)
    loader.stage(
        placed([{"id": 2, "status": "x"}, {"id": 3, "note": None}, *([{"id": 1, "label": "l"}] if arguments else [])])
    )
    loader.commit({}, LoadState.STAGING, 0)
    loader.close()
    again = database.loader(**arguments)
    again.open()
    again.begin(resumed=True, staged=3 if arguments else 2)
    again.stage(placed([{"id": 4}], 9))
    again.merge(first=True)
    again.commit({}, LoadState.DONE, 3)
    first = (1, "old", "by hand", "l" if arguments else "here")
    assert database.rows() == [first, (2, "x", "none", None), (3, "new", None, None), (4, "new", "none", None)]


def test_columns_say_what_can_be_loaded_and_what_is_missing_is_left_alone(database):
    database.create(TABLE)
    database.execute(OLD, "SELECT 1 AS one FROM things")
    database.load([{"id": 1, "note": "x"}, {"id": 2, "label": "y"}], names=["id", "note", "label"], **UPSERT)
    assert database.rows() == [(1, "old", "x", "here"), (2, "new", "none", "y")]


@every_driver
def test_rows_that_are_there_need_not_have_what_a_new_one_must_have(database):
    """An INSERT would be refused before it is seen that the row is there."""
    database.create("id {int} PRIMARY KEY, name {text} NOT NULL, status {text}, CHECK (status <> 'x' OR name = 'here')")
    database.execute("INSERT INTO things VALUES (1, 'here', 'old')", "SELECT 1 AS one FROM things")
    loaded = database.load([{"id": 1, "status": "x"}, {"id": 2, "status": "y"}, {"id": 3, "name": "n"}], **UPSERT)
    assert (loaded.loaded, list(loaded.refused)) == (2, [1])
    assert database.rows() == [(1, "here", "x"), (3, "n", None)]


def test_a_row_without_its_key_is_refused_alone(database):
    database.create("id {int}, k {int}, label {text}, PRIMARY KEY (id, k)")
    rows = [{"id": 1, "label": "a"}, {"id": 1, "k": 1, "label": "b"}, {"label": "c"}]
    loaded = database.load(rows, load_mode="upsert", conflict_key=["id", "k"])
    assert loaded.refused[0] == "the row has no value for k, which conflict_key names"
    assert (loaded.loaded, sorted(loaded.refused)) == (1, [0, 2])
    assert database.rows() == [(1, 1, "b")]


def test_a_row_that_has_none_of_the_columns_is_refused_alone(database):
    database.create(TABLE)
    loaded = database.load([{"id": 1}, {"error": "quota exceeded"}, {"id": 2}])
    assert loaded.refused == {1: "the row has none of the columns"}
    assert [id_ for id_, *_ in database.rows()] == [1, 2]


@every_driver
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_a_sparse_row_that_is_refused_comes_back_with_what_it_had(database, mode):
    database.create("id {int} PRIMARY KEY, v {int} CHECK (v > 0), note {text} DEFAULT 'none', label {text}")
    rows = [{"id": 1, "v": 1}, {"id": 2, "v": -1, "label": None}, {"id": 3, "note": "n"}]
    loaded = database.load(rows, **(UPSERT if mode == "upsert" else {}))
    assert [(row.place, dict(row.values)) for row in loaded.at_merge] == [(1, {"id": 2, "v": -1, "label": None})]
    assert database.rows() == [(1, 1, "none", None), (3, None, "n", None)]


def test_of_one_key_given_twice_the_refused_row_has_what_both_had(database):
    database.create("id {int} PRIMARY KEY, v {int} CHECK (v > 0), label {text}")
    loaded = database.load([{"id": 1, "v": -1}, {"id": 2, "v": 1}, {"id": 1, "label": "a"}], **UPSERT)
    assert [(row.place, dict(row.values)) for row in loaded.at_merge] == [(2, {"id": 1, "v": -1, "label": "a"})]
    assert database.rows() == [(2, 1, None)]


@pytest.mark.parametrize(
    ("rows", "loaded", "refused"),
    [
        ([{"id": 1, "note": "a"}, {"note": "b", "id": 2}], [(1, "a"), (2, "b")], []),
        ([{"id": 1, "error": "x"}, {"id": 2, "note": "b"}], [(1, "none"), (2, "b")], []),
        ([{"id": 1}, {"note": "b"}, {}], [(1, "none")], [1, 2]),
        ([{"note": "a", "label": "b"}, {"label": "b", "note": "a"}], [], [0, 1]),
        ([{}, {}], [], [0, 1]),
    ],
    ids=["another order", "as many keys, but others", "fewer", "none has its key", "no keys"],
)
def test_rows_may_have_their_keys_in_any_order(postgresql, rows, loaded, refused):
    postgresql.create(TABLE)
    done = postgresql.load(rows, names=["id", "note", "label"], **UPSERT)
    assert (postgresql.rows("id, note"), sorted(done.refused)) == (loaded, refused)


COLUMNS = ["a", "b", "c", "d"]


@every_driver
@pytest.mark.parametrize("seed", range(6))
def test_rows_are_upserted_as_if_one_after_the_other(database, seed):
    chance = random.Random(seed)
    database.create(
        "k {text}, id {int}, a {text} DEFAULT 'a', b {int}, c {text} DEFAULT 'c' NOT NULL, d {text}, PRIMARY KEY (id, k)"
    )
    database.execute("INSERT INTO things VALUES ('x', 1, 'old', 1, 'old', 'old')", "SELECT 1 AS one FROM things")
    table = {(1, "x"): {"a": "old", "b": 1, "c": "old", "d": "old"}}
    rows = []
    for number in range(60):
        key = (chance.randrange(6), chance.choice("xy"))
        values = {"a": f"a{number}", "b": number, "c": f"c{number}", "d": f"d{number}"}
        has = {
            name: chance.choice([values[name], values[name], None if name != "c" else "C"])
            for name in chance.sample(COLUMNS, chance.randrange(5))
        }
        rows.append({"id": key[0], "k": key[1]} | has)
        table[key] = table.get(key, {"a": "a", "b": None, "c": "c", "d": None}) | has
    loaded = database.load(rows, load_mode="upsert", conflict_key=["id", "k"])
    assert loaded.refused == {}
    found = {(id_, k): dict(zip(COLUMNS, rest, strict=True)) for id_, k, *rest in database.rows("id, k, a, b, c, d")}
    assert found == table


# what a row has -> what is then read, and what is read of one that does not have it; of serial numbers, only how many
MANY = {
    "v": (None, None, "a:b%"),
    "b": (7, 7, None),
    "c": ("x", "x", "it's"),
    "e": ("e", "e", "5"),
    "f": ("f", "f", "1:2"),
}
TYPES = {
    "v": "{text} DEFAULT 'a:b%'", "b": "{int}", "c": "{text} DEFAULT 'it''s' NOT NULL", "e": "{text} DEFAULT (2 + 3)",
    "f": "{text} DEFAULT ('1' || ':2')", "n": "serial", "w": "bigint GENERATED BY DEFAULT AS IDENTITY",
}  # fmt: skip


@every_driver
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_rows_may_leave_other_columns_to_their_defaults_each(database, mode):
    """There are more kinds of rows than can be told apart one by one."""
    numbers = ["n", "w"] if database.name == "postgresql" else []
    database.create(", ".join(["id {int} PRIMARY KEY", *(f"{name} {TYPES[name]}" for name in [*MANY, *numbers])]))
    chance = random.Random(3)
    values = {name: given for name, (given, _, _) in MANY.items()} | dict.fromkeys(numbers, -1)
    rows = [{"id": n} | {name: values[name] for name in values if chance.random() < 0.5} for n in range(200)]
    assert database.load(rows, **(UPSERT if mode == "upsert" else {})).refused == {}
    found = database.rows(", ".join(["id", *MANY]))
    assert found == [(row["id"], *(MANY[name][1 if name in row else 2] for name in MANY)) for row in rows]
    for name in numbers:
        left = sum(name not in row for row in rows)
        assert sorted(number for (number,) in database.rows(name) if number > 0) == list(range(1, left + 1))
