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
from sqlalchemy import Select, literal, select
from sqlalchemy.orm import Session

_MOST = 5_000
_MOST_RUNS = 20_000
_OF_THE_SCHEDULE = ("scheduled", "backfill")
# Neither a day of 25 hours nor a run that is a little late leaves room for another one.
_ROOM = 1.25
_RUNS_TO_LEARN_FROM = 20
_SAMPLE = 100
_PARTITION_DATE: Any = getattr(DagRun, "partition_date", literal(None))  # from 3.3 on


class Run(NamedTuple):
    """The data interval of a run, or its partition; where it has no width, both ends are its date."""

    start: datetime
    end: datetime


class Schedule(NamedTuple):
    """A DAG's schedule, by what it is known: another one has another hash. :param zone: of its dates."""

    dag_id: str
    dag_hash: str
    zone: str


def missing_runs(session: Session, dag_id: str, zone: str, since: datetime, until: datetime) -> list[dict[str, str]]:
    """Return the runs that the DAG's schedule has asked for, and that are not there; none where nobody can say it.

    :param zone: of the DAG's timetable.
    :param since: from when on it is looked, by the time after which runs begin; so is ``until``.
    :return: of the newest 5,000, in the order of time: ``start`` and ``end`` of its data interval, or its partition,
        and ``date``, by which a backfill of Airflow counts it.
    """
    dag_hash = session.scalar(_newest(SerializedDagModel.dag_hash, dag_id))
    if dag_hash is None:
        return []
    where = (DagRun.dag_id == dag_id, DagRun.run_after.between(since, until))
    columns = (DagRun.run_type, DagRun.logical_date, DagRun.data_interval_start, DagRun.data_interval_end)
    asked = select(*columns, _PARTITION_DATE).where(*where).order_by(DagRun.run_after.desc()).limit(_MOST_RUNS)
    lines = session.execute(asked).all()
    known = {partition or date for _, date, _, _, partition in lines}
    runs = {Run(partition or start, partition or end) for kind, _, start, end, partition in lines
            if kind in _OF_THE_SCHEDULE and (partition or start)}  # fmt: skip
    schedule = Schedule(dag_id, dag_hash, zone)
    found = []
    with suppress(Exception):  # whatever a timetable of the author's raises
        found = list(islice(_iter_missing(schedule, sorted(runs), any(line[4] for line in lines), known), _MOST))
    return [{name: value.isoformat() for name, value in due.items()} for due in reversed(found)]


def _newest(column: Any, dag_id: str) -> Select[Any]:
    return select(column).where(SerializedDagModel.dag_id == dag_id).order_by(SerializedDagModel.created_at.desc())


def _iter_missing(
    schedule: Schedule, runs: Sequence[Run], are_partitions: bool, known: set[Any]
) -> Iterator[dict[str, datetime]]:
    """Yield what is missing between runs, the latest first."""
    gaps = list(_iter_gaps(runs))
    side = None if are_partitions or not gaps else _side(schedule, tuple(runs[-_RUNS_TO_LEARN_FROM:]))
    for before, after in reversed(gaps):
        for due in reversed(_due_between(schedule, before, after, side)):
            if due["start"] not in known:
                yield due


def _iter_gaps(runs: Sequence[Run]) -> Iterator[tuple[Run, Run]]:
    """Yield the pairs of neighbours between which there may be others."""
    steps = [after.start - before.start for before, after in pairwise(runs)]
    room = min(steps, default=timedelta(0)) * _ROOM
    for (before, after), step in zip(pairwise(runs), steps, strict=True):
        touch = before.end == after.start and before.start < before.end
        if not touch and step > room:
            yield before, after


@lru_cache(maxsize=8)
def _dag(schedule: Schedule) -> Any:
    """Return the DAG; it is made of JSON, which takes some time."""
    return SerializedDagModel.get(schedule.dag_id).dag  # type: ignore[union-attr]


@lru_cache(maxsize=64)
def _side(schedule: Schedule, runs: Sequence[Run]) -> int:
    """Return by which end of its interval a backfill counts a run: 0, the beginning, or 1; by runs that are there.

    :raises LookupError: where none of them is one that the schedule asks for.
    """
    dag = _dag(schedule)
    if not dag.timetable.periodic:
        raise LookupError("it asks for no run")
    for run in reversed(runs):
        for side in (0, 1):
            first = next(iter(dag.iter_dagrun_infos_between(run[side], run[side])), None)
            if first is not None and (first.data_interval.start, first.data_interval.end) == run:
                return side
    raise LookupError("these are runs of another schedule")


@lru_cache(maxsize=256)
def _due_between(schedule: Schedule, before: Run, after: Run, side: int | None) -> list[dict[str, datetime]]:
    """Return the runs between two others, in the order of time: the newest 5,000 of them.

    :param side: of :func:`_side`; None for partitions, which are counted by what the clocks of the zone show.
    """
    dag = _dag(schedule)
    if side is not None:
        intervals = [info.data_interval for info in _newest_between(dag, before[side], after[side])]
        found = [{"start": each.start, "end": each.end, "date": (each.start, each.end)[side]} for each in intervals]
    else:
        zone = ZoneInfo(schedule.zone)
        first, last = (_on_clocks(run.start, zone) for run in (before, after))
        dates = [info.partition_date for info in _newest_between(dag, first, last)]
        found = [{"start": start, "end": end, "date": _on_clocks(start, zone)} for start, end in pairwise(dates)]
    return [due for due in found if before.start < due["start"] < after.start][-_MOST:]


def _on_clocks(time: datetime, zone: ZoneInfo) -> datetime:
    return time.astimezone(zone).replace(tzinfo=UTC)


def _newest_between(dag: Any, first: datetime, last: datetime) -> list[Any]:
    """Return what the schedule asks for between two dates; of much more than 5,000 runs the newest."""
    some = [info.run_after for info in islice(dag.iter_dagrun_infos_between(first, last), _SAMPLE)]
    if len(some) == _SAMPLE:
        step = (some[-1] - some[0]) / (_SAMPLE - 1)
        first += max((last - first) // step - _MOST - _SAMPLE, 0) * step
    return list(islice(dag.iter_dagrun_infos_between(first, last), 2 * _MOST))
