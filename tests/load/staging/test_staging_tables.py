"""Staging tables of destinations that have very many columns, or other ones than when the load began."""

import pytest
from loads import every_driver, placed

from airflow_async_rest.core.keeping.row_sink import LoadState

AT = "2026-11-01T12:00:00Z"
MODES = {
    "append": {},
    "upsert": {"load_mode": "upsert", "conflict_key": "id"},
    "replace_window": {"load_mode": "replace_window", "window_column": "at"},
}
MOST = 1_600


@pytest.fixture
def wide(database):
    """A table with as many columns as PostgreSQL's most."""
    names = [f"c{n}" for n in range(MOST - 2)]
    defaults = dict.fromkeys(["c900", "c1000", names[-1]], "DEFAULT -1")
    columns = [f"{name} {{int}} {defaults.get(name, '')}" for name in names]
    database.create(", ".join([*columns, "at {timestamp}", "id {int} PRIMARY KEY"]))
    return names


@every_driver
@pytest.mark.parametrize("mode", MODES)
def test_a_table_of_very_many_columns_is_loaded(database, wide, mode):
    first, last = wide[0], wide[-1]
    whole = dict.fromkeys(wide[:500] + wide[1300:], 1)
    rows = [{"id": n, "at": AT, **whole, first: n, last: n} for n in range(3)]
    loaded = database.load(rows, **MODES[mode])
    assert (loaded.loaded, loaded.refused) == (3, {})
    assert database.rows(f"id, {first}, c900, {last}") == [(n, n, -1, n) for n in range(3)]


@pytest.mark.release
@every_driver
def test_rows_of_very_many_columns_are_upserted_one_after_the_other(database, wide):
    first, last = wide[0], wide[-1]
    rows = [{"id": 1, last: 1}, {"id": 2, first: 2}, {"id": 1, first: 3}, {"id": 2, last: None}, {"id": 3, "c1000": 4}]
    assert database.load(rows, **MODES["upsert"]).refused == {}
    assert database.rows(f"id, {first}, c1000, {last}") == [(1, 3, -1, 1), (2, 2, -1, None), (3, None, 4, -1)]
    assert database.staging_tables() == []


def test_a_refused_row_of_very_many_columns_is_found_and_comes_back(database, wide):
    database.execute("CREATE UNIQUE INDEX of_last ON things (c1597)", "SELECT 1 AS one FROM things")
    rows = [{"id": 1, "c0": 1, "c1597": 7}, {"id": 2, "c1597": 7}, {"id": 3, "c1597": 8}]
    loaded = database.load(rows)
    assert [(row.place, dict(row.values)) for row in loaded.at_merge] == [(1, {"id": 2, "c1597": 7})]
    assert [id_ for (id_,) in database.rows("id")] == [1, 3]


def begun(database, rows, **plan):
    """Stage rows, as a try that is killed then."""
    loader = database.loader(**plan)
    loader.open()
    loader.begin(resumed=False, staged=0)
    assert loader.stage(placed(rows)) == []
    loader.commit({}, LoadState.STAGING, 0)
    loader.close()


def finished(database, rows, staged, **plan):
    """Stage more rows in another try, and merge all."""
    loader = database.loader(**plan)
    loader.open()
    loader.begin(resumed=True, staged=staged)
    assert loader.stage(placed(rows, staged)) == []
    loader.commit({}, LoadState.STAGING, 0)
    merged = loader.merge(first=True)
    assert merged.refused == []
    loader.commit({}, LoadState.DONE, merged.loaded)
    return merged.loaded


@every_driver
@pytest.mark.parametrize("mode", MODES)
def test_a_column_that_came_meanwhile_is_loaded(database, mode):
    database.create("id {int} PRIMARY KEY, at {timestamp}")
    begun(database, [{"id": 1, "at": AT}, {"id": 2, "at": AT}], **MODES[mode])
    database.execute("ALTER TABLE things ADD COLUMN label text DEFAULT 'none'", "SELECT 1 AS one FROM things")
    assert finished(database, [{"id": 3, "at": AT, "label": "a"}, {"id": 4, "at": AT}], 2, **MODES[mode]) == 4
    assert database.rows("id, label") == [(1, "none"), (2, "none"), (3, "a"), (4, "none")]
    assert database.staging_tables() == []


def test_columns_may_come_again_and_again(database):
    database.create("id {int} PRIMARY KEY")
    begun(database, [{"id": 1}])
    for number in range(3):
        database.execute(f"ALTER TABLE things ADD COLUMN c{number} int", "SELECT 1 AS one FROM things")
        loader = database.loader()
        loader.open()
        loader.begin(resumed=True, staged=number + 1)
        loader.stage(placed([{"id": number + 2, f"c{number}": number}], number + 1))
        loader.commit({}, LoadState.STAGING, 0)
        loader.close()
    assert finished(database, [{"id": 5, "c0": 5}], 4, **MODES["upsert"]) == 5
    assert database.rows() == [
        (1, None, None, None),
        (2, 0, None, None),
        (3, None, 1, None),
        (4, None, None, 2),
        (5, 5, None, None),
    ]
    assert database.staging_tables() == []


@every_driver
@pytest.mark.parametrize("mode", MODES)
def test_a_column_that_went_meanwhile_is_left_out(database, mode):
    database.create("gone {int}, id {int} PRIMARY KEY, at {timestamp}, label {text}")
    begun(database, [{"gone": 1, "id": 1, "at": AT, "label": "a"}, {"id": 2, "at": AT}], **MODES[mode])
    database.execute("ALTER TABLE things DROP COLUMN gone", "SELECT 1 AS one FROM things")
    assert finished(database, [{"id": 3, "at": AT, "label": "b"}], 2, **MODES[mode]) == 3
    assert database.rows("id, label") == [(1, "a"), (2, None), (3, "b")]


@every_driver
@pytest.mark.parametrize("by_then", ["none", "not said"])
def test_what_another_version_of_the_package_has_staged_is_loaded(database, by_then):
    """It did not say which columns its rows have: all, as it took what was missing for NULL."""
    database.create("id {int} PRIMARY KEY, label {text} DEFAULT 'none'")
    begun(database, [{"id": 1, "label": "a"}, {"id": 2, "label": None}])
    [table] = database.staging_tables()
    change = "DROP COLUMN async_rest_columns" if by_then == "none" else None
    statement = f"ALTER TABLE {table} {change}" if change else f"UPDATE {table} SET async_rest_columns = NULL"
    database.execute(statement, "SELECT 1 AS one FROM things")
    assert finished(database, [{"id": 3}], 2) == 3
    assert database.rows() == [(1, "a"), (2, None), (3, "none")]
