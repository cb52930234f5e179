"""The windows of a DAG: state and counts of each, from Airflow's own tables in a few queries.

The list of XCom entries in Airflow's REST API has no values, and thousands of requests for one each would take minutes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import select, union
from sqlalchemy.orm import Session

from airflow_async_rest.compat.names import XComModel
from airflow_async_rest.compat.task_states import serialized_dag
from airflow_async_rest.compat.ui import run_after
from airflow_async_rest.ui.reports import LEFT_BY_ALL, Failed, failures_in, is_report, replays_of, reports_of, window_of
from airflow_async_rest.ui.schedule.due import missing_runs
from airflow_async_rest.ui.states import Place, TaskInstanceId, progress_of

_RUN_AFTER = run_after(DagRun)
_RUN_STATE = DagRun._state.label("run_state")  # noqa: SLF001  (its public name is no column)
_OPERATORS = ("SqlToRestOperator", "RestToSqlOperator")
_MOST_IN_PROGRESS = 1_000
_COUNTS = (
    *("read", "delivered", "failed", "skipped", "unfinished", "elapsed_seconds", "items_per_second", "complete"),
    *("rows_loaded", "rows_refused", "preview", "delivered_later", "error", "reasons", "requests", "latency_ms"),
)
_MOST_WITH_FAILURES = 1_000
_MOST_TASKS_WITH_LIMITS = 50


def list_windows(session: Session, dag_id: str, limit: int) -> dict[str, Any]:
    """Return the windows of a DAG's tasks that deliver or fetch, and what is known of its schedule.

    :param limit: most task instances that are given.
    :return: that of :func:`newest_windows`, and ``timetable`` (its class and its zone, or None), ``missing`` (see
        :func:`~airflow_async_rest.ui.schedule.due.missing_runs`), ``limits`` (task -> the rate limit of its newest
        run, where it had one).
    """
    found = newest_windows(session, dag_id, limit)
    timetable = timetable_of(serialized_dag(session, dag_id)) if found["tasks"] else None
    missing = _missing(session, dag_id, timetable, found["windows"])
    return {**found, "timetable": timetable, "missing": missing, "limits": _limits(session, dag_id, found["windows"])}


def newest_windows(session: Session, dag_id: str, limit: int) -> dict[str, Any]:
    """Return the windows of a DAG's tasks that deliver or fetch, the newest runs' first.

    :param limit: most task instances that are given.
    :return: ``tasks`` (ids), ``windows`` (one for each task instance; ``replay`` is the last one of its dead letters by
        another task, since it has ended; ``run_start`` and ``run_end`` are the run's own data interval), ``truncated``
        (whether there are more).
    """
    tasks = _task_ids(session, dag_id)
    found = session.execute(
        select(
            TaskInstance.task_id,
            TaskInstance.run_id,
            TaskInstance.map_index,
            TaskInstance.state,
            TaskInstance.operator,
            _RUN_STATE,
            DagRun.run_type,
            DagRun.data_interval_start.label("start"),
            DagRun.data_interval_end.label("end"),
            _RUN_AFTER.label("run_after"),
            TaskInstance.start_date.label("started_at"),
            TaskInstance.end_date.label("ended_at"),
            TaskInstance.try_number,
        )
        .join(DagRun, (DagRun.dag_id == TaskInstance.dag_id) & (DagRun.run_id == TaskInstance.run_id))
        .where(TaskInstance.dag_id == dag_id, TaskInstance.task_id.in_(tasks))
        .order_by(_RUN_AFTER.desc(), DagRun.id.desc(), TaskInstance.task_id, TaskInstance.map_index)
        .limit(limit + 1)
    ).all()
    reports = _reports(session, dag_id, tasks, {line.run_id for line in found})
    reports = {**_progress(session, dag_id, [line for line in found if _place(line) not in reports]), **reports}
    replays = _replays(dag_id, found[:limit], reports)
    windows = [_window(line, reports.get(_place(line)), replays.get(_place(line))) for line in found[:limit]]
    return {"tasks": tasks, "windows": windows, "truncated": len(found) > limit}


def _missing(
    session: Session, dag_id: str, timetable: dict[str, str] | None, windows: Sequence[Mapping[str, Any]]
) -> list[Any]:
    """Find the runs between the first and the last of these that the schedule has asked for, and that are not there."""
    if timetable is None or not windows:
        return []
    since, until = (datetime.fromisoformat(windows[place]["run_after"]) for place in (-1, 0))
    return missing_runs(session, dag_id, timetable["zone"], since, until)


def timetable_of(dag: Mapping[str, Any]) -> dict[str, str] | None:
    """Return a serialized DAG's timetable as its class and the zone of its dates; None where that is not known."""
    timetable = dag.get("dag", {}).get("timetable")
    if not isinstance(timetable, Mapping):
        return None
    fields = timetable.get("__var")
    zone = fields.get("timezone") if isinstance(fields, Mapping) else None
    name = str(timetable.get("__type", "")).rpartition(".")[2]
    return {"type": name, "zone": zone if isinstance(zone, str) else "UTC"}


def _task_ids(session: Session, dag_id: str) -> list[str]:
    """Find the tasks whose operator is one of ours, and those of subclasses and functions, by what they leave."""
    ours = select(TaskInstance.task_id).where(TaskInstance.dag_id == dag_id, TaskInstance.operator.in_(_OPERATORS))
    leave_it = select(XComModel.task_id).where(XComModel.dag_id == dag_id, XComModel.key == LEFT_BY_ALL)
    return sorted(session.scalars(union(ours, leave_it)))


def _reports(session: Session, dag_id: str, tasks: list[str], runs: Collection[str]) -> dict[Place, Mapping[str, Any]]:
    """Find the reports: run, task and map index -> report."""
    its = (XComModel.dag_id == dag_id, XComModel.task_id.in_(tasks), XComModel.run_id.in_(runs))
    return {task[1:]: report for task, report in reports_of(session, *its).reports.items()}


def _progress(session: Session, dag_id: str, lines: Sequence[Any]) -> dict[Place, Mapping[str, Any]]:
    """Find how far task instances are that have no report: the newest 1,000 of those that have begun."""
    begun = [_place(line) for line in lines if line.try_number][:_MOST_IN_PROGRESS]
    return _only_reports(progress_of(session, dag_id, begun))


def _limits(session: Session, dag_id: str, windows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Find the rate limit of each task's newest run that has begun: only what shows while it runs has it."""
    newest = {
        each["task_id"]: (each["run_id"], each["task_id"], each["map_index"])
        for each in reversed(windows)
        if each["try_number"]
    }
    places = list(newest.values())[:_MOST_TASKS_WITH_LIMITS]
    found = _only_reports(progress_of(session, dag_id, places))
    return {task: report["rate_limit"] for (_, task, _), report in found.items() if report.get("rate_limit")}


def _replays(
    dag_id: str, lines: Sequence[Any], reports: Mapping[Place, Mapping[str, Any]]
) -> dict[Place, Mapping[str, Any]]:
    """Find who has sent dead letters again that a task has left: of the newest 1,000 windows that have some."""
    failed = [
        Failed(TaskInstanceId(dag_id, *_place(line)), reports[_place(line)], line.ended_at)
        for line in lines
        if failures_in(reports.get(_place(line)))
    ]
    return {task[1:]: replay for task, replay in replays_of(failed[:_MOST_WITH_FAILURES]).items()}


def _only_reports(values: Iterable[tuple[Sequence[Any], Any]]) -> dict[Place, Mapping[str, Any]]:
    return {(run_id, task_id, map_index): value for (run_id, task_id, map_index), value in values if is_report(value)}


def _place(line: Any) -> Place:
    return line.run_id, line.task_id, line.map_index


def _window(line: Any, report: Mapping[str, Any] | None, replay: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return one task instance; its window is the report's, and until there is one its run's."""
    shown = dict(line._mapping)  # noqa: SLF001  (SQLAlchemy's documented name)
    shown |= {"run_start": line.start, "run_end": line.end}
    if window := window_of(report):
        shown |= {"start": window[0], "end": window[1]}
    shown["report"] = None if report is None else {name: report[name] for name in _COUNTS if name in report}
    shown["replay"] = replay
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in shown.items()}
