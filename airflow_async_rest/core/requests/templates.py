"""Text with ``{column}`` placeholders -> its parts; in a query or a body also among the braces of JSON and GraphQL."""

import re
from collections.abc import Iterator
from string import Formatter
from typing import NamedTuple

from airflow_async_rest.core.errors import ConfigurationError

Parts = list[tuple[str, str | None]]

_TOKEN = re.compile(r"\{\{|\{(?P<content>[^{}]*)\}|[{}]")
_NOT_IN_NAMES = set(".[]!:")
_JSON_MEMBER = re.compile(r'\s*\\*"[^"]*"\s*:')
_OPERATION = re.compile(
    r"\s*(?:(?:query|mutation|subscription)\b(?:\s+\w+)?|fragment\s+\w+\s+on\s+\w+)\s*(?:[(@][^{}]*)?\{"
)
_QUOTE = re.compile(r'(\\*)"')
_BRACKETS = re.compile(r"[\[\]{},\s]*")
_LIST_WITH_EMPTY_OBJECT = re.compile(r"\s*\[(?:.*[\[,])?\s*\{\s*\}\s*[\],]", re.DOTALL)
# What str.format reads and neither JSON nor GraphQL has: an attribute, an element, a conversion, a format.
_FORMAT = re.compile(r"\s*\w+\s*(?:\.\w|!|\[|:\s*[<>^=%.])")
_DOUBLE = str.maketrans({"{": "{{", "}": "}}"})
_DOUBLED = " Literal braces may all be doubled: {{ and }}."


class Text(NamedTuple):
    """A text of ``query`` or ``body``, read.

    :param parts: literals, each with the column that follows it, or None.
    :param in_braces: what stands in single braces that are text, where a column of that name may have been meant.
    :param depths: of each part, in how many texts in quotes of JSON or GraphQL, one in the other, its column stands.
    """

    parts: Parts
    in_braces: tuple[str, ...]
    depths: tuple[int, ...]


class _Brace(NamedTuple):
    """A token of a text.

    :param text: as it is sent, unless it is a placeholder.
    :param content: what is between the braces of an innermost pair; None for a brace of another kind.
    :param before: all that is before it, from the brace on that encloses it.
    """

    start: int
    end: int
    text: str
    content: str | None
    before: str


def parse_template(argument: str, text: str) -> Parts:
    """Read a text in which all single braces are placeholders' own.

    :return: literals, each with the column that follows it, or None.
    :raises ConfigurationError: when it cannot be read; names the argument.
    """
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ConfigurationError(
            f"{argument}={text!r}: {error}; write placeholders as {{column}}, a literal brace as {{{{."
        ) from None
    read = [literal.translate(_DOUBLE) + ("" if name is None else f"{{{name}}}") for literal, name, _, _ in parts]
    if "".join(read) != text or not all(name is None or _is_name(name) for _, name, _, _ in parts):
        raise _no_name(argument, text)
    return [(literal, name) for literal, name, _, _ in parts]


def parse_text(argument: str, text: str) -> Text:
    """Read a text that may be JSON or GraphQL, whose own braces need no doubling.

    ``{name}`` is a placeholder. Text are the braces around others, those of JSON's objects, ``{ name }`` with spaces,
    and in a text with such braces what GraphQL takes for a selection (``users {id}``) or an object (``{id: 7}``).
    A column within its quotes stands in a separate text, which a quote of a value must not end.

    :raises ConfigurationError: when it cannot be read, or may mean either; names the argument.
    """
    braces = list(_scan(argument, text))
    is_document = _is_document(text, braces)
    has_quotes = is_document or text.lstrip().startswith(("[", "{{"))
    parts: Parts = []
    depths: list[int] = []
    in_braces: list[str] = []
    literal, end = "", 0
    for brace in braces:
        literal, end = literal + text[end : brace.start], brace.end
        if brace.content is not None and _is_placeholder(argument, text, brace, is_document=is_document):
            parts.append((literal, brace.content))
            depths.append(_depth(brace.before) if has_quotes else 0)
            literal = ""
            continue
        literal += brace.text
        if brace.content is not None and not (is_document and _is_spaced(brace.content) and _is_selection(brace)):
            in_braces += [brace.content, brace.content.strip()]
    if literal + text[end:]:
        parts.append((literal + text[end:], None))
        depths.append(0)
    return Text(parts, tuple(dict.fromkeys(filter(_is_name, in_braces))), tuple(depths))


def _scan(argument: str, text: str) -> Iterator[_Brace]:
    """Yield the braces of a text. Two that close are one of the text where the last that opened were two."""
    opened: list[tuple[int, bool]] = []
    end = 0
    while match := _TOKEN.search(text, end):
        start, end = match.span()
        found, content = match[0], match["content"]
        before = text[opened[-1][0] + 1 if opened else 0 : start]
        if found == "}":
            is_double = text.startswith("}}", start) and (not opened or opened[-1][1])
            while opened and opened[-1][1] and not is_double:
                opened.pop()
            if not opened and not is_double:
                raise _alone(argument, text, found)
            del opened[-1:]
            end += is_double
        elif content is None:
            opened.append((end - 1, found == "{{"))
        yield _Brace(start, end, text[start:end] if content is not None else found[0], content, before)
    if not all(is_double for _, is_double in opened):
        raise _alone(argument, text, "{")


def _is_document(text: str, braces: list[_Brace]) -> bool:
    """Return whether it is JSON or GraphQL: by single braces around others, an object, or how an operation begins."""
    singles = [brace for brace in braces if brace.content is None and brace.end - brace.start == 1]
    if singles or any(_JSON_MEMBER.match(brace.content) for brace in braces if brace.content):
        return True
    has_doubles = any(brace.content is None for brace in braces)
    return not has_doubles and any(
        (_OPERATION.match(text), _BRACKETS.fullmatch(text), _LIST_WITH_EMPTY_OBJECT.match(text))
    )


def _is_placeholder(argument: str, text: str, brace: _Brace, *, is_document: bool) -> bool:
    """Return whether braces are a placeholder. :raises ConfigurationError: when they may be either or neither."""
    content = brace.content or ""
    in_words = _depth(brace.before) > 0
    if _JSON_MEMBER.match(content):
        return False
    if not content.strip() and is_document and (not in_words or brace.before.endswith('"')):
        return False
    if not content.strip() or _FORMAT.match(content):
        raise _no_name(argument, text, _DOUBLED)
    if _is_spaced(content):
        return False
    if not is_document or in_words:
        if not _is_name(content):
            raise _no_name(argument, text, _DOUBLED)
        return True
    if not _is_selection(brace):
        return _is_name(content)
    if content.isidentifier() and _ends_name(brace.before):
        raise _either(argument, text, content)
    return False


def _is_name(content: str) -> bool:
    return bool(content) and _NOT_IN_NAMES.isdisjoint(content)


def _is_spaced(content: str) -> bool:
    return content != content.strip()


def _is_selection(brace: _Brace) -> bool:
    """Return whether a selection of GraphQL may stand at a place: after a name or arguments, outside of quotes."""
    before = brace.before.rstrip()
    return not _depth(brace.before) and (_ends_name(before) or before.endswith("..."))


def _depth(before: str) -> int:
    """Return how many quotes deep a place is: 0 outside of them, 2 within escaped ones, in a text within a text."""
    opened = [0]
    for quote in _QUOTE.finditer(before):
        backslashes = len(quote[1])  # before a quote of the second depth there is one, then three, seven
        depth = (backslashes + 1).bit_length() if backslashes % 2 else 1
        while opened[-1] > depth:
            opened.pop()
        if opened[-1] == depth:
            opened.pop()
        else:
            opened.append(depth)
    return opened[-1]


def _ends_name(before: str) -> bool:
    """Return whether a text ends with a name, or with the arguments of one."""
    return before[-1:].isalnum() or before.endswith(("_", ")"))


def _no_name(argument: str, text: str, more: str = "") -> ConfigurationError:
    return ConfigurationError(
        f"{argument}={text!r}: a placeholder is just a column's name, such as {{id}}; a column whose name has "
        f"one of . [ ] ! : needs an alias, and a value is formatted, in the SQL.{more}"
    )


def _alone(argument: str, text: str, brace: str) -> ConfigurationError:
    return ConfigurationError(
        f"{argument}={text!r}: a single {brace!r} is left over; write placeholders as {{column}}.{_DOUBLED}"
    )


def _either(argument: str, text: str, name: str) -> ConfigurationError:
    return ConfigurationError(
        f"{argument}={text!r}: {{{name}}} right after a name or a ')' may be a selection of GraphQL or a column: write "
        f"the selection as {{ {name} }} or {{{{{name}}}}}; for the column, double all other braces; "
        "where there are none, make the whole text a column."
    )
