"""What a connection leads to: a file that must be there, and a provider that must be installed."""

from urllib.parse import quote

import pytest

from airflow_async_rest.core.errors import ConfigurationError


def chunks(sql, **options):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    return ChunkedSqlHook("source_db").chunks(sql, **options)


@pytest.mark.parametrize("options", [{}, {"read_only": False}, {"count_rows": True}])
@pytest.mark.parametrize("name", ["misspelt.db", "no such folder/source.db", "a locked one.db"])
def test_a_missing_sqlite_file_is_said_and_not_made(connect, tmp_path, name, options):
    path = tmp_path / name
    connect("source_db", conn_type="sqlite", host=str(path))
    with pytest.raises(ConfigurationError, match=f"sql_conn_id='source_db': there is no SQLite file '{path}'"):
        list(chunks("SELECT 1 AS id", **options))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["source.db", "with a space.db"])
def test_an_sqlite_file_that_is_there_is_read(connect, tmp_path, name):
    (path := tmp_path / name).touch()
    connect("source_db", conn_type="sqlite", host=str(path))
    assert list(chunks("SELECT 1 AS id")) == [[{"id": 1}]]


@pytest.mark.parametrize("name", ["a#b.db", "a%41.db", "a?b.db", "a%20b.db"])
def test_a_file_whose_name_is_no_part_of_a_uri_is_read_as_one_writes_it_there(connect, tmp_path, name):
    (tmp_path / name).touch()
    connect("source_db", conn_type="sqlite", host=f"{tmp_path}/{quote(name)}")
    assert list(chunks("SELECT 1 AS id")) == [[{"id": 1}]]
    connect("source_db", conn_type="sqlite", host=f"{tmp_path}/{name}")
    with pytest.raises(
        ConfigurationError, match="there is no SQLite file .* or # in its name is written %25, %3F or %23"
    ):
        list(chunks("SELECT 1 AS id"))
    assert list(tmp_path.iterdir()) == [tmp_path / name]


@pytest.mark.parametrize("host", [".", "file:source.db"])
def test_what_is_there_and_no_file_is_said_to_be_none(connect, tmp_path, monkeypatch, host):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "source.db").touch()
    connect("source_db", conn_type="sqlite", host=host)
    with pytest.raises(ConfigurationError, match=f"there is no SQLite file '{host}'"):
        list(chunks("SELECT 1 AS id"))
    assert list(tmp_path.iterdir()) == [tmp_path / "source.db"]


@pytest.mark.parametrize("host", ["", ":memory:"])
def test_an_sqlite_database_in_memory_is_no_file(connect, host):
    connect("source_db", conn_type="sqlite", host=host)
    assert list(chunks("SELECT 1 AS id")) == [[{"id": 1}]]


@pytest.mark.parametrize("conn_type", ["generic", "no_such_type"])
def test_a_type_without_its_provider_says_what_to_install(connect, conn_type):
    connect("source_db", conn_type=conn_type, host="db")
    with pytest.raises(ConfigurationError) as raised:
        chunks("SELECT 1 AS id")
    said = str(raised.value)
    assert said.startswith(f"sql_conn_id='source_db' is of type '{conn_type}', whose hook cannot be loaded")
    assert ("Airflow stores this type where the provider" in said) == (conn_type == "generic")
    assert ("add it with its own type" in said) == (conn_type == "generic")


def test_no_file_is_made_for_a_load_either(connect, tmp_path):
    from airflow_async_rest.databases.database import Database

    connect("warehouse", conn_type="sqlite", host=str(tmp_path / "misspelt.db"))
    with pytest.raises(ConfigurationError, match="destination_conn_id='warehouse': there is no SQLite file"):
        Database("destination_conn_id", "warehouse").engine.connect()
    assert list(tmp_path.iterdir()) == []
