"""A window whose requests say which try has sent them, so that an API can tell two from each other."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

with DAG("suspended", schedule=None, start_date=datetime(2026, 3, 1, tzinfo=UTC), is_paused_upon_creation=False):
    SqlToRestOperator(
        task_id="post",
        sql="SELECT i AS id FROM generate_series(1, 20000) AS i ORDER BY i",
        sql_conn_id="source_db",
        http_conn_id="search_api",
        endpoint="readings/{id}",
        method="PUT",
        key="id",
        headers={"X-Try": "{{ ti.try_number }}"},
        concurrency=4,
        retries=1,
        retry_delay=timedelta(0),
    )
