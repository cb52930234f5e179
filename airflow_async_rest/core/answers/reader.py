"""Response -> payload -> rows: in the format that its author names, or its content type. Pure."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.answers.formats import AnswerFormat, Format, chosen_format, format_of_type, parse_json
from airflow_async_rest.core.answers.found_rows import NOTHING, RowFinder, Rows
from airflow_async_rest.core.answers.tally import Tally
from airflow_async_rest.core.encoding.charsets import MARKS, json_as_utf8
from airflow_async_rest.core.encoding.paths import JsonPath
from airflow_async_rest.core.errors import AnswerError, AnswerUnreadableError
from airflow_async_rest.core.models import Response
from airflow_async_rest.core.requests.headers import parse_content_type
from airflow_async_rest.core.sending.verdict import MAY_BE_CUT
from airflow_async_rest.core.transport.content_encoding import gunzip

Row = dict[str, Any]

_NO_CONTENT = frozenset({204, 205, 304})
_GZIP = frozenset({"application/gzip", "application/x-gzip", "application/gzipped", "application/x-gunzip"})
_GZIP_BEGINS = b"\x1f\x8b"  # RFC 1952, section 2.3.1; no text does
_NOTHING = MARKS | {b""}
_WHICH_FORMAT = "; if it is not JSON, say what it is: answer_format='ndjson', for example, or a function"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a response says.

    :param payload: parsed; None for an answer without content.
    :param rows: as they are to be loaded: column -> value.
    :param count: how many rows the API gave, whatever was made of them; None when that is unknown.
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
        self._max_bytes = max_bytes
        self._finder = RowFinder(rows, page_rows, empty_ok=empty_ok)
        self._empty_ok = empty_ok
        self._shape = shape

    @property
    def counts(self) -> bool:
        """Whether answers say how many rows the API gave."""
        return self._finder.counts

    @property
    def asked(self) -> Sequence[JsonPath]:
        """The paths into rows that ``columns`` has."""
        return self._shape.asked

    def read(self, response: Response, item: Mapping[str, Any], tally: Tally | None = None) -> Answer:
        """Read an answer.

        :param item: what was asked for.
        :param tally: see :meth:`RowShape.shape`.
        :raises AnswerError: when no rows can be made of it; says why.
        """
        response = unpack_file(response, self._max_bytes)
        form = self._format or format_of_type(_content_type(response)[0])
        payload, found = None, NOTHING
        if not self._is_empty(response):
            payload = parse_payload(response, form)
            found = self._finder.find(response, payload, item)
        shaped = self._shape.shape(found.rows, item, response.excerpt, tally)
        # What a function makes of a number is its own; and it may count on floats.
        as_they_are = form.parse_exactly is not None and self._finder.takes_numbers_as_they_are
        if as_they_are and self._shape.needs_exact_numbers(shaped):
            exactly = self._finder.find_again(response, parse_payload(response, form, exactly=True))
            self._shape.write_exactly(shaped, exactly)
        return Answer(response, payload, shaped, found.count, found.given)

    def _is_empty(self, response: Response) -> bool:
        """Return whether an answer has no content. :raises AnswerError: when it should have some."""
        if response.status in _NO_CONTENT:
            return True
        if response.body.strip() not in _NOTHING:
            return False
        if response.may_be_cut:
            raise AnswerError(MAY_BE_CUT.format("an empty body"))
        if not self._empty_ok:
            raise AnswerError(
                f"the answer has {len(response.body)} bytes and status {response.status}, which does not say that "
                "there are no rows, as a 204 would; with empty_ok=True it does"
            )
        return True


def unpack_file(response: Response, bound: int) -> Response:
    """Unpack an answer that is a .gz file: by its content type, or by how it begins.

    :param bound: the most bytes that are in it.
    :raises AnswerError: when it is cut off or damaged, or has more bytes.
    """
    if not response.body or not _is_gzip_file(response):
        return response
    try:
        return replace(response, body=gunzip(response.body, bound))
    except AnswerUnreadableError as error:
        raise AnswerError(f"{error}; it is a .gz file") from error
    except zlib.error as error:
        raise AnswerError(
            f"the answer, of {len(response.body)} bytes, is called a .gz file by its beginning, or its content type, "
            "but cannot be unpacked"
        ) from error


def _is_gzip_file(response: Response) -> bool:
    if response.body.startswith(_GZIP_BEGINS):
        return True
    # Some servers call what they pack only for the way by both names: then it is unpacked already.
    return _content_type(response)[0] in _GZIP and "gzip" not in response.headers.get("Content-Encoding", "").lower()


def parse_payload(response: Response, chosen: Format | None = None, *, exactly: bool = False) -> Any:
    """Parse a response's body.

    :param chosen: its format. Default: what its content type says, which is JSON where it says nothing that we know.
    :param exactly: so that each number remembers how it was written, which takes longer.
    :return: None when it has no content.
    :raises AnswerError: when it has another format, or does not show that nothing of it is cut off.
    """
    if response.status in _NO_CONTENT:
        return None
    kind, charset = _content_type(response)
    form = chosen or format_of_type(kind)
    if response.may_be_cut and not form.is_json:
        raise AnswerError(MAY_BE_CUT.format(form.name))
    try:
        payload = (form.parse_exactly if exactly and form.parse_exactly else form.parse)(response.body, charset)
    except form.errors as error:
        hint = _WHICH_FORMAT if form.is_json and "json" not in kind else ""
        raise AnswerError(
            f"the answer, of {len(response.body)} bytes and content type {response.excerpt(kind) or 'unknown'!r}, "
            f"{response.excerpt(form.complaint(error))}{hint}; it begins {response.excerpt(response.text)!r}"
        ) from error
    if response.may_be_cut and _is_number(payload):
        raise AnswerError(MAY_BE_CUT.format("a number"))
    return payload


def is_whole(response: Response) -> bool:
    """Return whether an answer shows by itself that nothing of it is cut off: JSON does, unless it is a number."""
    if response.status in _NO_CONTENT:
        return True
    try:
        payload = parse_json(json_text(response))
    except (ValueError, LookupError, RecursionError):
        return False
    return format_of_type(_content_type(response)[0]).is_json and not _is_number(payload)


def json_text(response: Response) -> bytes:
    """Return the body of an answer in JSON, in UTF-8. :raises ValueError: when it is not what its charset says."""
    return json_as_utf8(response.body, _content_type(response)[1])


def _content_type(response: Response) -> tuple[str, str]:
    return parse_content_type(str(response.headers.get("Content-Type", "")))


def _is_number(payload: Any) -> bool:
    return isinstance(payload, int | float | Decimal) and not isinstance(payload, bool)
