"""The same rows in two ways: a mapped task for each, as Airflow has it, and one task for all."""

from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk import DAG

from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator
from benchmarks.database import ROWS_SQL, rows_in_memory
from benchmarks.mapped import MAPPED, ONE_TASK
from benchmarks.recipes import dumps

with DAG("mapped", schedule=None):
    HttpOperator.partial(
        task_id="post",
        http_conn_id="plain_api",
        method="POST",
        headers={"Content-Type": "application/json"},
    ).expand(data=[dumps(row) for row in rows_in_memory(MAPPED)])

with DAG("one_task", schedule=None):
    SqlToRestOperator(
        task_id="post",
        sql=ROWS_SQL,
        parameters={"rows": ONE_TASK},
        sql_conn_id="source_db",
        http_conn_id="search_api",
        endpoint="items",
        key="id",
        concurrency=64,
    )
