"""What is staged of an item is removed again: then the load is as if the item had never come."""

import pytest
from loads import every_driver

from airflow_async_rest.core.keeping.row_sink import LoadState, PlacedRow, place_of

TABLE = "id {int} PRIMARY KEY, note {text} DEFAULT 'none'"


def rows_of(item, *numbers):
    """Rows with places of an item; every other one has no note."""
    return [PlacedRow(place_of(item, n), {"id": 100 * item + n} | ({"note": "n"} if n % 2 else {})) for n in numbers]


def begun(database, staged=(), **plan):
    loader = database.loader(**plan)
    loader.open()
    loader.begin(resumed=False, staged=0)
    loader.stage([row for item in staged for row in rows_of(item, 0, 1, 2)])
    loader.commit({}, LoadState.STAGING, 0)
    return loader


def merged(database, loader):
    result = loader.merge(first=True)
    loader.commit({}, LoadState.DONE, result.loaded)
    return result.loaded, [id_ for (id_,) in database.rows("id")]


@every_driver
@pytest.mark.parametrize(
    ("removed", "count", "left"),
    [([2], 3, [100, 101, 102, 300, 301, 302]), ([1, 3], 6, [200, 201, 202]), ([1, 2, 3], 9, []), ([7], 0, None)],
)
def test_the_rows_of_some_items_are_removed_and_no_others(database, removed, count, left):
    database.create(TABLE)
    loader = begun(database, [1, 2, 3])
    assert loader.remove(removed) == count
    loader.commit({}, LoadState.STAGING, 0)
    expected = [100, 101, 102, 200, 201, 202, 300, 301, 302] if left is None else left
    assert merged(database, loader) == (len(expected), expected)


@pytest.mark.parametrize(
    ("database", "refuses"),
    [
        (name, refuses)
        for name in ("psycopg", "psycopg2", "sqlite", "oracle")
        for refuses in (False, True)
        if not (refuses and name == "sqlite")  # which takes any value
    ],
    indirect=["database"],
)
def test_rows_are_staged_in_the_same_transaction_after_others_are_removed(database, refuses):
    """Also when the database refuses one of them: what was removed stays removed."""
    database.create(TABLE)
    loader = begun(database, [1, 2], load_mode="upsert", conflict_key="id")
    assert loader.remove([2]) == 3
    wrong = [PlacedRow(place_of(2, 5), {"id": "no number", "note": "n"})] if refuses else []
    refused = loader.stage([*rows_of(2, 0, 3), *wrong])
    expected = [100, 101, 102, 200, 203]
    assert [row.place for row in refused] == [row.place for row in wrong]
    loader.commit({}, LoadState.STAGING, 0)
    assert merged(database, loader) == (5, expected)


@every_driver
def test_what_was_not_committed_was_not_removed(database):
    database.create(TABLE)
    loader = begun(database, [1, 2])
    loader.remove([1])
    loader.rollback()
    assert loader.remove([2]) == 3
    loader.commit({}, LoadState.STAGING, 0)
    assert merged(database, loader) == (3, [100, 101, 102])


@every_driver
def test_rows_are_removed_more_than_once_and_in_another_try(database):
    database.create(TABLE)
    loader = begun(database, [1, 2, 3])
    loader.remove([1])
    loader.commit({}, LoadState.STAGING, 0)
    loader.close()
    loader = database.loader()
    loader.open()
    loader.begin(resumed=True, staged=6)
    assert (loader.remove([3]), loader.remove([3])) == (3, 0)
    loader.commit({}, LoadState.STAGING, 0)
    assert merged(database, loader) == (3, [200, 201, 202])


def test_rows_are_removed_from_all_tables_that_a_wide_one_is_staged_in(psycopg):
    names = [f"c{number}" for number in range(1_200)]
    psycopg.execute(f"CREATE TABLE things (id int, {', '.join(f'{name} int' for name in names)})")
    loader = psycopg.loader()
    loader.open()
    loader.begin(resumed=False, staged=0)
    loader.stage([PlacedRow(place_of(item, 0), dict.fromkeys(names, item) | {"id": item}) for item in (1, 2)])
    assert loader.remove([1]) == 1
    loader.commit({}, LoadState.STAGING, 0)
    assert loader.merge(first=True).loaded == 1
    loader.commit({}, LoadState.DONE, 1)
    assert psycopg.rows("id, c0, c1199") == [(2, 2, 2)]


def test_there_is_nothing_to_remove_before_anything_is_staged(database):
    database.create(TABLE)
    loader = database.loader()
    loader.open()
    loader.begin(resumed=False, staged=0)
    assert loader.remove([1]) == 0
