"""Binds in SQL as people write it: which ``:name`` is one, and which is part of a quote, a comment, a cast or a slice.

SQL is not parsed. Its quotes and comments are blanked, each character staying in its place, and the rest is searched.
SQLAlchemy's ``text()`` knows nothing of quotes: what it is handed has a backslash before every colon of no bind.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_async_rest.core.errors import ConfigurationError, EncodeError
from airflow_async_rest.databases.bind_values import bind_value, json_text
from airflow_async_rest.databases.quotes import ESCAPES, QUOTE, Quotes, blank, is_read_alike, read_statement
from airflow_async_rest.databases.styles import WORDS, check_style

if TYPE_CHECKING:  # with it comes SQLAlchemy, which does not load where DAG files are parsed
    from airflow_async_rest.databases.dialects.dialect import Dialect

# After another word, a quote or a closing bracket there is no operand: "a:b", "'key':value", "f(x):path", "tags[1:n]".
_BIND = re.compile(rf"(?:(?<![\w:$\\)\]{QUOTE}{ESCAPES}])|(?<![\w.:$]){WORDS}):(?P<name>\w++)(?!\$)", re.IGNORECASE)
_IN = re.compile(r"\b(?P<not>not\s+)?in\s*(?P<open>\(\s*)?\Z", re.IGNORECASE)
_CLOSE = re.compile(r"\s*\)")
_BRACKET = re.compile(r"[\[\]()]")
_ENDS_OPERAND = re.compile(rf"[)\]{QUOTE}{ESCAPES}]\Z|\b(?!{WORDS}\Z)\w+\Z", re.IGNORECASE)
_JSON_CAST = re.compile(r"\s*(?:::\s*|\bas\s+)jsonb?\b(?!\s*\[)", re.IGNORECASE)
_IS_NULL = re.compile(r"\s+is\s+(?:not\s+)?null\b", re.IGNORECASE)
_COLON = re.compile(r"(\\*):")
_SELECT = re.compile(r"[\s(]*(select|with|values|table)\b", re.IGNORECASE)
_CHANGE = re.compile(
    r"\b(insert\s+into|merge\s+into|delete\s+from|(?<!for )(?<!key )update\b.*?\bset)\b", re.IGNORECASE
)
_MORE_THAN_ONE = "sql has more than one statement: write one SELECT, and no semicolon in it."


@dataclass(frozen=True)
class Bind:
    """A bind, and the span of what its value takes the place of: with the brackets that follow an IN.

    :param after: ``"in"``, ``"not in"``, or nothing.
    :param is_json: whether a cast to JSON follows.
    :param may_be_slice: whether it is one only if it has a value: ``tags[:n]`` is a slice, too, up to a column.
    """

    name: str
    start: int
    end: int
    after: str = ""
    is_json: bool = False
    may_be_slice: bool = False


@dataclass(frozen=True)
class Statement:
    """SQL as an author wrote it.

    :param sql: without the semicolon at its end.
    :param bare: the same with quotes and comments blanked.
    """

    sql: str
    bare: str

    @property
    def names(self) -> frozenset[str]:
        """The names of the binds."""
        return frozenset(bind.name for bind in self.binds())

    @property
    def only_selects(self) -> bool:
        """Whether it is a SELECT or the like, and has no INSERT, UPDATE, DELETE or MERGE in it."""
        return _SELECT.match(self.bare) is not None and _CHANGE.search(re.sub(r"\s+", " ", self.bare)) is None

    def check_binds(self, names: Iterable[str]) -> None:
        """Check that it has its binds in no other style, and that each has a value.

        :param names: of the values that there are.
        :raises ConfigurationError: when not.
        """
        given = set(names)
        check_style(self.sql, self.bare, given)
        for name in sorted({bind.name for bind in self.binds() if not bind.may_be_slice} - given):
            raise ConfigurationError(
                f"sql has the bind :{name}, which has no value: add it to parameters={{{name!r}: ...}}. A colon that "
                "is not a bind, as in an array's slice, is written \\: ('\\\\:' in a Python string)."
            )

    def binds(self) -> Iterator[Bind]:
        """Yield the binds, in their order."""
        for found in _BIND.finditer(self.bare):
            start, end = found.start("name") - 1, found.end()
            before, name = self.bare[:start], found["name"]
            in_brackets = _is_in_brackets(before)
            if in_brackets and (name[0].isdigit() or _ENDS_OPERAND.search(before.rstrip())):
                continue
            may_be_slice = in_brackets and before.rstrip().endswith("[")
            is_json = _JSON_CAST.match(self.bare, end) is not None
            after = _IN.search(before)
            close = _CLOSE.match(self.bare, end)
            if after and after["open"] and close:
                start, end = after.start("open"), close.end()
            elif after and after["open"]:
                after = None
            word = ("not in" if after["not"] else "in") if after else ""
            yield Bind(name, start, end, word, is_json, may_be_slice)


@dataclass(frozen=True)
class Query(Statement):
    """One statement, read by the rules of one database."""

    dialect: "Dialect"

    @classmethod
    def read(cls, sql: Any, dialect: "Dialect") -> "Query":
        """Read SQL. :raises ConfigurationError: when there is none."""
        statement = read_statement(sql)
        return cls(*_without_end(statement, dialect.quotes_in(statement)), dialect)

    def check(self, names: Iterable[str]) -> None:
        """Check that it is one statement, and its binds; see :meth:`check_binds`.

        :raises ConfigurationError: when not.
        """
        if self.dialect.ends_at_semicolon and ";" in self.bare:
            raise ConfigurationError(_MORE_THAN_ONE)
        self.dialect.check_query(self.bare)
        self.check_binds(names)

    def fill(self, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the text to hand to SQLAlchemy's ``text()``, and the values of its binds.

        None becomes NULL, whose type the database finds by itself; a list after IN becomes a bind for each of its
        values, or what holds for no row where it is empty.

        :raises ConfigurationError: when a value has no form; names it.
        """
        text, filled, place = "", dict[str, Any](), 0
        for bind in self.binds():
            if bind.may_be_slice and bind.name not in parameters:
                continue
            text += self._escaped(place, bind.start)
            text += " " if text[-1:].isalnum() else ""
            text += self._placed(bind, parameters[bind.name], filled)
            place = bind.end
        return text + self._escaped(place, len(self.sql)), filled

    def _placed(self, bind: Bind, parameter: Any, filled: dict[str, Any]) -> str:
        if parameter is not None and _IS_NULL.match(self.bare, bind.end):
            return "1"  # the type of a bind would be unknown there
        try:
            if bind.is_json and _is_list(parameter):
                return _placed(f"{bind.name}__json", json_text(parameter), filled)
            value = bind_value(parameter, self.dialect)
        except EncodeError as error:
            raise ConfigurationError(f"parameters[{bind.name!r}]: {error}") from error
        if bind.after and isinstance(parameter, str) and self.bare[bind.start] == ":":
            raise ConfigurationError(
                f"parameters[{bind.name!r}] is a text, and :{bind.name} stands after IN: give a list, or write "
                f"(:{bind.name}) for the text alone. A template makes a text of a list, unless the DAG has "
                "render_template_as_native_obj=True."
            )
        return self._listed(bind, value, filled) if bind.after else _placed(bind.name, value, filled)

    def _escaped(self, start: int, end: int) -> str:
        """Return a part without binds, for ``text()``; a backslash before a colon was the author's own escape."""

        def escape(found: re.Match[str]) -> str:
            slashes = found[1] if self.bare[start + found.end() - 1] == ESCAPES else found[1][:-1]
            return f"{slashes}\\:"

        return _COLON.sub(escape, self.sql[start:end])

    def _listed(self, bind: Bind, value: Any, filled: dict[str, Any]) -> str:
        values = list(value) if _is_list(value) else [value]
        if values:
            return _placed_each(bind.name, values, filled)
        return self.dialect.empty_in[bind.after == "not in"]


def read_alike(sql: Any) -> Statement | None:
    """Return a statement that every database reads alike; None where one may read its quotes in another way.

    :raises ConfigurationError: when there is none, or more than one, of which the second is a SELECT, too.
    """
    text = read_statement(sql)
    if not is_read_alike(text):
        return None
    statement = Statement(*_without_end(text, Quotes()))
    first, _, second = statement.bare.partition(";")
    if _SELECT.match(first) and _SELECT.match(second):  # whose rows nobody would read
        raise ConfigurationError(_MORE_THAN_ONE)
    return statement


def _without_end(sql: str, quotes: Quotes) -> tuple[str, str]:
    """Return SQL without the semicolon at its end, and the same with quotes and comments blanked."""
    bare = blank(sql, quotes)
    end = bare.find(";", len(bare.rstrip().rstrip("; \t\r\n")))
    return (sql, bare) if end < 0 else (sql[:end], bare[:end])


def _is_in_brackets(before: str) -> bool:
    """Return whether what follows stands in square brackets, where a colon may be that of an array's slice."""
    opened = [""]
    for bracket in _BRACKET.findall(before):
        if bracket in "[(":
            opened.append(bracket)
        elif len(opened) > 1:
            opened.pop()
    return opened[-1] == "["


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview)


def _placed_each(name: str, values: Iterable[Any], filled: dict[str, Any]) -> str:
    """Write a value's place for each; one that is a list itself is a row of ``(a, b) IN :pairs``."""
    places = [
        _placed_each(f"{name}__{i}", value, filled) if _is_list(value) else _placed(f"{name}__{i}", value, filled)
        for i, value in enumerate(values)
    ]
    return f"({', '.join(places)})"


def _placed(name: str, value: Any, filled: dict[str, Any]) -> str:
    if value is None:
        return "NULL"
    filled[name] = value
    return f":{name}"
