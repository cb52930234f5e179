"""From the staging table into the destination: windows, keys, and rows that are refused on the way."""

import random
import re
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from loads import WINDOW, every_driver, placed

from airflow_async_rest.core.errors import ConfigurationError, EmptyWindowError
from airflow_async_rest.core.keeping.row_sink import LoadState
from airflow_async_rest.load.merging.moving import Moving
from airflow_async_rest.windows import Window, parse_instant

REPLACE = {"load_mode": "replace_window", "window_column": "at"}
UPSERT = {"load_mode": "upsert", "conflict_key": "id"}


# --- replace_window

# database -> type of the column -> (what is in the table, what is loaded); a row of each on either bound and between
BOUNDS = {
    "postgresql": {
        "timestamptz": "{} +00:00",
        "timestamp": "{}",
        "timestamp(0)": "{}",
        "date": "{:.10}",
    },
    "sqlite": {"text": "{}", "text of dates": "{:.10}", "timestamp": "{}", "date": "{:.10}", "timestamp ISO": "{:.10}T00:00:00"},
    "oracle": {"TIMESTAMP": "TIMESTAMP '{}'", "DATE": "DATE '{:.10}'", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP '{} +00:00'"},
}  # fmt: skip
TIMES = ["2026-10-31 00:00:00", "2026-11-01 00:00:00", "2026-11-02 00:00:00"]


@pytest.mark.parametrize("values", [TIMES, [f"{time:.10}T02:00:00+02:00" for time in TIMES], [f"{time:.10}" for time in TIMES]], ids=["plain", "with an offset", "dates"])  # fmt: skip
def test_a_row_on_window_start_goes_and_one_on_window_end_stays(database, values):
    for type_, form in BOUNDS[database.name].items():
        if database.name == "oracle":
            database.execute("BEGIN EXECUTE IMMEDIATE 'DROP TABLE things'; EXCEPTION WHEN OTHERS THEN NULL; END;")
        else:
            database.execute("DROP TABLE IF EXISTS things")
        database.create(f"id {{int}}, at {type_.removesuffix(' of dates').removesuffix(' ISO')}")
        literal = form if database.name == "oracle" else f"'{form}'"
        old = [f"INSERT INTO things VALUES ({n}, {literal.format(time)})" for n, time in enumerate(TIMES)]
        database.execute(*old, "SELECT 1 AS one FROM things")
        loaded = database.load([{"id": n, "at": at} for n, at in enumerate(values, 10)], run=type_, **REPLACE)
        assert {type_: [id_ for id_, _ in database.rows()]} == {type_: [0, 2, 11]}
        assert {type_: sorted(loaded.refused)} == {type_: [0, 2]}
        assert loaded.refused[0].endswith(
            f", outside of the window that is replaced, {' to '.join(WINDOW.texts().values())}"
        )
        if values[1] != TIMES[1]:
            continue
        # and again, by another run of the same window
        database.load([{"id": 20, "at": values[1]}], run=f"{type_} again", **REPLACE)
        assert {type_: [id_ for id_, _ in database.rows()]} == {type_: [0, 2, 20]}


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Apia", "Asia/Beirut", "Australia/Lord_Howe"])
def test_a_column_of_dates_has_those_of_the_windows_zone(database, zone):
    if database.name == "oracle":
        pytest.skip("its dates are times")
    database.create("id {int}, at date")
    days = [date(2026, 3, 28), date(2026, 3, 29), date(2026, 3, 30)]  # in Beirut, clocks leave the second midnight out
    database.execute(*(f"INSERT INTO things VALUES ({n}, '{day}')" for n, day in enumerate(days)), "SELECT 1 AS one")
    window = Window(*(parse_instant("", day, ZoneInfo(zone)) for day in days[1:]), ZoneInfo(zone))
    rows = [{"id": n, "at": str(day)} for n, day in enumerate(days, 10)]
    loaded = database.load(rows, **REPLACE, window=window)
    assert sorted(loaded.refused) == [0, 2]
    assert [id_ for id_, _ in database.rows()] == [0, 2, 11]


def test_bounds_may_have_fractions_of_a_second(database):
    database.create("id {int}, at {timestamp}")
    times = [f"2026-11-01T12:00:00.{fraction}Z" for fraction in ("250000", "500000", "750000")]
    window = Window(
        WINDOW.start.replace(hour=12, microsecond=500_000), WINDOW.start.replace(hour=12, microsecond=750_000)
    )
    loaded = database.load([{"id": n, "at": at} for n, at in enumerate(times)], **REPLACE, window=window)
    assert (loaded.loaded, sorted(loaded.refused)) == (1, [0, 2])


@pytest.mark.parametrize("end", ["Z", "", "+00:00"])
@pytest.mark.parametrize("type_", ["timestamp", "timestamp with time zone"])
def test_the_last_moment_of_a_window_is_in_it_however_fine_it_is(database, type_, end):
    if database.name == "sqlite":
        type_ = "timestamp"
    database.create(f"id {{int}}, at {type_}")
    assert database.load([{"id": 1, "at": f"2026-11-01T23:59:59.9999999{end}"}], **REPLACE).refused == {}


def test_a_row_without_a_time_is_outside_of_every_window(database):
    database.create("id {int}, at {timestamp}")
    loaded = database.load([{"id": 1, "at": None}, {"id": 2}, {"id": 3, "at": "2026-11-01T00:00:00Z"}], **REPLACE)
    assert sorted(loaded.refused) == [0, 1]
    assert "at is NULL, outside of the window" in loaded.refused[0]


def test_rows_that_are_nearly_all_outside_of_the_window_end_the_load(database):
    database.create("id {int}, at {timestamp}")
    database.execute("INSERT INTO things (id) VALUES (7)", "SELECT 1 AS one FROM things")
    with pytest.raises(ConfigurationError, match="nearly all rows .* at is outside of the window"):
        database.load([{"id": 1, "at": "2026-11-02T00:00:00Z"}] * 1000, **REPLACE)
    assert [id_ for id_, _ in database.rows()] == [7]


def test_the_window_is_not_emptied_for_nothing_unless_that_is_said(database):
    database.create("id {int}, at {timestamp}")
    assert database.load([], run="nothing to delete", **REPLACE).loaded == 0
    database.load([{"id": 1, "at": "2026-11-01T12:00:00"}], **REPLACE)
    outside = [{"id": 2, "at": "2026-11-03T12:00:00"}]
    for run, rows in (("nothing", []), ("all of it refused", outside)):
        with pytest.raises(EmptyWindowError, match="1 row that things has in the window would be deleted, and none"):
            database.load(rows, run=run, **REPLACE)
        database.loaders[-1].rollback()
        assert [id_ for id_, _ in database.rows()] == [1]
    assert database.load([], run="allowed", allow_empty_window=True, **REPLACE).loaded == 0
    assert database.rows() == []


def test_a_second_merge_of_a_load_does_not_delete_what_the_first_one_brought(database):
    database.create("id {int}, at {timestamp}")
    loader = database.loader(**REPLACE)
    loader.open()
    loader.begin(resumed=False, staged=0)
    for first, id_ in ((True, 1), (False, 2)):
        loader.stage(placed([{"id": id_, "at": "2026-11-01T12:00:00"}], id_))
        loader.commit({}, LoadState.STAGING, id_ - 1)
        assert loader.merge(first=first).loaded == 1
        loader.commit({}, LoadState.MERGED, id_)
    assert [id_ for id_, _ in database.rows()] == [1, 2]


def test_old_rows_that_others_point_to_cannot_be_replaced_and_that_is_said(postgresql):
    postgresql.create("id {int} PRIMARY KEY, at {timestamp}")
    postgresql.execute(
        "CREATE TABLE parts (id int, thing bigint REFERENCES things)",
        "INSERT INTO things VALUES (1, '2026-11-01')",
        "INSERT INTO parts VALUES (1, 1)",
    )
    with pytest.raises(ConfigurationError, match="refuses to delete the window's rows: .* foreign key"):
        postgresql.load([], **REPLACE)


# --- upsert


def test_of_rows_with_one_key_the_later_one_counts_in_whatever_order_they_are_staged(database):
    database.create("id {int} PRIMARY KEY, label {text}")
    loader = database.loader(**UPSERT)
    loader.open()
    loader.begin(resumed=False, staged=0)
    for chunk in ([(5, 1, "later"), (2, 2, "earlier")], [(1, 1, "earlier"), (9, 2, "later"), (3, 3, "only")]):
        loader.stage(
            [row._replace(place=place) for place, id_, label in chunk for row in placed([{"id": id_, "label": label}])]
        )
        loader.commit({}, LoadState.STAGING, 0)
    assert loader.merge(first=True).loaded == 3
    loader.commit({}, LoadState.DONE, 3)
    assert database.rows() == [(1, "later"), (2, "later"), (3, "only")]


@pytest.mark.parametrize("ids", [[1, 2, 3], [1, 2, 1]], ids=["each has its own key", "two have one"])
def test_rows_are_compared_with_each_other_only_where_two_have_one_key(database, ids, monkeypatch):
    compared, numbered = [], Moving.take_out_repeated
    monkeypatch.setattr(Moving, "take_out_repeated", lambda self: compared.append(1) or numbered(self))
    database.create("id {int} PRIMARY KEY, label {text}")
    rows = [{"id": id_, "label": f"{place}"} for place, id_ in enumerate(ids)]
    assert database.load(rows, **UPSERT).loaded == len(set(ids))
    assert database.rows() == sorted({row["id"]: row["label"] for row in rows}.items())
    assert bool(compared) is (ids == [1, 2, 1])


@every_driver
def test_rows_that_are_there_are_updated_in_the_loaded_columns_only(database):
    database.create("id {int}, k {text}, label {text}, kept {text}, PRIMARY KEY (k, id)")
    database.execute("INSERT INTO things VALUES (1, 'a', 'old', 'kept')", "SELECT 1 AS one FROM things")
    rows = [{"id": 1, "k": "a", "label": "new"}, {"id": 1, "k": "b", "label": "new"}]
    database.load(rows, load_mode="upsert", conflict_key=["id", "k"], names=["id", "k", "label"])
    assert database.rows("k, id, label, kept") == [("a", 1, "new", "kept"), ("b", 1, "new", None)]


def test_keys_alone_can_be_loaded(database):
    database.create("id {int} PRIMARY KEY")
    database.execute("INSERT INTO things VALUES (1)", "SELECT 1 AS one FROM things")
    database.load([{"id": 1}, {"id": 2}, {"id": 2}], **UPSERT)
    assert database.rows() == [(1,), (2,)]


def test_a_key_that_is_null_equals_no_other(database):
    database.create("id {int} UNIQUE, label {text}")
    assert (
        database.load([{"id": None, "label": "a"}, {"id": None, "label": "b"}, {"id": 1}, {"id": 1}], **UPSERT).loaded
        == 3
    )
    assert sorted(label for _, label in database.rows() if label) == ["a", "b"]


def test_a_row_that_a_later_one_supersedes_is_neither_loaded_nor_refused(database):
    """Else it would be staged once more by the next try, and win over the later one."""
    database.create("id {int} PRIMARY KEY, v {int} CHECK (v > 0), label {text}")
    rows = [{"id": 1, "v": 0}, {"id": 2, "v": 1}, {"id": 1, "v": 1}, {"id": 3, "v": 0}, {"id": 2, "v": 2}]
    loaded = database.load(rows, **UPSERT)
    assert (loaded.loaded, sorted(loaded.refused)) == (2, [3])
    assert database.rows("id, v") == [(1, 1), (2, 2)]


# --- refused rows

# what the database has -> (statements, a row that it refuses, its words)
REFUSALS = {
    "NOT NULL": ({}, {"label": None}, "not-null|NOT NULL|01400"),
    "CHECK": ({}, {"n": -1}, "check constraint|CHECK|02290"),
    "UNIQUE": ({}, {"n": 77}, "unique|UNIQUE|00001"),
    "FOREIGN KEY": ({"postgresql", "oracle"}, {"parent": 5}, "foreign key|02291"),
    "FOREIGN KEY, checked at the commit": ({"postgresql", "oracle"}, {"later": 5}, "foreign key|02291"),
    "a trigger": ({"postgresql", "sqlite"}, {"label": "raise"}, "not this one"),
    "a trigger with a state of its own": ({"postgresql"}, {"label": "raise P0999"}, "nor this one"),
    "an index": ({"postgresql"}, {"label": "too long for the index"}, "index row"),
}
TRIGGERS = {
    "postgresql": [
        """CREATE FUNCTION look() RETURNS trigger AS $$ BEGIN
        IF NEW.label = 'raise' THEN RAISE 'not this one'; END IF;
        IF NEW.label = 'raise P0999' THEN RAISE 'nor this one' USING ERRCODE = 'P0999'; END IF;
        RETURN NEW; END $$ LANGUAGE plpgsql""",
        "CREATE TRIGGER look BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION look()",
        "CREATE INDEX by_label ON things (label)",
    ],
    "sqlite": [
        "CREATE TRIGGER look BEFORE INSERT ON things WHEN NEW.label = 'raise' BEGIN SELECT RAISE(ABORT, 'not this one'); END"
    ],
}
PARENTS = {
    "postgresql": ", parent bigint REFERENCES parents, later bigint REFERENCES parents DEFERRABLE INITIALLY DEFERRED",
    "sqlite": ", parent bigint, later bigint",
}


@every_driver
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_every_row_that_the_table_refuses_is_found_and_the_others_are_loaded(database, mode):
    if database.name == "oracle":
        pytest.skip("tests/load/test_oracle.py has what can be seen without a server")
    database.execute(
        "CREATE TABLE parents (id int PRIMARY KEY)", "INSERT INTO parents VALUES (1)", "SELECT 1 AS one FROM parents"
    )
    database.create(
        f"id {{int}} PRIMARY KEY, label {{text}} NOT NULL, n {{int}} CHECK (n >= 0) UNIQUE{PARENTS[database.name]}"
    )
    database.execute("INSERT INTO things (id, label, n) VALUES (99, 'old', 77)", "SELECT 1 AS one FROM things")
    database.execute(*TRIGGERS[database.name], "SELECT 1 AS one FROM things")
    cases = {name: case for name, case in REFUSALS.items() if not case[0] or database.name in case[0]}
    noise = random.Random(1)  # a text that does not compress
    good = {"label": "good", "parent": 1, "later": 1}
    rows = [{"id": 0, "n": 0, **good}]
    for _, row, _ in cases.values():
        if row.get("label") == "too long for the index":
            row = row | {"label": "".join(chr(noise.randrange(33, 0x2000)) for _ in range(9000))}  # noqa: PLW2901
        rows += [{"id": len(rows), "n": len(rows), **good, **row}, {"id": len(rows) + 1, "n": len(rows) + 1, **good}]
    loaded = database.load(rows, **(UPSERT if mode == "upsert" else {}))
    found = {name: bool(re.search(words, loaded.refused.get(place, ""))) for place, (name, (_, _, words)) in zip(range(1, 99, 2), cases.items(), strict=False)}  # fmt: skip
    assert found == dict.fromkeys(cases, True)
    assert len(loaded.refused) == len(cases)
    assert [id_ for id_, *_ in database.rows()] == [*range(0, len(rows), 2), 99]


def test_a_key_that_is_there_is_refused_by_an_append(database):
    database.create("id {int} PRIMARY KEY")
    loaded = database.load([{"id": 1}, {"id": 2}, {"id": 1}, {"id": 3}])
    assert (loaded.loaded, list(loaded.refused)) == (3, [2])


def test_rows_may_point_to_each_other_when_that_is_checked_at_the_commit(postgresql):
    postgresql.create(
        "id {int} PRIMARY KEY, next bigint REFERENCES things DEFERRABLE INITIALLY DEFERRED, at {timestamp}"
    )
    at = {"at": "2026-11-01T12:00:00"}
    assert postgresql.load([{"id": 1, "next": 2, **at}, {"id": 2, "next": 1, **at}], **REPLACE).refused == {}
    # and replaced: what the deletion breaks, the insertion mends
    assert (
        postgresql.load([{"id": 1, "next": 1, **at}, {"id": 2, "next": 1, **at}], run="again", **REPLACE).refused == {}
    )
    assert postgresql.rows("id, next") == [(1, 1), (2, 1)]
