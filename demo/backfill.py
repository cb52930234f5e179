"""The week's backfills and the replay after them, as Airflow tells of them."""

import json
from pathlib import Path
from typing import Any

from demo.airflow_client import Airflow, TaskRuns
from demo.facts import DayRun
from demo.week import DAYS

DAG, BULK_DAG, TASK = "sensors", "sensors_bulk", "post_sensors"
FETCH_DAG = FETCH_TASK = "fetch_readings"
ENDED = ("success", "failed")


class Backfill:
    """Seven runs of a DAG, one for each day; how many of them work at a time, the DAG itself limits.

    :param task_id: of the task that each run is for.
    """

    def __init__(self, airflow: Airflow, dag_id: str, task_id: str = TASK) -> None:
        self._airflow = airflow
        self.dag_id = dag_id
        self._task_id = task_id
        self._ended: dict[str, DayRun] = {}

    def make(self) -> None:
        """Make the runs, which begin when the DAG is switched on."""
        self._airflow.backfill(self.dag_id, f"{DAYS[0]:%Y-%m-%d}", f"{DAYS[-1]:%Y-%m-%d}", max_active_runs=len(DAYS))

    def clear(self, day: DayRun) -> None:
        """Let the task of a day run again, which has ended."""
        TaskRuns(self._airflow, self.dag_id, day.run_id).clear(self._task_id)
        del self._ended[day.run_id]

    @property
    def has_ended(self) -> bool:
        """Whether every run has ended, and left all that it leaves; its task has by then, for a moment or longer."""
        return len(self._ended) == len(DAYS)

    def days(self) -> list[DayRun]:
        """Look how far each day is."""
        return [self._ended.get(run["dag_run_id"]) or self._look(run) for run in self._airflow.runs(self.dag_id)]

    def _look(self, run: dict[str, Any]) -> DayRun:
        run_id, day = run["dag_run_id"], run["data_interval_start"][:10]
        tasks = TaskRuns(self._airflow, self.dag_id, run_id)
        if run["state"] not in ENDED:
            # A task that waits for its turn is of a run that is running.
            state = tasks.task(self._task_id)["state"] or "queued"
            return DayRun(day, run_id, state, tasks.stored(self._task_id, "progress") or {})
        report = tasks.xcom(self._task_id) or {}
        failed = {
            item["key"]: str(item["response_excerpt"]) for item in tasks.xcom(self._task_id, "failed_items") or ()
        }
        self._ended[run_id] = DayRun(day, run_id, run["state"], report, failed, dead_ids(report.get("dead_letters")))
        return self._ended[run_id]


def dead_ids(uri: str | None) -> list[int]:
    """Read from the files themselves what lies in a dead-letter folder, and was not delivered after all."""
    dead: dict[int, int] = {}
    folder = Path((uri or "/nowhere").removeprefix("file://"))
    for part in sorted(folder.glob("*.jsonl"), key=lambda part: [int(number) for number in part.stem.split("-")]):
        for record in map(json.loads, part.read_text().splitlines()):
            if record.get("reset"):
                dead.clear()
            elif record.get("resolved"):
                dead.pop(record["index"], None)
            else:
                dead[record["index"]] = record["key"]
    return list(dead.values())


class Replay:
    """A run of dags/replay.py, for the dead letters of some days."""

    def __init__(self, airflow: Airflow, days: list[DayRun]) -> None:
        airflow.switch_on("replay")
        folders = [day.report["dead_letters"] for day in days if day.report.get("dead_letters")]
        self._tasks = airflow.run("replay", {"dead_letters": folders})

    def state(self) -> str:
        """Return the run's state."""
        return self._tasks.state()

    def report(self) -> dict[str, Any]:
        """Return the report of the task that sends."""
        return self._tasks.xcom("replay") or {}
