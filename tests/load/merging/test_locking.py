"""Two loads into one table at the same moment: the table is as if one had come after the other."""

import threading

import pytest
from loads import placed

from airflow_async_rest.core.keeping.row_sink import LoadState

AT = "2026-11-01T12:00:00Z"
MODES = {
    "append": {},
    "upsert": {"load_mode": "upsert", "conflict_key": "id"},
    "replace_window": {"load_mode": "replace_window", "window_column": "at"},
}
WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE datname = current_database() AND NOT granted
"""
KEYS = {
    "no key": "id {int}, at {timestamp}, label {text}",
    "a key": "id {int} PRIMARY KEY, at {timestamp}, label {text}",
}


def staged(database, run, ids, **plan):
    loader = database.loader(run=run, **plan)
    loader.open()
    loader.begin(resumed=False, staged=0)
    loader.stage(placed([{"id": id_, "at": AT, "label": run} for id_ in ids]))
    loader.commit({}, LoadState.STAGING, 0)
    return loader


class Second:
    """A load that merges in a thread of its own, which is the only one that has its connection."""

    def __init__(self, database, ids, **plan):
        self.ready, self.go, self.merged = threading.Event(), threading.Event(), None
        self._thread = threading.Thread(target=self._run, args=(database, ids), kwargs=plan)
        self._thread.start()
        assert self.ready.wait(30)

    def _run(self, database, ids, **plan):
        loader = staged(database, "second", ids, **plan)
        self.ready.set()
        assert self.go.wait(30)
        self.merged = loader.merge(first=True)
        loader.commit({}, LoadState.DONE, self.merged.loaded)
        loader.close()

    def waits_or_is_done(self, database):
        """Wait until the database keeps it waiting; or until it has not."""
        while self._thread.is_alive():
            if database.name == "sqlite" or database.execute(WAITING) != [(0,)]:
                return
            self._thread.join(0.01)

    def end(self):
        self._thread.join(30)
        assert self.merged is not None


def both(database, modes, ids):
    """Let a second load merge while the first has merged, and not committed."""
    first = staged(database, "first", ids[0], **MODES[modes[0]])
    second = Second(database, ids[1], **MODES[modes[1]])
    assert first.merge(first=True).loaded == len(ids[0])
    second.go.set()
    second.waits_or_is_done(database)
    first.commit({}, LoadState.DONE, len(ids[0]))
    second.end()
    return second.merged


@pytest.fixture(params=["psycopg", "psycopg2", "sqlite", "repeatable read", "serializable"])
def shared(request, connect, postgres, closed):
    """A database; PostgreSQL also where transactions see only what was there when they began, unless told otherwise."""
    if request.param not in {"repeatable read", "serializable"}:
        found = request.getfixturevalue(request.param)
    else:
        found = request.getfixturevalue("psycopg")
        level = request.param.replace(" ", "\\ ")
        options = f"-csearch_path=loads -cdefault_transaction_isolation={level}"
        connect("warehouse", **postgres.connection(), extra={"options": options})
    closed.append(found)
    return found


@pytest.mark.parametrize("key", KEYS)
def test_two_loads_that_replace_one_window_do_not_both_leave_their_rows(shared, key):
    shared.create(KEYS[key])
    shared.execute(f"INSERT INTO things VALUES (0, '{AT[:10]} 12:00:00', 'old')", "SELECT 1 AS one FROM things")
    merged = both(shared, ["replace_window"] * 2, [range(1, 4), range(2, 5)])
    assert (merged.loaded, merged.refused) == (3, [])
    assert shared.rows("id, label") == [(2, "second"), (3, "second"), (4, "second")]


@pytest.mark.parametrize("other", ["append", "upsert"])
def test_a_window_is_not_replaced_while_others_add_to_it(shared, other):
    shared.create(KEYS["a key"])
    merged = both(shared, [other, "replace_window"], [range(1, 4), range(2, 5)])
    assert (merged.loaded, merged.refused) == (3, [])
    assert shared.rows("id, label") == [(2, "second"), (3, "second"), (4, "second")]


def test_two_upserts_of_the_same_keys_in_another_order_do_not_stop_each_other(shared):
    shared.create(KEYS["a key"])
    merged = both(shared, ["upsert", "upsert"], [[1, 2, 3], [3, 2, 1]])
    assert (merged.loaded, merged.refused) == (3, [])
    assert shared.rows("id, label") == [(1, "second"), (2, "second"), (3, "second")]


def test_appends_run_beside_each_other(psycopg, closed):
    closed.append(psycopg)
    psycopg.create(KEYS["no key"])
    first, second = staged(psycopg, "first", [1]), staged(psycopg, "second", [2])
    assert [loader.merge(first=True).loaded for loader in (first, second)] == [1, 1]
    for loader in (second, first):
        loader.commit({}, LoadState.DONE, 1)
    assert psycopg.rows("id") == [(1,), (2,)]


def test_a_partition_and_its_table_are_loaded_one_after_the_other(psycopg, closed):
    closed.append(psycopg)
    psycopg.execute(
        "CREATE TABLE things (id bigint, at timestamp, label text) PARTITION BY RANGE (at)",
        "CREATE TABLE part PARTITION OF things FOR VALUES FROM ('2026-11-01') TO ('2026-12-01')",
    )
    first = staged(psycopg, "first", [1, 2], **MODES["replace_window"])
    second = Second(psycopg, [3], table="part", **MODES["replace_window"])
    first.merge(first=True)
    second.go.set()
    second.waits_or_is_done(psycopg)
    first.commit({}, LoadState.DONE, 2)
    second.end()
    assert psycopg.rows("id") == [(3,)]


def test_of_a_database_without_such_locks_the_lines_of_its_loads_are_locked(psycopg, closed, monkeypatch):
    from airflow_async_rest.databases.dialects.postgresql.postgresql import PostgreSQL

    monkeypatch.setattr(PostgreSQL, "locks_tables", False)
    monkeypatch.setattr(PostgreSQL, "lock_table", lambda *_, **__: None)
    closed.append(psycopg)
    psycopg.create(KEYS["no key"])
    both(psycopg, ["replace_window"] * 2, [[1, 2], [3, 4]])
    assert psycopg.rows("id") == [(3,), (4,)]
