"""What tasks have pushed to XCom, also where a backend keeps it in object storage; and who has replayed it since."""

import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Text, cast, func, select
from sqlalchemy.orm import Session

from airflow_async_rest.compat.names import XComModel, resolve_xcom_backend
from airflow_async_rest.core.account.judgment import NO_REQUESTS
from airflow_async_rest.core.letters.folder import UNREADABLE
from airflow_async_rest.core.letters.part_files import read_ahead
from airflow_async_rest.tasks.storage.folders import TaskScope
from airflow_async_rest.ui.letters import FolderAwayError, FolderRefusedError, last_replay
from airflow_async_rest.ui.states import TaskInstanceId

LEFT_BY_ALL = "failed_items"
_REPORT = "return_value"
# What one of our tasks pushes, and what it is, so that nothing else of a backend's storage is shown.
PUSHED: Mapping[str, type] = {_REPORT: dict, LEFT_BY_ALL: list, "preview": dict}
_COUNTS = ("read", "delivered", "failed", "skipped", "unfinished", "rows_loaded", "rows_refused", "delivered_later")
_LONGEST = 100_000  # characters, or bytes of a file: a report has about a thousand
_LONGEST_PUSHED = 1_000_000  # the failed items have 48 KB at most, each byte of which JSON may write as three
_MOST_KEPT_ELSEWHERE = 1_000
PLACE = (XComModel.dag_id, XComModel.run_id, XComModel.task_id, XComModel.map_index)
_READ_AT_ONCE = 32  # from object storage, each takes 30 ms
# What one file, or reference, may be the reason of: those of other tasks can still be read.
_OF_THE_VALUE = (
    *(ValueError, TypeError, LookupError, ImportError, AttributeError, ArithmeticError, RecursionError),
    *(EOFError, gzip.BadGzipFile, zlib.error, FileNotFoundError, PermissionError),
)

Value = TypeVar("Value")
Found = TypeVar("Found")


class Reports(NamedTuple):
    """Reports, and the task instances of which a backend keeps elsewhere what they returned, and nobody has read it."""

    reports: dict[TaskInstanceId, Mapping[str, Any]]
    unread: set[TaskInstanceId]


def reports_of(session: Session, *where: Any, most: int = _MOST_KEPT_ELSEWHERE) -> Reports:
    """Return the reports that are in XCom, those of the newest runs first.

    Where the storage of a backend fails, no more of those that it keeps are read.

    :param where: conditions on Airflow's table of XCom.
    :param most: reports of each task, the newest, that are read where a backend keeps them elsewhere.
    """
    # A function of the author's that delivers may return anything, of any size.
    its = (XComModel.key == _REPORT, func.length(cast(XComModel.value, Text)) < _LONGEST)
    asked = select(*PLACE, XComModel.value).where(*its, *where).order_by(XComModel.dag_run_id.desc())
    values = {TaskInstanceId(*line[:4]): _value_of(line) for line in session.execute(asked)}
    kept = [place for place, value in values.items() if isinstance(value, str)] if _has_backend() else []
    read = dict(_read_each([(place, values[place]) for place in newest_of_each(kept, most)], kept_elsewhere))
    values |= read
    return Reports({place: value for place, value in values.items() if is_report(value)}, set(kept) - read.keys())


def newest_of_each(tasks: Iterable[TaskInstanceId], most: int) -> list[TaskInstanceId]:
    """Return so many instances of each task, of which the newest come first."""
    seen: Counter[tuple[str, str]] = Counter()
    chosen = []
    for task in tasks:
        seen[task.dag_id, task.task_id] += 1
        if seen[task.dag_id, task.task_id] <= most:
            chosen.append(task)
    return chosen


def _has_backend() -> bool:
    backend = resolve_xcom_backend()  # type: ignore[no-untyped-call]
    return bool(backend.__name__ != "BaseXCom")


def _value_of(line: Any) -> Any:
    """Return a line's value; that of a task is JSON already, which Airflow's own function tries to parse, slowly."""
    if isinstance(line.value, dict | list):
        return line.value
    with suppress(Exception):  # a text that names a class which is not there, or not allowed
        return XComModel.deserialize_value(line)
    return None


def is_report(value: Any) -> bool:
    """Return whether a value is a report, or progress: a task may push anything."""
    is_one = isinstance(value, Mapping) and "delivered" in value
    return is_one and all(type(value[name]) is int for name in _COUNTS if name in value)


def window_of(report: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Return a report's window as it has it; None where it has none."""
    start, end = (report.get("window_start"), report.get("window_end")) if report else (None, None)
    return (str(start), str(end)) if as_date(start) and as_date(end) else None


def as_date(text: Any) -> datetime | None:
    """Read a date as reports have it; None: it is none."""
    try:
        found = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def pushed_values(session: Session, task: TaskInstanceId) -> dict[str, Any]:
    """Return what a task instance has pushed of :data:`PUSHED`; not what is something else, or cannot be read.

    With a report comes ``pushed_at``: where XCom cannot be written, that of an earlier try may still be there.
    """
    asked = session.execute(
        select(XComModel.key, XComModel.value, XComModel.timestamp)
        .where(XComModel.key.in_(PUSHED), func.length(cast(XComModel.value, Text)) < _LONGEST_PUSHED)
        .filter_by(**task._asdict())
    )
    lines = asked.all()
    found = {line.key: _value_of(line) for line in lines}
    for key, value in found.items():
        if isinstance(value, str):
            with suppress(Exception):  # whatever the storage raises
                found[key] = kept_elsewhere(value, _LONGEST_PUSHED)
    found = {key: value for key, value in found.items() if isinstance(value, PUSHED[key])}
    if _REPORT in found and not is_report(found[_REPORT]):
        del found[_REPORT]
    pushed_at = [line.timestamp.isoformat() for line in lines if line.key == _REPORT and _REPORT in found]
    return {**found, **({"pushed_at": pushed_at[0]} if pushed_at else {})}


def kept_elsewhere(reference: str, longest: int = _LONGEST) -> Any:
    """Return what an XCom backend has put elsewhere.

    The text itself where it is no reference of the backend's, the file is too large, or nothing can be made of it.
    Airflow's object storage takes only references below its own path, and would follow ``..`` out of it.

    :param longest: bytes that are read, of a storage that tells the size.
    :raises Exception: whatever the storage raises for every reference, as while it is away.
    """
    if not _has_backend() or ".." in reference.split("/"):
        return reference
    backend = resolve_xcom_backend()  # type: ignore[no-untyped-call]
    with suppress(*_OF_THE_VALUE):
        is_own = hasattr(backend, "_get_full_path")  # Airflow's own: the size is known before
        if not is_own or backend._get_full_path(reference).stat().st_size <= longest:  # noqa: SLF001
            return backend.deserialize_value(_Stored(reference))
    return reference


class _Stored(NamedTuple):
    """What a backend takes for a row of the table of XCom."""

    value: Any


class Failed(NamedTuple):
    """The end of a task instance with dead letters."""

    task: TaskInstanceId
    report: Mapping[str, Any]
    ended_at: datetime | None


def failures_in(report: Mapping[str, Any] | None) -> int:
    """Return how many dead letters a report tells of: items, and rows that the database refused."""
    if report is None:
        return 0
    failed, refused = report.get("failed"), report.get("rows_refused")
    return (failed if isinstance(failed, int) else 0) + (refused if isinstance(refused, int) else 0)


def reasons_in(report: Mapping[str, Any] | None) -> dict[str, int]:
    """Return why there are dead letters, and how many of each; none where a report does not say it."""
    reasons = (report or {}).get("reasons")
    known = reasons.items() if isinstance(reasons, Mapping) else ()
    return {str(reason): number for reason, number in known if type(number) is int and number > 0}


def replayable_in(report: Mapping[str, Any] | None) -> int:
    """Return how many dead letters a replay sends again, as their reasons tell: requests that the API has not taken."""
    reasons = reasons_in(report)
    return max(0, failures_in(report) - sum(reasons.get(reason, 0) for reason in (UNREADABLE, *NO_REQUESTS)))


def replays_of(ended: Sequence[Failed]) -> dict[TaskInstanceId, Mapping[str, Any]]:
    """Find who has sent dead letters again that tasks have left, since these have ended.

    They are in a file beside the dead letters; where that storage cannot be reached, no more of them are asked for.
    """

    def read(each: Failed) -> Mapping[str, Any] | None:
        uri = each.report.get("dead_letters")
        if not isinstance(uri, str) or each.ended_at is None:
            return None
        with suppress(FolderRefusedError, FolderAwayError, PermissionError):
            found = last_replay(TaskScope(*each.task), uri)
            return found if found and _is_after(found["at"], each.ended_at) else None
        return None

    return {each.task: found for each, found in _read_each([(each, each) for each in ended], read) if found}


def _read_each(places: Sequence[tuple[Found, Value]], read: Any) -> Iterator[tuple[Found, Any]]:
    """Yield what is read for each place, several at once, until the storage raises something."""
    values = [value for _, value in places]
    with suppress(Exception):  # whatever the storage raises
        found: Iterable[Any] = read_ahead(read, values, min(_READ_AT_ONCE, len(values)))
        for (place, _), each in zip(places, found, strict=True):
            yield place, each


def _is_after(at: str, ended: datetime) -> bool:
    """Return whether a replay came after a task's end: before that, the task's own report knows of it."""
    moment = as_date(at)
    return moment is not None and moment > ended
