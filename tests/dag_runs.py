"""What a run of a DAG leaves behind, and the readings that the example DAGs deliver."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

READINGS_A_DAY = 40
THREE_DAYS = {"start": "2026-03-01", "end": "2026-03-04"}


def after_day(number: int) -> datetime:
    """The logical date whose run has the first, second or third day as its window: the midnight that ends it."""
    return datetime(2026, 3, number + 1, tzinfo=UTC)


def ids_of_day(number: int) -> list[int]:
    """The ids of the first, second or third day."""
    return list(range((number - 1) * READINGS_A_DAY + 1, number * READINGS_A_DAY + 1))


@dataclass(frozen=True)
class Run:
    """A run of a DAG that has ended."""

    dag_run: Any

    @property
    def state(self) -> str:
        return str(self.dag_run.state)

    def states(self, task_id: str) -> list[str]:
        """The states of a task, one for each map index."""
        instances = [ti for ti in self.dag_run.get_task_instances() if ti.task_id == task_id]
        return [str(ti.state) for ti in sorted(instances, key=lambda ti: ti.map_index)]

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        ti = self.dag_run.get_task_instance(task_id, map_index=map_index)
        return ti.xcom_pull(task_ids=task_id, key=key, map_indexes=map_index)

    def report(self, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """The report in XCom, in which every row is accounted for."""
        report = self.xcom(task_id, map_index=map_index)
        assert report["read"] == sum(report[part] for part in ("delivered", "failed", "skipped", "unfinished"))
        return report


def ids(seen) -> list[int]:
    """Which rows requests were for, sorted."""
    return sorted(int(request.path.rpartition("/")[2]) for request in seen)


def refuse(*refused: int) -> Callable:
    """What an API answers that refuses some rows for good."""
    return lambda seen: 422 if ids([seen])[0] in refused else 200


def dead_letters(folder_uri: str) -> dict[int, str]:
    """What lies in a dead-letter folder and is not resolved: key -> reason."""
    from airflow_async_rest.tasks.storage.folders import open_folder

    return {record["key"]: record["reason"] for record in open_folder(folder_uri).iter_records()}
