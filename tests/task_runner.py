"""Airflow's real task runner, in this process, with a supervisor that keeps XCom and state in a file.

The file survives a SIGKILL, as Airflow's database does. A try in a process of its own can be killed; see
:func:`spawn_try`.
"""

import importlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from engine import run_within

WINDOW = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC))


@dataclass
class Supervisor:
    """Answers what the task asks of Airflow; everything it is told lies in ``path`` afterwards."""

    path: Path
    failing: bool = False  # the state store raises
    slow: threading.Event | None = None  # the state store answers once it is set
    data: dict = field(init=False)
    wrong: list = field(default_factory=list)  # reports whose rows do not add up
    # A task writes progress and XCom by two threads, whose calls Airflow's own connection takes one by one.
    lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self):
        empty = {"state": {}, "xcom": {}, "outcome": None}
        self.data = json.loads(self.path.read_text()) if self.path.exists() else empty

    def send(self, msg):
        from airflow.sdk.execution_time import comms

        if isinstance(msg, comms.GetTaskStateStore | comms.SetTaskStateStore | comms.DeleteTaskStateStore):
            time.sleep(float(os.environ.get("STATE_STORE_SECONDS", "0")))
            if self.slow is not None:
                self.slow.wait(60)
            if self.failing:
                raise ConnectionError("the API server is away")
        with self.lock:
            return self.answer(msg)

    def answer(self, msg):
        from airflow.sdk.exceptions import ErrorType
        from airflow.sdk.execution_time import comms

        match msg:
            case comms.GetTaskStateStore(key=key):
                if key not in self.data["state"]:
                    return comms.ErrorResponse(error=ErrorType.TASK_STORE_NOT_FOUND)
                return comms.TaskStateStoreResult(value=self.data["state"][key])
            case comms.SetTaskStateStore(key=key, value=value):
                assert len(json.dumps(value)) <= 65_535, "larger than Airflow's state store takes"
                self.data["state"][key] = value
                self.check(value)
            case comms.DeleteTaskStateStore(key=key):
                self.data["state"].pop(key, None)
            case comms.SetXCom(key="return_value") if "XCOM_FAILS" in os.environ:
                raise ConnectionError("the API server takes no XCom")
            case comms.SetXCom(key=key, value=value):
                self.data["xcom"][key] = value
                self.check(value)
            case comms.GetXCom(key=key):
                return comms.XComResult(key=key, value=self.data["xcom"].get(key))
            case comms.SucceedTask():
                if os.environ.get("DIES_BEFORE_SUCCESS"):
                    os.kill(os.getpid(), signal.SIGKILL)
                self.data["outcome"] = "success"
            case comms.RetryTask():
                self.data["outcome"] = "up_for_retry"
            case comms.TaskState(state=state):
                self.data["outcome"] = str(state.value)
            case comms.RescheduleTask(reschedule_date=date):
                self.data["outcome"] = "up_for_reschedule"
                self.data["starts_at"] = date.isoformat()
            case comms.GetConnection():
                return comms.ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND)
            case comms.GetVariable():
                return comms.ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND)
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(self.data))
        temporary.replace(self.path)
        return comms.OKResponse(ok=True)

    def check(self, value) -> None:
        """Every row is accounted for, in every report there is."""
        if isinstance(value, dict) and "unfinished" in value and "read" in value:
            parts = value["delivered"] + value["failed"] + value["skipped"] + value["unfinished"]
            if value["read"] != parts or (self.data["outcome"] == "success" and value["unfinished"]):
                self.wrong.append(value)

    @property
    def report(self) -> dict:
        return self.data["xcom"]["return_value"]

    @property
    def checkpoint(self) -> dict | None:
        return self.data["state"].get("checkpoint")


def run_try(
    task,
    supervisor: Supervisor,
    try_number: int = 1,
    *,
    conf=None,
    window=WINDOW,
    max_tries=3,
    run_type="scheduled",
    map_index=-1,
    run_started=None,
    reschedules=0,
):
    """Run one try of a task; give Airflow's state for it and the error, if any.

    :param reschedules: how often it has been, as Airflow counts.
    :param run_started: when its run began; default: when the supervisor's first try did.

    As in Airflow, XCom is empty when a try starts and nothing has come of it, and the state store is not empty.
    """
    import structlog
    from airflow.sdk import DAG
    from airflow.sdk.api.datamodels._generated import DagRun, TIRunContext
    from airflow.sdk.execution_time import task_runner

    if not task.has_dag():
        task.dag = DAG("the_dag", schedule=None, template_searchpath=str(Path(__file__).parent / "sql"))
    now = datetime.now(UTC)
    supervisor.data = {"run_started": now.isoformat(), **supervisor.data, "xcom": {}, "outcome": None}
    start, end = window or (None, None)
    dag_run = DagRun(
        dag_id=task.dag.dag_id,
        run_id="scheduled__2026-11-01",
        logical_date=start,
        data_interval_start=start,
        data_interval_end=end,
        run_after=now,
        start_date=run_started or datetime.fromisoformat(supervisor.data["run_started"]),
        end_date=None,
        run_type=run_type,
        state="running",
        conf=conf,
        consumed_asset_events=[],
        partition_key=None,
    )
    ti = task_runner.RuntimeTaskInstance.model_construct(
        id=uuid.UUID(int=1),
        task_id=task.task_id,
        dag_id=task.dag.dag_id,
        run_id=dag_run.run_id,
        try_number=try_number,
        map_index=map_index,
        dag_version_id=uuid.UUID(int=2),
        task=task,
        _ti_context_from_server=TIRunContext(
            dag_run=dag_run, max_tries=max_tries, should_retry=True, task_reschedule_count=reschedules
        ),
        max_tries=max_tries,
        start_date=now,
        state="running",
    )
    before = getattr(task_runner, "SUPERVISOR_COMMS", None)
    handler = signal.getsignal(signal.SIGTERM)
    task_runner.SUPERVISOR_COMMS = supervisor
    try:
        log, context = structlog.get_logger("task"), ti.get_template_context()
        state, _, error = task_runner.run(ti, context, log)
        context["exception"] = error  # as task_runner.main does, for callbacks
        task_runner.finalize(ti, state, context, log, error)
    finally:
        task_runner.SUPERVISOR_COMMS = before
        signal.signal(signal.SIGTERM, handler)
    assert supervisor.wrong == []
    return str(state.value), error


# Made once for all tests: it has Airflow and the engine loaded, and each try is a copy of it.
_SERVER = multiprocessing.get_context("forkserver")
_LOADED = [
    "tasks",
    "task_runner",
    "airflow_async_rest.tasks.fetch_jobs",
    "airflow.sdk.execution_time.task_runner",
    "psycopg",
]


def spawn_try(task_module: str, supervisor_path: Path, try_number: int) -> multiprocessing.Process:
    """Run one try of ``task_module.make_task()`` in a process of its own, with this one's environment.

    It can be killed; its exit code is 0 after a success.
    """
    _SERVER.set_forkserver_preload(_LOADED)
    process = _SERVER.Process(target=_run_spawned, args=(task_module, supervisor_path, try_number, dict(os.environ)))
    process.start()
    return process


def _run_spawned(task_module: str, supervisor_path: Path, try_number: int, environment: dict) -> None:
    os.environ.clear()
    os.environ.update(environment)
    if "PARENT" in environment:  # as Airflow has it: a supervisor, and the task in a process group of its own
        if child := os.fork():
            os.waitpid(child, 0)
            os._exit(0)
        os.setpgid(0, 0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        os.dup2(nowhere, output)
    # So that a short try, on a fast machine too, has some checkpoints before it is killed.
    run_within(pytest.MonkeyPatch(), write_every_seconds=float(environment.get("WRITE_EVERY_SECONDS", 0.2)))
    outcome, _ = run_try(importlib.import_module(task_module).make_task(), Supervisor(supervisor_path), try_number)
    sys.exit(0 if outcome == "success" else 1)
