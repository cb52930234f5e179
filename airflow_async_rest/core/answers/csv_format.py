"""CSV -> rows, as strictly as it can be read. Pure."""

import csv
import io
import json
import re
from dataclasses import dataclass
from typing import Any

from airflow_async_rest.core.encoding.charsets import decode_text
from airflow_async_rest.core.errors import ConfigurationError

# How a file tells Excel what separates its fields.
_SAYS_DELIMITER = re.compile(r"sep=([^\w\s\"]|\t)\r?\n")
# What most often separates where it is no comma.
_OTHER_DELIMITERS = ";\t|"


@dataclass(frozen=True)
class Csv:
    """Lines of fields, of which the first one names the columns; an empty field is NULL.

    :param delimiter: what separates fields: one character. Default: a comma; and where a column's name then has a
        semicolon, a tab or a bar in it, the answer is an error, because that may be what separates them.
        Unless it is in quotes; or the answer's first line says what does, as ``sep=;``, which Excel takes.
    :param quote: what a field begins and ends with that has the delimiter, or a line break, in it; inside it stands
        twice. None: there is none, and the double quote is a character as any other. Default: the double quote.
    :param charset: of the answer, such as ``"windows-1250"``, whatever its content type says; a byte order mark says
        more. Default: as the content type says, else UTF-8.
    :raises ConfigurationError: names the argument that is wrong.
    """

    delimiter: str | None = None
    quote: str | None = '"'
    charset: str | None = None

    def __post_init__(self) -> None:
        for name in ("delimiter", "quote"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and len(value) == 1 and value not in "\r\n\0"):
                raise ConfigurationError(f"Csv({name}={value!r}): write one character, or None.")
        if self.quote == (self.delimiter or ","):
            raise ConfigurationError(f"Csv(quote={self.quote!r}): that is the delimiter; write another character.")
        if self.charset is not None and not _is_charset(self.charset):
            raise ConfigurationError(f"Csv(charset={self.charset!r}): it is unknown; write one such as 'utf-8'.")

    def parse(self, body: bytes, charset: str) -> "Lines":
        """Read a whole answer.

        :param charset: what its content type says.
        :raises ValueError: when it cannot be read.
        :raises LookupError: when the charset is unknown.
        :raises csv.Error: when its quotes do not end.
        """
        text = decode_text(body, self.charset or charset)
        _check_no_other(text)
        delimiter = self.delimiter
        if said := _SAYS_DELIMITER.match(text):
            text, delimiter = text[said.end() :], delimiter or said[1]
        if delimiter is None:
            self._check_comma(text)
        # A limit for the whole process: it is only ever raised, so that nobody who set one falls below it.
        csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
        lines = csv.reader(
            io.StringIO(text, newline=""),
            strict=True,
            delimiter=delimiter or ",",
            quotechar=self.quote,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
        )
        names = next(filter(None, lines), [])
        _check_names(names)
        rows = Lines(names)
        for fields in lines:
            if len(fields) == len(names):
                rows.append({name: field or None for name, field in zip(names, fields, strict=True)})
            elif fields:
                raise ValueError(f"line {lines.line_num} has {len(fields)} fields, and the first one {len(names)}")
        return rows

    def _check_comma(self, text: str) -> None:
        """Check that nothing else may separate the columns' names. :raises ValueError: when something may."""
        quote = re.escape(self.quote or "\0")
        quoted = f"{quote}[^{quote}]*{quote}"
        header = re.match(rf"(?:{quoted}|[^\r\n])*", text.lstrip("\r\n"))
        line = re.sub(quoted, "", header[0] if header else "")
        if found := next(filter(line.__contains__, _OTHER_DELIMITERS), None):
            raise ValueError(
                f"the name of a column has {found!r} in it: write answer_format=Csv(delimiter={found!r}) where that "
                "separates fields, and Csv(delimiter=',') where a comma does"
            )


class Lines(list[dict[str, str | None]]):
    """The rows of a file.

    :param names: of its columns.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names


def _check_no_other(text: str) -> None:
    """Check that a text is no other format: of one line, it would pass for names of columns, and no rows.

    :raises ValueError: when it is.
    """
    stripped = text.strip()
    if stripped.startswith("<") and stripped.endswith(">"):
        raise ValueError("it is HTML or XML")
    if stripped.startswith(("{", "[")) and (_is_json(stripped) or _is_json(stripped.splitlines()[0])):
        raise ValueError("it is JSON")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _check_names(names: list[str]) -> None:
    """Check the names of columns. :raises ValueError: when they cannot be names."""
    if len(set(names)) < len(names):
        raise ValueError("two columns have one name")
    if "\0" in "".join(names):
        raise ValueError("the names of its columns have NULs in them, as UTF-16 has: write Csv(charset='utf-16')")


def _is_charset(name: Any) -> bool:
    try:
        "a".encode(name)
    except (LookupError, TypeError, ValueError):
        return False
    return True
