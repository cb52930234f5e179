"""A view as the destination of a load: it takes rows, or it is named before, or with, what the database says."""

import pytest
from every_database.loading import MODES

NOON = "2026-11-01T12:00:00Z"


@pytest.fixture
def load_into(database, load):
    """Load a row into a view of the table ``base``."""

    def make(query, mode):
        database.create("id {integer} NOT NULL PRIMARY KEY, noted {naive}, label {text}", "base")
        database.execute(f"CREATE VIEW things AS {query}")
        return load([{"id": 1, "noted": NOON, "label": "new"}], **MODES[mode])

    return make


# Of these, those whose simple views take rows.
TAKES = ("postgres", "mysql")


def test_a_simple_view_takes_rows_or_is_named(database, api, load_into):
    loaded = load_into("SELECT id, noted, label FROM base", "append")
    if database.connection()["conn_type"] in TAKES:
        assert (loaded.state, database.rows("id, label", "base")) == ("success", [(1, "new")]), loaded.error
    else:
        assert (loaded.state, "destination_table='things' is a view" in str(loaded.error)) == ("failed", True)
        assert "write the table that it shows" in str(loaded.error)


@pytest.mark.parametrize("database", ["snowflake"], indirect=True)
@pytest.mark.parametrize("schema", ["public", "{}.public"])
def test_a_view_of_another_schema_is_one(database, load, schema):
    database.execute("CREATE VIEW things AS SELECT 1 AS id")
    loaded = load([{"id": 1}], destination_table=f"{schema.format(database.name)}.things")
    assert (loaded.state, "is a view" in str(loaded.error)) == ("failed", True), loaded.error


@pytest.mark.parametrize("mode", MODES)
def test_a_view_that_takes_no_rows_is_named(database, api, load_into, mode):
    loaded = load_into("SELECT id, noted, max(label) AS label FROM base GROUP BY id, noted", mode)
    assert (loaded.state, "destination_table='things' is a view" in str(loaded.error)) == ("failed", True)
    assert "write the table that it shows" in str(loaded.error)
    assert database.rows("id", "base") == []
    if database.connection()["conn_type"] in {"duckdb", "snowflake"}:
        assert api.seen == []
