"""What the short queries find in the catalogue, and what is done where they find nothing."""

import pytest
from sqlalchemy import create_engine, event, inspect
from sqlalchemy.pool import NullPool

from airflow_async_rest.databases.dialects.dialect import Dialect
from airflow_async_rest.databases.dialects.postgresql import catalogue
from airflow_async_rest.databases.dialects.registry import dialect_named

NAME = "catalogue_things"
KEYS = {frozenset("a"): False, frozenset("bc"): False, frozenset("d"): False}


@pytest.fixture
def inspector(postgres):
    postgres.execute(
        f"DROP TABLE IF EXISTS {NAME}",
        f"CREATE TABLE {NAME} (e int, d int, c int, b int, a int PRIMARY KEY, UNIQUE (c, b))",
        f"CREATE UNIQUE INDEX ON {NAME} (d) INCLUDE (e)",
        f"CREATE UNIQUE INDEX ON {NAME} (e) WHERE a > 0",
        f"CREATE UNIQUE INDEX ON {NAME} (e, (a + 1))",
        f"CREATE INDEX ON {NAME} (e)",
    )
    engine = create_engine("postgresql+psycopg://", creator=postgres.open, poolclass=NullPool)
    with engine.connect() as connection:
        yield inspect(connection)
    postgres.execute(f"DROP TABLE {NAME}")


def test_the_keys_are_those_that_an_inspector_finds(inspector):
    assert catalogue.unique_keys(inspector.bind, NAME, None) == KEYS
    assert catalogue.unique_keys(inspector.bind, NAME, "public") == KEYS
    assert catalogue.unique_keys(inspector.bind, NAME, "elsewhere") == {}
    of_expression = frozenset({"e", None})  # which are nobody's columns
    assert Dialect().unique_keys(inspector, NAME, None).keys() == KEYS.keys() | {of_expression}


def test_a_key_in_which_null_equals_null_in_one_of_its_indexes_is_such_a_key(inspector, postgres):
    postgres.execute(f"CREATE UNIQUE INDEX ON {NAME} (b, c) NULLS NOT DISTINCT")
    assert catalogue.unique_keys(inspector.bind, NAME, None) == KEYS | {frozenset("bc"): True}


def rewritten(inspector, rewrite):
    """Have statements changed before the server gets them. :return: those that it gets."""
    statements = []

    def execute(connection, cursor, statement, parameters, context, executemany):
        statements.append(rewrite(statement))
        return statements[-1], parameters

    event.listen(inspector.bind, "before_cursor_execute", execute, retval=True)
    return statements


def test_a_server_that_does_not_know_of_equal_nulls_is_not_asked(inspector, monkeypatch):
    monkeypatch.setattr(inspector.bind.dialect, "server_version_info", (14, 9))
    statements = rewritten(inspector, str)
    assert catalogue.unique_keys(inspector.bind, NAME, None) == KEYS
    assert "indnullsnotdistinct" not in statements[0]


def test_where_the_catalogue_is_another_an_inspector_is_asked(inspector):
    rewritten(inspector, lambda statement: statement.replace("i.indnullsnotdistinct AS", "i.no_such_column AS"))
    assert catalogue.unique_keys(inspector.bind, NAME, None) is None
    assert dialect_named("postgresql").unique_keys(inspector, NAME, None).keys() >= KEYS.keys()
