"""The same engine from a plain ``@task``, where the rows need more Python than a ``transform``."""

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import dag, task

from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook
from airflow_async_rest.hooks.rest import AsyncRestHook

HIGHEST_OF_EACH = """
    SELECT DISTINCT ON (name) id, name, value, measured_at
    FROM sensors
    WHERE value > :above
    ORDER BY name, value DESC, id
"""


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), params={"above": 0})
def taskflow() -> None:
    """Post the highest value of every sensor."""

    @task
    def post_highest(params: dict) -> dict[str, Any]:
        # The rows stream: a chunk is read when the one before is nearly sent.
        chunks = ChunkedSqlHook("source_db").iter_chunks(HIGHEST_OF_EACH, {"above": params["above"]})
        return AsyncRestHook("search_api").deliver(
            (row for chunk in chunks for row in chunk),
            endpoint="highest/{name}",
            method="PUT",
            key="name",
            rate_limit="100/s",
        )

    post_highest()


taskflow()
