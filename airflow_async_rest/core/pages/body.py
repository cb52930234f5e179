"""A page's parameters in the body of its request."""

from collections.abc import Mapping
from typing import Any

from airflow_async_rest.core.errors import EncodeError


def with_parameters(payload: Any, parameters: Mapping[str, Any]) -> Any:
    """Return a copy of a body that has a page's parameters, too; its other keys stay as they are.

    A name with dots, such as ``variables.after``, leads into its objects and lists, but for one that is a key itself.

    :param payload: None for a request without a body.
    :raises EncodeError: when there is no object, or list, where a name leads.
    """
    for name, value in parameters.items():
        payload = _put(payload, name, value, whole=name)
    return payload


def _put(payload: Any, name: str, value: Any, whole: str) -> Any:
    first, _, rest = name.partition(".")
    if isinstance(payload, Mapping | None):
        payload = payload or {}
        if not rest or name in payload:
            return {**payload, name: value}
        return {**payload, first: _put(payload.get(first), rest, value, whole)}
    if isinstance(payload, list) and first.isdecimal() and int(first) < len(payload):
        place = int(first)
        return [*payload[:place], _put(payload[place], rest, value, whole) if rest else value, *payload[place + 1 :]]
    if name == whole:
        raise EncodeError("the page's parameters go into the body, which is not an object: use into='query'.")
    raise EncodeError(f"the page's parameter {whole!r} leads into the body, which has no object before {name!r}.")
