"""What a user gets wrong ends the task at once, by name, and is not tried again."""

import pytest
from every_database.loading import loading
from task_runner import run_try
from tasks import sql_to_rest


@pytest.fixture
def things(database):
    database.create("id {integer}, label {text}")
    database.insert([{"id": ("integer", "1"), "label": ("text", "kept")}])
    return database


def reading(sql, **arguments):
    return sql_to_rest(sql=sql, endpoint="rows/{id}", **arguments)


# What there is not -> the SQL
UNKNOWN = {
    "no_such_column": "SELECT id, no_such_column FROM things",
    "no_such_table": "SELECT id FROM no_such_table",
    "no_such_function": "SELECT no_such_function(id) AS id FROM things",
    "selec": "SELEC id FROM things",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_sql_that_names_what_there_is_not(things, api, supervisor, name):
    state, error = run_try(reading(UNKNOWN[name]), supervisor)
    assert (state, "the database refuses the sql" in str(error)) == ("failed", True), error
    assert name in str(error).lower()
    assert api.seen == []


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"destination_table": "no_such_table"}, "no_such_table"),
        ({"columns": {"no_such_column": "id"}}, "no_such_column"),
    ],
)
def test_a_load_into_what_there_is_not(things, api, supervisor, arguments, name):
    state, error = run_try(loading(1, **arguments), supervisor)
    assert (state, name in str(error)) == ("failed", True), error
    assert api.seen == []


@pytest.mark.parametrize("direction", ["source_db", "warehouse"])
def test_a_wrong_password(things, api, supervisor, connect, direction):
    things.needs("passwords")
    connect(direction, **things.wrong_password)
    task = reading("SELECT id FROM things") if direction == "source_db" else loading(1)
    state, error = run_try(task, supervisor)
    assert state == "failed", error
    assert any(word in str(error) for word in ("password", "denied", "authentication")), error
    assert "wrong" not in str(error)
    assert api.seen == []


SECOND = [
    "SELECT id FROM things; DELETE FROM things",
    "DELETE FROM things; SELECT id FROM things",
    "SELECT id FROM things WHERE label = :label; DELETE FROM things",
    "SELECT id FROM things; DROP TABLE things",  # which some databases do not undo
]


@pytest.mark.parametrize("sql", SECOND)
@pytest.mark.parametrize("read_only", [True, False])
def test_a_second_statement_is_refused_and_not_run(things, api, supervisor, sql, read_only):
    parameters = {"label": "kept"} if ":label" in sql else None
    task = sql_to_rest(sql=sql, endpoint="rows/{id}", read_only=read_only, parameters=parameters)
    state, error = run_try(task, supervisor)
    assert state == "failed", error
    assert things.rows("id, label") == [(1, "kept")]
    assert api.seen == []


# What ends a text to one database, and not to another; and a comment that MariaDB runs.
HIDDEN = [
    "SELECT id FROM things WHERE label <> '\\'; DELETE FROM things -- '",
    "SELECT id FROM things /*! ; DELETE FROM things */",
]


@pytest.mark.parametrize("sql", HIDDEN)
def test_a_second_statement_that_is_hidden_is_not_run(things, api, supervisor, sql):
    run_try(sql_to_rest(sql=sql, endpoint="rows/{id}", read_only=False), supervisor)
    assert things.rows("id, label") == [(1, "kept")]
