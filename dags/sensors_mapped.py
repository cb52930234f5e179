"""A long span of time, cut into days that are delivered side by side, by as many workers as there are.

Trigger it with the first day and the day after the last one.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param, task

from airflow_async_rest import split_windows
from airflow_async_rest.operators.replay import ReplayDeadLettersOperator
from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

with DAG(
    dag_id="sensors_mapped",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    params={
        "start": Param("2026-03-01", type="string", format="date"),
        "end": Param("2026-04-01", type="string", format="date", description="the day after the last one"),
    },
):

    @task
    def days(params: dict) -> list[dict[str, str]]:
        """Cut the span: ``[{"window_start": ..., "window_end": ...}, ...]``, one mapped task for each."""
        return split_windows(params["start"], params["end"], timedelta(days=1))

    post_sensors = SqlToRestOperator.partial(
        task_id="post_sensors",
        sql_conn_id="source_db",
        sql="""
            SELECT id, name, value, measured_at
            FROM sensors
            WHERE measured_at >= :window_start AND measured_at < :window_end
            ORDER BY id
        """,
        key="id",
        http_conn_id="search_api",
        method="PUT",
        endpoint="sensors/{id}",
        # A rate limit is one task's own: four days at a time, in all runs of this DAG, send 400 requests a second.
        max_active_tis_per_dag=4,
        rate_limit="100/s",
        concurrency=8,
        retries=2,
        retry_delay=timedelta(seconds=10),
    ).expand_kwargs(days())

    # What failed for a while (an API that was down, a deploy) is sent once more when all days are through. What the
    # API refuses for good fails here again, and stays in the dead letters. So it does when a day left no report.
    replay = ReplayDeadLettersOperator(
        task_id="replay",
        of=post_sensors,
        http_conn_id="search_api",
        rate_limit="100/s",
    )
