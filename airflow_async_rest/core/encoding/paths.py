"""Paths into JSON, as authors write them: compiled once, followed for every row. Pure."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from airflow_async_rest.core.errors import AnswerError, ConfigurationError

Names = tuple[str, ...]
Find = Callable[[Any], Any]
FindAll = Callable[[Any], list[Any]]

MISSING: Final = object()
ANY: Final = "*"
_INDEX = re.compile(r"-?[0-9]{1,9}")
_OF_JMESPATH = frozenset('[]()|*"&{}`')
# What of JMESPath leads to one place, and leaves nothing out.
_STEPS = frozenset({"field", "subexpression", "index_expression", "index", "identity", "current"})
_LOOK_ANYWHERE = frozenset({"current", "value_projection"})
_COMPUTE = frozenset({"comparator", "function_expression"})


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A path that an author wrote.

    :param find: value -> what is there, or MISSING; of an expression null.
    :param keys: of the object in which it begins, those that it may look at.
    :param is_expression: whether it is JMESPath, which finds null where there is nothing.
    :param leads_to_one_place: whether it takes what it finds as it is; an expression may filter, or flatten.
    :param looks_anywhere: whether it is an expression that may look at keys that it does not name, as ``keys(@)``.
    :param computes: whether it compares, or calls functions: a Decimal is not equal to a float there, or no number.
    """

    text: str
    find: Find
    keys: frozenset[str]
    is_expression: bool = False
    leads_to_one_place: bool = True
    looks_anywhere: bool = False
    computes: bool = False

    @property
    def is_key(self) -> bool:
        """Whether it is the key of an object, and nothing else."""
        return not self.is_expression and len(self.keys) == 1

    @property
    def is_constant(self) -> bool:
        """Whether it is an expression that looks at nothing, as a literal is."""
        return self.is_expression and not self.looks_anywhere and self.keys == {self.text}

    def is_in(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row has it; an expression, what it may look at: it can make something of nothing."""
        if self.is_expression:
            return not self.keys.isdisjoint(row) or (self.looks_anywhere and self.find(row) is not None)
        return self.find(row) is not MISSING


WHOLE: Final = JsonPath("", lambda value: value, frozenset())


def parse_path(argument: str, text: Any) -> JsonPath:
    """Read a path: a key, names with dots between (``data.items``, ``hits.0.id``, ``data.-1``), or JMESPath.

    A text that is a key of the object itself is that key, whatever it consists of. Else only one with a bracket, brace,
    quote or operator of JMESPath is an expression.

    :raises ConfigurationError: when it is none of these; names the argument.
    """
    if not isinstance(text, str) or not _OF_JMESPATH.intersection(text):
        split_path(argument, text)
        return _plain(text)
    try:
        return _expression(text)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(
            f"{argument}: {text!r} cannot be read as JMESPath: {reason} A key that has such characters is written in "
            f"""double quotes: '"price (EUR)"'."""
        ) from error


def split_path(argument: str, path: Any) -> Names:
    """Split a path such as ``data.items`` into its names.

    :raises ConfigurationError: when it is not one; names the argument.
    """
    names = tuple(path.split(".")) if isinstance(path, str) and path.strip() else ()
    if not names or not all(names):
        raise ConfigurationError(f"{argument}: {path!r} is not a path; write names with dots between, as 'data.items'.")
    return names


def written_path(names: Sequence[str | int]) -> str:
    """Write the path that leads along keys and places of lists: in JMESPath where a key would be taken for more."""
    if not any("." in str(name) for name in names[:-1]) and not _OF_JMESPATH.intersection("".join(map(str, names))):
        return ".".join(map(str, names))
    steps = (f"[{name}]" if isinstance(name, int) else "." + json.dumps(name, ensure_ascii=False) for name in names)
    return "".join(steps).removeprefix(".")


def key_path(name: str) -> JsonPath:
    """Return the path to a key, whatever characters it has."""
    return JsonPath(name, _find_key(name), frozenset({name}))


def follow(value: Any, names: Names) -> Any:
    """Go along names in JSON, such as ``("hits", "0", "id")``. :return: MISSING where they lead nowhere."""
    for name in names:
        if type(value) is dict or isinstance(value, Mapping):  # the first of them takes a quarter of the time
            value = value.get(name, MISSING)
        elif isinstance(value, list) and _INDEX.fullmatch(name) and -len(value) <= int(name) < len(value):
            value = value[int(name)]
        else:
            return MISSING
    return value


@lru_cache(maxsize=1024)
def _plain(text: str) -> JsonPath:
    names = tuple(text.split("."))
    if len(names) == 1:
        return key_path(text)
    # At each object the rest of the text may be a key itself, as in "meta.@odata.nextLink".
    steps = [
        (name, ".".join(names[place:]), int(name) if _INDEX.fullmatch(name) else None)
        for place, name in enumerate(names[:-1])
    ]
    find_last = _find_key(names[-1])

    def find(value: Any) -> Any:
        for name, rest, index in steps:
            if type(value) is dict or isinstance(value, Mapping):
                if rest in value:
                    return value[rest]
                value = value.get(name, MISSING)
            elif index is not None and type(value) is list and -len(value) <= index < len(value):
                value = value[index]
            else:
                return MISSING
        return find_last(value)

    return JsonPath(text, find, frozenset({names[0], text}))


def _find_key(name: str) -> Find:
    names = (name,)

    def find(value: Any) -> Any:
        return value.get(name, MISSING) if type(value) is dict else follow(value, names)

    return find


@lru_cache(maxsize=1024)
def _expression(text: str) -> JsonPath:
    import jmespath  # noqa: PLC0415  (only where somebody uses it)

    compiled = jmespath.compile(text)
    nodes = list(_nodes(compiled.parsed))
    _check_functions(nodes)

    def find(value: Any) -> Any:
        if isinstance(value, Mapping) and text in value:
            return value[text]
        try:
            return compiled.search(value)
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            raise AnswerError(f"{text!r} cannot be followed in the answer: {error}") from error

    keys = {node["value"] for node in nodes if node["type"] == "field"}
    types = {node["type"] for node in nodes}
    return JsonPath(
        text,
        find,
        frozenset({text, *keys}),
        is_expression=True,
        leads_to_one_place=types <= _STEPS,
        looks_anywhere=not types.isdisjoint(_LOOK_ANYWHERE),
        computes=not types.isdisjoint(_COMPUTE),
    )


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node["children"]:
        if isinstance(child, Mapping):  # a slice has numbers
            yield from _nodes(child)


def _check_functions(nodes: list[Mapping[str, Any]]) -> None:
    """Look for functions that there are not, which the library finds out only when it calls them.

    :raises ValueError: when there is one.
    """
    from jmespath.functions import Functions  # noqa: PLC0415

    for node in nodes:
        if node["type"] == "function_expression" and node["value"] not in Functions.FUNCTION_TABLE:
            raise ValueError(f"there is no function {node['value']!r}.")


def compile_path(path: str | Names) -> FindAll:
    """Return the function that finds the values at a path, MISSING among them where a branch of it leads nowhere.

    :param path: with dots, or its names.
    """
    names = path if isinstance(path, tuple) else tuple(path.split(".")) if path else ()
    if ANY in names:
        return lambda value: _spread(value, names)
    if len(names) != 1:
        return lambda value: [follow(value, names)]
    find = _find_key(names[0])
    return lambda value: [find(value)]


def compile_first(paths: tuple[str, ...]) -> FindAll:
    """Return the function that finds the values at the first of several paths that has any."""
    finds = [compile_path(path) for path in paths]
    if len(finds) == 1:
        return finds[0]

    def find(value: Any) -> list[Any]:
        for of_one in finds:
            found = of_one(value)
            if any(one is not MISSING for one in found):
                return found
        return []

    return find


def present(found: list[Any]) -> list[Any]:
    """Return what was found, without what is missing or null; lists are opened, one level deep."""
    flat: list[Any] = []
    for value in found:
        if isinstance(value, list):
            flat.extend(value)
        elif value is not MISSING and value is not None:
            flat.append(value)
    return flat


def _spread(value: Any, names: Names) -> list[Any]:
    """Follow a path with a ``*`` in it."""
    place = names.index(ANY)
    inner, rest = follow(value, names[:place]), names[place + 1 :]
    if isinstance(inner, Mapping):
        inner = list(inner.values())
    if not isinstance(inner, list):
        return [MISSING]
    if not rest:
        return inner
    if ANY not in rest:
        return [follow(part, rest) for part in inner]
    if rest == (ANY,) and all(
        type(part) is dict and len(part) == 1 for part in inner
    ):  # as _bulk answers, in half the time
        return [found for part in inner for found in part.values()]
    return [found for part in inner for found in _spread(part, rest) or [MISSING]]
