"""Tasks run by Airflow's real task runner against a real database and a real API."""

import pytest
from task_runner import Supervisor


@pytest.fixture(autouse=True)
def nothing_secret():
    """Have Airflow's masker, which a process has one of, forget the secrets of other tests: some are common words."""
    from airflow_async_rest.compat import secrets_masker

    secrets_masker._masker().reset_masker()


@pytest.fixture
def supervisor(tmp_path):
    return Supervisor(tmp_path / "airflow.json")


@pytest.fixture
def places(api, postgres, connect, tmp_path, monkeypatch):
    """Connections ``source_db`` and ``search_api``, and a dead-letter folder of the test's own."""
    connect("source_db", **postgres.connection())
    connect("search_api", conn_type="async_rest", host=api.url)
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "dead_letters"))
    return api


@pytest.fixture
def logged(capfd):
    """The log so far, as text: Airflow writes it to the standard output."""
    texts = []

    def read() -> str:
        captured = capfd.readouterr()
        texts.extend((captured.out, captured.err))
        return "".join(texts)

    return read
