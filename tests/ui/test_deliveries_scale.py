"""The page "Deliveries" over a PostgreSQL as large as a busy Airflow's: the queries do not grow with the runs."""

import json
import time
from datetime import UTC, datetime

import pytest
from ui.test_deliveries import counted
from ui.test_endpoints import report

DAGS = 200
_QUERIES, _BUSY, _RANKED = 9, 5, 100_000
_ID = "'dag_' || lpad(dag::text, 3, '0')"
_DAGS = f"""
    INSERT INTO dag (dag_id, bundle_name, is_paused, is_stale, timetable_type, max_active_tasks, max_active_runs,
        max_consecutive_failed_dag_runs, has_task_concurrency_limits, partition_mapper_info, next_dagrun_create_after)
    SELECT {_ID}, 'tests', false, false, '', 16, 16, 0, false, '[]', now() + interval '1 hour'
    FROM generate_series(1, {DAGS}) AS dag
"""
_RUNS = f"""
    INSERT INTO dag_run (dag_id, run_id, run_type, state, logical_date, data_interval_start, data_interval_end, run_after,
        clear_number, span_status)
    SELECT {_ID}, 'run' || number, 'scheduled', 'success', hour, hour, hour + interval '1 hour', hour + interval '1 hour',
        0, 'not_started'
    FROM generate_series({{until}}, {{since}}, -1) AS number, generate_series({{first}}, {{last}}) AS dag,
        LATERAL (SELECT date_trunc('hour', now()) - number * interval '1 hour' AS hour) AS hours
"""
_TASKS = """
    INSERT INTO task_instance (id, dag_id, run_id, task_id, map_index, state, operator, pool, pool_slots, try_number,
        max_tries, start_date, end_date, span_status)
    SELECT gen_random_uuid(), dag_id, run_id, task, -1, 'success', operator, 'default_pool', 1, 1, 0, run_after,
        run_after + interval '5 minutes', 'not_started'
    FROM dag_run, (VALUES ('post', 'SqlToRestOperator'), ('before', 'EmptyOperator')) AS tasks (task, operator)
    WHERE run_id IN (SELECT 'run' || number FROM generate_series(1, 500) AS number)
"""
_XCOM = """
    INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp)
    SELECT id, 'post', -1, key, dag_id, run_id, CASE WHEN key = 'failed_items' THEN CAST('[]' AS jsonb)
        ELSE CASE WHEN id % 20 = 0 THEN CAST(:failed AS jsonb) ELSE CAST(:done AS jsonb) END END, now()
    FROM dag_run, (VALUES ('return_value'), ('failed_items')) AS keys (key)
    WHERE run_id IN (SELECT 'run' || number FROM generate_series(1, 500) AS number)
"""


@pytest.fixture
def metadata(postgres, runs, busy):
    """A session of Airflow's tables with runs every hour.

    :param runs: of each of 200 DAGs; :param busy: of one of them, in all.
    """
    from airflow.models.base import Base
    from airflow.utils.db import import_all_models
    from sqlalchemy import URL, create_engine, text
    from sqlalchemy.orm import Session

    import_all_models()
    with postgres.open(autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS airflow_metadata WITH (FORCE)")
        connection.execute("CREATE DATABASE airflow_metadata")
    engine = create_engine(
        URL.create("postgresql+psycopg2", "postgres", host=postgres.socket_folder, database="airflow_metadata")
    )
    Base.metadata.create_all(engine)
    values = {"done": json.dumps(report(998)), "failed": json.dumps(report(990, 8, reasons={"http_422": 8}))}
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO dag_bundle (name) VALUES ('tests')")
        of_all = _RUNS.format(since=1, until=runs, first=1, last=DAGS)
        of_one = _RUNS.format(since=runs + 1, until=busy, first=_BUSY, last=_BUSY)
        for statement in (_DAGS, of_one, of_all, _TASKS):
            connection.exec_driver_sql(statement)
        connection.execute(text(_XCOM), values)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    with Session(engine) as session:
        yield session
    engine.dispose()
    with postgres.open(autocommit=True) as connection:
        connection.execute("DROP DATABASE airflow_metadata")


IDS = {f"dag_{number:03}" for number in range(1, DAGS + 1)}


def asked(metadata, after=""):
    """A page of 20 DAGs, which takes no more than so many queries."""
    from airflow_async_rest.ui.deliveries import list_deliveries

    began = time.perf_counter()
    with counted(metadata.get_bind()) as statements:
        page = list_deliveries(metadata, IDS, set, after, 20)
    print(f"{len(page['rows'])} rows after {time.perf_counter() - began:.2f} s")
    assert len(statements) <= _QUERIES
    return page, [row["dag_id"] for row in page["rows"]]


@pytest.mark.parametrize(
    ("runs", "busy"), [(8, 8), pytest.param(500, 20_000, marks=pytest.mark.release)], ids="{} runs each".format
)
def test_the_first_rows_of_200_dags_take_the_same_queries_however_many_runs_there_are(metadata):
    page, found = asked(metadata)
    assert found == sorted(IDS)[:20]
    assert (page["next"], page["truncated"]) == ("dag_020", False)
    for row in page["rows"]:
        assert row["freshness"]["status"] == "on_time"
        assert row["rows"]["day"] >= 7 * 990
        assert set(row["dead_letters"]) <= {"http_422"}
        newest = datetime.fromisoformat(row["last"]["end"])
        assert (datetime.now(UTC) - newest).total_seconds() < 7_200


@pytest.mark.parametrize(("runs", "busy"), [(8, _RANKED)])
def test_a_page_has_fewer_dags_where_these_have_many_runs(metadata):
    pages, after = [], ""
    for _ in range(3):
        page, found = asked(metadata, after)
        pages.append(found)
        after = page["next"]
    assert pages == [sorted(IDS)[:4], ["dag_005"], sorted(IDS)[5:25]]
