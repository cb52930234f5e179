"""Values that DuckDB's driver changes: infinite times are the last day that Python has, and a month is 30 days.

A query with columns of such types is wrapped: beside each row that has such values stands what they are, as texts. Its
rows stay in its own order, which DuckDB keeps through a subquery. A FLOAT comes with the digits that DuckDB writes of
it, 0.1: the driver would give 0.10000000149011612.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from airflow_async_rest.core.encoding.durations import CalendarDuration, iso_of_interval
from airflow_async_rest.databases.dialects.duckdb.types import replaced

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
        floats = [_float(_quoted(name), type_) for name, type_ in columns if _has_floats(type_)]
        if not (tests or floats) or len({name.lower() for name, _ in columns} | {_ODD}) <= len(columns):
            return None
        texts = ", ".join(
            f"CASE WHEN {test} THEN CAST({_quoted(columns[place][0])} AS VARCHAR) END" for place, test in tests.items()
        )
        odd = f"CASE WHEN {' OR '.join(tests.values())} THEN [{texts}] END" if tests else "NULL"
        all_ = f"* REPLACE ({', '.join(floats)})" if floats else "*"
        # On separate lines, because the query may end in a comment.
        return cls(f"SELECT {all_}, {odd} AS {_ODD} FROM (\n{sql}\n)", list(tests))

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


def _has_floats(type_: str) -> bool:
    # Of a union, a text would be another of its members.
    return "UNION(" not in type_ and replaced(type_, {"FLOAT": ""}) != type_


def _float(name: str, type_: str) -> str:
    texts, doubles = (replaced(type_, {"FLOAT": other}) for other in ("VARCHAR", "DOUBLE"))
    return f"CAST(CAST({name} AS {texts}) AS {doubles}) AS {name}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
