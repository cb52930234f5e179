"""One task, run by Airflow's own runner in this process; and when it began, and its function was called.

Nothing is imported here that such a process does not import anyway: it would be paid for before the time begins.
"""

import json
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime
from typing import Any

_WINDOW = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)


def _run(which: str, sql: str, rows: int) -> tuple[float, float | None]:
    """Run the task, in this process. :return: when it began, and when its function was called; on the common clock."""
    import structlog  # noqa: PLC0415
    from airflow.providers.standard.operators.python import PythonOperator  # noqa: PLC0415
    from airflow.sdk import DAG  # noqa: PLC0415

    # The supervisor's process has it, of which a task's is a copy.
    from airflow.sdk.execution_time import supervisor, task_runner  # noqa: F401, PLC0415

    from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator  # noqa: PLC0415

    called: list[float] = []
    with DAG("bench", schedule=None), tempfile.TemporaryDirectory(prefix="async-rest-bench-letters-") as folder:
        task: Any = PythonOperator(task_id="empty", python_callable=lambda: called.append(time.monotonic()))
        if which == "ours":
            task = SqlToRestOperator(
                task_id="post",
                sql=sql,
                parameters={"rows": rows},
                sql_conn_id="source_db",
                http_conn_id="search_api",
                endpoint="items",
                key="id",
                dead_letter_path=folder,
            )
        runner: Any = task_runner
        runner.SUPERVISOR_COMMS = _Supervisor()
        ti = _task_instance(task)
        log, context, began = structlog.get_logger("task"), ti.get_template_context(), time.monotonic()
        state, _, error = task_runner.run(ti, context, log)
    if state != "success":
        raise RuntimeError(f"the task ended as {state}: {error}")
    return began, called[0] if called else None


class _Supervisor:
    """Answers at once: it keeps the task's state, and has nothing else."""

    def __init__(self) -> None:
        self._state: dict[str, Any] = {}

    def send(self, msg: Any) -> Any:
        from airflow.sdk.exceptions import ErrorType  # noqa: PLC0415
        from airflow.sdk.execution_time import comms  # noqa: PLC0415

        nothing = {
            comms.GetTaskStateStore: ErrorType.TASK_STORE_NOT_FOUND,
            comms.GetConnection: ErrorType.CONNECTION_NOT_FOUND,
            comms.GetVariable: ErrorType.VARIABLE_NOT_FOUND,
        }
        if isinstance(msg, comms.SetTaskStateStore):
            self._state[msg.key] = msg.value
        if isinstance(msg, comms.GetTaskStateStore) and msg.key in self._state:
            return comms.TaskStateStoreResult(value=self._state[msg.key])
        if type(msg) in nothing:
            return comms.ErrorResponse(error=nothing[type(msg)])
        if isinstance(msg, comms.GetXCom):
            return comms.XComResult(key=msg.key, value=None)
        return comms.OKResponse(ok=True)


def _task_instance(task: Any) -> Any:
    from airflow.sdk.api.datamodels._generated import DagRun, TIRunContext  # noqa: PLC0415
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance  # noqa: PLC0415

    start, end = _WINDOW
    run = DagRun(
        dag_id="bench",
        run_id="run",
        logical_date=start,
        data_interval_start=start,
        data_interval_end=end,
        run_after=end,
        start_date=end,
        end_date=None,
        run_type="scheduled",
        state="running",
        conf=None,
        consumed_asset_events=[],
        partition_key=None,
    )
    return RuntimeTaskInstance.model_construct(
        id=uuid.UUID(int=1),
        task_id=task.task_id,
        dag_id="bench",
        run_id="run",
        try_number=1,
        map_index=-1,
        dag_version_id=uuid.UUID(int=2),
        task=task,
        _ti_context_from_server=TIRunContext(dag_run=run, max_tries=0, should_retry=False),
        max_tries=0,
        start_date=end,
        state="running",
    )


if __name__ == "__main__":
    print(json.dumps(_run(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
