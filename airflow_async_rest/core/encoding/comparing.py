"""Which JSON values are equal, however they are written."""

import json
import re
from collections.abc import Hashable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d(:\d\d)?)")
_FEW_DIGITS = 20


def comparable(value: Any) -> Any:
    """Return what is equal for equal JSON, and can be in a set: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(value, bool):
        return str, value
    if isinstance(value, Mapping):
        return frozenset((name, comparable(each)) for name, each in value.items())
    return tuple(map(comparable, value)) if isinstance(value, list) else value


def same_key(identity: bytes) -> Hashable:
    """Return what is equal for rows of one key: equal numbers are, however many zeros they have, and equal instants.

    :param identity: of an item: its key as JSON, in a list.
    """
    inner = identity[1:-1]
    if inner.isdigit() and len(inner) < _FEW_DIGITS:  # as most are
        return (int(inner),)
    if inner[:1] == inner[-1:] == b'"' and not inner[1:5].isdigit() and identity.count(b'"') == 2:  # noqa: PLR2004  (one text)
        return identity
    try:
        return _with_instants(comparable(json.loads(identity, parse_float=Decimal, parse_int=Decimal)))  # type: ignore[no-any-return]
    except (ValueError, ArithmeticError, RecursionError):
        return identity


def _with_instants(value: Any) -> Any:
    if isinstance(value, str):
        return datetime.fromisoformat(value) if _INSTANT.fullmatch(value) else value
    return tuple(map(_with_instants, value)) if isinstance(value, tuple) else value
