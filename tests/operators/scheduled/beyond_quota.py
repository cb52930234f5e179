"""A window of 2,000 rows, for an API that takes fewer at once."""

from datetime import UTC, datetime

from airflow.sdk import DAG

from airflow_async_rest import RequestRetry
from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

with DAG("quota", schedule=None, start_date=datetime(2026, 3, 1, tzinfo=UTC), is_paused_upon_creation=False):
    SqlToRestOperator(
        task_id="post",
        sql="SELECT i AS id FROM generate_series(1, 2000) AS i ORDER BY i",
        sql_conn_id="source_db",
        http_conn_id="search_api",
        endpoint="readings/{id}",
        method="PUT",
        key="id",
        concurrency=4,
        request_retry=RequestRetry(max_attempts=1, max_retry_after_seconds=1),
    )
