"""The tasks of all DAGs that deliver or fetch, a row for each: a page of DAGs at a time, from Airflow's own tables.

A page costs the same few queries, whatever there is. They read the runs of its DAGs by Airflow's index over these, and
the reports of the newest 200 of each, by date and as they were made. No index has these alone, so a
page has fewer DAGs where they have many runs. An index of reports of our own would be one more thing to keep true.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskinstancehistory import TaskInstanceHistory as Try
from airflow.models.xcom import XComModel
from sqlalchemy import case, func, or_, select, tuple_
from sqlalchemy.orm import Session

from airflow_async_rest.ui.freshness import REPLAYS, Dag, Instance, row_of
from airflow_async_rest.ui.reports import (
    LEFT_BY_ALL,
    PLACE,
    Failed,
    failures_in,
    is_report,
    newest_of_each,
    replays_of,
    reports_of,
)
from airflow_async_rest.ui.states import TaskInstanceId, progress_of_tasks

OPERATORS = ("SqlToRestOperator", "RestToSqlOperator", REPLAYS)
_CONTINUOUS = "@continuous"
_LOOKED_AT = 100  # DAGs of a page, of which the first so many that have such tasks are shown
_MOST_RANKED = 100_000  # runs of a page's DAGs, but for one DAG that has more
_LOOKED_FOR_IN = 20  # newest runs of a DAG
_MOST_RUNS = 200  # newest of a DAG, whose reports are read
# Of a page, shared evenly by its tasks, but for what each has at least.
_MOST_INSTANCES = 20_000
_MOST_READ = 1_000  # progress, reports that are kept elsewhere, and replays: as a rule a file for each
_LEAST_OF_A_TASK = 10
TaskId = tuple[str, str]


class History(NamedTuple):
    """The instances of a task in the newest runs.

    :param since: from when on these are all, and all is known of them; None: there are no others.
    :param is_cut: whether it has more in these runs than are looked at.
    """

    instances: list[Instance]
    since: datetime | None
    is_cut: bool


def list_deliveries(
    session: Session, readable: Collection[str], see: Callable[[list[str]], set[str]], after: str, limit: int
) -> dict[str, Any]:
    """Return the rows of a page of DAGs, in the order of their ids.

    :param readable: the DAGs that the user may read.
    :param see: which of some DAGs' XCom the user may see.
    :param after: the DAG after which the page begins.
    :param limit: most DAGs that are given.
    :return: ``rows``, one for each task, see :func:`~airflow_async_rest.ui.freshness.row_of`; ``next``, after which the
        next page begins, or None; ``truncated``, whether a task has more instances in its newest runs than are looked
        at.
    """
    now = datetime.now(UTC)
    dags = _dags(session, readable, after)
    looked_at = dags[: _within_bounds(session, [dag.dag_id for dag in dags[:_LOOKED_AT]])]
    seen = see([dag.dag_id for dag in looked_at])
    tasks = _tasks(session, [dag.dag_id for dag in looked_at if dag.dag_id in seen])
    having = {dag_id for dag_id, _ in tasks}
    shown = [dag for dag in looked_at if dag.dag_id in having]
    has_more = len(shown) > limit
    shown = shown[:limit]
    by_id = {dag.dag_id: dag for dag in shown}
    found = _histories(session, [task for task in tasks if task[0] in by_id])
    last = shown[-1] if has_more else looked_at[-1] if len(dags) > len(looked_at) else None
    return {
        "rows": [row_of(by_id[task[0]], its.instances, now, its.since) for task, its in sorted(found.items())],
        "next": last and last.dag_id,
        "truncated": any(its.is_cut for its in found.values()),
    }


def _dags(session: Session, readable: Collection[str], after: str) -> list[Dag]:
    """Return the next DAGs that Airflow shows: so many as are looked at, and one more."""
    wanted = (DagModel.dag_id.in_(readable), DagModel.dag_id > after, DagModel.is_stale.is_(False))
    name: Any = DagModel.dag_display_name
    # A DAG that runs continuously has a date there which is past while it runs.
    due = case((DagModel.timetable_summary == _CONTINUOUS, None), else_=DagModel.next_dagrun_create_after)
    asked = select(DagModel.dag_id, name, DagModel.is_paused, due).where(*wanted)
    return [Dag(*line) for line in session.execute(asked.order_by(DagModel.dag_id).limit(_LOOKED_AT + 1))]


def _within_bounds(session: Session, dag_ids: Sequence[str]) -> int:
    """Return how many of some DAGs, in their order, do not have too many runs together: at least the first."""
    some = select(DagRun.dag_id).where(DagRun.dag_id.in_(dag_ids)).order_by(DagRun.dag_id).limit(_MOST_RANKED + 1)
    each = some.subquery().c
    lines = session.execute(select(each.dag_id, func.count().label("runs")).group_by(each.dag_id))
    counts = {line.dag_id: line.runs for line in lines}
    if sum(counts.values()) <= _MOST_RANKED:
        return len(dag_ids)
    return max(1, *map(dag_ids.index, counts))  # of the last one that was counted, there may be more


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


def _histories(session: Session, tasks: Collection[TaskId]) -> dict[TaskId, History]:
    """Return what is known of each task, the newest first."""
    kept = _kept(tasks)
    instances, numbers = _instances(session, kept)
    told, unread = _told(session, kept, instances, _share(_MOST_READ, tasks))
    found: dict[TaskId, list[Instance]] = defaultdict(list)
    for each in told:
        found[each.task.dag_id, each.task.task_id].append(each)
    cut = {task for task, its in found.items() if len(its) < numbers[task]}
    return {task: History(its, _since(its, task in cut, unread), task in cut) for task, its in found.items()}


def _instances(session: Session, kept: Any) -> tuple[list[Instance], dict[TaskId, int]]:
    """Return those instances, the newest first; and how many there are of each task, with those that are not kept."""
    newest_first = (kept.c.run_after.desc(), kept.c.id.desc(), kept.c.map_index)
    lines = session.execute(select(kept).order_by(*newest_first)).all()
    found = [
        Instance(TaskInstanceId(*line[:4]), *line[4:10])._replace(tries=line.try_number, operator=line.operator)
        for line in lines
    ]
    return found, {(line.dag_id, line.task_id): line.of_all for line in lines}


def _kept(tasks: Collection[TaskId]) -> Any:
    """Return task instances as a subquery: so many of each task, in whole runs, and always those of the newest run."""
    runs = _ranked({dag_id for dag_id, _ in tasks}).c
    of_task = [TaskInstance.dag_id, TaskInstance.task_id]
    by_run = [runs.run_after.desc(), runs.id.desc()]
    found = (
        select(
            *(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index),
            *(TaskInstance.state, runs.run_type, runs.run_after, runs.data_interval_start, runs.data_interval_end),
            *(TaskInstance.end_date, TaskInstance.try_number, TaskInstance.operator, runs.id, runs.newest),
            func.count().over(partition_by=of_task).label("of_all"),
            func.count().over(partition_by=of_task, order_by=by_run).label("so_far"),
        )
        .join(runs.id.table, (runs.dag_id == TaskInstance.dag_id) & (runs.run_id == TaskInstance.run_id))
        .where(or_(runs.newest <= _MOST_RUNS, runs.made <= _MOST_RUNS), tuple_(*of_task).in_(tasks))
        .subquery()
        .c
    )
    most = _share(_MOST_INSTANCES, tasks)
    return select(found.dag_id.table).where(or_(found.newest == 1, found.so_far <= most)).subquery()


def _told(
    session: Session, kept: Any, instances: Sequence[Instance], most: int
) -> tuple[list[Instance], set[TaskInstanceId]]:
    """Return the instances with what is known of them: report, or progress where there is none, and replay.

    Second, those of which something is not read, for there are too many of the task.

    :param most: files, or lines of the state store, that are read for each task.
    """
    places = select(kept.c.dag_id, kept.c.run_id, kept.c.task_id, kept.c.map_index)
    found = reports_of(session, tuple_(*PLACE).in_(places), most=most)
    # A function of the author's may return something else than the report.
    begun = [each for each in instances if each.tries and each.task not in found.reports]
    begun.sort(key=lambda each: (each.ended_at is None, each.ended_at or each.run_after), reverse=True)
    asked = newest_of_each([each.task for each in begun], most)
    progress = {task: value for task, value in progress_of_tasks(session, asked) if is_report(value)}
    reports = {**progress, **found.reports}
    failed = {each.task: each for each in instances if failures_in(reports.get(each.task))}
    replays = replays_of(
        [Failed(task, reports[task], failed[task].ended_at) for task in newest_of_each(list(failed), most)]
    )
    replayed = [task for task, report in reports.items() if "replay" in report or "replays" in report]
    earlier = _earlier_tries(session, newest_of_each(replayed, most))
    told = [
        each._replace(report=reports.get(each.task), replay=replays.get(each.task), earlier=earlier.get(each.task, {}))
        for each in instances
    ]
    return told, ({each.task for each in begun} - set(asked)) | (found.unread - progress.keys())


def _earlier_tries(session: Session, tasks: Sequence[TaskInstanceId]) -> dict[TaskInstanceId, dict[int, Any]]:
    """Return when the earlier tries of task instances have ended, as far as Airflow knows them."""
    found: dict[TaskInstanceId, dict[int, Any]] = defaultdict(dict)
    place = (Try.dag_id, Try.run_id, Try.task_id, Try.map_index)
    for line in session.execute(select(*place, Try.try_number, Try.end_date).where(tuple_(*place).in_(tasks))):
        found[TaskInstanceId(*line[:4])][line.try_number] = line.end_date
    return found


def _since(instances: Sequence[Instance], is_cut: bool, unread: Collection[TaskInstanceId]) -> datetime | None:
    """Return from when on all runs are known; None where there are no others."""
    runs = {each.task.run_id: each.run_after for each in instances}
    # Beyond the newest by date are only those that were made last, as by a backfill: not all of their time.
    dates = sorted(runs.values(), reverse=True)[:_MOST_RUNS]
    oldest = dates[-1:] if is_cut or len(dates) == _MOST_RUNS else []
    missed = [each.ended_at or each.run_after for each in instances if each.task in unread]
    return max(oldest + missed, default=None)


def _share(of_page: int, tasks: Collection[TaskId]) -> int:
    """Return how many of a page's are each task's, so that none takes them from the others."""
    return max(_LEAST_OF_A_TASK, of_page // max(len(tasks), 1))
