"""dags/sensors.py for an API that takes many items in one request: every day's new readings, 200 at a time.

Use it wherever the API has such an endpoint: it needs a hundredth of the requests. One reading that is refused does
not hold up the others of its request, because the answer tells about each.

It needs two connections: ``source_db`` (any SQL database) and ``search_api`` (type ``async_rest`` or ``http``).
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_async_rest import Batch
from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

with DAG(
    dag_id="sensors_bulk",
    # Not "@daily": its runs have a window of zero width. Those of this timetable have the day that just ended.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
):
    SqlToRestOperator(
        task_id="post_sensors",
        sql_conn_id="source_db",
        # The order has no ties, so that a retry can go on where the try before ended, with the same batches.
        sql="""
            SELECT id, name, value, measured_at
            FROM sensors
            WHERE measured_at >= :window_start AND measured_at < :window_end
            ORDER BY id
        """,
        key="id",
        http_conn_id="search_api",
        method="POST",
        endpoint="archive/_bulk",
        # A line of JSON for each reading; the answer is a list with a status for each.
        batch=Batch(max_items=200, format="ndjson", results="list"),
        # Limits count requests, and here each has up to 200 readings: two tasks at a time send 1,000 a second each.
        rate_limit="5/s",
        concurrency=2,
        max_active_tis_per_dag=2,
        # Of the task: it sends only what is missing. Of one request: see RequestRetry.
        retries=2,
        retry_delay=timedelta(seconds=10),
    )
