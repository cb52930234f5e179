"""Tasks run by Airflow's real task runner against a real database and a real API."""

import pytest


@pytest.fixture(autouse=True)
def nothing_secret():
    """Have Airflow's masker, which a process has one of, forget the secrets of other tests: some are common words."""
    from airflow_async_rest.compat import secrets_masker

    secrets_masker._masker().reset_masker()


@pytest.fixture
def logged(capfd):
    """The log so far, as text: Airflow writes it to the standard output."""
    texts = []

    def read() -> str:
        captured = capfd.readouterr()
        texts.extend((captured.out, captured.err))
        return "".join(texts)

    return read


@pytest.fixture
def warehouse(places, postgres, connect):
    """PostgreSQL as destination, with an empty table ``locations``."""
    connect("warehouse", **postgres.connection())
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads",
        "DROP TABLE IF EXISTS locations",
        "CREATE TABLE locations (id bigint, geo_label text, detail jsonb)",
    )
    return postgres
