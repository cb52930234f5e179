"""Response -> payload: the formats of answers, what tells which one it is, and how each is read. Pure."""

import csv
import inspect
import re
import zlib
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import orjson

from airflow_async_rest.core.answers.csv_format import Csv
from airflow_async_rest.core.encoding.charsets import decode_text, json_as_utf8
from airflow_async_rest.core.errors import AnswerError, AnswerUnreadableError, ConfigurationError
from airflow_async_rest.core.letters.lines import parse_exactly
from airflow_async_rest.core.models import Response
from airflow_async_rest.core.requests.headers import joined, parse_content_type
from airflow_async_rest.core.sending.verdict import MAY_BE_CUT
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.core.transport.content_encoding import gunzip

AnswerFormat = str | Csv | Callable[[bytes], Any] | None

NO_CONTENT = frozenset({204, 205, 304})
_GZIP = frozenset({"application/gzip", "application/x-gzip", "application/gzipped", "application/x-gunzip"})
_GZIP_BEGINS = b"\x1f\x8b"  # RFC 1952, section 2.3.1; no text does
_WHICH_FORMAT = "; if it is not JSON, say what it is: answer_format='ndjson', for example, or a function"
_PLAIN = "it is an async function; write a plain one"
_OTHER_CHARSET = "; say what its charset is: answer_format=Csv(charset='windows-1252')"
# A number of more digits than a float keeps; a text of as many digits is taken for one, which costs only time.
_LONG_NUMBER = re.compile(rb"\d[\d.]{16}")
# Nearly all JSON begins so that is in UTF-8; in UTF-16 and UTF-32 there is a zero.
_BEGINS_IN_UTF8 = re.compile(rb"[\[{][\t-~]")


@dataclass(frozen=True, slots=True)
class Format:
    """One way to read an answer.

    :param name: for people.
    :param parse: body, charset -> payload.
    :param parse_exactly: the same, so that each number remembers how it was written, which takes longer; None where
        there are no numbers, or where they are made by an author's function.
    :param errors: what ``parse`` raises where the body is not what it should be.
    :param is_json: whether a body shows by itself that nothing of it is cut off, unless it is a number.
    """

    name: str
    parse: Callable[[bytes, str], Any]
    parse_exactly: Callable[[bytes, str], Any] | None = None
    errors: tuple[type[Exception], ...] = (ValueError, LookupError, RecursionError, csv.Error)
    is_json: bool = False

    def complaint(self, error: Exception) -> str:
        """Say what is wrong with a body."""
        name = self.name.removeprefix("ND")  # a line of NDJSON is JSON
        is_in_another = isinstance(error, UnicodeDecodeError) and name in {"CSV", "TSV"}
        return f"cannot be read as {name}: {error}{_OTHER_CHARSET if is_in_another else ''}"


@dataclass(frozen=True, slots=True)
class _FunctionFormat(Format):
    def complaint(self, error: Exception) -> str:
        return f"is refused by {self.name}, which raised {type(error).__name__}: {error}"


def _check_plain(argument: str, function: Callable[..., Any]) -> None:
    """Check that a function is no async one, as far as that can be seen. :raises ConfigurationError: when it is."""
    for one in (function, getattr(function, "__call__", None)):  # noqa: B004  (an object's own method)
        if inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one):
            raise ConfigurationError(f"{argument}={_name_of(function)}: {_PLAIN}.")


def call(function: Callable[..., Any], *given: Any) -> Any:
    """Call a function. :raises TypeError: when it is an async one after all; else what it raises."""
    made = function(*given)
    if isinstance(made, Coroutine):
        made.close()
    if isinstance(made, Awaitable | AsyncIterable):
        raise TypeError(_PLAIN)
    return made


def _name_of(function: Callable[..., Any]) -> str:
    """Return what a function is called, for people."""
    function = getattr(function, "func", function)  # of a partial
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


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


def _json(body: bytes, charset: str) -> Any:
    is_plain = charset == "utf-8" and _BEGINS_IN_UTF8.match(body) is not None
    return parse_json(body if is_plain else json_as_utf8(body, charset))


def _lines(parse: Callable[[bytes], Any]) -> Callable[[bytes, str], list[Any]]:
    return lambda body, charset: [parse(line) for line in json_as_utf8(body, charset).splitlines() if line.strip()]


def _text(body: bytes, charset: str) -> dict[str, str]:
    """Read the whole answer as one row."""
    text = decode_text(body, charset)
    if "\0" in text:
        raise ValueError("it has NULs in it, as UTF-16 has; a function as answer_format can decode it")
    return {"text": text}


def _function(function: Callable[[bytes], Any]) -> Format:
    def parse(body: bytes, _: str) -> Any:
        payload = call(function, body)
        return list(payload) if isinstance(payload, Iterator) else payload  # what a generator raises is raised here

    return _FunctionFormat(f"the function {_name_of(function)} of answer_format", parse, errors=(Exception,))


_JSON = Format("JSON", _json, lambda body, charset: parse_exactly(json_as_utf8(body, charset)), is_json=True)
_FORMATS = {
    "json": _JSON,
    "ndjson": Format("NDJSON", _lines(parse_json), _lines(parse_exactly)),
    "csv": Format("CSV", Csv().parse),
    "tsv": Format("TSV", Csv(delimiter="\t").parse),
    "text": Format("text", _text),
}
_BY_TYPE = {
    "ndjson": (
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonl",
        "application/jsonlines",
        "application/x-jsonlines",
        "application/json-lines",
    ),
    "csv": ("text/csv", "application/csv"),
    "tsv": ("text/tab-separated-values",),
}
_TYPES = {kind: _FORMATS[name] for name, kinds in _BY_TYPE.items() for kind in kinds}


def chosen_format(answer_format: AnswerFormat) -> Format | None:
    """Return the format that an author has chosen; None: the content type tells.

    :raises ConfigurationError: when there is no such format.
    """
    if answer_format is None:
        return None
    if isinstance(answer_format, Csv):
        return Format("CSV", answer_format.parse)
    if isinstance(answer_format, str) and answer_format in _FORMATS:
        return _FORMATS[answer_format]
    if not callable(answer_format) or isinstance(answer_format, type):
        raise ConfigurationError(
            f"answer_format={answer_format!r}: write one of {', '.join(map(repr, _FORMATS))}, Csv(...), which is "
            "imported from airflow_async_rest, or a function: bytes -> payload."
        )
    _check_plain("answer_format", answer_format)
    return _function(answer_format)


def format_of(response: Response) -> Format:
    """Return the format that an answer's content type names: JSON, unless it says something else."""
    return _TYPES.get(_content_type(response)[0], _JSON)


def _content_type(response: Response) -> tuple[str, str]:
    return parse_content_type(str(response.headers.get("Content-Type", "")))


def unpack_file(response: Response, bound: int) -> Response:
    """Unpack an answer that is a .gz file: by its content type, or by how it begins.

    :param bound: the most bytes that are in it.
    :raises AnswerError: when it is cut off or damaged, or has more bytes.
    """
    if not response.body.startswith(_GZIP_BEGINS) and not (response.body and _is_called_gzip(response)):
        return response
    try:
        return replace(response, body=gunzip(response.body, bound))
    except AnswerUnreadableError as error:
        raise AnswerError(f"{error}; it is a .gz file") from error
    except zlib.error as error:
        raise AnswerError(
            f"the answer, of {counted(len(response.body), 'byte')}, is called a .gz file by its beginning, or its "
            "content type, but cannot be unpacked"
        ) from error


def _is_called_gzip(response: Response) -> bool:
    # Some servers call what they pack only for the way by both names: then it is unpacked already.
    return _content_type(response)[0] in _GZIP and "gzip" not in joined(response.headers, "Content-Encoding").lower()


def parse_payload(response: Response, chosen: Format | None = None, *, exactly: bool = False) -> Any:
    """Parse a response's body.

    :param chosen: its format. Default: what its content type says, which is JSON where it says nothing that we know.
    :param exactly: so that each number remembers how it was written, which takes longer.
    :return: None when it has no content.
    :raises AnswerError: when it has another format, or does not show that nothing of it is cut off.
    """
    if response.status in NO_CONTENT:
        return None
    kind, charset = _content_type(response)
    form = chosen or _TYPES.get(kind, _JSON)
    if response.may_be_cut and not form.is_json:
        raise AnswerError(MAY_BE_CUT.format(form.name))
    try:
        payload = (form.parse_exactly if exactly and form.parse_exactly else form.parse)(response.body, charset)
    except form.errors as error:
        hint = _WHICH_FORMAT if form.is_json and "json" not in kind else ""
        raise AnswerError(
            f"the answer, of {counted(len(response.body), 'byte')} and content type "
            f"{response.excerpt(kind) or 'unknown'!r}, "
            f"{response.excerpt(form.complaint(error))}{hint}; it begins {response.excerpt(response.text)!r}"
        ) from error
    if response.may_be_cut and _is_number(payload):
        raise AnswerError(MAY_BE_CUT.format("a number"))
    return payload


def is_whole(response: Response) -> bool:
    """Return whether an answer shows by itself that nothing of it is cut off: JSON does, unless it is a number."""
    if response.status in NO_CONTENT:
        return True
    try:
        payload = parse_json(json_text(response))
    except (ValueError, LookupError, RecursionError):
        return False
    return format_of(response).is_json and not _is_number(payload)


def json_text(response: Response) -> bytes:
    """Return the body of an answer in JSON, in UTF-8. :raises ValueError: when it is not what its charset says."""
    return json_as_utf8(response.body, _content_type(response)[1])


def _is_number(payload: Any) -> bool:
    return isinstance(payload, int | float | Decimal) and not isinstance(payload, bool)
