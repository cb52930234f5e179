"""Both directions, a replay and plain tasks, written as each version from 2.11 to 3.3 takes it."""

from datetime import UTC, datetime

from airflow import DAG
from airflow.decorators import task
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_async_rest import Batch, RequestRetry
from airflow_async_rest.operators.replay import ReplayDeadLettersOperator
from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator
from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

SQL = "SELECT id, name FROM {table} WHERE measured_at >= :window_start AND measured_at < :window_end ORDER BY id"
SOURCE = {
    "sql": SQL.format(table="readings"),
    "sql_conn_id": "source_db",
    "http_conn_id": "search_api",
    "key": "id",
    "request_retry": RequestRetry(max_attempts=2, backoff_base_seconds=0.01),
}
DESTINATION = {
    "sql": SQL.format(table="readings"),
    "sql_conn_id": "source_db",
    "http_conn_id": "search_api",
    "endpoint": "places/{id}",
    "rows": "data",
    "columns": {"id": "item.id", "place": "place", "day": "day"},
    "destination_conn_id": "source_db",
    "destination_table": "places",
}


def dag(dag_id):
    daily = CronDataIntervalTimetable("0 0 * * *", timezone="UTC")
    return DAG(dag_id, schedule=daily, start_date=datetime(2026, 3, 1, tzinfo=UTC), catchup=False)


with dag("single"):
    SqlToRestOperator(task_id="post", endpoint="readings/{id}", method="PUT", **SOURCE)

with dag("batch"):
    SqlToRestOperator(
        task_id="post", endpoint="readings/_bulk", batch=Batch(max_items=8, format="ndjson", results="list"), **SOURCE
    )

for mode, more in {
    "append": {},
    "replace_window": {"window_column": "day"},
    "upsert": {"conflict_key": "id"},
}.items():
    with dag(f"load_{mode}"):
        RestToSqlOperator(task_id="fetch", load_mode=mode, **more, **DESTINATION)

for where in ("disk", "storage"):
    with dag(f"replays_from_{where}"):
        post = SqlToRestOperator(task_id="post", endpoint="readings/{id}", method="PUT", max_failures=3, **SOURCE)
        ReplayDeadLettersOperator(task_id="replay", of=post, http_conn_id="search_api")

with dag("fails"):
    SqlToRestOperator(task_id="post", endpoint="readings/{id}", method="PUT", **SOURCE)

with dag("plain"):

    @task
    def push():
        from airflow_async_rest.hooks.rest import AsyncRestHook

        return AsyncRestHook("search_api").deliver(
            [{"id": i} for i in range(3)], endpoint="readings/{id}", method="PUT"
        )

    @task
    def pull():
        from airflow_async_rest.hooks.rest import AsyncRestHook

        chunks = AsyncRestHook("search_api").fetch(
            [1, 2], endpoint="places/{item}", rows="data", columns={"place": "place"}
        )
        return [row["place"] for chunk in chunks for row in chunk]

    push() >> pull()

with dag("mapped"):
    SqlToRestOperator.partial(
        task_id="post", endpoint="readings/{id}", method="PUT", max_failures=3, **SOURCE
    ).expand_kwargs(
        [
            {"window_start": "2026-03-01", "window_end": "2026-03-02"},
            {"window_start": "2026-03-02", "window_end": "2026-03-03"},
        ]
    ) >> ReplayDeadLettersOperator(task_id="replay", of="post", http_conn_id="search_api")

with dag("no_windows"):

    @task
    def no_windows():
        return []

    post = SqlToRestOperator.partial(task_id="post", endpoint="readings/{id}", method="PUT", **SOURCE).expand(
        window_start=no_windows()
    )
    ReplayDeadLettersOperator(task_id="replay", of=post, http_conn_id="search_api")

with dag("items_of_mapped"):

    @task
    def number(i):
        return {"id": i}

    @task
    def push_numbers(numbers):
        from airflow_async_rest.hooks.rest import AsyncRestHook

        return AsyncRestHook("search_api").deliver(numbers, endpoint="readings/{id}", method="PUT")

    numbers = number.expand(i=[1, 2, 3])
    push_numbers(numbers)
    RestToSqlOperator(
        task_id="fetch",
        items=numbers,
        **{name: value for name, value in DESTINATION.items() if not name.startswith("sql")},
    )
