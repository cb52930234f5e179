"""Rows whose key the destination changes: it rounds a time, or a trigger writes it in another way."""

import pytest

from airflow_async_rest.core.errors import ConfigurationError

UPSERT = {"load_mode": "upsert", "conflict_key": "id"}
LOWER = [
    "CREATE FUNCTION lower_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id = lower(NEW.id); RETURN NEW; END $$",
    "CREATE TRIGGER lower_id BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION lower_id()",
]


@pytest.mark.parametrize("type_", ["timestamp(0)", "timestamptz(0)", "rounded"])
def test_times_that_the_table_rounds_to_one_are_one_key(postgresql, type_):
    postgresql.execute("CREATE DOMAIN rounded AS timestamp(0)")
    postgresql.create(f"id {type_} PRIMARY KEY, v {{text}}, w {{text}} DEFAULT 'w'")
    rows = [{"id": "2026-11-01T12:00:00.3Z", "v": "a"}, {"id": "2026-11-01T12:00:00.1Z", "w": "b"}]
    loaded = postgresql.load(rows, **UPSERT)
    assert (loaded.loaded, loaded.refused) == (1, {})
    assert postgresql.rows("v, w") == [("a", "b")]


@pytest.mark.parametrize("type_", ["timestamp(0)", "timestamptz(0)", "timestamp(3)"])
def test_a_time_that_the_table_would_round_into_the_next_window_stays_in_this(postgresql, type_):
    """Else it would be there once more after each load of its window."""
    postgresql.create(f"id {{int}}, at {type_}")
    rows = [{"id": 1, "at": "2026-11-01T23:59:59.9999Z"}, {"id": 2, "at": "2026-11-01T23:59:59.4Z"}]
    for run in ("one", "two"):
        loaded = postgresql.load(rows, run=run, load_mode="replace_window", window_column="at")
        assert (loaded.loaded, loaded.refused) == (2, {})
    assert postgresql.rows("id") == [(1,), (2,)]


CHANGED = {
    "the same columns": ([{"id": "A", "v": "1"}, {"id": "a", "v": "2"}], [("a", "2", "w"), ("x", "x", "x")]),
    "other columns": ([{"id": "A", "v": "1"}, {"id": "a", "w": "2"}], [("a", "1", "2"), ("x", "x", "x")]),
    "some columns": ([{"id": "A", "v": "1"}, {"id": "a", "v": "2", "w": "2"}], [("a", "2", "2"), ("x", "x", "x")]),
    "as much the other way round": ([{"id": "A", "v": "2", "w": "2"}, {"id": "a", "v": "1"}], [("a", "1", "2"), ("x", "x", "x")]),
    "one that is there": ([{"id": "X", "v": "9"}], [("x", "9", "x")]),
    "one that is there, beside another": ([{"id": "X", "v": "9"}, {"id": "c", "w": "2"}], [("c", None, "2"), ("x", "9", "x")]),
    "one that is there twice": ([{"id": "X", "v": "9"}, {"id": "x", "w": None}], [("x", "9", None)]),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGED)
def test_rows_whose_key_a_trigger_changes_are_upserted_one_after_the_other(postgresql, case):
    rows, expected = CHANGED[case]
    postgresql.create("id {text} PRIMARY KEY, v {text}, w {text} DEFAULT 'w'")
    postgresql.execute("INSERT INTO things VALUES ('x', 'x', 'x')", *LOWER)
    loaded = postgresql.load(rows, **UPSERT)
    assert (loaded.loaded, loaded.refused) == (len(rows), {})
    assert postgresql.rows() == expected


def test_a_view_is_no_table_to_upsert_into(database):
    database.create("id {int} PRIMARY KEY, v {text}")
    database.execute("CREATE VIEW shown AS SELECT * FROM things", "SELECT 1 AS one FROM things")
    with pytest.raises(ConfigurationError, match="destination_table='shown' is a view, .* write the table that it"):
        database.loader("shown", **UPSERT)


def test_a_materialized_view_is_named_as_a_view(postgresql):
    postgresql.create("id {int} PRIMARY KEY, v {text}")
    postgresql.execute(
        "DROP MATERIALIZED VIEW IF EXISTS stored", "CREATE MATERIALIZED VIEW stored AS SELECT * FROM things"
    )
    try:
        with pytest.raises(ConfigurationError, match="destination_table='stored' is a view, which does not take"):
            postgresql.load([{"id": 1, "v": "a"}], "stored")
        with pytest.raises(ConfigurationError, match="destination_table='stored' is a view, which has no unique index"):
            postgresql.loader("stored", **UPSERT)
    finally:
        postgresql.execute("DROP MATERIALIZED VIEW stored")


ONE_KEY = {
    "the same columns": ([{"id": "b", "v": "1"}, {"id": "B", "v": "2"}], ("2", "w")),
    "other columns": ([{"id": "B", "v": "1"}, {"id": "b", "w": "2"}], ("1", "2")),
}


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("case", ONE_KEY)
@pytest.mark.parametrize(
    "columns",
    [
        "id {text} COLLATE NOCASE PRIMARY KEY, v {text}, w {text} DEFAULT 'w'",
        "id {text} COLLATE NOCASE, v {text}, w {text} DEFAULT 'w', UNIQUE (id)",
    ],
)
def test_texts_that_the_table_takes_for_one_are_one_key(sqlite_file, case, there, columns, caplog):
    rows, expected = ONE_KEY[case]
    sqlite_file.create(columns)
    if there:
        sqlite_file.execute("INSERT INTO things (id) VALUES ('b')")
    loaded = sqlite_file.load(rows, **UPSERT)
    assert (loaded.loaded, loaded.refused, caplog.text) == (1, {}, "")
    assert sqlite_file.rows("v, w") == [expected]


@pytest.mark.parametrize("when", ["the same", "another"])
def test_a_key_of_two_columns_is_compared_by_the_collation_of_each(sqlite_file, when):
    sqlite_file.create("k {text}, id {text}, v {text}, w {text}")
    sqlite_file.execute("CREATE UNIQUE INDEX u ON things (id COLLATE RTRIM, k)")
    rows = [{"id": "a ", "k": "x", "v": "1"}, {"id": "a", "k": "x", "v": "2"}, {"id": "a", "k": "X", "v": "3"}]
    rows += [{"id": "a", "k": "x", "w": "4"}] if when == "another" else []
    assert sqlite_file.load(rows, load_mode="upsert", conflict_key=["id", "k"]).loaded == 2
    assert sqlite_file.rows("k, v, w") == [("X", "3", None), ("x", "2", "4" if when == "another" else None)]
