"""What was sent as an item's id, so that the answer's ids can be compared with it."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from airflow_async_rest.core.answers.formats import parse_json
from airflow_async_rest.core.encoding.json_encoder import encode_anything
from airflow_async_rest.core.encoding.paths import MISSING, Names, follow

Ids = tuple[str | None, ...]

_MOST_ZEROS = 100


def id_text(value: Any) -> str:
    """Write a JSON value so that it compares: 7 and "7", 1.50 and 1.5 are the same."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal | float):
        number = Decimal(str(value))
        if abs(number.adjusted()) > _MOST_ZEROS:
            return str(number)
        text = format(number, "f")  # exact, which normalize() is only to 28 digits
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(value) if type(value) is int else encode_anything(value).decode().strip('"')


def known_id(value: Any) -> str | None:
    """Write an id of an answer; None where it names nothing."""
    return None if value is MISSING or value is None else id_text(value) or None


class SentIds:
    """Takes ids out of payloads, as JSON has them.

    :param paths: where they are, one for each kind of id.
    :param encode: payload -> JSON.
    """

    def __init__(self, paths: tuple[Names, ...], encode: Callable[[Any], bytes]) -> None:
        self._paths = paths
        self._encode = encode
        self._name = paths[0][0] if len(paths) == 1 and len(paths[0]) == 1 else None

    def take(self, payload: Any) -> Ids:
        """Return the ids of a payload that has been encoded, in the order of the paths."""
        if self._name is not None and isinstance(payload, dict):
            value = payload.get(self._name)
            return (str(value) if type(value) is int else self._text(value),)
        return tuple([self._text(self._follow(payload, path)) for path in self._paths])

    def _follow(self, value: Any, path: Names) -> Any:
        for name in path:
            if value is not MISSING and not isinstance(value, Mapping | list):  # as JSON that is embedded as it is
                value = self._parse(value)
            value = follow(value, (name,))
        return value

    def _text(self, value: Any) -> str | None:
        if type(value) is str:
            return value or None
        return None if value is None or value is MISSING else known_id(self._parse(value))

    def _parse(self, value: Any) -> Any:
        try:
            return parse_json(self._encode(value))
        except RecursionError:
            return MISSING
