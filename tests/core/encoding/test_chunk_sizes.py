"""How many rows are read at once: the decision, and what it is made of."""

from datetime import UTC, datetime
from decimal import Decimal

import orjson
from tables import every_row

from airflow_async_rest.core.encoding.chunk_sizes import (
    CHUNK_BYTES,
    FEW_ROWS,
    bytes_of,
    bytes_of_typed,
    chunked,
    iter_chunks,
    next_count,
)

KB, MB = 1 << 10, 1 << 20


@every_row(
    ("before", "rows", "size", "small", "count"),
    [
        (1, 1, 100, 1, 2),  # the next row may be of any size, so at most twice as many
        (100, 100, 10 * KB, 199, 200),
        (200, 200, 20 * KB, 399, FEW_ROWS),
        (FEW_ROWS, FEW_ROWS, 0, 5000, FEW_ROWS),
        (FEW_ROWS, FEW_ROWS, 20 * KB, 8000, 400),  # a twentieth of what was small before
        (900, 900, 90 * KB, 10**6, 1000),
        (1000, 1000, 100 * KB, 10**6, 1000),
        (1000, 1000, 4 * MB, 10**6, 250),  # they are not as small any more
        (FEW_ROWS, FEW_ROWS, FEW_ROWS * 100 * KB, 0, 10),  # they have grown all at once
        (10, 10, 10 * 100 * KB, 500, 10),
        (10, 10, 10 * 64 * KB, 500, 16),
        (1, 1, 5 * MB, 0, 1),
        (10, 10, 10 * 5 * MB, 0, 1),
        (1, 1, 100 * KB, 1, 2),
        (2, 2, 20, 2, 4),  # and have shrunk again
        (8, 3, 300, 18, 16),  # fewer came than might have
        (8, 0, 0, 15, 1),  # none: that was all
    ],
)
def test_so_many_rows_are_fetched_next(before, rows, size, small, count):
    assert next_count(before, rows, size, small) == count


def fetched(sizes, chunk_size=5000):
    """Read rows of given sizes. :return: the chunks, as lists of sizes, and the bytes of each fetch."""
    left, fetches = iter(sizes), []

    def fetch(count):
        rows = [size for _, size in zip(range(count), left, strict=False)]
        fetches.append(sum(rows))
        return rows, sum(rows)

    return list(iter_chunks(fetch, chunk_size)), fetches


@every_row(
    ("sizes", "most_fetched", "most_of_a_chunk"),
    [
        ([100] * 12_000, 100 * 600, 5000 * 100),
        ([10] * 4900 + [100 * KB] * 1000, FEW_ROWS * 100 * KB, CHUNK_BYTES + FEW_ROWS * 100 * KB),
        ([100 * KB] * 1000, MB, CHUNK_BYTES + MB),
        ([5 * MB] * 20, 5 * MB, CHUNK_BYTES + 5 * MB),
        # One fetch, and no second one, is as large as nobody could know.
        ([10] * 50_000 + [100 * KB] * 1000, 1000 * 100 * KB, CHUNK_BYTES + 1000 * 100 * KB),
        ([100 * KB] * 300 + [10] * 7000, MB, CHUNK_BYTES + MB),
        ([10, 100 * KB] * 500, MB, CHUNK_BYTES + MB),
        # Ever larger ones are never more than twice what was expected.
        ([round(1.002**n) for n in range(7000)], 3 * MB, CHUNK_BYTES + 3 * MB),
    ],
)
def test_what_is_fetched_at_once_and_what_a_chunk_has_is_bounded_by_bytes(sizes, most_fetched, most_of_a_chunk):
    chunks, fetches = fetched(sizes)
    assert [size for chunk in chunks for size in chunk] == sizes
    assert max(fetches) <= most_fetched
    assert max(map(sum, chunks)) <= most_of_a_chunk


def test_rows_that_have_grown_all_at_once_are_soon_few():
    _, fetches = fetched([10] * 7000 + [100 * KB] * 3000)
    large = [size for size in fetches if size > MB]
    assert len(large) <= 2  # the first may have had small ones, too
    assert sum(large) <= 350 * 100 * KB


@every_row("chunk_size", [1, 2, 3, 7, 999, 5000])
def test_small_rows_come_in_chunks_of_the_size_asked_for(chunk_size):
    count = 2 * chunk_size + chunk_size // 2
    chunks, _ = fetched([10] * count, chunk_size)
    assert list(map(len, chunks)) == [chunk_size, chunk_size, *filter(None, [chunk_size // 2])]


def test_of_no_rows_there_is_no_chunk():
    assert fetched([]) == ([], [0])


LONG = "x" * 100_000


@every_row(
    ("value", "least", "most"),
    [
        (LONG, 100_000, 101_000),
        ("é€" * 50_000, 200_000, 201_000),  # two bytes a character
        (LONG.encode(), 100_000, 101_000),
        (bytearray(LONG.encode()), 100_000, 102_000),
        (memoryview(LONG.encode()), 100_000, 101_000),
        (orjson.Fragment(f'"{LONG}"'), 100_000, 101_000),
        ({"text": LONG}, 100_000, 1_000_000),
        ([LONG, LONG], 200_000, 2_000_000),
        ([{"id": n} for n in range(1000)], 80_000, 500_000),
        ({"n": 10**100, "text": LONG}, 100_000, 1_000_000),
        ({"at": datetime.now(UTC), "n": Decimal(1), "text": LONG}, 100_000, 1_000_000),
        (7, 20, 40),
        (None, 10, 40),
        (Decimal("1.5"), 50, 200),
    ],
)
@every_row("beside", [None, "short"])
def test_the_bytes_of_rows_are_about_what_their_values_take(value, least, most, beside):
    rows = [(n, value, beside) for n in range(50)]
    assert 50 * least <= bytes_of(zip(*rows, strict=True)) <= 50 * (most + 100)
    assert 50 * least <= bytes_of_typed(rows) <= 50 * (most + 100)


def test_one_large_value_among_many_of_its_column_counts():
    for small, large in (("short", LONG), (b"", LONG.encode()), (orjson.Fragment("1"), orjson.Fragment(f'"{LONG}"'))):
        for first in (small, None):
            assert bytes_of_typed([(7, first)] * 133 + [(7, large)] + [(7, small)] * 66) >= 100_000
    assert bytes_of_typed([]) == 0


def test_one_large_text_among_many_values_counts_whatever_the_others_are():
    for other in (None, 7, "short", b"short", 1.5):
        assert bytes_of([[other] * 133 + [LONG] + [other] * 66]) >= 100_000


def test_one_large_json_value_among_many_counts():
    for small, large in ((orjson.Fragment("1"), orjson.Fragment(f'"{LONG}"')), ({}, {"text": LONG})):
        assert bytes_of([[None] * 100 + [small] * 33 + [large] + [small] * 66]) >= 100_000


def test_rows_that_an_author_makes_are_taken_as_they_fit_though_each_has_other_columns():
    rows = [{"id": n, **({"v": "x" * 100_000} if n % 2 else {})} for n in range(300)]
    chunks = list(chunked(iter(rows), 1000))
    assert [row for chunk in chunks for row in chunk] == rows
    assert max(map(len, chunks)) <= 110
    assert list(map(len, chunked([{"id": n} for n in range(2500)], 1000))) == [1000, 1000, 500]
