"""The register of loads: what it knows of them, and who may go on with one."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from loads import every_driver, placed

from airflow_async_rest.core.errors import ConfigurationError, LoadError
from airflow_async_rest.core.keeping.row_sink import Earlier, LoadState


def begun(database, run="run", life=None, **plan):
    """Return a loader that has begun, with one row staged and committed."""
    loader = database.loader(run=run, life=life, **plan)
    loader.open()
    loader.begin(resumed=False, staged=0)
    loader.stage(placed([{"id": 1}]))
    loader.commit({"rows": 1}, LoadState.STAGING, 0)
    return loader


def overtaken(database, *, resumed):
    """Have a later try look and begin while one hangs between the two, which then begins. :return: the later one."""
    former, now = database.loader(), database.loader()
    former.open()
    now.open()
    now.begin(resumed=resumed, staged=0)
    now.stage(placed([{"id": 2}]))
    now.commit({"rows": 1}, LoadState.STAGING, 0)
    with pytest.raises(LoadError, match="another try of this task has taken over"):
        former.begin(resumed=resumed, staged=0)
    former.close()
    assert now.merge(first=True).loaded == 1
    return now


@pytest.fixture
def table(database):
    database.create("id {int}, label {text}")
    return database


def count(database, table):
    return database.rows("count(*)", table)[0][0]


def test_there_is_no_earlier_try_of_a_new_task(table):
    assert table.loader().open() is None
    begun(table)
    assert table.loader(run="another").open() is None


@pytest.mark.parametrize("state", list(LoadState))
def test_the_next_try_finds_what_the_last_one_committed(table, state):
    loader = begun(table)
    loader.commit({"position": 7, "text": "é" * 5000}, state, 3)
    assert table.loader().open() == Earlier({"position": 7, "text": "é" * 5000}, state, 3)


def test_a_load_that_has_begun_and_staged_nothing_has_no_checkpoint(table):
    loader = table.loader()
    loader.open()
    loader.begin(resumed=False, staged=0)
    assert table.loader().open() == Earlier(None, LoadState.STAGING, 0)


def test_a_load_that_begins_again_forgets_what_it_was(table):
    begun(table)
    loader = table.loader()
    loader.open()
    loader.begin(resumed=False, staged=0)
    assert table.loader().open() == Earlier(None, LoadState.STAGING, 0)
    [staging] = table.staging_tables()
    assert count(table, staging) == 0


@every_driver
def test_a_try_that_still_runs_when_the_next_one_begins_can_do_nothing_more(table):
    former = begun(table)
    now = table.loader()
    now.open()
    with pytest.raises(LoadError, match="another try of this task has taken over"):
        former.commit({}, LoadState.STAGING, 0)
    former.rollback()
    now.begin(resumed=True, staged=1)
    if table.name != "sqlite":  # there only one writes at a time
        assert former.stage(placed([{"id": 2}], 1)) == []
        with pytest.raises(LoadError, match="another try"):
            former.commit({"rows": 2}, LoadState.STAGING, 0)
        former.rollback()
    assert now.merge(first=True).loaded == 1
    now.commit({}, LoadState.DONE, 1)
    assert [id_ for id_, _ in table.rows()] == [1]


def test_a_merge_of_a_try_that_is_given_up_is_undone(table):
    former = begun(table)
    now = table.loader()
    assert now.open().checkpoint == {"rows": 1}
    assert former.merge(first=True).loaded == 1
    with pytest.raises(LoadError, match="another try"):
        former.commit({}, LoadState.DONE, 1)
    former.close()
    assert table.rows() == []
    now.begin(resumed=True, staged=1)


def test_a_try_that_hangs_between_its_look_and_its_begin_does_not_take_the_load_back(table):
    """The worst order of steps: it has put its mark there, another one has, and has begun; and then it begins."""
    begun(table).close()
    now = overtaken(table, resumed=False)
    now.commit({}, LoadState.DONE, 1)
    assert [id_ for id_, _ in table.rows()] == [2]


def test_a_try_that_goes_on_with_nothing_staged_leaves_what_a_later_one_has(table):
    loader = table.loader()
    loader.open()
    loader.begin(resumed=False, staged=0)
    loader.commit({"rows": 0}, LoadState.STAGING, 0)
    loader.close()
    overtaken(table, resumed=True)


def test_a_staging_table_that_the_former_try_makes_after_the_next_one_began_is_in_nobodys_way(table):
    former = table.loader()
    former.open()
    former.begin(resumed=False, staged=0)
    now = table.loader()
    now.open()
    now.begin(resumed=False, staged=0)
    former.stage(placed([{"id": 1}]))
    former.rollback()
    now.stage(placed([{"id": 2}]))
    now.commit({}, LoadState.STAGING, 0)
    assert now.merge(first=True).loaded == 1


def test_the_register_is_made_by_two_at_once(table):
    loaders = [table.loader(run=f"run{n}") for n in range(4)]
    start, errors = threading.Barrier(len(loaders)), []

    def begin(loader):
        loader.open()
        start.wait(60)
        try:
            loader.begin(resumed=False, staged=0)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=begin, args=[loader]) for loader in loaders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert count(table, "async_rest_loads") == 4


def test_the_register_may_appear_while_a_try_looks_for_it(table, monkeypatch):
    late, other = table.loader(run="late"), table.loader(run="other")
    exists = late._register.exists

    def made_meanwhile(connection):
        other.open()
        other.begin(resumed=False, staged=0)
        other.commit({}, LoadState.STAGING, 0)
        return exists(connection)

    monkeypatch.setattr(late._register, "exists", made_meanwhile)
    assert late.open() is None
    late.begin(resumed=False, staged=0)
    assert count(table, "async_rest_loads") == 2


def days_ago(days):
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S.000000")


def grow_old(database, days):
    literal = f"TIMESTAMP '{days_ago(days)}'" if database.name == "oracle" else f"'{days_ago(days)}'"
    database.execute(f"UPDATE async_rest_loads SET updated_at = {literal}", "SELECT 1 AS one FROM async_rest_loads")


def begin_another(database) -> list[str]:
    """Begin a load of another run. :return: the staging tables of all but that."""
    loader = database.loader(run="another")
    loader.open()
    loader.begin(resumed=False, staged=0)
    loader.clean_up()
    return [name for name in database.staging_tables() if loader._load_id not in name]


@pytest.mark.parametrize(
    ("state", "loaded", "days", "kept"),
    [
        (LoadState.STAGING, 0, 8, None),
        (LoadState.STAGING, 0, 6, "staging"),
        (LoadState.DONE, 5, 8, None),
        (LoadState.DONE, 5, 6, "done"),
        (LoadState.MERGED, 5, 8, "merged"),
        (LoadState.STAGING, 5, 8, "lost"),
    ],
)
def test_a_load_that_nobody_goes_on_with_is_removed_after_a_week(table, state, loaded, days, kept):
    begun(table).commit({}, state, loaded)
    grow_old(table, days)
    left = begin_another(table)
    assert table.rows("state", "async_rest_loads WHERE run_id = 'run'") == ([(kept,)] if kept else [])
    assert bool(left) is (kept == "staging")


@every_driver
def test_a_load_that_was_taken_over_a_moment_ago_is_not_abandoned(table):
    begun(table)
    grow_old(table, 8)
    late = table.loader()
    assert late.open().checkpoint == {"rows": 1}
    begin_another(table)
    late.begin(resumed=True, staged=1)


def test_what_cannot_be_removed_is_a_warning_and_no_more(postgresql, caplog):
    postgresql.create("id {int}, label {text}")
    begun(postgresql)
    grow_old(postgresql, 8)
    [staging] = postgresql.staging_tables()
    postgresql.execute(f"CREATE VIEW watching AS SELECT * FROM {staging}")
    begin_another(postgresql)
    assert "Could not remove the staging tables of abandoned loads" in caplog.text
    assert begun(postgresql, "third").merge(first=True).loaded == 1


@pytest.mark.parametrize("state", list(LoadState))
def test_only_a_load_that_is_done_is_forgotten(table, state):
    from airflow_async_rest.load.loader import forget_load

    begun(table).commit({}, state, 1)
    begun(table, "another").commit({}, LoadState.DONE, 1)
    forget_load("warehouse", None, {"dag_id": "dag", "run_id": "run", "task_id": "task", "map_index": -1})
    assert count(table, "async_rest_loads") == (1 if state is LoadState.DONE else 2)


def test_there_may_be_nothing_to_forget(table):
    from airflow_async_rest.load.loader import forget_load

    forget_load("warehouse", None, {"dag_id": "dag", "run_id": "run", "task_id": "task", "map_index": -1})


def test_the_longest_names_that_airflow_allows_fit(table):
    from airflow_async_rest.load.loader import TableLoader, open_destination
    from airflow_async_rest.load.plan import LoadPlan

    about = {"dag_id": "d" * 250, "run_id": "r" * 250, "task_id": "t" * 250, "map_index": 1023}
    loader = TableLoader(open_destination("warehouse"), LoadPlan("things"), about, None)
    table.loaders.append(loader)
    loader.open()
    loader.begin(resumed=False, staged=0)


def finished(loader, rows, *, resumed=False):
    loader.begin(resumed=resumed, staged=0)
    loader.stage(placed(rows))
    loader.commit({"staged": len(rows)}, LoadState.STAGING, 0)
    loaded = loader.merge(first=not resumed).loaded
    loader.commit({"loaded": loaded}, LoadState.MERGED, loaded)


def test_what_was_appended_to_one_table_is_no_reason_not_to_append_to_another(table):
    table.create("id {int}", "others")
    loader = table.loader()
    loader.open()
    finished(loader, [{"id": 1}, {"id": 2}])
    other = table.loader("others")
    assert other.open() is None
    finished(other, [{"id": 3}])
    assert table.loader("others").open() == Earlier({"loaded": 1}, LoadState.MERGED, 1)
    # and is still known when the first table is the destination once more
    assert table.loader().open() == Earlier({"loaded": 2}, LoadState.MERGED, 2)
    assert table.loader("others").open() == Earlier({"loaded": 1}, LoadState.MERGED, 1)


def test_what_was_staged_for_one_table_is_not_loaded_into_another(table):
    table.create("id {int}, label {text}", "others")
    begun(table)
    other = table.loader("others")
    assert other.open() is None
    assert table.staging_tables() == []
    other.begin(resumed=False, staged=0)
    other.stage(placed([{"id": 2}]))
    other.commit({"rows": 1}, LoadState.STAGING, 0)
    again = table.loader()
    assert again.open() == Earlier({"rows": 1}, LoadState.STAGING, 0)
    with pytest.raises(LookupError, match="1 row should be staged, and none are"):
        again.begin(resumed=True, staged=1)


@pytest.mark.parametrize("state", [LoadState.STAGING, LoadState.MERGED])
def test_what_another_life_of_the_run_loaded_elsewhere_is_not_ours_either(table, state):
    table.create("id {int}, label {text}", "others")
    begun(table, life="first").commit({"position": 7}, state, 3)
    other = table.loader("others", life="second")
    assert other.open() is None
    finished(other, [{"id": 3}])
    assert table.loader(life="second").open() is None
    assert table.loader("others", life="second").open() == Earlier({"loaded": 1}, LoadState.MERGED, 1)
    assert table.loader(life="first").open() == Earlier({"position": 7}, state, 3)


def test_a_table_is_the_same_with_its_schema_and_without(postgresql):
    postgresql.create("id {int}")
    loader = postgresql.loader()
    loader.open()
    finished(loader, [{"id": 1}])
    assert postgresql.loader("loads.things").open() == Earlier({"loaded": 1}, LoadState.MERGED, 1)


UNKNOWN = {
    "a state": ("UPDATE async_rest_loads SET state = 'paused'", "it is 'paused', which this version of the package does not know"),
    "no such column": ("ALTER TABLE async_rest_loads RENAME COLUMN rows_loaded TO rows_in", "rows_loaded"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_register_of_another_version_is_told_of(table, case):
    statement, words = UNKNOWN[case]
    begun(table)
    table.execute(statement, "SELECT 1 AS one FROM things")
    with pytest.raises(ConfigurationError, match=words):
        table.loader().open()


def test_a_checkpoint_that_is_none_is_given_as_it_is(table):
    begun(table)
    table.execute("UPDATE async_rest_loads SET checkpoint = '{cut'", "SELECT 1 AS one FROM things")
    assert table.loader().open().checkpoint == "{cut"


@pytest.mark.parametrize(
    ("before", "now", "goes_on"),
    [("first", "first", True), ("first", "second", False), (None, "second", True), ("first", None, True)],
)
@pytest.mark.parametrize("state", list(LoadState))
def test_a_load_goes_on_in_the_same_life_of_its_run_only(table, state, before, now, goes_on):
    loader = begun(table, life=before)
    loader.commit({"position": 7}, state, 3)
    after = table.loader(life=now)
    assert after.open() == (Earlier({"position": 7}, state, 3) if goes_on else None)
    after.begin(resumed=False, staged=0)
    [staging] = table.staging_tables()
    assert count(table, staging) == 0
    after.commit({"position": 1}, LoadState.STAGING, 0)
    assert table.loader(life=now).open() == Earlier({"position": 1}, LoadState.STAGING, 0)
