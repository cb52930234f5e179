"""What many workers run: windows of a day, in each of which the API refuses some rows for good."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_async_rest import RequestRetry
from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 30, tzinfo=UTC)  # no date after END is due
DAILY = CronDataIntervalTimetable("0 0 * * *", timezone="UTC")

with DAG("month", schedule=DAILY, start_date=START, end_date=END, catchup=False, is_paused_upon_creation=False):
    SqlToRestOperator(
        task_id="post",
        sql="SELECT id FROM month WHERE measured_at >= :window_start AND measured_at < :window_end ORDER BY id",
        sql_conn_id="source_db",
        http_conn_id="search_api",
        endpoint="{{ ds }}/{id}",
        method="PUT",
        key="id",
        concurrency=4,
        request_retry=RequestRetry(max_attempts=1),
        max_failures="1%",
        retries=2,
        retry_delay=timedelta(0),
    )
