"""What a task of a small window pays before its first request: imports, connections, the state store.

Airflow's own task runner runs it, in a fresh process, with a supervisor that has nothing to tell. The time is that from
the runner's begin until the API sees a request, or until the function of an empty task is called.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from benchmarks.database import ROWS_SQL
from benchmarks.measuring import Figure, Plan, figure, in_turns
from benchmarks.surroundings import running_ends

_ROUNDS = 7  # a process start is short and noisy
_ROWS = 100
_MOST_EXTRA_MS = 150
_WINDOW = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare with an empty ``PythonOperator``."""
    with running_ends(plan), _Api() as api, tempfile.TemporaryDirectory(prefix="async-rest-bench-pyc-") as compiled:
        # As an installed package: what it imports was compiled before.
        environment = {**os.environ, "AIRFLOW_CONN_SEARCH_API": api.connection}
        if not plan.smoke:
            environment |= {"PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
            _milliseconds("ours", api, environment)
            _milliseconds("empty", api, environment)
        pairs = in_turns(
            1 if plan.smoke else _ROUNDS,
            lambda: _milliseconds("empty", api, environment),
            lambda: _milliseconds("ours", api, environment),
        )
    yield figure(
        "first_request",
        f"{_ROWS} rows, from the task's begin to the first request: ms",
        pairs,
        "an empty PythonOperator",
        target=f"< {_MOST_EXTRA_MS} ms more",
        meets=lambda found: found.ours.median - found.baseline.median < _MOST_EXTRA_MS,
    )


class _Api(ThreadingHTTPServer):
    """An API that notes when it saw its first request; on the clock that all processes of a machine have."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.seen_at: float | None = None
        Thread(target=self.serve_forever, daemon=True).start()
        self.connection = json.dumps(
            {"conn_type": "async_rest", "schema": "http", "host": "127.0.0.1", "port": self.server_port}
        )

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        super().__exit__(*error)


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, _Api)
        self.server.seen_at = self.server.seen_at or time.monotonic()
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002  (its name there)
        """Say nothing."""


def _milliseconds(task: str, api: _Api, environment: dict[str, str]) -> float:
    api.seen_at = None
    command = [sys.executable, "-m", "benchmarks.first_request", task]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120, env=environment)
    began, called = json.loads(done.stdout.splitlines()[-1])
    if (seen := api.seen_at if task == "ours" else called) is None:
        raise RuntimeError(f"the task ({task}) sent, or called, nothing")
    return float(seen - began) * 1000


def _run(which: str) -> tuple[float, float | None]:
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
                sql=ROWS_SQL,
                parameters={"rows": _ROWS},
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
    """Answers that there is nothing, at once."""

    def send(self, msg: Any) -> Any:
        from airflow.sdk.exceptions import ErrorType  # noqa: PLC0415
        from airflow.sdk.execution_time import comms  # noqa: PLC0415

        nothing = {
            comms.GetTaskStateStore: ErrorType.TASK_STORE_NOT_FOUND,
            comms.GetConnection: ErrorType.CONNECTION_NOT_FOUND,
            comms.GetVariable: ErrorType.VARIABLE_NOT_FOUND,
        }
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
    print(json.dumps(_run(sys.argv[1])))
