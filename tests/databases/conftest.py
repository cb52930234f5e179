"""Databases to read from, and what is read."""

import pytest


@pytest.fixture
def psycopg(connect, postgres):
    """The PostgreSQL server, read by psycopg: a function that executes statements."""
    connect("source_db", **postgres.connection())
    return postgres.execute


@pytest.fixture
def psycopg2(connect, postgres, monkeypatch):
    """The same, read by psycopg2."""
    from airflow.providers.postgres.hooks import postgres as provider

    monkeypatch.setattr(provider, "USE_PSYCOPG3", False)
    connect("source_db", **postgres.connection(), extra={"sqlalchemy_scheme": "postgresql+psycopg2"})
    return postgres.execute


@pytest.fixture(params=["psycopg", "psycopg2"])
def driver(request):
    """Each of PostgreSQL's drivers in turn: a function that executes statements."""
    return request.getfixturevalue(request.param)
