"""Databases to load; Oracle where ORACLE_DSN names one."""

import os
import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from loads import SCHEMA, Database


@pytest.fixture
def sqlite(connect, tmp_path: Path) -> Database:
    path = tmp_path / "warehouse.db"
    connect("warehouse", conn_type="sqlite", host=str(path))

    def execute(*statements: str) -> list:
        with sqlite3.connect(path, isolation_level=None) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        connection.close()
        return rows

    return Database("sqlite", execute)


@pytest.fixture
def psycopg(connect, postgres) -> Database:
    connect("warehouse", **postgres.connection(), extra={"options": f"-csearch_path={SCHEMA} -csynchronous_commit=off"})

    def execute(*statements: str) -> list:
        return postgres.execute(f"SET search_path = {SCHEMA}", "SET synchronous_commit = off", *statements)

    postgres.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE", f"CREATE SCHEMA {SCHEMA}")
    return Database("postgresql", execute)


@pytest.fixture
def psycopg2(connect, postgres, psycopg, monkeypatch) -> Database:
    """The same by the older driver, which the hook takes where there is no other."""
    from airflow.providers.postgres.hooks import postgres as hooks

    monkeypatch.setattr(hooks, "USE_PSYCOPG3", False)
    extra = {"options": f"-csearch_path={SCHEMA} -csynchronous_commit=off", "sqlalchemy_scheme": "postgresql+psycopg2"}
    connect("warehouse", **postgres.connection(), extra=extra)
    return psycopg


@pytest.fixture
def oracle(connect) -> Database:
    if "ORACLE_DSN" not in os.environ:
        pytest.skip("needs an Oracle database: set ORACLE_DSN=oracle://user:password@host:port/service")
    import oracledb

    dsn = urlsplit(os.environ["ORACLE_DSN"])
    login, password, service = dsn.username, unquote(dsn.password), dsn.path.strip("/")
    place = {"host": dsn.hostname, "port": dsn.port or 1521}
    connect("warehouse", conn_type="oracle", login=login, password=password, extra={"service_name": service}, **place)

    def execute(*statements: str) -> list:
        with oracledb.connect(user=login, password=password, service_name=service, **place) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
            connection.commit()
        return rows

    database = Database("oracle", execute)
    for table in ["THINGS", "ASYNC_REST_LOADS", *database.staging_tables()]:
        if execute(f"SELECT 1 FROM user_tables WHERE table_name = '{table}'"):
            execute(f"DROP TABLE {table}")
    return database


@pytest.fixture
def closed():
    """Databases whose loaders are closed at the end."""
    databases: list[Database] = []
    yield databases
    for database in databases:
        for loader in database.loaders:
            loader.close()


@pytest.fixture(params=["psycopg", "sqlite", "oracle"])
def database(request, closed) -> Database:
    """Each database in turn; with ``every_driver``, by each of its drivers."""
    found = request.getfixturevalue(request.param)
    closed.append(found)
    return found


@pytest.fixture
def postgresql(psycopg, closed) -> Database:
    closed.append(psycopg)
    return psycopg


@pytest.fixture
def sqlite_file(sqlite, closed) -> Database:
    closed.append(sqlite)
    return sqlite
