"""Checks of a stored checkpoint: others can change it, and a damaged one is refused before a try begins."""

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_async_rest.core.account.report import RowTotals, Totals
from airflow_async_rest.core.letters.part_files import PartId, from_runs

# More rows, or parts of dead letters, are in no checkpoint; a range of more would fill the memory.
_MOST_NAMED = 10_000_000
_BY_NAME = frozenset({"reasons", "latencies", "rows", "keys_ignored", "paths_not_found"})
_COUNTS = frozenset({"read", "delivered", "already_there", "delivered_later", "skipped", "requests", "retries"})


def whole_number(value: Any) -> int:
    """Return a count. :raises TypeError: when it is not one."""
    if type(value) is not int or value < 0:
        raise TypeError(f"{str(value)[:80]!r} is no count")
    return value


def checked_totals(totals: Any) -> dict[str, Any]:
    """Return the counts of a window.

    :raises TypeError: when one is not what it should be; or ValueError, or ArithmeticError.
    """
    found = dict(totals)
    for counts in found.get("replays", {}).values():
        for count in counts.values():
            whole_number(count)
    for name, value in found.items():
        if name in _COUNTS:
            whole_number(value)
        elif name in _BY_NAME:
            if not isinstance(value, Mapping):
                raise TypeError(f"{name} has no counts")
            for count in value.values():
                whole_number(count)
    if type(found.get("complete", False)) is not bool or type(found.get("elapsed_seconds", 0)) not in {int, float}:
        raise TypeError("complete, or elapsed_seconds, is something else")
    RowTotals(**found.get("rows", {}))
    Totals(found).report(0)
    return found


def checked_parts(runs: Any) -> tuple[PartId, ...]:
    """Return the parts of dead letters. :raises TypeError: when these are no ranges, or too long ones."""
    for _, first, last in runs:
        _check_range(whole_number(last) - whole_number(first))
    return tuple(from_runs(runs))


def checked_runs(runs: str) -> list[int]:
    """Return the numbers that say which rows. :raises ValueError: when they are no numbers, or TypeError: too many."""
    numbers = [whole_number(number) for number in map(int, runs.split())]
    _check_range(sum(numbers[1::2]))
    return numbers


def checked_rows(rows: Iterable[Any]) -> frozenset[int]:
    """Return indexes of rows. :raises TypeError: when one is not an index."""
    return frozenset(map(whole_number, rows))


def _check_range(length: int) -> None:
    if length > _MOST_NAMED:
        raise TypeError("it is no range of a checkpoint")
