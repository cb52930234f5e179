"""A child: Airflow's API server, over a DAG of many runs whose newest two have left dead letters.

It says where it listens, and ends with its standard input. Its arguments are how many runs there are, and how many dead
letters the newest run has left, and the one before.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.database import running_postgres
from benchmarks.measuring import SERVER_CORE, pinned

DAG, TASK, NEWEST, BEFORE = "hourly", "post", "run1", "run2"
_LETTERS = Path("dead_letters")

_RUNS = f"""
    INSERT INTO dag_run (dag_id, run_id, run_type, state, logical_date, data_interval_start, data_interval_end,
        run_after, start_date, end_date, clear_number, span_status)
    SELECT '{DAG}', 'run' || number, 'scheduled', 'success', hour, hour, hour + interval '1 hour',
        hour + interval '1 hour', hour + interval '1 hour', hour + interval '65 minutes', 0, 'not_started'
    FROM generate_series(:runs, 1, -1) AS number,
        LATERAL (SELECT date_trunc('hour', now()) - number * interval '1 hour' AS hour) AS hours
"""
_TASKS = f"""
    INSERT INTO task_instance (id, dag_id, run_id, task_id, map_index, state, operator, pool, pool_slots, try_number,
        max_tries, start_date, end_date, span_status)
    SELECT gen_random_uuid(), dag_id, run_id, '{TASK}', -1, CASE WHEN id % 20 = 0 THEN 'failed' ELSE 'success' END,
        'SqlToRestOperator', 'default_pool', 1, 1, 0, run_after, run_after + interval '5 minutes', 'not_started'
    FROM dag_run
"""
_XCOM = f"""
    INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp)
    SELECT id, '{TASK}', -1, key, dag_id, run_id, CASE WHEN key = 'failed_items' THEN CAST('[]' AS jsonb)
        WHEN id % 20 = 0 THEN CAST(:failed AS jsonb) ELSE CAST(:done AS jsonb) END, now()
    FROM dag_run, (VALUES ('return_value'), ('failed_items')) AS keys (key)
"""
_LEFT = (
    f"UPDATE xcom SET value = CAST(:report AS jsonb) WHERE run_id = :run AND key = 'return_value' AND dag_id = '{DAG}'"
)
_FAILED = f"UPDATE task_instance SET state = 'failed' WHERE run_id = :run AND dag_id = '{DAG}'"


@contextmanager
def running_airflow(runs: int, many: int, few: int) -> Iterator[str]:
    """Run it until the block ends. :return: its URL, where everybody is an admin."""
    with running_postgres() as postgres, tempfile.TemporaryDirectory(prefix="async-rest-bench-ui-") as home:
        environment = os.environ | {
            "AIRFLOW_HOME": home,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://postgres@/postgres?host={postgres['host']}",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API_AUTH__JWT_SECRET": "x" * 64,
            "AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH": str(Path(home) / _LETTERS),
        }
        command = [sys.executable, "-m", "benchmarks.airflow_ui", str(runs), str(many), str(few)]
        with pinned(SERVER_CORE):
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        with child:
            yield _address(child)


def _address(child: "subprocess.Popen[bytes]") -> str:
    """Return what it says as the last of its lines that Airflow does not say."""
    for line in child.stdout or ():
        if line.startswith(b"http://"):
            return line.decode().strip()
    raise RuntimeError("Airflow's API server has ended")


def _report(delivered: int, failed: int = 0, **more: Any) -> str:
    counts = {"read": delivered + failed, "delivered": delivered, "failed": failed, "skipped": 0, "unfinished": 0}
    reasons = {"http_422": failed} if failed else {}
    times = {"elapsed_seconds": 20.0, "items_per_second": delivered / 20, "latency_ms": {"p50": 3, "p95": 9, "p99": 20}}
    return json.dumps({**counts, **times, "complete": True, "reasons": reasons, "requests": delivered + failed, **more})


def _fill(runs: int, left: dict[str, int]) -> None:
    """Write the DAG, its runs, their reports, and the dead letters of the newest."""
    from airflow.utils.session import create_session  # noqa: PLC0415
    from sqlalchemy import text  # noqa: PLC0415

    _define(runs)
    with create_session() as session:
        for statement in (_RUNS, _TASKS, _XCOM):
            values = {"runs": runs, "done": _report(1_000), "failed": _report(990, 10)}
            session.execute(text(statement), values)
        for run, number in left.items():
            folder = _write_letters(run, number)
            session.execute(
                text(_LEFT), {"run": run, "report": _report(2_000, number, dead_letters=f"file://{folder}")}
            )
            session.execute(text(_FAILED), {"run": run})
        session.execute(text("ANALYZE"))


def _define(runs: int) -> None:
    """Keep the DAG as Airflow's DAG processor does, so that its pages show it."""
    from airflow.models.dag import DagModel  # noqa: PLC0415
    from airflow.models.dagbundle import DagBundleModel  # noqa: PLC0415
    from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415
    from airflow.providers.standard.operators.empty import EmptyOperator  # noqa: PLC0415
    from airflow.sdk import DAG as Dag  # noqa: N811, PLC0415
    from airflow.serialization.serialized_objects import LazyDeserializedDAG  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415

    start = datetime.now(UTC) - timedelta(hours=runs + 1)
    with Dag(DAG, schedule="@hourly", start_date=start) as dag:
        EmptyOperator(task_id=TASK)
    with create_session() as session:
        session.add(DagBundleModel(name="bench"))
        session.flush()
        session.add(
            DagModel(dag_id=DAG, bundle_name="bench", fileloc="/dags/hourly.py", is_stale=False, is_paused=False)
        )
        session.flush()
        SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), bundle_name="bench", session=session)


def _write_letters(run: str, number: int) -> Path:
    from airflow_async_rest.core.letters.folder import DeadLetterFolder  # noqa: PLC0415
    from airflow_async_rest.core.models import DeadLetter, Item, Request  # noqa: PLC0415

    folder = Path(os.environ["AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH"]) / DAG / run / TASK / "-1"
    letters = [
        DeadLetter.of(
            Item(index, index, {"id": index}, None),
            "http_422",
            request=Request("PUT", f"sensors/{index}", "", b'{"id": %d, "value": 1.5}' % index, f"key{index}"),
            status=422,
            attempts=1,
            detail=f'{{"detail": "sensor {index} was withdrawn"}}',
        )
        for index in range(number)
    ]
    DeadLetterFolder(folder, 1).write(letters)
    return folder


def _main(runs: int, many: int, few: int) -> None:
    from airflow.utils.db import initdb  # noqa: PLC0415

    initdb()
    _fill(runs, {NEWEST: many, BEFORE: few})
    import uvicorn  # noqa: PLC0415
    from airflow.api_fastapi.app import create_app  # noqa: PLC0415

    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(create_app(apps="core"), log_level="error")).run([listening])


if __name__ == "__main__":
    _main(*map(int, sys.argv[1:]))
