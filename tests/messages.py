"""The texts of the package's errors, by their fixed words, and the tables of ``docs/troubleshooting.md`` that have them.

A table's mark names the errors, or the files, whose texts stand in it. The texts are written by a test, what to do by
hand: that is kept as long as its text is there.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from checkout import REPOSITORY

PACKAGE = REPOSITORY / "airflow_async_rest"
PAGE = REPOSITORY / "docs/troubleshooting.md"
HOLE = "…"
_MARK = re.compile(r"<!-- messages: (.*?) -->\n(.*?)<!-- end -->", re.DOTALL)
_ROW = re.compile(r"^\| (`+ ?)(.*?)( ?`+) \| (.*?) ?\|$", re.MULTILINE)
_HEAD = "| message | what to do |\n| --- | --- |"


@dataclass(frozen=True)
class Message:
    """An error's text as it stands in the code."""

    error: str
    file: str
    text: str


def messages() -> list[Message]:
    """Return those with at least two fixed words in a row; the others are texts of something else, passed on."""
    found = {
        (message.error, message.text): message
        for path in sorted(PACKAGE.rglob("*.py"))
        for message in _of_file(path)
        if re.search(r"\w\w+ \w+", message.text)
    }
    return list(found.values())


def _of_file(path: Path) -> Iterator[Message]:
    module = ast.parse(path.read_text())
    file = path.relative_to(PACKAGE).as_posix()
    named = _named(module.body)
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            known = named | _named(list(ast.walk(function)))
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and call.args and (error := _error_of(call)):
                    yield from (Message(error, file, " ".join(text.split())) for text in _texts(call.args[0], known))


def _named(nodes: list) -> dict[str, ast.expr]:
    return {
        node.targets[0].id: node.value
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def _error_of(call: ast.Call) -> str | None:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    return name if name.endswith(("Error", "AirflowException")) else None


def _texts(node: ast.expr, named: dict[str, ast.expr]) -> list[str]:
    """The texts that an expression may be, with holes for what the code fills in."""
    texts = [HOLE]
    match node:
        case ast.Constant(value=str(text)):
            texts = [text]
        case ast.JoinedStr(values=[ast.FormattedValue(value=ast.Name() as first), *rest]) if first.id in named:
            texts = [one + other for one in _texts(first, named) for other in _texts(ast.JoinedStr(rest), named)]
        case ast.JoinedStr(values=parts):
            texts = ["".join(part.value if isinstance(part, ast.Constant) else _counted(part.value) for part in parts)]
        case ast.BinOp(left=left, right=right):
            texts = [one + other for one in _texts(left, named) for other in _texts(right, named)]
        case ast.IfExp(body=one, orelse=other):
            texts = _texts(one, named) + _texts(other, named)
        case ast.Call(func=ast.Attribute(value=text, attr="format")):
            texts = [re.sub(r"\{\w*\}", HOLE, one) for one in _texts(text, named)]
        case ast.Call(func=ast.Name(id="counted")):
            texts = [_counted(node)]
        case ast.Name(id=name) if name in named:
            texts = _texts(named[name], {other: value for other, value in named.items() if other != name})
    return texts


def _counted(node: ast.AST) -> str:
    """What stands for a value: with its noun, where that is a number with one, in the plural."""
    match node:
        case ast.Call(func=ast.Name(id="counted"), args=[_, *words]):
            texts = [ast.literal_eval(word) for word in words]
            return f"{HOLE} {texts[1] if len(texts) > 1 else f'{texts[0]}s'}"
    return HOLE


def tables() -> list[tuple[str, dict[str, str]]]:
    """Return what the marks of the page name, each with its rows: text -> what to do."""
    return [(mark, {row[2]: row[4] for row in _ROW.finditer(body)}) for mark, body in _MARK.findall(PAGE.read_text())]


def table_of(message: Message, marks: list[str]) -> str | None:
    """Return the mark that fits best: one that names the error, else the one with the longest beginning of its file."""
    fits = [
        (word == message.error, len(word), mark)
        for mark in marks
        for word in mark.split()
        if word == message.error or message.file.startswith(word)
    ]
    return max(fits)[2] if fits else None


def write() -> None:
    """Put every text into its table; keep what is there to do."""
    marks = [mark for mark, _ in tables()]
    written = {text: what for _, rows in tables() for text, what in rows.items()}
    homes = {message.text: table_of(message, marks) for message in messages()}

    def table(found: re.Match) -> str:
        texts = sorted((text for text, home in homes.items() if home == found[1]), key=_fixed_words)
        rows = [f"| {_code(text)} | {written.get(escaped(text), '')} |" for text in texts]
        return "\n".join([f"<!-- messages: {found[1]} -->", _HEAD, *rows, "<!-- end -->"])

    PAGE.write_text(_MARK.sub(table, PAGE.read_text()))


def _fixed_words(text: str) -> str:
    return re.sub(r"^\W+", "", text.replace(HOLE, "")).lower()


def _code(text: str) -> str:
    text = escaped(text)
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def escaped(text: str) -> str:
    """A text as it stands in a table."""
    return text.replace("|", r"\|")
