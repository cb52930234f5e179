"""The example DAGs, each run as a whole by ``dag.test()`` against a real database and a real API."""

import warnings
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from dag_runs import READINGS_A_DAY, Run


@pytest.fixture
def dags(airflow_db) -> dict[str, Any]:
    """What Airflow makes of the folder: DAGs by their id. Read again, because a run's conf stays in the DAG it ran."""
    from airflow.configuration import conf
    from airflow.dag_processing.dagbag import DagBag

    with warnings.catch_warnings():  # one of Starlette's, about its test client, where dag.test() imports this
        warnings.simplefilter("ignore")
        import airflow.api_fastapi.execution_api.app  # noqa: F401

    bag = DagBag(conf.get("core", "dags_folder"))
    assert bag.import_errors == {}
    return bag.dags


@pytest.fixture
def run_dag(dags) -> Callable[..., Run]:
    """Run a DAG, with a logical date where it has a schedule, or with a conf."""

    def run(dag_id: str, logical_date: datetime | None = None, **conf: Any) -> Run:
        return Run(dags[dag_id].test(logical_date=logical_date, run_conf=conf))

    return run


@pytest.fixture
def sensors(api, postgres, connect, tmp_path, monkeypatch):
    """Three days of readings, whose first is on the very bound, an API, and a dead-letter folder of the test's own."""
    postgres.execute(
        "DROP TABLE IF EXISTS sensors",
        "CREATE TABLE sensors (id bigint PRIMARY KEY, name text, value numeric, measured_at timestamptz)",
        f"""
        INSERT INTO sensors
        SELECT i + 1, 'sensor ' || i % 5, i + 0.25, '2026-03-01 00:00Z'::timestamptz + i * interval '1 day' / {READINGS_A_DAY}
        FROM generate_series(0, {3 * READINGS_A_DAY - 1}) AS i
        """,
    )
    connect("source_db", **postgres.connection())
    connect("search_api", conn_type="async_rest", host=api.url)
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "dead_letters"))
    return api


@pytest.fixture
def week(postgres, connect, tmp_path, monkeypatch):
    """The demo's week in the demo's tables, and its API, of which every tenth page or part fails at first."""
    from sensor_api import serving

    from demo.database import load
    from demo.warehouse import TABLES

    postgres.execute("DROP TABLE IF EXISTS sensors, readings, inventory")
    with postgres.open() as connection:
        load(connection)
        connection.execute(TABLES)
    for conn_id in ("source_db", "warehouse"):
        connect(conn_id, **postgres.connection())
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "dead_letters"))
    with serving(read_fault_share=0.1) as url:
        connect("search_api", conn_type="async_rest", host=url)
        yield url
