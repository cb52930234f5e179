"""Tasks that tests make, here or in a process of their own (``make_task``, steered by the environment)."""

import errno
import os
import select
import threading
from datetime import timedelta
from pathlib import Path

READINGS = "SELECT i AS id, i * 1.5 AS value FROM generate_series(1, {rows}) AS i ORDER BY i"


def sql_to_rest(**arguments):
    from airflow_async_rest import RequestRetry
    from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

    settings = {
        "task_id": "post",
        "sql": READINGS.format(rows=100),
        "sql_conn_id": "source_db",
        "http_conn_id": "search_api",
        "endpoint": "readings/{id}",
        "method": "PUT",
        "key": "id",
        "request_retry": RequestRetry(backoff_base_seconds=0.01),
    }
    return SqlToRestOperator(**(settings | arguments))


def given_later(task, **arguments):
    """Set arguments as templates may give them: a wrong one that is written out is an import error."""
    for name, value in arguments.items():
        setattr(task, name, value)
    return task


def make_task():
    if "DISK_IS_FULL" in os.environ:
        from airflow_async_rest.core.letters.part_files import PartFiles

        PartFiles._write_whole = full_disk
    if os.environ.get("OUTLIVES_IN") == "plain task":
        return plain_task()
    task = sql_to_rest(
        sql=os.environ.get("TAKES") or READINGS.format(rows=os.environ["ROWS"]),
        read_only="TAKES" not in os.environ,
        max_failures=int(os.environ.get("MAX_FAILURES", "0")),
        concurrency=int(os.environ.get("CONCURRENCY", "16")),
        chunk_size=1000,
        execution_timeout=timedelta(minutes=10),
        response_check=block if "BLOCKS" in os.environ else None,
        **(in_batches(int(os.environ["BATCH"])) if "BATCH" in os.environ else {}),
    )
    if os.environ.get("OUTLIVES_IN") == "hook":
        task._pre_execute_hook = outlive_parent
    return task


def plain_task():
    """A plain task that delivers once its supervisor is gone."""
    from airflow.sdk import task

    @task(task_id="push")
    def push():
        outlive_parent()
        from airflow_async_rest.hooks.rest import AsyncRestHook

        items = [{"id": i} for i in range(int(os.environ["ROWS"]))]
        return AsyncRestHook("search_api").deliver(items, endpoint="readings/{id}", method="PUT", key="id")

    return push().operator


def outlive_parent(context=None):
    """Say in the file ``BEGUN`` that it is here, and wait until the process that started this one has ended."""
    parent = os.pidfd_open(os.getppid())
    Path(os.environ["BEGUN"]).touch()
    select.select([parent], [], [])
    os.close(parent)


def block(response):
    """Hold the event loop up for ever."""
    threading.Event().wait()


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def in_batches(most: int) -> dict:
    """The arguments that make a task send bulk requests, to an API that tells by item."""
    from airflow_async_rest import Batch

    batch = Batch(max_items=most, format="ndjson", results="list")
    return {"endpoint": "readings/_bulk", "method": "POST", "batch": batch}


def ids(seen) -> list[int]:
    """Which rows requests were for, in the order the API saw them."""
    return [int(request.path.rpartition("/")[2]) for request in seen]


def rest_to_sql(**arguments):
    from airflow_async_rest import RequestRetry
    from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator

    settings = {
        "task_id": "fetch",
        "http_conn_id": "search_api",
        "endpoint": "locations/{id}",
        "rows": "data.items",
        "columns": {"id": "item.id", "geo_label": "location.geoLabel", "detail": "detail"},
        "destination_conn_id": "warehouse",
        "destination_table": "locations",
        "request_retry": RequestRetry(backoff_base_seconds=0.01),
    }
    if not {"items", "window_step", "sql"} & set(arguments):
        settings |= {"sql": "SELECT i AS id FROM generate_series(1, 100) AS i ORDER BY i", "sql_conn_id": "source_db"}
    return RestToSqlOperator(**(settings | arguments))


def staging_tables_of(run_id: str) -> str:
    """The query for what a run of :func:`rest_to_sql` has staged, or left behind."""
    from airflow_async_rest.load.loader import load_id_of

    name = "async_rest_stg_" + load_id_of("the_dag", run_id, "fetch", -1)
    return f"SELECT relname FROM pg_class WHERE relname LIKE '{name}%'"
