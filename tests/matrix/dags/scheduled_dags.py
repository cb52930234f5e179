"""What runs under a scheduler: a window of 600 rows that ends in the middle, and a week of such windows."""

from datetime import UTC, datetime, timedelta

import airflow
from airflow import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_async_rest import RequestRetry
from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 7, tzinfo=UTC)
# A plain cron string has intervals in 2 only. No date after END is due, so nothing runs but what is asked for.
DAILY = "@daily" if airflow.__version__.startswith("2.") else CronDataIntervalTimetable("0 0 * * *", timezone="UTC")
SOURCE = {
    "sql": "SELECT id FROM measured WHERE measured_at >= :window_start AND measured_at < :window_end ORDER BY id",
    "sql_conn_id": "source_db",
    "http_conn_id": "search_api",
    "method": "PUT",
    "key": "id",
    "concurrency": 4,
    "request_retry": RequestRetry(max_attempts=1),
}

for dag_id in ("ends_early", "made_again", "looked_at"):
    with DAG(dag_id, schedule=None, start_date=START, is_paused_upon_creation=False):
        SqlToRestOperator(
            task_id="post",
            endpoint="measured/{id}",
            window_start="2026-03-01",
            window_end="2026-03-02",
            retries=1,
            retry_delay=timedelta(0),
            **SOURCE,
        )

with DAG("quota", schedule=None, start_date=START, is_paused_upon_creation=False):
    SqlToRestOperator(
        task_id="post",
        endpoint="measured/{id}",
        window_start="2026-03-01",
        window_end="2026-03-02",
        retries=1,
        retry_delay=timedelta(seconds=10),  # longer than the API's pause
        **SOURCE | {"request_retry": RequestRetry(max_attempts=1, max_retry_after_seconds=1)},
    )

with DAG("week", schedule=DAILY, start_date=START, end_date=END, catchup=False, is_paused_upon_creation=False):
    SqlToRestOperator(task_id="post", endpoint="{{ ds }}/{id}", **SOURCE)

with DAG("days", schedule=DAILY, start_date=START, end_date=END, catchup=False, is_paused_upon_creation=False):
    SqlToRestOperator(task_id="post", endpoint="days/{id}", retries=1, retry_delay=timedelta(seconds=5), **SOURCE)
