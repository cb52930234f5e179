"""Every day's readings out of an API into a table: a request for each hour, and one for each further page of it.

The other way round than dags/sensors.py. A run covers one day and replaces what the table has of it, so a day may be
fetched any number of times, and a past week is fetched by a backfill of seven runs:

    airflow backfill create --dag-id fetch_readings --from-date 2026-03-02 --to-date 2026-03-08

It needs two connections: ``search_api`` (type ``async_rest`` or ``http``) and ``warehouse`` (any SQL database), in
which the table is there beforehand.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_async_rest import CursorPages
from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator

with DAG(
    dag_id="fetch_readings",
    # Not "@daily": its runs have a window of zero width. Those of this timetable have the day that just ended.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
):
    RestToSqlOperator(
        task_id="fetch_readings",
        # Pages come one after another, hours side by side.
        window_step=timedelta(hours=1),
        http_conn_id="search_api",
        endpoint="readings/cursor",
        query={"from": "{start}", "to": "{end}"},
        paginate=CursorPages(cursor="meta.next_cursor", param="cursor"),
        rows="data.items",
        columns=["id", "name", "value", "measured_at"],
        destination_conn_id="warehouse",
        destination_table="readings",
        load_mode="replace_window",
        window_column="measured_at",
        # Every page counts. A rate limit is one task's own, and in a backfill runs work side by side: two of them at a
        # time, in all runs of this DAG, fetch 160 pages a second. Stay some requests below what your API allows: those
        # in flight may arrive together.
        rate_limit="80/s",
        concurrency=8,
        max_active_tis_per_dag=2,
        # Of the task. Of one request: see RequestRetry.
        retries=2,
        retry_delay=timedelta(seconds=10),
    )
