"""Quotes and comments of SQL, as each database reads them."""

import functools
import re
from collections.abc import Iterator

# What blanked characters become, one for one. A quote in which a backslash takes the next character's meaning has its
# own, because a backslash before a colon is not our escape there.
QUOTE, ESCAPES, COMMENT = "'", '"', " "

_NESTED_COMMENTS = frozenset({"postgresql", "redshift", "cockroachdb", "duckdb", "mssql"})
_BACKSLASHES = frozenset({"mysql", "mariadb", "bigquery", "snowflake", "databricks", "hive", "clickhouse"})
_NO_BACKTICKS = frozenset({"postgresql", "redshift", "cockroachdb", "duckdb", "oracle", "mssql"})
_E_QUOTES = frozenset({"postgresql", "redshift", "cockroachdb", "duckdb"})
_NO_DOLLAR_QUOTES = frozenset({"mysql", "mariadb", "oracle", "sqlite", "mssql"})
# What stands in brackets is a name there, and an array's element elsewhere.
_BRACKETS = {"sqlite": r"\[[^\]]*+(?:\]|\Z)", "mssql": r"\[(?:[^\]]|\]\])*+(?:\]|\Z)"}
# MySQL takes "5--1" for a sum.
_MYSQL_COMMENT = r"\#[^\n]*|--(?=\s|\Z)[^\n]*"
_LINE_COMMENTS = {"mysql": _MYSQL_COMMENT, "mariadb": _MYSQL_COMMENT, "postgresql": r"--[^\r\n]*"}

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
_EITHER_END = re.compile(r"/\*|\*/")


def blank(sql: str, dialect: str) -> str:
    """Return SQL with its comments as spaces, and its quotes as quotation marks throughout.

    :param dialect: SQLAlchemy's name of it; one that is not known is read by the standard, with the quotes of many.
    """
    text, place = "", 0
    for start, end, blanked in _spans(sql, dialect):
        text += sql[place:start] + blanked * (end - start)
        place = end
    return text + sql[place:]


def _spans(sql: str, dialect: str) -> Iterator[tuple[int, int, str]]:
    pattern, end = _pattern(dialect), 0
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
def _pattern(dialect: str) -> re.Pattern[str]:
    escaping = _E_QUOTE if dialect in _E_QUOTES else ""
    plain = [_DOLLAR_QUOTE if dialect not in _NO_DOLLAR_QUOTES else "", _Q_QUOTE if dialect == "oracle" else ""]
    plain += [_PLAIN.format("`") if dialect not in _NO_BACKTICKS else "", _BRACKETS.get(dialect, "")]
    marks = [_ESCAPING.format(mark) if dialect in _BACKSLASHES else _PLAIN.format(mark) for mark in ("'", '"')]
    nested, flat = (r"/\*", "") if dialect in _NESTED_COMMENTS else ("", r"/\*.*?(?:\*/|\Z)")
    groups = {
        "escaping": [escaping, *(marks if dialect in _BACKSLASHES else [])],
        "plain": [*plain, *(marks if dialect not in _BACKSLASHES else [])],
        "nested": [nested],
        "comment": [_LINE_COMMENTS.get(dialect, r"--[^\n]*"), flat],
    }
    written = {name: "|".join(filter(None, patterns)) for name, patterns in groups.items()}
    return re.compile("|".join(f"(?P<{name}>{text})" for name, text in written.items() if text), re.DOTALL)
