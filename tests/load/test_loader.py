"""A load from the beginning to the end: exactly once, whatever breaks on the way."""

import threading
from dataclasses import replace

import pytest
from engine import Database as Memory
from engine import make_fetch_job, rows_of, run
from loads import SCHEMA, every_driver, placed
from sqlalchemy import event

from airflow_async_rest.core.errors import AsyncRestError, ConfigurationError, LoadError, StoppedError
from airflow_async_rest.core.job import Fetch
from airflow_async_rest.core.keeping.row_sink import LoadState
from airflow_async_rest.core.keeping.table import Table
from airflow_async_rest.databases.dialects.postgresql.postgresql import PostgreSQL


@pytest.fixture
def table(database):
    database.create("id {int}, label {text}")
    return database


def begun(database, rows=((1, "a"),), **plan):
    loader = database.loader(**plan)
    loader.open()
    loader.begin(resumed=False, staged=0)
    loader.stage(placed([{"id": id_, "label": label} for id_, label in rows]))
    loader.commit({"rows": len(rows)}, LoadState.STAGING, 0)
    return loader


def kill(loader):
    """End the connection as the end of its process does: without a word."""
    loader._connection.connection.dbapi_connection.close()


MODES = {
    "append": {},
    "upsert": {"load_mode": "upsert", "conflict_key": "id"},
    "replace_window": {"load_mode": "replace_window", "window_column": "at"},
}


@every_driver
@pytest.mark.parametrize("mode", MODES)
def test_a_mode_does_what_it_says(database, mode):
    database.create("id {int} PRIMARY KEY, at {timestamp}, label {text}")
    at = ["2026-11-01T12:00:00", "2026-11-01T13:00:00"]
    database.load([{"id": 1, "at": at[0], "label": "old"}, {"id": 2, "at": at[0], "label": "old"}], run="earlier")
    loaded = database.load(
        [{"id": 2, "at": at[1], "label": "new"}, {"id": 3, "at": at[1], "label": "new"}], **MODES[mode]
    )
    expected = {
        "append": [(1, "old"), (2, "old"), (3, "new")],
        "upsert": [(1, "old"), (2, "new"), (3, "new")],
        "replace_window": [(2, "new"), (3, "new")],
    }
    assert database.rows("id, label") == expected[mode]
    assert list(loaded.refused) == ([0] if mode == "append" else [])
    assert loaded.loaded == (1 if mode == "append" else 2)


def test_an_append_needs_nothing_of_the_table(table):
    assert table.load([{"id": 1}, {"id": 1}, {"id": None}]).loaded == 3


@every_driver
def test_rows_that_are_staged_and_not_committed_are_not_there(table):
    loader = begun(table)
    loader.stage(placed([{"id": 2}], 1))
    kill(loader)
    again = table.loader()
    assert again.open().checkpoint == {"rows": 1}
    again.begin(resumed=True, staged=1)
    assert again.merge(first=True).loaded == 1
    again.commit({}, LoadState.DONE, 1)
    assert table.rows() == [(1, "a")]


@every_driver
@pytest.mark.parametrize("mode", ["append", "replace_window"])
def test_a_merge_that_is_not_committed_has_done_nothing(database, mode):
    database.create("id {int}, at {timestamp}, label {text}")
    database.load([{"id": 0, "at": "2026-11-01T12:00:00"}], run="earlier")
    loader = database.loader(**MODES[mode])
    loader.open()
    loader.begin(resumed=False, staged=0)
    loader.stage(placed([{"id": 1, "at": "2026-11-01T12:00:00"}]))
    loader.commit({}, LoadState.STAGING, 0)
    assert loader.merge(first=True).loaded == 1
    kill(loader)
    assert [id_ for id_, *_ in database.rows()] == [0]
    again = database.loader(**MODES[mode])
    again.open()
    again.begin(resumed=True, staged=1)
    assert again.merge(first=True).loaded == 1


def test_what_was_rolled_back_can_be_staged_once_more(table):
    loader = begun(table)
    loader.stage(placed([{"id": 2}], 1))
    loader.rollback()
    loader.stage(placed([{"id": 2}], 1))
    loader.commit({}, LoadState.STAGING, 0)
    assert loader.merge(first=True).loaded == 2


def test_rows_and_their_checkpoint_become_durable_together(table):
    loader = begun(table)
    loader.stage(placed([{"id": 2}], 1))
    with pytest.raises(TypeError):  # a checkpoint that cannot be written
        loader.commit({"rows": object()}, LoadState.STAGING, 0)
    loader.rollback()
    loader.close()
    again = table.loader()
    assert again.open().checkpoint == {"rows": 1}
    again.begin(resumed=True, staged=1)


@pytest.mark.parametrize("lost", ["rows", "table"])
def test_staged_rows_that_a_crash_of_the_server_lost_are_missed(table, lost):
    begun(table).close()
    [staging] = table.staging_tables()
    table.execute(
        f"DELETE FROM {staging}" if lost == "rows" else f"DROP TABLE {staging}", "SELECT 1 AS one FROM things"
    )
    again = table.loader()
    again.open()
    with pytest.raises(LookupError, match="1 row should be staged, and (0|none) are"):
        again.begin(resumed=True, staged=1)
    again.begin(resumed=False, staged=0)  # and so it begins again
    again.stage(placed([{"id": 5}]))
    again.commit({}, LoadState.STAGING, 0)
    assert again.merge(first=True).loaded == 1


def test_a_staging_table_that_nothing_counts_is_made_again(table):
    loader = begun(table)
    loader.commit({"rows": 0}, LoadState.MERGED, 0)
    table.execute("CREATE TABLE leftover (id int)", "SELECT 1 AS one FROM leftover")
    again = table.loader()
    again.open()
    again.begin(resumed=True, staged=0)
    again.stage(placed([{"id": 2, "label": "b"}]))
    again.commit({}, LoadState.STAGING, 0)
    assert again.merge(first=False).loaded == 1


@pytest.mark.parametrize("state", [LoadState.MERGED, LoadState.DONE])
def test_what_is_merged_goes_from_the_staging_table_in_the_same_commit(postgresql, state):
    postgresql.create("id {int}, label {text}")
    loader = begun(postgresql)
    loader.merge(first=True)
    commits = []
    event.listen(loader._engine, "commit", commits.append)
    loader.commit({}, state, 1)
    assert len(commits) == 1
    assert (postgresql.staging_tables(), postgresql.rows()) == ([], [(1, "a")])


def test_who_reads_a_staging_table_does_not_hold_up_the_rows(postgresql, postgres, monkeypatch):
    postgresql.create("id {int}, label {text}")
    loader = begun(postgresql)
    [staging] = postgresql.staging_tables()
    loader.merge(first=True)
    drop, found = loader._staging.drop, []
    with postgres.open() as reader:
        reader.execute(f"SELECT 1 FROM {SCHEMA}.{staging}")

        def drop_when_it_is_read():
            found.extend(postgresql.rows())
            reader.rollback()
            drop()

        monkeypatch.setattr(loader._staging, "drop", drop_when_it_is_read)
        loader.commit({}, LoadState.DONE, 1)
    assert found == [(1, "a")]
    assert postgresql.staging_tables() == []


@pytest.mark.parametrize("state", [LoadState.MERGED, LoadState.DONE])
def test_who_goes_on_reading_a_staging_table_does_not_hold_up_the_task(
    postgresql, postgres, monkeypatch, caplog, state
):
    monkeypatch.setattr(PostgreSQL, "before_drop", "SET LOCAL lock_timeout = '1ms'")
    postgresql.create("id {int}, label {text}")
    loader = begun(postgresql)
    [staging] = postgresql.staging_tables()
    loader.merge(first=True)
    with postgres.open() as reader:
        reader.execute(f"SELECT 1 FROM {SCHEMA}.{staging}")
        loader.commit({}, state, 1)
        assert postgresql.rows() == [(1, "a")]
        assert postgresql.staging_tables() == [staging]
        [warning] = [record.getMessage() for record in caplog.records]
        assert f"The staging table {staging} could not be removed: drop it by hand" in warning
        assert "lock timeout" in warning
        again = postgresql.loader()
        again.open()
        with pytest.raises(StoppedError, match="lock timeout"):  # to be retried: it needs a new one
            again.begin(resumed=False, staged=0)
    begun(postgresql, [(2, "b")]).merge(first=True)


def test_who_reads_what_an_abandoned_load_has_left_does_not_hold_up_another(postgresql, postgres, monkeypatch, caplog):
    monkeypatch.setattr(PostgreSQL, "before_drop", "SET LOCAL lock_timeout = '1ms'")
    postgresql.create("id {int}, label {text}")
    begun(postgresql, run="abandoned").close()
    [staging] = postgresql.staging_tables()
    postgresql.execute("UPDATE async_rest_loads SET updated_at = '2020-01-01'", "SELECT 1 AS one")
    loader = begun(postgresql)
    with postgres.open() as reader:
        reader.execute(f"SELECT 1 FROM {SCHEMA}.{staging}")
        loader.clean_up()
    assert "Could not remove the staging tables of abandoned loads" in caplog.text
    assert loader.merge(first=True).loaded == 1
    loader.clean_up()
    assert staging not in postgresql.staging_tables()


def test_two_loads_into_one_table_do_not_meet(table):
    one, other = begun(table, run="one"), begun(table, [(2, "b")], run="other")
    for loader in (one, other):
        assert loader.merge(first=True).loaded == 1
        loader.commit({}, LoadState.DONE, 1)
    assert table.rows() == [(1, "a"), (2, "b")]
    assert table.staging_tables() == []


def test_a_task_of_any_name_has_a_load_of_its_own():
    from airflow_async_rest.load.loader import load_id_of

    ids = {
        load_id_of("d", "r", "t", 0),
        load_id_of("d", "r", "t", 1),
        load_id_of("d", "rt", "", 0),
        load_id_of("dr", "", "t", 0),
    }
    assert len(ids) == 4
    assert max(map(len, ids)) == 20


# --- errors


def end_connections(postgresql):
    postgresql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query <> '' AND pid <> pg_backend_pid()"
    )


@pytest.mark.parametrize("step", ["begin", "stage", "merge", "commit"])
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_database_that_goes_away_is_an_error_that_a_retry_may_solve(request, closed, driver, step):
    postgresql = request.getfixturevalue(driver)
    closed.append(postgresql)
    postgresql.create("id {int}, label {text}")
    loader = begun(postgresql)
    end_connections(postgresql)
    steps = {
        "begin": lambda: loader.begin(resumed=True, staged=1),
        "stage": lambda: loader.stage(placed([{"id": 2}, {"id": 3}], 1)),
        "merge": lambda: loader.merge(first=True),
        "commit": lambda: loader.commit({}, LoadState.STAGING, 0),
    }
    with pytest.raises(LoadError, match="the database does not take the rows: "):
        steps[step]()
    loader.rollback()
    loader.close()
    again = postgresql.loader()
    assert again.open().checkpoint == {"rows": 1}
    again.begin(resumed=True, staged=1)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_deferred_trigger_that_raises_at_commit_ends_the_whole_load(request, closed, driver, api, tmp_path, ends):
    postgresql = request.getfixturevalue(driver)
    closed.append(postgresql)
    postgresql.create("id {text}")
    postgresql.load([{"id": "earlier"}], run="earlier")  # makes the table that has the checkpoints
    postgresql.execute(
        "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN PERFORM pg_sleep(0.2); RAISE 'not today'; END $$ LANGUAGE plpgsql",
        "CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON async_rest_loads DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    api.answer = rows_of
    job = make_fetch_job(api, tmp_path, Memory(), 20_000, concurrency=16)
    into = Table(postgresql.loader(names=["id"]))
    with pytest.raises(AsyncRestError, match="not today"):
        run(replace(job, fetch=Fetch(plan=job.fetch.plan, rows=into, checkpoints=into)))
    assert len(api.seen) < 15_000
    assert postgresql.rows() == [("earlier",)]


SETTINGS = "current_setting('TimeZone'), current_setting('synchronous_commit')"


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_what_is_set_is_set_for_one_transaction(request, connect, postgres, closed, driver):
    """Behind a pooler the connection is another client's in the next one."""
    from loads import SCHEMA

    database = request.getfixturevalue(driver)
    closed.append(database)
    options = {"options": f"-csearch_path={SCHEMA} -cTimeZone=Asia/Tokyo"}
    scheme = {"sqlalchemy_scheme": "postgresql+psycopg2"} if driver == "psycopg2" else {}
    connect("warehouse", **postgres.connection(), extra=options | scheme)
    database.create("id {int}, label {text}")
    loader = begun(database)
    raw = loader._connection.connection.dbapi_connection

    def outside():
        cursor = raw.cursor()
        cursor.execute(f"SELECT {SETTINGS}")
        raw.rollback()
        return cursor.fetchone()

    assert outside() == ("Asia/Tokyo", "on")
    loader.stage(placed([{"id": 2}], 1))
    assert loader._connection.exec_driver_sql(f"SELECT {SETTINGS}").one() == ("UTC", "off")
    loader.commit({"rows": 2}, LoadState.STAGING, 0)
    loader.merge(first=True)
    assert loader._connection.exec_driver_sql(f"SELECT {SETTINGS}").one() == ("UTC", "on")
    loader.commit({}, LoadState.DONE, 2)
    assert outside() == ("Asia/Tokyo", "on")


def test_a_server_that_is_not_there_is_an_error_that_a_retry_may_solve(postgresql, connect, tmp_path):
    connect("warehouse", conn_type="postgres", host=str(tmp_path), login="postgres", schema="postgres")
    with pytest.raises(
        StoppedError, match="destination_conn_id='warehouse': the database is not reached: .*(?i:no such file)"
    ):
        postgresql.loader()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_merge_can_be_cancelled_from_another_thread(request, closed, driver):
    postgresql = request.getfixturevalue(driver)
    closed.append(postgresql)
    postgresql.create("id {int}, label {text}")
    postgresql.execute(
        "CREATE FUNCTION wait() RETURNS trigger AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER wait BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION wait()",
    )
    loader = begun(postgresql)
    errors = []

    def merge():
        try:
            loader.merge(first=True)
        except LoadError as error:
            errors.append(str(error))

    thread = threading.Thread(target=merge)
    thread.start()
    while thread.is_alive():
        if postgresql.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
        ):
            loader.cancel()
        thread.join(0.02)
    assert ["canceling statement" in error for error in errors] == [True]
    loader.rollback()
    assert postgresql.rows() == []
    assert loader.destination.names == ("id", "label")


def test_a_locked_file_is_an_error_that_a_retry_may_solve(sqlite_file, connect, tmp_path):
    import sqlite3

    sqlite_file.create("id {int}, label {text}")
    loader = begun(sqlite_file)
    with sqlite3.connect(tmp_path / "warehouse.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        loader._connection.connection.dbapi_connection.execute("PRAGMA busy_timeout = 10")
        with pytest.raises(LoadError, match="database is locked"):
            loader.stage(placed([{"id": 2}], 1))
        other.execute("ROLLBACK")
    other.close()
    loader.stage(placed([{"id": 2}], 1))
    loader.commit({}, LoadState.STAGING, 0)


def test_a_file_that_may_not_be_written_is_not_tried_again(sqlite_file):
    sqlite_file.create("id {int}, label {text}")
    loader = begun(sqlite_file)
    loader._connection.connection.dbapi_connection.execute("PRAGMA query_only = 1")
    with pytest.raises(ConfigurationError, match="attempt to write a readonly database"):
        loader.stage(placed([{"id": 2}], 1))


def test_a_table_that_is_gone_in_the_middle_is_not_tried_again(table):
    loader = begun(table)
    table.execute("DROP TABLE things", "CREATE TABLE others (id int)", "SELECT 1 AS one FROM others")
    with pytest.raises(ConfigurationError, match="the database refuses to load the rows: .*(things|942)"):
        loader.merge(first=True)
    loader.rollback()


@every_driver
def test_a_lost_connection_can_be_rolled_back_cancelled_and_closed_without_a_word(table):
    loader = begun(table)
    kill(loader)
    loader.rollback()
    loader.close()
    loader.close()


def test_a_database_that_nobody_has_tried_is_not_loaded(sqlite_file, untried):
    from airflow_async_rest.load.loader import open_destination

    with pytest.raises(
        ConfigurationError, match="destination_conn_id='warehouse' .*'sqlite', .*PostgreSQL, Oracle, SQ"
    ):
        open_destination("warehouse")


def test_a_connection_of_no_database_that_can_be_loaded_is_told_by_name(sqlite_file, monkeypatch):
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    from airflow_async_rest.load.loader import open_destination

    def no_dialect(self, engine_kwargs=None):
        raise NotImplementedError("no dialect")

    monkeypatch.setattr(SqliteHook, "get_sqlalchemy_engine", no_dialect)
    with pytest.raises(ConfigurationError, match="destination_conn_id='warehouse': SQLAlchemy has no dialect"):
        open_destination("warehouse")


CHANGES = {
    "a text into a number": "ALTER TABLE things ALTER v TYPE int USING v::int",
    "a text into JSON": "ALTER TABLE things ALTER v TYPE jsonb USING to_jsonb(v)",
    "a number into a text": "ALTER TABLE things ALTER n TYPE text",
    "a key into a text": "ALTER TABLE things ALTER id TYPE text",
    "a number into a longer one": "ALTER TABLE things ALTER n TYPE numeric",
    "a column that is gone": "ALTER TABLE things DROP n",
}


@pytest.mark.parametrize("plan", [{}, {"load_mode": "upsert", "conflict_key": "id"}, {"load_mode": "replace_window", "window_column": "at"}], ids=str)  # fmt: skip
@pytest.mark.parametrize("change", CHANGES)
def test_a_retry_goes_on_or_starts_over_where_columns_have_changed_meanwhile(postgresql, change, plan):
    """What is staged is of the types that the table had; nobody could load it any more."""
    postgresql.create("id int PRIMARY KEY, at {timestamp}, v {text}, n int")
    rows = placed([{"id": n, "at": "2026-11-01T12:00:00Z", "v": str(n)} | ({"n": n} if n == 1 else {}) for n in (1, 2)])
    first = postgresql.loader(**plan)
    first.open()
    first.begin(resumed=False, staged=0)
    first.stage(rows)
    first.commit({}, LoadState.STAGING, 0)
    first.close()
    postgresql.execute(CHANGES[change], "SELECT 1")
    loader = postgresql.loader(**plan)
    loader.open()
    try:
        loader.begin(resumed=True, staged=2)
    except LookupError as error:
        assert "things has changed, and does not take the rows that were staged: " in str(error)  # noqa: PT017
        loader.begin(resumed=False, staged=0)
        loader.stage(rows)
    assert loader.merge(first=True).refused == []
    loader.commit({}, LoadState.DONE, 2)
    assert [str(v) for (v,) in postgresql.rows("v")] == ["1", "2"]
