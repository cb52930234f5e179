"""Response -> payload -> the API's rows in it: by a path, or by the author's function. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.answers.csv_format import Lines
from airflow_async_rest.core.answers.formats import (
    NO_CONTENT,
    AnswerFormat,
    call,
    chosen_format,
    format_of,
    parse_payload,
    unpack_file,
)
from airflow_async_rest.core.answers.tally import Tally
from airflow_async_rest.core.answers.usual_names import is_error, says_it_failed
from airflow_async_rest.core.encoding.charsets import MARKS
from airflow_async_rest.core.encoding.paths import MISSING, WHOLE, JsonPath, parse_path
from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.models import Response
from airflow_async_rest.core.sending.verdict import MAY_BE_CUT
from airflow_async_rest.core.spelling import counted

Row = dict[str, Any]
Rows = str | Callable[[Any, dict[str, Any]], Any] | None

_NOTHING = MARKS | {b""}
# Where an API says what went wrong, in an answer that has no data.
_ERRORS = ("errors", "error")
_NOT_READY, _PARTIAL = 202, 206
# Bytes of the whole, and where those end that have come; of other units (items 0-24/319) the next page has the rest.
_BYTES = re.compile(r"\s*bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\s*", re.IGNORECASE)
_WORDS = ("message", "detail", "title", "description", "error")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a response says.

    :param payload: parsed; None for an answer without content.
    :param rows: as they are to be loaded: column -> value.
    :param count: how many rows the API gave, whatever was made of them; None when only the author's function knows.
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
    :param max_bytes: the most that a .gz file may have in it; the connection's ``max_response_mb``.
    :raises ConfigurationError: when an argument cannot be read.
    :ivar asked: the paths into rows that ``columns`` has.
    :ivar counts: whether it is known how many rows the API gives, whatever is made of them.
    """

    def __init__(
        self,
        rows: Rows,
        shape: RowShape,
        *,
        page_rows: str | None = None,
        empty_ok: bool = False,
        answer_format: AnswerFormat = None,
        max_bytes: int = 10_000_000,
    ) -> None:
        self._format = chosen_format(answer_format)
        if rows is not None and not isinstance(rows, str) and not callable(rows):
            raise ConfigurationError(f"rows={rows!r}: write a path such as 'data.items', or a function.")
        if not isinstance(empty_ok, bool):
            raise ConfigurationError(f"empty_ok={empty_ok!r}: write True or False.")
        self._path = parse_path("rows", rows) if isinstance(rows, str) else None
        self._page_path = (
            None if page_rows is None else WHOLE if page_rows == "" else parse_path("page_rows", page_rows)
        )
        self._function = rows if callable(rows) else None
        self._empty_ok = empty_ok
        self._shape, self.asked = shape, shape.asked
        self._max_bytes = max_bytes
        counted = self._page_path or self._path
        self.counts = counted.leads_to_one_place if counted is not None else self._function is None

    def read(self, response: Response, item: Mapping[str, Any], tally: Tally | None = None) -> Answer:
        """Read an answer.

        :param item: what was asked for.
        :param tally: see :meth:`RowShape.shape`.
        :raises AnswerError: when no rows can be made of it; says why.
        """
        if response.status == _PARTIAL:
            _check_range(response)
        response = unpack_file(response, self._max_bytes)
        if self._is_empty(response):
            return Answer(response, None, [], 0, [])
        payload = parse_payload(response, self._format)
        counted = None if self._page_path is None else self._page_rows(self._page_path, response, payload)
        rows = self._find(response, payload, item)
        shaped = self._shape.shape(rows, item, response.excerpt, tally)
        if self._shape.needs_exact_numbers(shaped):
            self._write_exactly(shaped, response)
        if not self.counts:
            return Answer(response, payload, shaped, None, response.body)
        given = rows if counted is None else counted  # a function may have taken rows out of the payload
        return Answer(response, payload, shaped, len(given), given)

    def _is_empty(self, response: Response) -> bool:
        """Return whether an answer has no content. :raises AnswerError: when it should have some."""
        if response.status in NO_CONTENT:
            return True
        if response.body.strip() not in _NOTHING:
            return False
        if response.may_be_cut:
            raise AnswerError(MAY_BE_CUT.format("an empty body"))
        if not self._empty_ok:
            raise AnswerError(
                f"the answer has {counted(len(response.body), 'byte')} and status {response.status}, which does not "
                "say that there are no rows, as a 204 would; with empty_ok=True it does"
            )
        _check_ready(response)
        return True

    def _find(self, response: Response, payload: Any, item: Mapping[str, Any]) -> list[Any]:
        """Find the rows. :raises AnswerError: when none are found, or they are not objects; says why."""
        if self._function is not None:
            _check_errors(response, payload, nothing_found=False)
            rows = self._make(self._function, response, payload, item)
            if not rows:
                _check_errors(response, payload, nothing_found=True)
        else:
            rows = self._list_at("rows", self._path, response, payload)
            if isinstance(payload, Lines) and not rows:
                self._shape.check_names(payload.names, response.excerpt)
        for row in rows:
            if not isinstance(row, Mapping):
                _check_errors(response, payload, nothing_found=row is None)
                raise AnswerError(
                    f"a row of the answer is {response.excerpt(row)!r}, which is not an object: a function as rows can "
                    "make one of it"
                )
        return rows

    def _list_at(self, argument: str, path: JsonPath | None, response: Response, payload: Any) -> list[Any]:
        found = payload if path is None else path.find(payload)
        if found is not MISSING and found is not None:
            if path is None:
                _check_errors(response, payload, nothing_found=False)
                if isinstance(payload, Mapping):  # a job's, as likely as a row
                    _check_ready(response)
            rows = _as_list(response, found)
            if not rows:
                _check_errors(response, payload, nothing_found=True)
            return rows
        _check_errors(response, payload, nothing_found=True)
        if self._empty_ok:
            return []
        what = "nothing" if found is MISSING else "null"
        where = "" if path is None else f" at {argument}={path.text!r}"
        raise AnswerError(
            f"the answer has {what}{where}: if that says that there are no rows, write empty_ok=True; it begins "
            f"{response.excerpt(payload)!r}"
        )

    def _page_rows(self, path: JsonPath, response: Response, payload: Any) -> list[Any]:
        """Find what is counted: an object that has the rows in it would count as one, and the next page overlap."""
        found = path.find(payload)
        if isinstance(found, Mapping):
            keys = response.excerpt(", ".join(map(str, found)))
            raise AnswerError(
                f"at page_rows={path.text!r} the answer has an object, with {keys}: write the path of the list of the "
                "API's rows"
            )
        return self._list_at("page_rows", path, response, payload)

    def _make(
        self, function: Callable[..., Any], response: Response, payload: Any, item: Mapping[str, Any]
    ) -> list[Any]:
        try:
            made = call(function, payload, dict(item))
            return [] if made is None else _as_list(response, made)
        except AnswerError:
            raise
        except Exception as error:  # the author's code may raise anything
            raise AnswerError(f"the function rows raised {type(error).__name__}: {error}") from error

    def _write_exactly(self, shaped: list[Row], response: Response) -> None:
        """Put numbers as they were written into shaped rows, where they are kept as texts.

        Not where a function makes the rows, or the payload, whose numbers are its own: it may count on floats. Nor
        where it depends on what kind of number there is which rows an expression finds.
        """
        may_differ = self._function is not None or (self._path is not None and self._path.computes)
        if may_differ or (self._format or format_of(response)).parse_exactly is None:
            return
        exactly = self._list_at("rows", self._path, response, parse_payload(response, self._format, exactly=True))
        self._shape.write_exactly(shaped, exactly)


def _as_list(response: Response, found: Any) -> list[Any]:
    if isinstance(found, Mapping):
        return [found]
    if isinstance(found, str | bytes) or not isinstance(found, Iterable):
        raise AnswerError(f"the rows of the answer are {response.excerpt(found)!r}, which is not a list of objects")
    return list(found)


def _check_errors(response: Response, payload: Any, *, nothing_found: bool) -> None:
    """Check that there are no errors in the place of data.

    :param nothing_found: whether there is nothing where the rows should be.
    :raises AnswerError: with the API's message.
    """
    if nothing_found:
        _check_ready(response)
    if not isinstance(payload, Mapping) or not (nothing_found or _is_null(payload.get("data", MISSING))):
        return
    for name in _ERRORS:
        if is_error(errors := payload.get(name)):
            raise AnswerError(f"the API answers with {name} and without data: {response.excerpt(_message(errors))!r}")
    if nothing_found and says_it_failed(payload):
        raise AnswerError(f"the API answers that it failed, and without rows: {response.excerpt(payload)!r}")


def _check_range(response: Response) -> None:
    """Check that no bytes are missing, as where a cache has only a part. :raises AnswerError: when some are."""
    said = str(response.headers.get("Content-Range", ""))
    if (found := _BYTES.fullmatch(said)) and (int(found[1]) or found[3] == "*" or int(found[2]) + 1 < int(found[3])):
        raise AnswerError(f"the answer is a part of the whole, which was asked for: {response.excerpt(said)!r}")


def _check_ready(response: Response) -> None:
    """Check that an answer in which nothing is found is not one that is still to come. :raises AnswerError: if so."""
    if response.status == _NOT_READY:
        raise AnswerError(
            "the answer has status 202 and no list of rows: it may not be ready yet; response_check=lambda response: "
            "Verdict.RETRY if response.status == 202 else None asks again"
        )


def _is_null(value: Any) -> bool:
    """Return whether a value is null, or an object of nulls only."""
    return value is None or (isinstance(value, Mapping) and bool(value) and all(map(_is_null, value.values())))


def _message(errors: Any) -> str:
    """Write what an API says of its errors."""
    if isinstance(errors, list):
        return "; ".join(map(_message, errors))
    if isinstance(errors, Mapping):
        errors = next((errors[name] for name in _WORDS if errors.get(name)), errors)
    return str(errors)
