"""Response -> payload -> rows: JSON, NDJSON and CSV, by the answer's content type. Pure."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from airflow_async_rest.core.columns import RowShape
from airflow_async_rest.core.errors import AnswerError
from airflow_async_rest.core.found_rows import NOTHING, RowFinder, Rows
from airflow_async_rest.core.headers import parse_content_type
from airflow_async_rest.core.letter_lines import parse_exactly
from airflow_async_rest.core.models import Response
from airflow_async_rest.core.response import MAY_BE_CUT

Row = dict[str, Any]

_NO_CONTENT = frozenset({204, 205, 304})
_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
_CSV = frozenset({"text/csv", "application/csv"})
# A number of more digits than a float keeps; a text of as many digits is taken for one, which costs only time.
_LONG_NUMBER = re.compile(rb"\d[\d.]{16}")
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a response says.

    :param payload: parsed; None for an answer without content.
    :param rows: as they are to be loaded: column -> value.
    :param count: how many rows the API gave, whatever was made of them; None when nobody knows.
    :param given: what the API gave, to be compared with what the page before gave.
    """

    response: Response
    payload: Any
    rows: list[Row]
    count: int | None
    given: Any


class AnswerReader:
    """Reads answers; see ``RestToSqlOperator`` for the arguments.

    :param shape: what of a row goes into which column.
    :raises ConfigurationError: when an argument cannot be read.
    """

    def __init__(self, rows: Rows, shape: RowShape, *, page_rows: str | None = None, empty_ok: bool = False) -> None:
        self._finder = RowFinder(rows, page_rows, empty_ok=empty_ok)
        self._empty_ok = empty_ok
        self._shape = shape

    @property
    def counts(self) -> bool:
        """Whether answers say how many rows the API gave."""
        return self._finder.counts

    def count_ignored(self, earlier: Counter[str], shown: Callable[[str], str] = str) -> Counter[str]:
        """Go on counting the keys that are not loaded. :return: the count, which grows as answers are read.

        :param shown: takes secrets out of a key.
        """
        self._shape.ignored, self._shape.shown = earlier, shown
        return earlier

    def count_unfound(self, earlier: Mapping[str, int] | None) -> dict[str, int]:
        """Go on counting the rows without each path that none has; see :class:`UnfoundPaths`."""
        return self._shape.unfound.go_on(earlier)

    def nearest(self, path: str) -> str | None:
        """Return what a path that no row has was most likely meant to be."""
        return self._shape.unfound.nearest(path)

    def read(self, response: Response, item: Mapping[str, Any]) -> Answer:
        """Read an answer.

        :param item: what was asked for.
        :raises AnswerError: when no rows can be made of it; says why.
        """
        payload, found = None, NOTHING
        if not self._is_empty(response):
            payload = parse_payload(response)
            found = self._finder.find(response, payload, item)
        shaped = self._shape.shape(found.rows, item, response.excerpt)
        # What a function makes of a number is its own; and it may count on floats.
        if self._finder.takes_numbers_as_they_are and self._shape.needs_exact_numbers(shaped):
            exactly = self._finder.find_again(response, parse_payload(response, exactly=True))
            self._shape.write_exactly(shaped, exactly)
        return Answer(response, payload, shaped, found.count, found.given)

    def _is_empty(self, response: Response) -> bool:
        """Tell an answer without content. :raises AnswerError: when it should have some."""
        if response.status in _NO_CONTENT:
            return True
        if response.body.strip():
            return False
        if response.may_be_cut:
            raise AnswerError(MAY_BE_CUT.format("an empty body"))
        if not self._empty_ok:
            raise AnswerError(
                f"the answer has {len(response.body)} bytes and status {response.status}, which does not say that "
                "there are no rows, as a 204 would; with empty_ok=True it does"
            )
        return True


def parse_payload(response: Response, *, exactly: bool = False) -> Any:
    """Parse a response's body, by its content type: NDJSON and CSV are lists of objects, the rest is JSON.

    :param exactly: so that each number remembers how it was written, which takes longer.
    :return: None when it has no content.
    :raises AnswerError: when it is not what its content type says, or does not show that nothing of it is cut off.
    """
    if response.status in _NO_CONTENT:
        return None
    parse = parse_exactly if exactly else parse_json
    kind, charset = _content_type(response)
    if response.may_be_cut and (kind in _CSV or kind in _NDJSON):
        raise AnswerError(MAY_BE_CUT.format("CSV" if kind in _CSV else "NDJSON"))
    try:
        if kind in _CSV:
            return _parse_csv(response.body.decode(charset).removeprefix(_BYTE_ORDER_MARK))
        if kind in _NDJSON:
            return [parse(line) for line in response.body.splitlines() if line.strip()]
        payload = parse(response.body)
    except (ValueError, LookupError, RecursionError, csv.Error) as error:
        what, called = "CSV" if kind in _CSV else "JSON", response.excerpt(kind) or "unknown"
        raise AnswerError(
            f"the answer, of {len(response.body)} bytes and content type {called!r}, cannot be read as "
            f"{what}: {response.excerpt(error)}; it begins {response.excerpt(response.text)!r}"
        ) from error
    if response.may_be_cut and _is_number(payload):
        raise AnswerError(MAY_BE_CUT.format("a number"))
    return payload


def is_whole(response: Response) -> bool:
    """Tell whether an answer shows by itself that nothing of it is cut off: JSON does, unless it is a number."""
    if response.status in _NO_CONTENT:
        return True
    kind, _ = _content_type(response)
    try:
        return kind not in _CSV and kind not in _NDJSON and not _is_number(parse_json(response.body))
    except (ValueError, RecursionError):
        return False


def _content_type(response: Response) -> tuple[str, str]:
    return parse_content_type(str(response.headers.get("Content-Type", "")))


def _is_number(payload: Any) -> bool:
    return isinstance(payload, int | float | Decimal) and not isinstance(payload, bool)


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
