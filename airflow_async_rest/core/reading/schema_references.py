"""What a JSON Schema refers to: all of it must be there, and lead to an end, before a payload is checked."""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

from airflow_async_rest.core.errors import ConfigurationError

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# Rules whose schemas are of the value itself, not of a part of it: one, or a list of them; one by name.
_WITH_IF = ("then", "else")
_OF_ITSELF = ("allOf", "anyOf", "oneOf", "not", "if", *_WITH_IF, "extends", "type", "disallow")
_OF_ITSELF_BY_NAME = ("dependentSchemas", "dependencies")
# A schema -> those of the same value that a check of it leads to, and by which reference.
_Ways = dict[int, dict[int, str]]


def check_references(schema: Mapping[str, Any], draft: Any) -> None:
    """Check what a schema refers to; nothing is loaded.

    :param draft: the validator class.
    :raises ConfigurationError: when that is not in it, is no schema, or is the schema itself about the same value.
    """
    ways = _ways(schema, draft)
    try:
        TopologicalSorter(ways).prepare()
    except CycleError as error:
        name = next(filter(None, (ways[after].get(before) for before, after in pairwise(error.args[1]))))
        raise ConfigurationError(
            f"schema refers by {name!r} to itself about the same value, so a check of that has no end: refer to it "
            "about a part, in properties or items."
        ) from None


def _ways(schema: Mapping[str, Any], draft: Any) -> _Ways:
    from jsonschema_specifications import REGISTRY  # noqa: PLC0415
    from referencing.jsonschema import DRAFT202012, specification_with  # noqa: PLC0415

    specification = specification_with(draft.ID_OF(draft.META_SCHEMA), default=DRAFT202012)
    root = specification.create_resource(schema)
    ways: _Ways = {}
    waiting = [(root, REGISTRY.resolver_with_root(root))]
    while waiting:
        resource, resolver = waiting.pop()
        contents = resource.contents
        if isinstance(contents, bool) or id(contents) in ways:
            continue
        if not isinstance(contents, Mapping):
            raise ConfigurationError(f"schema cannot be used: {str(contents)[:80]!r} is where a schema should be.")
        # The library takes what draft 3 has there, one schema, for a list.
        others = specification.create_resource({name: contents[name] for name in contents if name != "extends"})
        itself = [specification.create_resource(part) for part in _of_itself(contents, draft)]
        inside = [(part, resolver.in_subresource(part)) for part in (*others.subresources(), *itself)]
        referred = list(_referred(contents, resolver, draft))
        ways[id(contents)] = dict.fromkeys((id(part.contents) for part in itself), "")
        ways[id(contents)] |= {id(found.contents): name for name, found in referred}
        waiting += inside
        waiting += [(specification.create_resource(found.contents), found.resolver) for _, found in referred]
    return ways


def _referred(contents: Mapping[str, Any], resolver: Any, draft: Any) -> Iterator[tuple[str, Any]]:
    for keyword in _REFERENCES:
        if keyword in draft.VALIDATORS and isinstance(name := contents.get(keyword), str):
            yield name, _lookup(resolver, name)


def _lookup(resolver: Any, name: str) -> Any:
    try:
        return resolver.lookup(name)
    except Exception:  # noqa: BLE001  (an index that is no number, an address that is not valid, ...)
        raise ConfigurationError(f"schema refers to {name!r}, which is not in it: write it into its $defs.") from None


def _of_itself(contents: Mapping[str, Any], draft: Any) -> Iterator[Mapping[str, Any]]:
    if "$ref" in contents and "unevaluatedItems" not in draft.VALIDATORS:
        return  # up to draft 7, what stands beside it counts for nothing
    known = {name: part for name, part in contents.items() if name in draft.VALIDATORS or name in _WITH_IF}
    for part in map(known.get, _OF_ITSELF):
        yield from (each for each in (part if isinstance(part, list) else [part]) if isinstance(each, Mapping))
    for parts in map(known.get, _OF_ITSELF_BY_NAME):
        if isinstance(parts, Mapping):
            yield from (each for each in parts.values() if isinstance(each, Mapping))
