"""Values that the server sends as something else: JSON, which MariaDB keeps in columns of texts."""

from collections.abc import Callable, Collection
from typing import Any

import orjson
from MySQLdb.constants import FIELD_TYPE, FLAG

from airflow_async_rest.compat.sqlalchemy import QueryResult
from airflow_async_rest.databases.values.json_values import json_reader
from airflow_async_rest.databases.values.row_values import Fetch, Rows, fetch_as_given

# Names of columns of texts that can be JSON only, in every table of the database that has such a column.
_JSON_COLUMNS = """
SELECT c.column_name
FROM information_schema.columns c
LEFT JOIN information_schema.check_constraints k
    ON k.constraint_schema = c.table_schema AND k.table_name = c.table_name AND k.constraint_name = c.column_name
    AND k.check_clause IN (
        CONCAT('json_valid(`', c.column_name, '`)'),
        CONCAT('json_valid("', c.column_name, '")')  -- as modes with ANSI_QUOTES write it
    )
WHERE c.table_schema = DATABASE() AND c.data_type = 'longtext' AND c.collation_name LIKE '%\\_bin'
GROUP BY c.column_name HAVING COUNT(*) = COUNT(k.constraint_name)
"""


def prepare(raw: Any, *, embed_json: bool, ask: Callable[[str], list[tuple[Any, ...]]]) -> Fetch:
    """Let a connection load JSON; return how rows are fetched.

    :param ask: returns the rows of a query, by another connection.
    """
    read = json_reader(embed=embed_json)
    raw.converter[FIELD_TYPE.JSON] = lambda value: read(value.decode() if isinstance(value, bytes) else value)
    if "MariaDB" not in raw.get_server_info():
        return fetch_as_given
    return _FetchWithJson(read, lambda: {name for (name,) in ask(_JSON_COLUMNS)}).fetch


class _FetchWithJson:
    def __init__(self, read: Callable[[str], Any], names_of_json: Callable[[], Collection[str]]) -> None:
        self._read = read
        self._names_of_json = names_of_json
        self._places: list[int] | None = None

    def fetch(self, result: QueryResult, count: int) -> Rows:
        rows = fetch_as_given(result, count)
        if self._places is None and rows:
            self._places = self._find(result.cursor)
        return [self._converted(row) for row in rows] if self._places else rows

    def _find(self, cursor: Any) -> list[int]:
        """Find which columns are JSON: long texts, compared by their bytes, whose names are those of JSON columns."""
        about = zip(cursor.description, cursor.description_flags, strict=True)
        maybe = [
            (place, name)
            for place, ((name, type_, *_), flags) in enumerate(about)
            if type_ == FIELD_TYPE.BLOB and flags & FLAG.BINARY
        ]
        names = self._names_of_json() if maybe else ()
        return [place for place, name in maybe if name in names]

    def _converted(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        values = list(row)
        for place in self._places or ():
            values[place] = self._of_json(values[place])
        return tuple(values)

    def _of_json(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            orjson.loads(value)
        except ValueError:  # of another table's column of the same name
            return value
        return self._read(value)
