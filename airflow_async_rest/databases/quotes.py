"""The text of SQL: its quotes and comments, as each database reads them."""

import functools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from airflow_async_rest.core.errors import ConfigurationError

# What blanked characters become, one for one. A quote in which a backslash takes the next character's meaning has its
# own, because a backslash before a colon is not our escape there.
QUOTE, ESCAPES, COMMENT = "'", '"', " "

# One that is not ended goes on to the end of the text.
_PLAIN = r"{0}(?:[^{0}]|{0}{0})*+(?:{0}|\Z)"
_ESCAPING = r"{0}(?:[^{0}\\]|{0}{0}|\\(?:.|\Z))*+(?:{0}|\Z)"
# Two of them with nothing but a line break between are one, and the second needs no E.
_E_QUOTE = rf"(?<![\w$])[eE]{_ESCAPING.format(chr(39))}(?:\s*\n\s*{_ESCAPING.format(chr(39))})*+"
_Q_QUOTE = (
    r"(?<![\w$#])[nN]?[qQ]'(?:\[.*?(?:\]'|\Z)|\{.*?(?:\}'|\Z)|\(.*?(?:\)'|\Z)|<.*?(?:>'|\Z)"
    r"|(?P<delimiter>[^\s\[{(<]).*?(?:(?P=delimiter)'|\Z))"
)
_DOLLAR_QUOTE = r"(?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)"
# What one database reads as a quote, a comment or an escape, and another does not; a comment within a comment.
_READ_DIFFERENTLY = re.compile(r"[\\`$#\[]|(?<!\w)[nN]?[qQ]'|--(?!\s)|/\*!|/\*(?:(?!\*/).)*/\*", re.DOTALL)
_EITHER_END = re.compile(r"/\*|\*/")


class Quotes(NamedTuple):
    """How a database writes quotes and comments; unless told otherwise, by the standard, and with the quotes of many.

    :param nested_comments: whether a comment may have others in it.
    :param backslashes: whether a backslash takes the next character's meaning.
    :param names_in_double: whether it takes none in double quotes, because names stand there.
    :param backticks: whether names may stand in them.
    :param dollars: whether a text may stand in ``$tag$``.
    :param e: whether a text may begin as ``E'``, in which backslashes do that.
    :param q: whether a text may stand in ``q'[`` and ``]'``.
    :param brackets: what of brackets is a name, and not an array's element: a pattern.
    :param line_comment: a pattern.
    :param runs_comments: whether what stands in ``/*! */`` is run.
    """

    nested_comments: bool = False
    backslashes: bool = False
    names_in_double: bool = False
    backticks: bool = True
    dollars: bool = True
    e: bool = False
    q: bool = False
    brackets: str = ""
    line_comment: str = r"--[^\n]*"
    runs_comments: bool = False


def is_read_alike(sql: str) -> bool:
    """Return whether every database finds the same quotes and comments in SQL."""
    return _READ_DIFFERENTLY.search(sql) is None


def blank(sql: str, quotes: Quotes) -> str:
    """Return SQL with its comments as spaces, and its quotes as quotation marks throughout."""
    text, place = "", 0
    for start, end, blanked in _spans(sql, quotes):
        text += sql[place:start] + blanked * (end - start)
        place = end
    return text + sql[place:]


def _spans(sql: str, quotes: Quotes) -> Iterator[tuple[int, int, str]]:
    pattern, end = _pattern(quotes), 0
    while found := pattern.search(sql, end):
        end = _end_of_nested(sql, found.end()) if found.lastgroup == "nested" else found.end()
        yield found.start(), end, {"plain": QUOTE, "escaping": ESCAPES}.get(found.lastgroup or "", COMMENT)


def _end_of_nested(sql: str, place: int) -> int:
    """Find the end of a comment that may have others in it."""
    depth = 1
    while depth and (found := _EITHER_END.search(sql, place)):
        depth += 1 if found[0] == "/*" else -1
        place = found.end()
    return len(sql) if depth else place


@functools.cache
def _pattern(quotes: Quotes) -> re.Pattern[str]:
    plain = [_DOLLAR_QUOTE if quotes.dollars else "", _Q_QUOTE if quotes.q else ""]
    plain += [_PLAIN.format("`") if quotes.backticks else "", quotes.brackets]
    escaping = "" if not quotes.backslashes else "'" if quotes.names_in_double else "'\""
    marks = {mark: (_ESCAPING if mark in escaping else _PLAIN).format(mark) for mark in "'\""}
    nested, flat = (
        (r"/\*", "")
        if quotes.nested_comments
        else ("", rf"/\*{'(?!M?!)' if quotes.runs_comments else ''}.*?(?:\*/|\Z)")
    )
    groups = {
        "escaping": [_E_QUOTE if quotes.e else "", *(marks[mark] for mark in escaping)],
        "plain": [*plain, *(marks[mark] for mark in marks if mark not in escaping)],
        "nested": [nested],
        "comment": [quotes.line_comment, flat],
    }
    written = {name: "|".join(filter(None, patterns)) for name, patterns in groups.items()}
    return re.compile("|".join(f"(?P<{name}>{text})" for name, text in written.items() if text), re.DOTALL)


def read_statement(sql: Any) -> str:
    """Return a statement without what surrounds it. :raises ConfigurationError: when there is none."""
    # A file may begin with a mark of byte order.
    statement = sql.strip().removeprefix("\ufeff").strip() if isinstance(sql, str) else ""
    if not statement:
        raise ConfigurationError(f"sql={sql!r}: write a SELECT, or the path of a .sql file.")
    return statement
