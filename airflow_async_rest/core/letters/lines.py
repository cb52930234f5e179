"""The lines of a part of dead letters: what is looked at of each record, and how its JSON is read."""

import json
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, Self

import orjson

from airflow_async_rest.core.letters.part_files import PartId
from airflow_async_rest.core.models import DeadLetter

LONGEST_INTEGER = 4_000  # Python refuses to read decimal integers of more than 4300 digits


class Latest(NamedTuple):
    """What is looked at of the latest record of an item that is dead.

    :param item: its index.
    :param place: part and line.
    :param request: of a bulk request that it was in: its idempotency key, and how many items it had.
    :param uncertain: see :class:`~airflow_async_rest.core.models.DeadLetter`.
    """

    item: int
    reason: str
    place: tuple[PartId, int]
    request: tuple[str, int] | None
    uncertain: bool

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """Return what would be looked at, of a letter that is in no part."""
        return cls(letter.index, letter.reason, ((0, 0), 0), _request_of(letter.batch), letter.uncertain)


class Refused(NamedTuple):
    """A row that the database refused. :param record: None when it has taken it since."""

    place: tuple[int, int]
    record: dict[str, Any] | None


class Resolved(NamedTuple):
    """An item that was delivered after all."""

    item: int


class Reset(NamedTuple):
    """The source was read again from its start."""


Line = Latest | Refused | Resolved | Reset


def lines_of(part: PartId, data: bytes | Exception) -> tuple[Line, ...]:
    """Return what is looked at of a part's records.

    :raises ValueError: when it is not what was written.
    """
    if isinstance(data, Exception):
        raise data
    if not data.endswith(b"\n"):
        raise ValueError("it is cut off")
    return tuple(_line_of((part, number), line) for number, line in enumerate(data.splitlines()))


def _line_of(place: tuple[PartId, int], line: bytes) -> Line:
    record = skim(line)
    is_object = isinstance(record, dict)
    if is_object and record.get("reset"):
        return Reset()
    if not (is_object and isinstance(record.get("index"), int)):
        raise ValueError(f"not a dead-letter record: {line[:80]!r}")
    if "row_number" in record:
        taken = record.get("resolved")
        return Refused((record["index"], record["row_number"]), None if taken else parse_exactly(line))
    if record.get("resolved"):
        return Resolved(record["index"])
    reason, request = sys.intern(str(record.get("reason"))), _request_of(record.get("batch"))
    return Latest(record["index"], reason, place, request, bool(record.get("uncertain")))


def _request_of(batch: Mapping[str, Any] | None) -> tuple[str, int] | None:
    return (str(batch["request"]), int(batch["items"])) if batch and batch.get("request") else None


def whole_batches(latest: Mapping[int, Latest]) -> tuple[tuple[int, ...], ...]:
    """Find bulk requests of which all is still dead: the indexes of each.

    They are sent again as they were: the API may have stored one, and its answer was lost.
    """
    requests: dict[tuple[str, int], list[int]] = {}
    for index, letter in latest.items():
        if letter.request is not None:
            requests.setdefault(letter.request, []).append(index)
    return tuple(tuple(sorted(indexes)) for (_, items), indexes in requests.items() if len(indexes) == items)


def parse_exactly(text: bytes) -> Any:
    """Parse JSON without losing a digit: fractions become Decimals that remember how they were written.

    :raises ValueError: when it is not JSON, or has a number that no Decimal holds.
    """
    return parse_json(text, _AsWritten, _integer)


def parse_json(
    text: bytes | str,
    of_fraction: Callable[[str], Any],
    of_integer: Callable[[str], Any],
    of_constant: Callable[[str], Any] | None = None,
) -> Any:
    """Parse JSON with numbers of one's own making. :raises ValueError: when it is not JSON, or none can be made."""
    try:
        return json.loads(text, parse_float=of_fraction, parse_int=of_integer, parse_constant=of_constant)
    except ArithmeticError as error:
        raise ValueError("an exponent of more than 18 digits") from error


def skim(text: bytes) -> Any:
    """Parse JSON five times as fast, for those who do not look at its numbers."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # it takes no 1E+400
        return parse_exactly(text)


def parse_to_python(text: bytes) -> Any:
    """Parse JSON into Python's own types without losing a digit.

    A fraction is a float, or a Decimal where no float holds it.

    :raises ValueError: when it is not JSON, or has a number that no Decimal holds.
    """
    return parse_json(text, _float_or_decimal, int_or_decimal)


def _float_or_decimal(text: str) -> float | Decimal:
    number, exact = float(text), Decimal(text)
    return number if Decimal(repr(number)) == exact else exact


def int_or_decimal(text: str) -> int | Decimal:
    """Read an integer; a Decimal where Python does not read so many digits."""
    return int(text) if len(text) < LONGEST_INTEGER else Decimal(text)


class _AsWritten(Decimal):
    """A number that is written again as it was read: ``1e-7`` stays ``1e-7``, as in the body that was sent."""

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number._text = text
        return number

    _text: str

    def __str__(self) -> str:
        return self._text


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) < LONGEST_INTEGER else _AsWritten(text)
