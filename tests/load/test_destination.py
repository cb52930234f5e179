"""What the database says of a table, and what of it can be loaded."""

import pytest
from loads import every_driver

from airflow_async_rest.core.errors import ConfigurationError


def test_a_load_goes_into_a_table_of_another_schema(database):
    schema = {"postgresql": "public", "sqlite": "main", "oracle": ""}[database.name]
    if not schema:
        pytest.skip("a user of Oracle's is a schema, and there is one only")
    database.execute(f"DROP TABLE IF EXISTS {schema}.elsewhere", f"DROP TABLE IF EXISTS {schema}.async_rest_loads")
    database.create("id {int} PRIMARY KEY CHECK (id > 0), label {text}", table=f"{schema}.elsewhere")
    loaded = database.load(
        [{"id": 1, "label": "a"}, {"id": 0}], f"{schema}.elsewhere", load_mode="upsert", conflict_key="id"
    )
    assert (loaded.loaded, list(loaded.refused)) == (1, [1])
    assert database.rows(table=f"{schema}.elsewhere") == [(1, "a")]
    assert database.rows("count(*)", table=f"{schema}.async_rest_loads") == [(1,)]
    database.execute(f"DROP TABLE {schema}.elsewhere", f"DROP TABLE {schema}.async_rest_loads")


ODD = ["Mixed Case", "select", "a:b", "a :b", ":b", "100%", "%s", "a\\:b", "it's", "é", "a.b", "UPPER", "$x", "a::text"]


@every_driver
@pytest.mark.parametrize("mode", ["append", "upsert", "replace_window"])
def test_names_of_any_kind_are_loaded(database, mode):
    names = [name for name in ODD if database.name != "oracle" or "\\" not in name]
    columns = ", ".join(f'"{name}" {{text}}' for name in names)
    database.create(
        f'"Key :k%" {{int}} PRIMARY KEY, "At%" {{timestamp}}, {columns}, CHECK ("Key :k%" > 0)', '"Odd :t%s"'
    )
    plan = {"append": {}, "upsert": {"conflict_key": "Key :k%"}, "replace_window": {"window_column": "At%"}}[mode]
    row = {"At%": "2026-11-01T12:00:00Z"} | {name: name for name in names}
    loaded = database.load([row | {"Key :k%": 1}, row | {"Key :k%": 0}], "Odd :t%s", load_mode=mode, **plan)
    assert (loaded.loaded, list(loaded.refused)) == (1, [1])
    [(_, _, *read)] = database.rows(table='"Odd :t%s"')
    assert read == names
    assert loaded.at_merge[0].values["100%"] == "100%"


def test_names_that_differ_only_in_case_are_found(database):
    database.create("id {int} PRIMARY KEY, at {timestamp}")
    loaded = database.load([{"id": 1}], "THINGS", load_mode="upsert", conflict_key="ID")
    assert loaded.loaded == 1
    assert [name.lower() for name in database.loader("Things").destination.names] == ["id", "at"]


@pytest.mark.parametrize(
    "key",
    ["id int UNIQUE DEFERRABLE", "id int, UNIQUE (id) DEFERRABLE INITIALLY DEFERRED", "id int, EXCLUDE (id WITH =)"],
)
def test_a_key_that_no_upsert_can_go_by_is_refused_before_the_first_request(postgresql, key):
    postgresql.create(key)
    with pytest.raises(ConfigurationError, match=r"no unique index .* DEFERRABLE constraint does not count\."):
        postgresql.loader(load_mode="upsert", conflict_key="id")


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"table": "nowhere"}, "destination_table='nowhere': there is no such table"),
        ({"table": "nowhere.things"}, "destination_table='nowhere.things': there is no such table"),
        ({"load_mode": "replace_window", "window_column": "when"}, "window_column names the column 'when', which .* has: id, label"),
        ({"load_mode": "upsert", "conflict_key": ["id", "key"]}, "conflict_key names the column 'key', which"),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_told_by_name(database, plan, words):
    database.create("id {int}, label {text}")
    if database.name == "sqlite" and plan.get("table") == "nowhere.things":
        words = 'unknown database "nowhere"'
    with pytest.raises(ConfigurationError, match=words):
        database.loader(**plan)


UNIQUE = {
    "a primary key": (["id {int} PRIMARY KEY, k {int}"], ["id"]),
    "a composite key, in another order": (["id {int}, k {int}, PRIMARY KEY (id, k)"], ["k", "id"]),
    "a constraint": (["id {int} NOT NULL UNIQUE, k {int}"], ["id"]),
    "an index": (["id {int}, k {int}", "CREATE UNIQUE INDEX by_k ON things (k)"], ["k"]),
}
NOT_UNIQUE = {
    "no index": (["id {int}, k {int}"], ["id"]),
    "an index that is not unique": (["id {int}, k {int}", "CREATE INDEX by_k ON things (k)"], ["k"]),
    "half of a key": (["id {int}, k {int}, PRIMARY KEY (id, k)"], ["id"]),
    "more than a key": (["id {int} PRIMARY KEY, k {int}"], ["id", "k"]),
    "an index of some rows": (["id {int}, k {int}", "CREATE UNIQUE INDEX by_k ON things (k) WHERE id > 0"], ["k"]),
    "an index of an expression": (["id {int}, k {int}", "CREATE UNIQUE INDEX by_k ON things (abs(k))"], ["k"]),
}


@pytest.mark.parametrize("case", UNIQUE)
def test_an_upsert_goes_by_any_unique_index(database, case):
    (columns, *statements), key = UNIQUE[case]
    database.create(columns)
    database.execute("SELECT 1 AS one FROM things", *statements)
    rows = [{"id": 1, "k": 1}, {"id": 1, "k": 1}]
    assert database.load(rows, load_mode="upsert", conflict_key=key).loaded == 1
    assert database.rows() == [(1, 1)]


@pytest.mark.parametrize("case", NOT_UNIQUE)
def test_an_upsert_needs_a_unique_index_of_exactly_its_key(database, case):
    if database.name == "oracle":
        pytest.skip("its MERGE compares columns, and needs no index")
    (columns, *statements), key = NOT_UNIQUE[case]
    database.create(columns)
    database.execute("SELECT 1 AS one FROM things", *statements)
    with pytest.raises(ConfigurationError, match=r"conflict_key=.*: the table things has no unique index of exactly"):
        database.loader(load_mode="upsert", conflict_key=key)


def test_what_the_load_goes_by_must_be_among_the_columns(database):
    database.create("id {int} PRIMARY KEY, at {timestamp}, label {text}")
    with pytest.raises(ConfigurationError, match="window_column names the column 'at', which columns= does not load"):
        database.loader(load_mode="replace_window", window_column="at", names=["id"])
    with pytest.raises(ConfigurationError, match="conflict_key names the column 'id', which columns= does not load"):
        database.loader(load_mode="upsert", conflict_key="id", names=["label"])


def test_columns_that_the_rows_do_not_have_keep_their_defaults(database):
    given = {
        "postgresql": "serial",
        "sqlite": "integer PRIMARY KEY",
        "oracle": "NUMBER GENERATED BY DEFAULT AS IDENTITY",
    }
    database.create(f"n {given[database.name]}, status {{text}} DEFAULT 'new' NOT NULL, label {{text}}")
    database.load([{"label": "a"}, {"label": None}])
    assert database.rows() == [(1, "new", "a"), (2, "new", None)]
    database.load([{"n": 7, "status": "old", "label": "b"}], run="another")
    assert database.rows()[2] == (7, "old", "b")


def test_rows_of_which_no_key_is_a_column_are_refused_as_a_whole(database):
    database.create("id {int}, label {text}")
    with pytest.raises(
        ConfigurationError, match="columns: no key of the rows is a column of things, which has id, label"
    ):
        database.load([{"key": 1}])


GENERATED = {
    "postgresql": ["twice bigint GENERATED ALWAYS AS (id * 2) STORED", "n bigint GENERATED ALWAYS AS IDENTITY"],
    "sqlite": ["twice int GENERATED ALWAYS AS (id * 2) STORED"],
    "oracle": ["twice NUMBER GENERATED ALWAYS AS (id * 2)", "n NUMBER GENERATED ALWAYS AS IDENTITY"],
}


def test_columns_that_the_database_makes_itself_are_left_to_it(database):
    database.create(", ".join(["id {int}", *GENERATED[database.name]]))
    assert database.load([{"id": 4, "twice": 5, "n": 9}]).loaded == 1
    assert database.rows()[0][:3] in {(4, 8, 1), (4, 8)}
    assert database.loader().destination.names == ("id",)


def test_a_view_is_loaded_like_its_table(postgresql):
    postgresql.create("id serial, status text NOT NULL DEFAULT 'new', label text")
    postgresql.execute("CREATE VIEW seen AS SELECT * FROM things WHERE label <> 'x' WITH CHECK OPTION")
    loaded = postgresql.load([{"label": "a"}, {"label": "x"}, {"label": "b"}], "seen")
    assert postgresql.rows("status, label") == [("new", "a"), ("new", "b")]
    assert "check option" in loaded.refused[1]


@pytest.mark.filterwarnings("error")
def test_a_type_that_sqlalchemy_does_not_know_is_loaded_as_text(postgresql):
    postgresql.execute("CREATE TYPE pair AS (a int, b text)")
    postgresql.create("id {int}, pair pair")
    postgresql.load([{"id": 1, "pair": "(1,x)"}])
    assert postgresql.rows("id, (pair).b") == [(1, "x")]


FORBIDDEN = {
    "to create tables": ("GRANT ALL ON things TO loader", "append", "GRANT CREATE ON SCHEMA loads"),
    "to insert": ("GRANT CREATE ON SCHEMA loads TO loader; GRANT SELECT ON things TO loader", "append", "GRANT SELECT, INSERT ON things"),
    "to update": ("GRANT CREATE ON SCHEMA loads TO loader; GRANT SELECT, INSERT ON things TO loader", "upsert", "GRANT SELECT, INSERT, UPDATE ON things"),
    "to delete": ("GRANT CREATE ON SCHEMA loads TO loader; GRANT SELECT, INSERT ON things TO loader", "replace_window", "GRANT SELECT, INSERT, DELETE ON things"),
}  # fmt: skip


@pytest.mark.parametrize("register_is_there", [False, True])
@pytest.mark.parametrize("case", FORBIDDEN)
def test_a_user_who_may_not_is_told_before_anything_is_fetched_what_to_grant(
    postgresql, postgres, connect, case, register_is_there
):
    allowed, mode, needed = FORBIDDEN[case]
    postgresql.create("id {int} PRIMARY KEY, at {timestamp}")
    if register_is_there:
        postgresql.load([])
        postgresql.execute("GRANT ALL ON async_rest_loads TO PUBLIC")
    postgresql.execute(
        "DROP ROLE IF EXISTS loader", "CREATE ROLE loader LOGIN", "GRANT USAGE ON SCHEMA loads TO loader", allowed
    )
    connect(
        "warehouse",
        **postgres.connection() | {"login": "loader"},
        extra={"options": "-csearch_path=loads -csynchronous_commit=off"},
    )
    plan = {"append": {}, "upsert": {"conflict_key": "id"}, "replace_window": {"window_column": "at"}}[mode]
    loader = postgresql.loader(run="forbidden", load_mode=mode, **plan)
    try:
        loader.open()
        with pytest.raises(ConfigurationError, match=f"permission denied for .*{needed}"):
            loader.begin(resumed=False, staged=0)
        assert postgresql.staging_tables() == []
    finally:
        loader.close()
        postgresql.execute("DROP OWNED BY loader", "DROP ROLE loader")


def test_a_view_that_takes_no_rows_is_refused_before_anything_is_fetched(postgresql):
    postgresql.create("id {int}")
    postgresql.execute("CREATE VIEW counted AS SELECT count(*) AS id FROM things")
    loader = postgresql.loader("counted", names=["id"])
    loader.open()
    with pytest.raises(ConfigurationError, match="cannot insert into view"):
        loader.begin(resumed=False, staged=0)


@every_driver
def test_bytes_go_only_into_columns_that_keep_some(database):
    binary = {"postgresql": "bytea", "sqlite": "blob", "oracle": "RAW(9)"}[database.name]
    database.create(f"id {{int}}, label {{text}}, photo {binary}")
    destination = database.loader().destination
    destination.check_bytes([name for name in destination.names if name.lower() == "photo"])
    with pytest.raises(ConfigurationError, match=r"(?i)columns: 'label' has a path with 'base64:', .* leave 'base64:'"):
        destination.check_bytes([name for name in destination.names if name.lower() != "id"])
