"""Columns of a table that is loaded, as far as a load has to know them."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What of a column's type matters for a value."""

    JSON = "json"
    ARRAY = "array"
    TEXT_ARRAY = "array of texts"
    TIME_ARRAY = "array of times"
    JSON_ARRAY = "array of json"
    NAIVE_TIME = "timestamp"
    AWARE_TIME = "timestamp with time zone"
    DATE = "date"
    TIME_OF_DAY = "time"
    TIME_OF_DAY_ARRAY = "array of times of day"
    ZONED_TIME_OF_DAY = "time with time zone"
    ZONED_TIME_OF_DAY_ARRAY = "array of times of day with time zone"
    NAIVE_RANGE = "range of timestamps"
    ZONED_RANGE = "range of timestamps with time zone"
    BOOLEAN = "boolean"
    BINARY = "binary"
    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    OTHER = "other"
    OURS = "a column of a staging table only, whose numbers or texts every driver takes as they are"


@dataclass(frozen=True)
class Column:
    """A column of the table.

    :param has_default: whether the database gives it a value when none is given: a default, an identity.
    :param default: that, in SQL, where it is known.
    :param staged_as: the type it has in a staging table, in SQL; empty: its own.
    :param is_required: whether it is NOT NULL.
    """

    name: str
    kind: Kind
    has_default: bool = False
    default: str = ""
    staged_as: str = ""
    is_required: bool = False


class Constraint(NamedTuple):
    """What a table asks of its rows.

    :param columns: names of those that it is about.
    :param check: what must be true of each row, in SQL; empty: the columns are unique.
    :param message: for a row that is not so.
    """

    columns: tuple[str, ...]
    check: str
    message: str
