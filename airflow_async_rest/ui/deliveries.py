"""The tasks of all DAGs that deliver or fetch, a row for each: a page of DAGs at a time, from Airflow's own tables.

A page costs the same few queries, whatever there is. They read the runs of its DAGs by Airflow's index over these, and
the reports of the newest 200 of each. An index of reports of our own would be one more thing to keep true.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import func, or_, select, tuple_
from sqlalchemy.orm import Session

from airflow_async_rest.ui.freshness import Dag, Instance, row_of
from airflow_async_rest.ui.reports import LEFT_BY_ALL, Failed, failures_in, is_report, replays_of, reports_of
from airflow_async_rest.ui.states import TaskInstanceId, progress_of_tasks

OPERATORS = ("SqlToRestOperator", "RestToSqlOperator", "ReplayDeadLettersOperator")
_LOOKED_AT = 100  # DAGs of a page, of which the first so many that have such tasks are shown
_LOOKED_FOR_IN = 20  # newest runs of a DAG
_MOST_RUNS = 200  # newest of a DAG, whose reports are read
_MOST_INSTANCES = 20_000
_MOST_IN_PROGRESS = 200
_MOST_REPLAYED = 200  # a file of each is read
_BEGUN = {"success", "failed", "running", "restarting", "deferred", "up_for_retry", "up_for_reschedule"}
TaskId = tuple[str, str]


def list_deliveries(
    session: Session, readable: Collection[str], see: Callable[[list[str]], set[str]], after: str, limit: int
) -> dict[str, Any]:
    """Return the rows of a page of DAGs, in the order of their ids.

    :param readable: the DAGs that the user may read.
    :param see: which of some DAGs' XCom the user may see.
    :param after: the DAG after which the page begins.
    :param limit: most DAGs that are given.
    :return: ``rows``, one for each task, see :func:`~airflow_async_rest.ui.freshness.row_of`; ``next``, after which the
        next page begins, or None; ``truncated``, whether there were more task instances than are looked at.
    """
    now = datetime.now(UTC)
    dags = _dags(session, readable, after)
    seen = see([dag.dag_id for dag in dags[:_LOOKED_AT]])
    tasks = _tasks(session, [dag.dag_id for dag in dags[:_LOOKED_AT] if dag.dag_id in seen])
    shown = [dag for dag in dags if dag.dag_id in {dag_id for dag_id, _ in tasks}]
    has_more = len(shown) > limit
    shown = shown[:limit]
    tasks = [task for task in tasks if task[0] in {dag.dag_id for dag in shown}]
    found, is_truncated = _instances(session, tasks)
    by_id = {dag.dag_id: dag for dag in shown}
    last = shown[-1] if has_more else dags[_LOOKED_AT - 1] if len(dags) > _LOOKED_AT else None
    return {
        "rows": [row_of(by_id[task[0]], its, now, _since(its)) for task, its in sorted(found.items())],
        "next": last and last.dag_id,
        "truncated": is_truncated,
    }


def _dags(session: Session, readable: Collection[str], after: str) -> list[Dag]:
    """Return the next DAGs that Airflow shows: so many as are looked at, and one more."""
    wanted = (DagModel.dag_id.in_(readable), DagModel.dag_id > after, DagModel.is_stale.is_(False))
    name: Any = DagModel.dag_display_name
    asked = select(DagModel.dag_id, name, DagModel.is_paused, DagModel.next_dagrun_create_after).where(*wanted)
    return [Dag(*line) for line in session.execute(asked.order_by(DagModel.dag_id).limit(_LOOKED_AT + 1))]


def _ranked(dag_ids: Collection[str]) -> Any:
    """Return the runs of DAGs as a subquery: by their dates, and as they were made, which a backfill does late."""
    number, of_dag = func.row_number(), DagRun.dag_id
    return (
        select(
            DagRun.id,
            DagRun.dag_id,
            DagRun.run_id,
            DagRun.run_type,
            DagRun.run_after,
            DagRun.data_interval_start,
            DagRun.data_interval_end,
            number.over(partition_by=of_dag, order_by=[DagRun.run_after.desc(), DagRun.id.desc()]).label("newest"),
            number.over(partition_by=of_dag, order_by=DagRun.id.desc()).label("made"),
        )
        .where(DagRun.dag_id.in_(dag_ids))
        .subquery()
    )


def _tasks(session: Session, dag_ids: Collection[str]) -> list[TaskId]:
    """Find the tasks of DAGs' newest runs that use the package.

    Those of our operators say so themselves; subclasses and functions are found by what they have left in one of the
    newest 20 runs.
    """
    runs = _ranked(dag_ids).c
    newest = session.execute(
        select(runs.id, runs.dag_id, runs.run_id, runs.newest).where(runs.newest <= _LOOKED_FOR_IN)
    )
    lines = newest.all()
    place = (XComModel.dag_id, XComModel.task_id)
    by_run = (XComModel.dag_run_id.in_([line.id for line in lines]), XComModel.key == LEFT_BY_ALL)
    marked = {(line.dag_id, line.task_id) for line in session.execute(select(*place).distinct().where(*by_run))}
    of_last = tuple_(TaskInstance.dag_id, TaskInstance.run_id)
    there = session.execute(
        select(TaskInstance.dag_id, TaskInstance.task_id, TaskInstance.operator)
        .distinct()
        .where(of_last.in_([(line.dag_id, line.run_id) for line in lines if line.newest == 1]))
    )
    return [(dag, task) for dag, task, operator in there if operator in OPERATORS or (dag, task) in marked]


def _instances(session: Session, tasks: Collection[TaskId]) -> tuple[dict[TaskId, list[Instance]], bool]:
    """Return the instances of tasks in the newest runs, the newest first; and whether there are more than so many."""
    dag_ids = {dag_id for dag_id, _ in tasks}
    runs = _ranked(dag_ids).c
    is_new = or_(runs.newest <= _MOST_RUNS, runs.made <= _MOST_RUNS)
    asked = (
        select(
            *(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index),
            *(TaskInstance.state, runs.run_type, runs.run_after, runs.data_interval_start, runs.data_interval_end),
            TaskInstance.end_date,
        )
        .join(runs.id.table, (runs.dag_id == TaskInstance.dag_id) & (runs.run_id == TaskInstance.run_id))
        .where(is_new, tuple_(TaskInstance.dag_id, TaskInstance.task_id).in_(tasks))
        .order_by(runs.run_after.desc(), runs.id.desc(), TaskInstance.map_index)
        .limit(_MOST_INSTANCES + 1)
    )
    lines = session.execute(asked).all()
    its = (
        tuple_(XComModel.dag_id, XComModel.task_id).in_(tasks),
        XComModel.dag_run_id.in_(select(runs.id).where(is_new)),
    )
    reports = reports_of(session, *its, most=_MOST_INSTANCES)
    found: dict[TaskId, list[Instance]] = defaultdict(list)
    for each in _told(
        session, [Instance(TaskInstanceId(*line[:4]), *line[4:]) for line in lines[:_MOST_INSTANCES]], reports
    ):
        found[each.task.dag_id, each.task.task_id].append(each)
    return found, len(lines) > _MOST_INSTANCES


def _told(session: Session, instances: Sequence[Instance], reports: dict[TaskInstanceId, Any]) -> Iterator[Instance]:
    """Yield the instances with what is known of them: report, or progress where there is none, and replay."""
    # A function of the author's may return something else than the report.
    begun = [each.task for each in instances if each.state in _BEGUN and each.task not in reports]
    progress = progress_of_tasks(session, begun[:_MOST_IN_PROGRESS])
    reports = {**{task: value for task, value in progress if is_report(value)}, **reports}
    failed = [
        Failed(each.task, reports[each.task], each.ended_at)
        for each in instances
        if failures_in(reports.get(each.task))
    ]
    replays = replays_of(failed[:_MOST_REPLAYED])
    for each in instances:
        yield each._replace(report=reports.get(each.task), replay=replays.get(each.task))


def _since(instances: Sequence[Instance]) -> datetime | None:
    """Return from when on all runs are known; None where there are no others."""
    runs = {each.task.run_id: each.run_after for each in instances}
    return min(runs.values()) if len(runs) >= _MOST_RUNS else None
