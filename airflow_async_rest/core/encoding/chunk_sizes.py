"""How many rows are read at once: as many as memory has room for, whatever their size.

Nobody knows how large the next row is. So a chunk is made of several small fetches, the first of them of one row; it
ends when it has as many rows as its author allows, or as many bytes as we do.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice, zip_longest
from typing import Any, TypeVar
from uuid import UUID

import orjson

Row = TypeVar("Row")

# Three chunks are held at a time, and of each row what was made of it, too.
CHUNK_BYTES = 4 << 20
# A driver holds what it was sent beside the values that it made of that.
_FETCH_BYTES = 1 << 20
# Where rows grow all at once, all that are fetched together are in memory before anybody knows. So they are few, until
# many small ones have come. In bulk a row of PostgreSQL's takes 2.8 us by 5,000, 3.0 by 1,000, and 3.3 by 250.
FEW_ROWS, _MANY_ROWS = 250, 1000
_SHARE_OF_SMALL = 1 / 20

# One has about so many bytes, whatever it is. None says nothing of the others.
_SMALL = frozenset({int, float, bool, Decimal, datetime, date, time, timedelta, UUID})
_SMALL_BYTES = 40
_TEXTS = frozenset({str, bytes, bytearray})
_PARSED = frozenset({dict, list, tuple})
# Of a byte of JSON: {"id": 1} is a dict of 184 bytes, and a long text hardly longer than its JSON.
_PARSED_BYTES = 8
_SAMPLE = 16


def iter_chunks(fetch: Callable[[int], tuple[Sequence[Row], int]], chunk_size: int) -> Iterator[list[Row]]:
    """Yield chunks of rows.

    :param fetch: how many rows at most -> the next ones, none when there are no more, and the bytes that they take.
    :param chunk_size: rows of a chunk at most.
    """
    count, small, is_more = 1, 0, True
    while is_more:
        chunk: list[Row] = []
        held = 0
        while is_more and len(chunk) < chunk_size and held < CHUNK_BYTES:
            try:
                rows, size = fetch(min(count, chunk_size - len(chunk)))
            except Exception:
                if chunk:
                    yield chunk  # these came before what fails
                raise
            is_more = len(rows) > 0
            chunk += rows
            held += size
            small = small + len(rows) if size <= _FETCH_BYTES else 0
            count = next_count(count, len(rows), size, small)
            del rows  # before the next ones are read: they may be large
        if chunk:
            yield chunk


def chunked(rows: Iterable[Mapping[Any, Any]], chunk_size: int) -> Iterator[list[Mapping[Any, Any]]]:
    """Yield chunks of rows that somebody makes one by one; see :func:`iter_chunks`."""
    left = iter(rows)

    def fetch(count: int) -> tuple[list[Mapping[Any, Any]], int]:
        some = list(islice(left, count))
        return some, bytes_of(zip_longest(*[row.values() for row in some]))

    return iter_chunks(fetch, chunk_size)


def next_count(before: int, rows: int, size: int, small: int) -> int:
    """Decide how many rows are fetched next: at most twice as many, and as many of the size of the last ones as fit.

    :param before: how many might have come last.
    :param rows: how many came.
    :param size: the bytes that they take.
    :param small: how many rows have come since the last that were larger than expected.
    """
    most = min(max(FEW_ROWS, int(small * _SHARE_OF_SMALL)), _MANY_ROWS)
    return max(1, min(before * 2, most, rows * _FETCH_BYTES // (size or 1)))


def bytes_of(columns: Iterable[Sequence[Any]]) -> int:
    """Estimate the memory that values of rows take, column by column: in 0.1 us a row of four."""
    return sum(map(_bytes_of_column, columns))


def bytes_of_typed(rows: Sequence[Sequence[Any]]) -> int:
    """Estimate the same of rows in whose columns all values are of one type, or null: in a third of the time.

    So they are in most databases, though not in SQLite.
    """
    sample = rows[:: len(rows) // _SAMPLE + 1]
    size = 0
    for place, values in enumerate(zip(*sample, strict=True)):
        is_small = set(map(type, values)) <= _SMALL
        size += len(rows) * _SMALL_BYTES if is_small else _bytes_of_column([row[place] for row in rows])
    return size


def _bytes_of_column(values: Sequence[Any]) -> int:
    kinds = set(map(type, values))
    if not kinds.isdisjoint(_PARSED):
        return _bytes_of_json(values) * _PARSED_BYTES
    if orjson.Fragment in kinds:
        return _bytes_of_json(values)
    if memoryview in kinds:
        return sum(view.nbytes for view in values if view is not None)
    if kinds == {str}:  # whose own method takes a third of the time
        return sum(map(str.__sizeof__, values))
    if not kinds.isdisjoint(_TEXTS):
        return sum(map(sys.getsizeof, values))
    sample = values[:: len(values) // _SAMPLE + 1]
    return sum(map(sys.getsizeof, sample)) * len(values) // len(sample)


def _bytes_of_json(values: Sequence[Any]) -> int:
    try:
        return len(orjson.dumps(values, default=str, option=orjson.OPT_NON_STR_KEYS))
    except orjson.JSONEncodeError:  # an integer of more than 64 bits, or nested too deeply
        return len(str(values))
