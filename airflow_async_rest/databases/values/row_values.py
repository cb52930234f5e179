"""Rows as drivers give them, and what becomes of a value that a driver cannot load: its text, or that row's failure.

A driver raises for such a value, and gone with it is what was fetched together: thousands of rows. Each driver has its
own way out, which costs something only when it is needed.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any

from airflow_async_rest.compat.sqlalchemy import QueryResult
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.reading.source import PartialRow

Rows = Sequence[tuple[Any, ...]]
Fetch = Callable[[QueryResult, int], Rows]


class Missing:
    """Stands in a row for a value that could not be loaded.

    :param why: for people.
    :param found: what is known of it; its text shows it.
    """

    def __init__(self, why: str, found: Any) -> None:
        self.why = why
        self.found = found

    def __repr__(self) -> str:
        return f"<not loaded: {self.found!r}>"


class PartialValues(tuple[Any, ...]):
    """A row's values, with a :class:`Missing` among them."""

    __slots__ = ()


def named_rows(names: Sequence[str], rows: Rows) -> list[dict[str, Any]]:
    """Return rows with their columns' names."""
    if PartialValues in set(map(type, rows)):
        return [_partial_row(names, row) if type(row) is PartialValues else _row(names, row) for row in rows]
    # zip's own check of the lengths would take as long as all the rest.
    return list(map(dict, map(zip, repeat(names), rows)))


def _row(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))


def _partial_row(names: Sequence[str], values: PartialValues) -> PartialRow:
    row = _row(names, values)
    return PartialRow(row, {name: value.why for name, value in row.items() if isinstance(value, Missing)})


def marked(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return a row's values, marked when one is missing."""
    row = tuple(values)
    return PartialValues(row) if any(type(value) is Missing for value in row) else row


def fetch_readable(fetch: Fetch, result: QueryResult, count: int, advise: Callable[[Exception], str]) -> Rows:
    """Fetch rows.

    :param advise: says what to do about texts in another encoding; empty for other errors.
    :raises ConfigurationError: when the driver cannot make values of them; says what can be done.
    """
    try:
        return fetch(result, count)
    except (ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, ConfigurationError):
            raise
        advice = advise(error) or "correct the value, or cast its column in the SQL, as in CAST(name AS varchar(99))"
        raise ConfigurationError(
            f"the rows of the sql cannot be read further ({str(error).strip()}): {advice}."
        ) from error


def fetch_as_given(result: QueryResult, count: int) -> Rows:
    """Fetch rows as the driver gives them.

    SQLAlchemy's own would be no others, because it knows no types of a textual SELECT's columns, and would double the
    cost of reading. Its way to the driver's is private: where it is gone, they are read as SQLAlchemy gives them.
    """
    strategy = getattr(result, "cursor_strategy", None)
    if strategy is None:
        return [marked(row) for row in result.fetchmany(count)]
    rows: Rows = strategy.fetchmany(result, result.cursor, count)
    return rows
