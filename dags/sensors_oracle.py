"""dags/sensors.py with Oracle as the source: a table with ``measured_at TIMESTAMP WITH TIME ZONE``.

Nothing else is different. It needs two connections: ``oracle_db`` (type ``oracle``, with its ``service_name`` in the
extra) and ``search_api`` (type ``async_rest`` or ``http``).
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

with DAG(
    dag_id="sensors_oracle",
    # Not "@daily": its runs have a window of zero width. Those of this timetable have the day that just ended.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
):
    SqlToRestOperator(
        task_id="post_sensors",
        sql_conn_id="oracle_db",
        # The order has no ties, so that a retry can go on where the try before ended.
        sql="""
            SELECT id, name, value, measured_at
            FROM sensors
            WHERE measured_at >= :window_start AND measured_at < :window_end
            ORDER BY id
        """,
        key="id",
        http_conn_id="search_api",
        method="PUT",
        endpoint="sensors/{id}",
        # A rate limit is one task's own, and in a backfill many runs work side by side: four of them at a time, in all
        # runs of this DAG, send 400 requests a second. Leave some of what your API allows to dags/replay.py.
        rate_limit="100/s",
        concurrency=8,
        max_active_tis_per_dag=4,
        # Of the task: it sends only what is missing. Of one request: see RequestRetry.
        retries=2,
        retry_delay=timedelta(seconds=10),
    )
