"""What PostgreSQL would round, or cut off, to make a value fit into a column, and say nothing."""

import re
from collections.abc import Sequence
from datetime import datetime, time
from typing import Any

from airflow_async_rest.core.errors import EncodeError
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.databases.values.column_values import text_of
from airflow_async_rest.databases.values.columns import Column

_DIGITS = re.compile(r"time(?:stamp)?\((\d)\) with(?:out)? time zone")
_LENGTH = re.compile(r"character varying\((\d+)\)")
_BYTES = {'"char"': 1, "name": 63}


def fitted(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    """Return a column's values, times without the digits that it does not keep.

    If these were rounded, the last moment of a day would be the next day's.

    :raises EncodeError: for a text that is too long by spaces only, or for a type of so many bytes.
    """
    type_ = column.staged_as
    if found := _DIGITS.fullmatch(type_):
        finer = re.compile(rf"(:\d\d[.,]\d{{{found[1]}}})\d+" if found[1] != "0" else r"(:\d\d)[.,]\d+")
        return [finer.sub(r"\1", text) if (text := _text_of_time(value)) else value for value in values]
    if found := _LENGTH.fullmatch(type_):
        length = int(found[1])
        for value in values:
            if isinstance(value, str) and len(value) > length and not value[length:].strip(" "):
                raise EncodeError(f"the text has {counted(len(value), 'character')}, and the column holds {length}")
    elif most := _BYTES.get(type_):
        for value in values:
            if isinstance(value, str) and len(value.encode("utf-8", "replace")) > most:
                raise EncodeError(f"the text {value!r:.80} has more bytes than the type {type_} holds: {most}")
    return values


def _text_of_time(value: Any) -> str:
    return text_of(value) if isinstance(value, datetime | time) else value if isinstance(value, str) else ""
