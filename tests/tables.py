"""Large tables of values: one test runs all rows, because a test for each row costs more than what the row shows."""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest


class _Table:
    """The rows of one test, and which of them were wrong in this run of it."""

    def __init__(self, names: Sequence[str], rows: Iterable[Any]) -> None:
        self.names = names
        self.rows = [dict(zip(names, [row] if len(names) == 1 else row, strict=True)) for row in rows]
        assert self.rows, f"a table of {names} has rows"

    @contextmanager
    def judging(self, number: int, wrong: list[BaseException]) -> Iterator[None]:
        """Collect the error of a row, instead of ending there."""
        try:
            yield
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  (whatever a test may fail by)
            error.add_note(f"in row {number}: {_shown(self.rows[number])}")
            wrong.append(error)

    def end(self, wrong: list[BaseException]) -> None:
        if wrong:
            raise BaseExceptionGroup(f"{len(wrong)} of {len(self.rows)} rows are wrong", wrong)


def every_row(names: str | Sequence[str], rows: Iterable[Any]) -> Callable[[Callable], Callable]:
    """Run a test with each row of a table, and fail with all that are wrong; one above the other, with all pairs.

    It is for values: what fixtures a test has, its rows share.

    :param names: of the arguments; they and the rows are written as for ``pytest.mark.parametrize``.
    :raises BaseExceptionGroup: as the test fails: the error of each wrong row, with the row in its notes.
    """
    table = _Table(names.replace(" ", "").split(",") if isinstance(names, str) else names, rows)

    def decorate(test: Callable) -> Callable:
        run = _asynchronous(test, table) if inspect.iscoroutinefunction(test) else _synchronous(test, table)
        functools.update_wrapper(run, test)
        signature = inspect.signature(test)
        fixtures = [argument for name, argument in signature.parameters.items() if name not in table.names]
        run.__signature__ = signature.replace(parameters=fixtures)  # pytest asks it which fixtures there are to make
        return run

    return decorate


def _synchronous(test: Callable, table: _Table) -> Callable:
    def run(**fixtures: Any) -> None:
        wrong = []
        for number, row in enumerate(table.rows):
            with table.judging(number, wrong):
                test(**row, **fixtures)
        table.end(wrong)

    return run


def _asynchronous(test: Callable, table: _Table) -> Callable:
    async def run(**fixtures: Any) -> None:
        wrong = []
        for number, row in enumerate(table.rows):
            with table.judging(number, wrong):
                await test(**row, **fixtures)
        table.end(wrong)

    return run


def _shown(row: dict[str, Any]) -> str:
    try:
        return repr(row)[:500]
    except ValueError as error:  # of an integer that has too many digits
        return str(error)
