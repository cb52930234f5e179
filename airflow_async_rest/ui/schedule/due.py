"""Which runs the schedule of a DAG has asked for, and which of them there are not: as Airflow's own timetable says.

A timetable needs up to a millisecond for a run, so it is only asked where some may be missing, and once.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from sqlalchemy import literal, select
from sqlalchemy.orm import Session

_MOST = 5_000
_MOST_RUNS = 20_000
_OF_THE_SCHEDULE = ("scheduled", "backfill")
# Neither a day of 25 hours nor a run that is a little late leaves room for another one.
_ROOM = 1.25
_RUNS_TO_LEARN_FROM = 20
_SAMPLE = 100
_FEW = 10
_FAR = timedelta(days=4_000)  # no more of it is asked for than the sample
_PARTITION_DATE: Any = getattr(DagRun, "partition_date", literal(None))  # from 3.3 on


class Run(NamedTuple):
    """The data interval of a run, or its partition; where it has no width, both ends are its date."""

    start: datetime
    end: datetime


class Schedule(NamedTuple):
    """A DAG's schedule, by what it is known: another one has another hash.

    :param zone: of its dates; :param has_partitions: whether its runs are of partitions, and not of data intervals.
    """

    dag_id: str
    dag_hash: str
    zone: str
    has_partitions: bool


def missing_runs(session: Session, dag_id: str, zone: str, since: datetime, until: datetime) -> list[dict[str, str]]:
    """Return the runs that the DAG's schedule has asked for, and that are not there; none where nobody can say it.

    :param zone: of the DAG's timetable.
    :param since: from when on it is looked, by the time after which runs begin; so is ``until``.
    :return: of the newest 5,000, in the order of time: ``start`` and ``end`` of its data interval, or its partition,
        and ``date``, by which a backfill of Airflow counts it.
    """
    hashes = select(SerializedDagModel.dag_hash).where(SerializedDagModel.dag_id == dag_id)
    dag_hash = session.scalar(hashes.order_by(SerializedDagModel.created_at.desc()).limit(1))
    if dag_hash is None:
        return []
    where = (DagRun.dag_id == dag_id, DagRun.run_after.between(since, until))
    columns = (DagRun.run_type, DagRun.logical_date, DagRun.data_interval_start, DagRun.data_interval_end)
    asked = select(*columns, _PARTITION_DATE).where(*where).order_by(DagRun.run_after.desc()).limit(_MOST_RUNS)
    lines = session.execute(asked).all()
    known = {partition or date for _, date, _, _, partition in lines}
    runs = {Run(partition or start, partition or end) for kind, _, start, end, partition in lines
            if kind in _OF_THE_SCHEDULE and (partition or start)}  # fmt: skip
    schedule = Schedule(dag_id, dag_hash, zone, has_partitions=any(line[4] for line in lines))
    found = []
    with suppress(Exception):  # whatever a timetable of the author's raises
        found = list(islice(_iter_missing(schedule, sorted(runs), known), _MOST))
    return [{name: value.isoformat() for name, value in due.items()} for due in reversed(found)]


def _iter_missing(schedule: Schedule, runs: Sequence[Run], known: set[Any]) -> Iterator[dict[str, datetime]]:
    """Yield what is missing between runs, the latest first."""
    if len(runs) < 2 or (rhythm := _rhythm(schedule, tuple(runs[-_RUNS_TO_LEARN_FROM:]))) is None:  # noqa: PLR2004
        return
    for before, after in reversed(list(pairwise(runs))):
        touch = before.end == after.start and before.start < before.end
        if not touch and after.start - before.start > rhythm.step * _ROOM:
            is_long = after.start - before.start > _FEW * rhythm.step
            found = (_many_between if is_long else _few_between)(schedule, before, after, rhythm.side)
            yield from (due for due in reversed(found) if due["start"] not in known)


@lru_cache(maxsize=8)
def _dag(schedule: Schedule) -> Any:
    """Return the DAG; it is made of JSON, which takes some time."""
    return SerializedDagModel.get(schedule.dag_id).dag  # type: ignore[union-attr]


class Rhythm(NamedTuple):
    """How a schedule asks for runs.

    :param side: by which end of its interval a backfill counts a run: 0, the beginning, or 1; None for partitions.
    :param step: the shortest time from one run to the next.
    """

    side: int | None
    step: timedelta


@lru_cache(maxsize=64)
def _rhythm(schedule: Schedule, runs: Sequence[Run]) -> Rhythm | None:
    """Return the rhythm of a schedule, by some runs that are there; None where it has asked for none of them."""
    dag = _dag(schedule)
    for run in reversed(runs if dag.timetable.periodic else ()):
        for side in (None,) if schedule.has_partitions else (0, 1):
            date = _date_of(schedule, run, side)
            if [run] == [_run_of(info) for info in dag.iter_dagrun_infos_between(date, date)]:
                return Rhythm(side, _shortest_step(dag, date))
    return None


def _shortest_step(dag: Any, date: datetime) -> timedelta:
    some = [_run_of(info).start for info in islice(dag.iter_dagrun_infos_between(date, date + _FAR), _SAMPLE)]
    return min((after - before for before, after in pairwise(some)), default=timedelta(0))


def _run_of(info: Any) -> Run:
    return Run(*info.data_interval) if info.data_interval else Run(info.partition_date, info.partition_date)


def _date_of(schedule: Schedule, run: Run, side: int | None) -> datetime:
    """Return the date by which a backfill counts a run: of a partition, what the clocks of the zone show."""
    return run.start.astimezone(ZoneInfo(schedule.zone)).replace(tzinfo=UTC) if side is None else run[side]


def _due_between(schedule: Schedule, before: Run, after: Run, side: int | None) -> list[dict[str, datetime]]:
    """Return the runs between two others, in the order of time: the newest 5,000 of them."""
    first, last = (_date_of(schedule, run, side) for run in (before, after))
    due = [_run_of(info) for info in _newest_between(_dag(schedule), first, last)]
    if side is None:  # a partition ends where the next one begins
        due = [Run(one.start, other.start) for one, other in pairwise(due)]
    return [
        {"start": run.start, "end": run.end, "date": _date_of(schedule, run, side)}
        for run in due
        if before.start < run.start < after.start
    ][-_MOST:]


# Of odd hours, nearly every pair of runs is one that is asked for; and 5,000 runs take 2 MB.
_few_between = lru_cache(maxsize=10_000)(_due_between)
_many_between = lru_cache(maxsize=16)(_due_between)


def _newest_between(dag: Any, first: datetime, last: datetime) -> list[Any]:
    """Return what the schedule asks for between two dates; of much more than 5,000 runs the newest."""
    some = list(islice(dag.iter_dagrun_infos_between(first, last), _SAMPLE))
    if len(some) < _SAMPLE:
        return some
    step = (some[-1].run_after - some[0].run_after) / (_SAMPLE - 1)
    first += max((last - first) // step - _MOST - _SAMPLE, 0) * step
    return list(islice(dag.iter_dagrun_infos_between(first, last), 2 * _MOST))
