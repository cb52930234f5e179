"""Response -> payload -> rows: JSON, NDJSON and CSV, by the answer's content type. Pure."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from airflow_async_rest.core.columns import MISSING, RowShape, follow, parse_path
from airflow_async_rest.core.dead_letters import parse_exactly
from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.headers import parse_content_type
from airflow_async_rest.core.models import Response

Row = dict[str, Any]
Rows = str | Callable[[Any, dict[str, Any]], Any] | None

_NO_CONTENT = frozenset({204, 205, 304})
_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
_CSV = frozenset({"text/csv", "application/csv"})
# A number of more digits than a float keeps; a text of as many digits is taken for one, which costs only time.
_LONG_NUMBER = re.compile(rb"\d[\d.]{16}")
_BYTE_ORDER_MARK = "\ufeff"
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What a response says.

    :param payload: parsed; None for an answer without content.
    :param rows: as they are to be loaded: column -> value.
    :param count: how many rows the API gave.
    """

    response: Response
    payload: Any
    rows: list[Row]
    count: int


class AnswerReader:
    """Reads answers; see ``RestToSqlOperator`` for ``rows``.

    :param rows: path of the rows in the payload; or a function: (payload, item) -> row, rows or None.
    :param shape: what of a row goes into which column.
    :raises ConfigurationError: when ``rows`` is neither.
    """

    def __init__(self, rows: Rows, shape: RowShape) -> None:
        if rows is not None and not isinstance(rows, str) and not callable(rows):
            raise ConfigurationError(f"rows={rows!r}: write a path such as 'data.items', or a function.")
        self._path = parse_path("rows", rows) if isinstance(rows, str) else ()
        self._function = rows if callable(rows) else None
        self._shape = shape

    def count_ignored(self, earlier: Counter[str]) -> Counter[str]:
        """Go on counting the keys that are not loaded. :return: the count, which grows as answers are read."""
        self._shape.ignored = earlier
        return earlier

    def read(self, response: Response, item: Mapping[str, Any]) -> Answer:
        """Read an answer.

        :param item: what was asked for.
        :raises AnswerError: when no rows can be made of it; says why.
        """
        payload = parse_payload(response)
        rows = self._rows_of(payload, item)
        shaped = self._shape.shape(rows, item)
        # What a function makes of a number is its own; and it may count on floats.
        if self._function is None and self._shape.needs_exact_numbers(shaped):
            shaped = self._shape.shape_again(self._rows_of(parse_payload(response, exactly=True), item), item)
        return Answer(response, payload, shaped, len(rows))

    def _rows_of(self, payload: Any, item: Mapping[str, Any]) -> list[Any]:
        if self._function is not None:
            try:
                rows = _as_list(_ask(self._function, payload, item))
            except AnswerError:
                raise
            except Exception as error:  # the author's code may raise anything
                raise AnswerError(f"the function rows raised {type(error).__name__}: {error}") from error
        else:
            found = follow(payload, self._path)
            if found is MISSING and payload is not None:
                raise AnswerError(
                    f"the answer has nothing at rows={'.'.join(self._path)!r}; it begins {str(payload)[:_SHOWN]!r}"
                )
            rows = _as_list(None if found is MISSING else found)
        for row in rows:
            if not isinstance(row, Mapping):
                raise AnswerError(
                    f"a row of the answer is {str(row)[:_SHOWN]!r}, which is no object: a function as rows can make "
                    "one of it"
                )
        return rows


def _ask(function: Callable[[Any, dict[str, Any]], Any], payload: Any, item: Mapping[str, Any]) -> Any:
    found = function(payload, dict(item))
    if isinstance(found, Coroutine):
        found.close()
        raise TypeError("it is an async function; write a plain one")
    return found


def _as_list(found: Any) -> list[Any]:
    if found is None:
        return []
    if isinstance(found, Mapping):
        return [found]
    if isinstance(found, str | bytes) or not isinstance(found, Iterable):
        raise AnswerError(f"the rows of the answer are {str(found)[:_SHOWN]!r}, which is no list of objects")
    return list(found)


def parse_payload(response: Response, *, exactly: bool = False) -> Any:
    """Parse a response's body, by its content type: NDJSON and CSV are lists of objects, the rest is JSON.

    :param exactly: so that each number remembers how it was written, which takes longer.
    :return: None when it has no content.
    :raises AnswerError: when it is not what its content type says.
    """
    if response.status in _NO_CONTENT:
        return None
    parse = parse_exactly if exactly else parse_json
    kind, charset = parse_content_type(str(response.headers.get("Content-Type", "")))
    try:
        if kind in _CSV:
            return _parse_csv(response.body.decode(charset).removeprefix(_BYTE_ORDER_MARK))
        if kind in _NDJSON:
            return [parse(line) for line in response.body.splitlines() if line.strip()]
        return parse(response.body)
    except (ValueError, LookupError, RecursionError, csv.Error) as error:
        what = "CSV" if kind in _CSV else "JSON"
        raise AnswerError(
            f"the answer, of {len(response.body)} bytes and content type {kind or 'unknown'!r}, cannot be read as "
            f"{what}: {error}; it begins {response.text[:_SHOWN]!r}"
        ) from error


def parse_json(body: bytes) -> Any:
    """Parse JSON without losing a digit.

    :raises ValueError: when it is not JSON.
    """
    if _LONG_NUMBER.search(body) is None:
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:  # it may be JSON all the same: 1e400
            pass
    return parse_exactly(body)


def _parse_csv(text: str) -> list[Row]:
    """Read CSV with a header line; an empty field is NULL."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    names = next(lines, None)
    if names is None:
        return []
    if len(set(names)) < len(names):
        raise ValueError("two columns have one name")
    rows = []
    for fields in lines:
        if len(fields) == len(names):
            rows.append({name: field or None for name, field in zip(names, fields, strict=True)})
        elif fields:
            raise ValueError(f"line {lines.line_num} has {len(fields)} fields, and the first one {len(names)}")
    return rows
