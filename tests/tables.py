"""Large tables of values: one test runs all rows, because a test for each row costs more than what the row shows."""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

# What a row may end by: what pytest raises, and a group of that, is no Exception.
_OF_ROWS = (Exception, BaseExceptionGroup, pytest.fail.Exception, pytest.skip.Exception)


class _Table:
    """The rows of one test, by the names of its arguments."""

    def __init__(self, names: Sequence[str], rows: Iterable[Any]) -> None:
        rows = list(rows)
        assert not any(isinstance(row, type(pytest.param())) for row in rows), "marks and ids are for parametrize"
        self.names = names
        self.rows = [dict(zip(names, [row] if len(names) == 1 else row, strict=True)) for row in rows]
        assert self.rows, f"a table of {names} has rows"

    @contextmanager
    def judging(self, number: int, raised: list[BaseException]) -> Iterator[None]:
        """Collect the error, or the skip, of a row, instead of ending there."""
        try:
            yield
        except pytest.exit.Exception:  # the run's end, which is one
            raise
        except _OF_ROWS as error:
            error.add_note(f"in row {number}: {_shown(self.rows[number])}")
            raised.append(error)

    def end(self, raised: list[BaseException]) -> None:
        """Fail when a row was wrong; else skip when one was skipped."""
        wrong = [error for error in raised if not isinstance(error, pytest.skip.Exception)]
        if wrong:
            raise BaseExceptionGroup(f"{len(wrong)} of {len(self.rows)} rows are wrong", wrong)
        if raised:
            raise raised[0]


def every_row(names: str | Sequence[str], rows: Iterable[Any]) -> Callable[[Callable], Callable]:
    """Run a test with each row of a table, and fail with all that are wrong; one above the other, with all pairs.

    It is for values: what fixtures a test has, its rows share.

    :param names: of the arguments, as for ``pytest.mark.parametrize``.
    :param rows: tuples, or values for one name.
    :raises BaseExceptionGroup: as the test fails: the error of each wrong row, with the row in its notes.
    :raises pytest.skip.Exception: when rows were skipped, and none was wrong.
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


def left_to_release(rows: Iterable[Any], but_for: int = 1) -> list[Any]:
    """Leave rows of a table to ``make release-test``, because together they are slow: all but the first ones.

    :param rows: for ``pytest.mark.parametrize``: tuples, or values for one name.
    """
    rows = list(rows)
    rest = (row if isinstance(row, tuple) else (row,) for row in rows[but_for:])
    return [*rows[:but_for], *(pytest.param(*row, marks=pytest.mark.release) for row in rest)]


def _synchronous(test: Callable, table: _Table) -> Callable:
    def run(**fixtures: Any) -> None:
        raised = []
        for number, row in enumerate(table.rows):
            with table.judging(number, raised):
                test(**row, **fixtures)
        table.end(raised)

    return run


def _asynchronous(test: Callable, table: _Table) -> Callable:
    async def run(**fixtures: Any) -> None:
        raised = []
        for number, row in enumerate(table.rows):
            with table.judging(number, raised):
                await test(**row, **fixtures)
        table.end(raised)

    return run


def _shown(row: dict[str, Any]) -> str:
    try:
        return repr(row)[:500]
    except ValueError as error:  # of an integer that has too many digits
        return str(error)
