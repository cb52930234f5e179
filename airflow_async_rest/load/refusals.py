"""Which of many rows a database refuses: found by halving what it does not take as a whole."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from airflow_async_rest.core.errors import ConfigurationError, LoadError
from airflow_async_rest.databases.dialects.dialect import Dialect
from airflow_async_rest.databases.errors import is_of_driver, message_of

Row = TypeVar("Row")

# When so many are refused, and nearly all of what there was, the next ones will be, too.
_MOST_REFUSED = 1_000
_HOPELESS_SHARE = 0.9


def find_refused(
    rows: Sequence[Row],
    take: Callable[[Sequence[Row]], None],
    savepoint: Callable[[], AbstractContextManager[Any]],
    dialect: Dialect,
) -> list[tuple[Row, str]]:
    """Have a database take rows, as many at a time as it takes. :return: those that it refuses, with its messages.

    :param take: takes some of them, in one statement.
    :raises ConfigurationError: when it refuses nearly all of very many: then the rows are not at fault.
    """
    refused: list[tuple[Row, str]] = []
    taken, left = 0, [rows]
    while left:
        some = left.pop()
        try:
            with savepoint():
                take(some)
            taken += len(some)
        except Exception as error:
            if not dialect.is_refusal(error):
                raise
            if len(some) > 1:
                middle = len(some) // 2
                left += [some[middle:], some[:middle]]
                continue
            refused.append((some[0], message_of(error)))
            check_hopeless(len(refused), taken, refused[-1][1])
    return refused


def check_hopeless(refused: int, taken: int, message: str) -> None:
    """Give up when a database refuses nearly all of very many rows. :raises ConfigurationError: then."""
    if refused >= _MOST_REFUSED and refused >= _HOPELESS_SHARE * (refused + taken):
        raise ConfigurationError(
            f"the destination table refuses nearly all rows ({refused} of the first {refused + taken}), the last one "
            f"with: {message} Fix the table, or what makes the rows (columns=, rows=); what was fetched is kept."
        )


def translate(error: Exception, dialect: Dialect) -> Exception:
    """Return the error by which the engine knows what to do about one of the database's."""
    if not is_of_driver(error):
        return error
    if dialect.is_wrong(error):
        return ConfigurationError(f"the database refuses to load the rows: {message_of(error)}")
    return LoadError(f"the database does not take the rows: {message_of(error)}")
