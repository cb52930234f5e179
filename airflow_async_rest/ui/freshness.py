"""What the page "Deliveries" says of one task, by its newest instances: pure decisions over values."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from airflow_async_rest.ui.reports import as_date, failures_in, reasons_in, window_of
from airflow_async_rest.ui.states import TaskInstanceId

_DAYS = 7
_DAY = timedelta(days=1)
# A run that is due is made by the scheduler some seconds later.
_PATIENCE = timedelta(minutes=5)
_TRY = re.compile("[0-9]{1,9}")  # its number
_BY_HAND = "manual"
_FAILED = {"failed", "upstream_failed"}
_SKIPPED = "skipped"
_WITHOUT_WORK = {_SKIPPED, "removed"}
WAITS = "up_for_reschedule"
REPLAYS = "ReplayDeadLettersOperator"
_LEFT_BY_A_REPLAY = "left_by_a_replay"


class Dag(NamedTuple):
    """A DAG, and when the next run of its schedule is due; None without one, or where the next follows on the last."""

    dag_id: str
    name: str
    is_paused: bool
    next_run: datetime | None


class Instance(NamedTuple):
    """A task instance.

    :param start: of the run's data interval; so is ``end``.
    :param report: or its progress, until there is one.
    :param replay: the last one of its dead letters by another task, since it has ended.
    :param tries: how many have begun.
    :param earlier: when its earlier tries have ended, by their numbers; only where a replay was among the tries.
    """

    task: TaskInstanceId
    state: str | None
    run_type: str
    run_after: datetime
    start: datetime | None
    end: datetime | None
    ended_at: datetime | None
    report: Mapping[str, Any] | None = None
    replay: Mapping[str, Any] | None = None
    tries: int = 1
    operator: str | None = None
    earlier: Mapping[int, datetime | None] = {}

    @property
    def window(self) -> tuple[Any, Any]:
        """The report's window; until there is one, the run's."""
        return window_of(self.report) or (_iso(self.start), _iso(self.end))

    @property
    def outcome(self) -> str | None:
        """What became of it: ``delivered``, ``failed`` or ``running``; None for what has no work, as a preview."""
        if (self.report or {}).get("preview"):
            return None
        if self.state in _WITHOUT_WORK:
            return "failed" if self._was_stopped else None
        if self.state == "success" or (self.state in _FAILED and self._is_delivered_later):
            return "delivered"
        return "failed" if self.state in _FAILED else "running"

    @property
    def end_of_window(self) -> datetime | None:
        """The end of the window that the run is for, by which runs of one window are known.

        Somebody who starts a run by hand may give another window than the run's own.
        """
        return as_date(self.window[1]) if self.run_type == _BY_HAND else self.end

    @property
    def _was_stopped(self) -> bool:
        """Whether Airflow ended it while it was at work, which it calls skipped, as after the DAG's timeout."""
        return self.state == _SKIPPED and self.report is not None and self.report.get("complete") is not True

    @property
    def _is_delivered_later(self) -> bool:
        is_complete = self.report is not None and self.report.get("complete") is True
        return is_complete and self.replay is not None and self.replay.get("left") == 0


class Run(NamedTuple):
    """All instances of the task in one run: more than one of a mapped task."""

    run_after: datetime
    by_hand: bool
    outcome: str
    end: datetime | None = None

    @property
    def place(self) -> datetime:
        """What its window is known by, and comes after others by."""
        return self.end or self.run_after


def row_of(dag: Dag, instances: Sequence[Instance], now: datetime, since: datetime | None = None) -> dict[str, Any]:
    """Return the row of one task.

    :param instances: of its newest runs, the newest first.
    :param since: from when on these are all of them; None: for longer than a week.
    """
    worked = [each for each in instances if each.outcome is not None]
    by_day = rows_by_day(worked, now)
    return {
        "dag_id": dag.dag_id,
        "dag_name": dag.name,
        "task_id": instances[0].task.task_id,
        "last": _last(worked[0] if worked else instances[0]),
        "freshness": {**freshness(dag, _runs(worked), now), "delivered_until": _delivered_until(worked)},
        "rows": {"day": by_day[-1], "week": sum(by_day), "by_day": by_day},
        "dead_letters": dict(dead_letters(_current(worked)).most_common()),
        "wait": wait_of(instances),
        "since": _iso(since) if since is not None and since > now - _DAYS * _DAY else None,
    }


def freshness(dag: Dag, runs: Sequence[Run], now: datetime) -> dict[str, Any]:
    """Return whether a task has delivered what the schedule has asked for.

    :param runs: the newest first; those by hand count only for a window that the schedule has asked for, or where
        there are no others.
    :return: ``status``: ``on_time``, ``late`` (``since`` when: the oldest run after the last one that was delivered),
        ``running``, ``paused``, or ``none``, without a run. Without a schedule it is ``failed`` instead of late, and
        ``delivered``. ``why`` it is late: that run has ``failed``, or is ``unfinished``, or there is ``no_run``.
    """
    if dag.is_paused:
        return _standing("paused")
    has_schedule = dag.next_run is not None or not all(run.by_hand for run in runs)
    runs = _asked_for(runs) or runs
    missing = runs[: next((place for place, run in enumerate(runs) if run.outcome == "delivered"), len(runs))]
    is_overdue = dag.next_run is not None and dag.next_run < now - _PATIENCE
    if missing:
        since = missing[-1].run_after
        is_late = is_overdue or len(missing) > 1 or missing[0].outcome == "failed"
        if not (is_late and has_schedule):
            return _standing("failed" if is_late else "running", since)
        return _standing("late", since, "failed" if missing[-1].outcome == "failed" else "unfinished")
    if is_overdue:
        return _standing("late", dag.next_run, "no_run")
    return _standing(("on_time" if has_schedule else "delivered") if runs else "none")


def _standing(status: str, since: datetime | None = None, why: str | None = None) -> dict[str, Any]:
    return {"status": status, "since": _iso(since), "why": why}


def _asked_for(runs: Sequence[Run]) -> list[Run]:
    """Return the windows that the schedule has asked for, the newest first: of each the run that was the last.

    A backfill of Airflow counts, for it takes over runs of the schedule that have failed.
    """
    asked = {run.place for run in runs if not run.by_hand}
    last: dict[datetime, Run] = {}
    for run in runs:
        if run.place in asked:
            last.setdefault(run.place, run)
    return sorted(last.values(), key=lambda run: run.place, reverse=True)


def _runs(instances: Sequence[Instance]) -> list[Run]:
    """Return the runs of instances, in their order; one of which some failed has failed."""
    outcomes: dict[str, set[str | None]] = {}
    firsts: dict[str, Instance] = {}
    for each in instances:
        firsts.setdefault(each.task.run_id, each)
        outcomes.setdefault(each.task.run_id, set()).add(each.outcome)
    return [
        Run(
            each.run_after,
            each.run_type == _BY_HAND,
            next(outcome for outcome in ("failed", "running", "delivered") if outcome in outcomes[run_id]),
            each.end_of_window,
        )
        for run_id, each in firsts.items()
    ]


def rows_by_day(instances: Sequence[Instance], now: datetime) -> list[int]:
    """Return how many rows were delivered, or loaded, in each of the last seven times 24 hours, the latest last."""
    found = [0] * _DAYS
    for each in instances:
        for ended_at, rows in _rows_of(each, now):
            # A worker's clock may be ahead, and a task may end while the page is made.
            ago = max((now - ended_at) // _DAY, 0)
            if ago < _DAYS:
                found[_DAYS - 1 - ago] += rows
    return found


def _rows_of(each: Instance, now: datetime) -> Iterator[tuple[datetime, int]]:
    """Yield rows, and when they count: those of a replay in the task at its end, the rest at the last other try's.

    The report is that of the whole window. Of tries that Airflow no longer knows, nobody can say when they ended.
    """
    report = each.report or {}
    rows = report.get("rows_loaded", report.get("delivered"))
    replayed = _replayed_in(each)
    ends = {each.tries: each.ended_at or now, **each.earlier}  # one that was cleared since has ended before
    last = max((number for number in ends if number not in replayed), default=None)
    others = {} if last is None or not isinstance(rows, int) else {last: max(rows - sum(replayed.values()), 0)}
    for number, count in {**replayed, **others}.items():
        if ended_at := ends.get(number):
            yield ended_at, count


def _replayed_in(each: Instance) -> dict[int, int]:
    """Return how many rows each replay in the task has delivered, by the number of its try."""
    report = each.report or {}
    replays = report.get("replays")
    # The first reports knew of the last try only.
    known = {str(each.tries): report.get("replay"), **(replays if isinstance(replays, Mapping) else {})}
    counts = {number: replay.get("delivered") for number, replay in known.items() if isinstance(replay, Mapping)}
    return {int(number): count for number, count in counts.items() if _TRY.fullmatch(number) and type(count) is int}


def _current(instances: Sequence[Instance]) -> list[Instance]:
    """Return those that no later run of their window has replaced."""
    last: dict[tuple[datetime | None, datetime | None], str] = {}
    found = []
    for each in instances:
        start, end = map(as_date, each.window)
        # A mapped task's window is only known from its report: until then it has its run's, which is all of them.
        is_known = each.report is not None or each.task.map_index < 0
        has_window = is_known and start is not None and end is not None and start < end
        if not has_window or last.setdefault((start, end), each.task.run_id) == each.task.run_id:
            found.append(each)
    return found


def dead_letters(instances: Sequence[Instance]) -> Counter[str]:
    """Return how many dead letters are open, by their reasons; what a replay by another task has left has none.

    Those that such a replay reports lie in the folders of others, whose they are.
    """
    found: Counter[str] = Counter()
    for each in instances:
        if each.report is None or each.operator == REPLAYS or not (failed := failures_in(each.report)):
            continue
        counts = reasons_in(each.report) or {"": failed}
        if each.replay is not None:
            left = each.replay["left"]
            counts = {next(iter(counts)) if len(counts) == 1 else _LEFT_BY_A_REPLAY: left}
        found += Counter(counts)
    return found


def wait_of(instances: Sequence[Instance]) -> dict[str, Any] | None:
    """Return for what the newest instance that waits for a quota waits, and until when; None where none does."""
    return next((wait for each in instances if each.state == WAITS and (wait := last_wait(each.report))), None)


def last_wait(report: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the last wait for a quota that a report knows of; None where it knows of none."""
    waits = (report or {}).get("waits")
    if not (isinstance(waits, list) and waits and isinstance(waits[-1], Mapping)):
        return None
    wait = waits[-1]
    return {name: text if isinstance(text := wait.get(name), str) else None for name in ("since", "until", "why")}


def _delivered_until(instances: Sequence[Instance]) -> str | None:
    """Return the latest end of a window that is delivered."""
    ends = [end for each in instances if each.outcome == "delivered" and (end := as_date(each.window[1]))]
    return _iso(max(ends, default=None))


def _last(instance: Instance) -> dict[str, Any]:
    start, end = instance.window
    return {
        "run_id": instance.task.run_id,
        "map_index": instance.task.map_index,
        "state": instance.state,
        "start": start,
        "end": end,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
