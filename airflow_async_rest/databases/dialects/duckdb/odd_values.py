"""Values that DuckDB's driver changes: infinite times are the last day that Python has, and a month is 30 days.

A query with columns of such types is wrapped: beside each row that has such values stands what they are, as texts. Its
rows stay in its own order, which DuckDB keeps through a subquery.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from airflow_async_rest.core.encoding.durations import CalendarDuration, iso_of_interval

_TIMES = frozenset(
    {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"},
)
_ODD = "async_rest_odd"


class OddValues(NamedTuple):
    """A query that says which values of its rows the driver changes: in a last column, which is not the author's.

    :param sql: the query.
    :param places: of the columns that may have such values.
    """

    sql: str
    places: Sequence[int]

    @classmethod
    def of(cls, sql: str, columns: Sequence[tuple[str, str]]) -> "OddValues | None":
        """Return the query; None where it has no such column, or two of one name, which are refused later.

        :param columns: their names and types.
        """
        tests = {place: test for place, (name, type_) in enumerate(columns) if (test := _test(_quoted(name), type_))}
        if not tests or len({name.lower() for name, _ in columns} | {_ODD}) <= len(columns):
            return None
        texts = ", ".join(
            f"CASE WHEN {test} THEN CAST({_quoted(columns[place][0])} AS VARCHAR) END" for place, test in tests.items()
        )
        odd = f"CASE WHEN {' OR '.join(tests.values())} THEN [{texts}] END AS {_ODD}"
        # On separate lines, because the query may end in a comment.
        return cls(f"SELECT *, {odd} FROM (\n{sql}\n)", list(tests))

    def without(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return rows as the query itself has them."""
        return [self._exact(row) if row[-1] else row[:-1] for row in rows]

    def _exact(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        *values, texts = row
        for place, text in zip(self.places, texts, strict=True):
            if text is not None:
                value = values[place]
                values[place] = text if "inf" in text else CalendarDuration.of(value, iso_of_interval(text))
        return tuple(values)


def _test(name: str, type_: str) -> str:
    if type_ in _TIMES:
        return f"isinf({name})"
    return f"(datepart('year', {name}) <> 0 OR datepart('month', {name}) <> 0)" if type_ == "INTERVAL" else ""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
