"""Paths into answers: compiled once, followed for every entry. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from airflow_async_rest.core.encoding.paths import MISSING, Names, follow

Find = Callable[[Any], list[Any]]

_ANY = "*"


def compile_path(path: str | Names) -> Find:
    """Return the function that finds the values at a path, MISSING among them where a branch of it leads nowhere.

    :param path: with dots, or its names.
    """
    names = path if isinstance(path, tuple) else tuple(path.split(".")) if path else ()
    if _ANY in names:
        return lambda value: _spread(value, names)
    if len(names) != 1:
        return lambda value: [follow(value, names)]
    [name] = names

    def find(value: Any) -> list[Any]:
        return [value.get(name, MISSING)] if isinstance(value, dict) else [follow(value, names)]

    return find


def compile_first(paths: tuple[str, ...]) -> Find:
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
    place = names.index(_ANY)
    inner, rest = follow(value, names[:place]), names[place + 1 :]
    if isinstance(inner, Mapping):
        inner = list(inner.values())
    if not isinstance(inner, list):
        return [MISSING]
    if not rest:
        return inner
    if _ANY not in rest:
        return [follow(part, rest) for part in inner]
    if rest == (_ANY,) and all(
        type(part) is dict and len(part) == 1 for part in inner
    ):  # as _bulk answers, in half the time
        return [found for part in inner for found in part.values()]
    return [found for part in inner for found in _spread(part, rest) or [MISSING]]
