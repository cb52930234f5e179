"""What the tasks before a replay say of their windows: their reports, and who left none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_async_rest.compat.task_context import pull_results, relevant_map_indexes, states_of, what_is_mapped
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.spelling import counted

# Of an earlier expansion that had more windows: no part of the run any more.
_REMOVED = "removed"
_UNMAPPED = -1
_MOST_NAMED = 10


@dataclass(frozen=True)
class Reports:
    """The reports of one task in this run.

    :param found: of its instances, in the order of their map indexes.
    :param missing: instances without one, as people name them, with their states: ``post[3] (failed)``.
    :param pushes: whether the task leaves reports at all.
    """

    task_id: str
    found: Sequence[Mapping[str, Any]]
    missing: Sequence[str]
    pushes: bool = True

    def wrong(self, *, found_none: bool = False) -> Iterator[str]:
        """Say which rows may not have been read, or sent again, and what can be done; nothing where all were.

        :param found_none: whether the replay was told of no dead letters at all.
        """
        if found_none and (uris := [str(one["dead_letters"]) for one in self.found if one["dead_letters"]]):
            yield f"those of task {self.task_id!r} are not among them, in {uris[0]}: write of={self.task_id!r}"
        if stopped := sum(report["complete"] is False and not report.get("preview") for report in self.found):
            yield (
                f"task {self.task_id!r} stopped before it had read all its rows "
                f"({counted(stopped, 'window')}): clear that task, and it goes on there"
            )
        if self.missing and not self.pushes:
            yield (
                f"task {self.task_id!r} has do_xcom_push=False, so no report says whether it read all its rows, and "
                "where its dead letters are: leave that out"
            )
        elif self.missing:
            more = f" and {len(self.missing) - _MOST_NAMED} more" if len(self.missing) > _MOST_NAMED else ""
            yield (
                f"{', '.join(self.missing[:_MOST_NAMED])}{more} left no report, and rows that were not read are in no "
                "dead letter: clear what is named"
            )


def find_reports(ti: Any, task: Any) -> Reports:
    """Find what all instances of a task report; of a mapped task group that the asking task is in, too, its own one.

    :param ti: the task instance that asks.
    """
    states = instances_of(task.task_id, states_of(ti, task.task_id))
    relevant = relevant_map_indexes(ti, task)
    if relevant is not None:
        states = {index: states.get(index) for index in relevant}
    if _has_no_windows(ti, task, states):
        return Reports(task.task_id, [], [])
    indexes = sorted(index for index, state in states.items() if state != _REMOVED)
    values = pull_results(ti, task.task_id, indexes, are_all=relevant is None and len(indexes) == len(states))
    pairs = list(zip(indexes, values, strict=True))
    return Reports(
        task.task_id,
        [report for _, value in pairs for report in reports_in(value)],
        [_name(task.task_id, index, states[index]) for index, value in pairs if not reports_in(value)],
        pushes=getattr(task, "partial_kwargs", {}).get("do_xcom_push", getattr(task, "do_xcom_push", True)),
    )


def instances_of(task_id: str, states: Mapping[str, str | None]) -> dict[int, str | None]:
    """Return the state of each map index; -1 is that of a task that is not mapped.

    :param states: by what Airflow calls them: ``post``, ``post_3``.
    """
    return {int(name.removeprefix(task_id).strip("_") or _UNMAPPED): state for name, state in states.items()}


def reports_in(value: Any) -> list[Mapping[str, Any]]:
    """Return the reports that a task has returned: one, or a list or a dict of several of ``deliver``."""
    if isinstance(value, Mapping):
        several = [value] if {"dead_letters", "complete"} <= value.keys() else list(value.values())
    else:
        several = list(value) if isinstance(value, list | tuple) else []
    are_reports = all(isinstance(one, Mapping) and {"dead_letters", "complete"} <= one.keys() for one in several)
    return several if are_reports else []


def leaves_reports(task: Any) -> bool:
    """Return whether a task is of an operator that reports what it has delivered or fetched."""
    from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator  # noqa: PLC0415  (where it is needed)
    from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator  # noqa: PLC0415

    kind = getattr(task, "operator_class", type(task))
    return isinstance(kind, type) and issubclass(kind, (SqlToRestOperator, RestToSqlOperator))


def parse_of(of: Any) -> tuple[list[str], list[Any]]:
    """Read which tasks are meant: ids, tasks, or what tasks return. :return: all ids, and the tasks among them.

    :raises ConfigurationError: when it is anything else.
    """
    from airflow_async_rest.compat.names import XComArg  # noqa: PLC0415

    entries = list(of) if isinstance(of, list | tuple | set | frozenset) else [of]
    tasks = [getattr(entry, "operator", entry) if isinstance(entry, XComArg) else entry for entry in entries]
    ids = [str(getattr(task, "task_id", task if isinstance(task, str) else "")) for task in tasks]
    if not all(map(str.strip, ids)) or not ids:
        raise ConfigurationError(
            f"of={of!r}: write the id of the task whose dead letters are sent again, the task, or a list of them."
        )
    return list(dict.fromkeys(ids)), [task for task in tasks if not isinstance(task, str)]


def find_task(dag: Any, task_id: str) -> Any:
    """Return a task of a DAG.

    :raises ConfigurationError: when no task has that name; names one in a task group that may be meant.
    """
    if not dag.has_task(task_id):
        near = [known for known in sorted(dag.task_ids) if known.endswith(f".{task_id}")] or sorted(dag.task_ids)
        raise ConfigurationError(
            f"of names {task_id!r}, which is no task of this DAG; write the whole id, with its task groups: "
            f"{', '.join(near)}."
        )
    return dag.get_task(task_id)


def _has_no_windows(ti: Any, task: Any, states: Mapping[int, str | None]) -> bool:
    """Return whether a mapped task has an empty list, and was not skipped: the task that made the list succeeded."""
    if states != {_UNMAPPED: "skipped"}:
        return False
    mapped = what_is_mapped(task)
    listing = {operator.task_id for one in mapped for operator in one.iter_mapped_dependencies()}
    made = [state for task_id in listing for state in instances_of(task_id, states_of(ti, task_id)).values()]
    return bool(mapped) and set(made) <= {"success"}


def _name(task_id: str, index: int, state: str | None) -> str:
    return f"{task_id}{'' if index == _UNMAPPED else f'[{index}]'} ({state or 'not begun'})"
