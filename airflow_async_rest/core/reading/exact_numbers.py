"""Numbers of payloads and schemas as they are written: by floats, 10**20 + 1 is 10**20, and 19.99 no multiple of 0.01.

Most payloads have only numbers that floats and 64-bit integers hold. They are read five times as fast.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from types import NoneType
from typing import Any
from uuid import UUID

from airflow_async_rest.core.encoding.comparing import comparable
from airflow_async_rest.core.letters.lines import int_or_decimal, parse_json

# Sixteen digits and more, or an exponent of three: a float may not hold it, or only another number.
_MAY_BE_LOST = re.compile(rb"[0-9][0-9.]{16}|[0-9]{16}[eE]|[0-9][eE][-+]?[0-9]{3}")
_HELD = frozenset({float, str, bool, NoneType, datetime, date, time, UUID})
_FEW_CHARACTERS, _SMALL_EXPONENT = 16, 100  # of a fraction that a float holds in any case
# Of a number whose exponent is larger, there is no fraction that memory holds.
_LARGEST_EXPONENT = 400


def may_lose_digits(body: bytes, payload: Any, *, is_body: bool) -> bool:
    """Return whether a payload's JSON may have a number that neither a float nor a 64-bit integer holds.

    :param is_body: whether the payload is the JSON itself.
    """
    return _MAY_BE_LOST.search(body) is not None and (is_body or not _is_held(payload))


def _is_held(value: Any) -> bool:
    kind = type(value)
    if kind is dict:
        kinds = set(map(type, value.values())) - _HELD
        return not kinds or all(map(_is_held, [each for each in value.values() if type(each) in kinds]))
    if kind is int:
        return bool(-(2**63) <= value < 2**64)
    if kind is Decimal:
        is_short = len(str(value)) <= _FEW_CHARACTERS and abs(value.adjusted()) < _SMALL_EXPONENT
        return bool(is_short or Decimal(repr(float(value))) == value)
    return kind in _HELD or (kind in {list, tuple} and all(map(_is_held, value)))


def parse_with_decimals(text: bytes | str) -> Any:
    """Parse JSON; fractions become Decimals, and so do integers that Python does not read.

    :raises ValueError: when it is not JSON.
    """
    return parse_json(text, Decimal, int_or_decimal, _refuse)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def has_decimals(schema: Any) -> bool:
    """Return whether a schema has a number that is compared exactly in any case."""
    parts = schema.values() if isinstance(schema, Mapping) else schema if isinstance(schema, list) else ()
    return isinstance(schema, Decimal) or any(map(has_decimals, parts))


def with_decimals(schema: Any) -> Any:
    """Return a schema with its fractions as they are written."""
    if isinstance(schema, Mapping):
        return {name: with_decimals(each) for name, each in schema.items()}
    if isinstance(schema, list):
        return [with_decimals(each) for each in schema]
    return Decimal(repr(schema)) if isinstance(schema, float) else schema


def checking_exactly(draft: Any) -> Any:
    """Return the validator class of a draft for payloads of :func:`parse_with_decimals`, too."""
    from jsonschema.validators import extend  # noqa: PLC0415

    is_type, fractions_too = draft.TYPE_CHECKER.is_type, draft.TYPE_CHECKER.is_type(1.0, "integer")

    def is_integer(_: Any, value: Any) -> bool:
        if not isinstance(value, Decimal):
            return bool(is_type(value, "integer"))
        return value.as_tuple().exponent == 0 or (fractions_too and value == value.to_integral_value())

    rules = {"multipleOf": _multiple_of, "divisibleBy": _multiple_of, "uniqueItems": _unique_items}
    known = {name: check for name, check in rules.items() if name in draft.VALIDATORS}
    return extend(draft, known, type_checker=draft.TYPE_CHECKER.redefine("integer", is_integer))


def _multiple_of(validator: Any, step: Any, instance: Any, _: Any) -> Iterator[Exception]:
    from jsonschema import ValidationError  # noqa: PLC0415

    if validator.is_type(instance, "number") and _fraction(instance) % _fraction(step):
        yield ValidationError(f"{instance!r} is not a multiple of {step!r}")


def _fraction(number: float | Decimal) -> Fraction:
    """Return a number as it is written. :raises OverflowError: when it is too large, or infinite."""
    exact = Decimal(repr(number)) if isinstance(number, float) else number
    if isinstance(exact, Decimal) and abs(exact.adjusted()) > _LARGEST_EXPONENT + len(exact.as_tuple().digits):
        raise OverflowError(number)
    return Fraction(exact)


def _unique_items(validator: Any, wanted: Any, instance: Any, _: Any) -> Iterator[Exception]:
    """Check in one pass; the library compares each of what cannot be sorted with each."""
    from jsonschema import ValidationError  # noqa: PLC0415

    if wanted and validator.is_type(instance, "array") and len(set(map(comparable, instance))) < len(instance):
        yield ValidationError("it has an item twice")
