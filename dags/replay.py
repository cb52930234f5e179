"""Send dead letters again, by hand: after the API has recovered, or accepts what it refused.

Trigger it with the folder that a report names under ``dead_letters``, or with a list of them:

    airflow dags trigger replay --conf '{"dead_letters": "file:///...", "preview_only": true}'
"""

from datetime import UTC, datetime

try:
    from airflow.sdk import DAG, Param, task
except ImportError:  # Airflow 2.11
    from airflow import DAG
    from airflow.decorators import task
    from airflow.models.param import Param

from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

with DAG(
    dag_id="replay",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    params={
        "dead_letters": Param([], type=["string", "array"], description="a folder's URI, or a list of them"),
        "preview_only": Param(False, type="boolean", description="count them by reason, and send nothing"),
    },
):
    # This task's log and XCom say what would be sent.
    preview = ReplayDeadLettersOperator(
        task_id="preview", dead_letters="{{ params.dead_letters }}", http_conn_id="search_api", preview=True
    )

    @task.short_circuit
    def is_to_be_sent(params: dict) -> bool:
        """End the run here when only the preview is asked for."""
        return not params["preview_only"]

    replay = ReplayDeadLettersOperator(
        task_id="replay",
        dead_letters="{{ params.dead_letters }}",
        http_conn_id="search_api",
        # A small share of what the API allows: it may run beside dags/sensors.py.
        rate_limit="25/s",
        # The default, "all_done", would send after a preview that failed.
        trigger_rule="all_success",
    )

    preview >> is_to_be_sent() >> replay
