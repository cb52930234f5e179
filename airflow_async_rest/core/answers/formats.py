"""The formats of answers: which there are, what tells which one it is, and how each is read. Pure."""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from airflow_async_rest.core.answers.author_functions import call, check_plain, name_of
from airflow_async_rest.core.answers.csv_format import Csv
from airflow_async_rest.core.encoding.charsets import decode_text, json_as_utf8
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.letters.lines import parse_exactly

AnswerFormat = str | Csv | Callable[[bytes], Any] | None

_OTHER_CHARSET = "; say what its charset is: answer_format=Csv(charset='windows-1252')"
# A number of more digits than a float keeps; a text of as many digits is taken for one, which costs only time.
_LONG_NUMBER = re.compile(rb"\d[\d.]{16}")


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


def _json(parse: Callable[[bytes], Any]) -> Callable[[bytes, str], Any]:
    return lambda body, charset: parse(json_as_utf8(body, charset))


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

    return _FunctionFormat(f"the function {name_of(function)} of answer_format", parse, errors=(Exception,))


_JSON = Format("JSON", _json(parse_json), _json(parse_exactly), is_json=True)
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
    check_plain("answer_format", answer_format)
    return _function(answer_format)


def format_of_type(kind: str) -> Format:
    """Return the format of a content type: JSON, unless it says something else."""
    return _TYPES.get(kind, _JSON)
