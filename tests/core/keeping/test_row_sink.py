import asyncio

import pytest

from airflow_async_rest.core.account.report import RowTotals
from airflow_async_rest.core.bounds import USUAL
from airflow_async_rest.core.keeping.row_sink import PlacedRow, PlacedRows, RowBuffer, item_of, place_of

pytestmark = pytest.mark.anyio

CHUNK_ROWS = USUAL.chunk_rows


def rows(count: int) -> list[dict]:
    return [{"n": n} for n in range(count)]


@pytest.mark.parametrize(("index", "number"), [(0, 0), (0, 5), (7, 0), (10**9, 2**24 - 1)])
async def test_a_place_tells_the_item_and_the_rows_number(index, number):
    assert item_of(place_of(index, number)) == (index, number)
    assert place_of(index, number) < 2**63


async def test_places_ascend_from_item_to_item():
    assert place_of(0, 0) < place_of(0, 1) < place_of(0, 2**24 - 1) < place_of(1, 0)


async def test_what_was_added_is_taken_once():
    buffer = RowBuffer()
    buffer.add(3, rows(2), 20)
    buffer.put_back([PlacedRow(9, {"n": 9})])
    assert list(buffer.take()) == [(place_of(3, 0), {"n": 0}), (place_of(3, 1), {"n": 1}), (9, {"n": 9})]
    assert list(buffer.take()) == []


async def test_rows_in_two_lists_are_what_they_are_one_by_one():
    one_by_one = [PlacedRow(place, {"n": place}) for place in range(5)]
    placed = PlacedRows.of(one_by_one)
    assert PlacedRows.of(placed) is placed
    assert (len(placed), list(placed), placed[-1]) == (5, one_by_one, one_by_one[-1])
    assert (list(placed[1:3]), bool(placed[9:])) == (one_by_one[1:3], False)


async def test_a_chunk_is_due_and_ten_leave_no_room():
    buffer = RowBuffer()
    buffer.add(0, rows(CHUNK_ROWS - 1), 20)
    assert not buffer.due.is_set()
    buffer.add(1, rows(1), 20)
    assert buffer.due.is_set()
    await buffer.room()
    assert buffer.has_room
    buffer.add(2, rows(9 * CHUNK_ROWS), 20)
    assert not buffer.has_room
    waiting = asyncio.create_task(buffer.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    buffer.take()
    await waiting
    assert not buffer.due.is_set()


@pytest.mark.parametrize(
    ("size", "is_due", "has_room"), [(10, False, True), (50_000, True, True), (500_000, True, False)]
)
async def test_of_large_rows_fewer_are_a_chunk(size, is_due, has_room):
    buffer = RowBuffer()
    buffer.add(0, [], 50_000_000)  # an answer without rows takes no room
    buffer.add(0, [{"n": n, "v": "x" * size} for n in range(100)], size * 100)
    assert (buffer.due.is_set(), buffer.has_room) == (is_due, has_room)
    taken = buffer.take()
    buffer.add(1, rows(1), 20)
    assert not buffer.due.is_set()
    assert buffer.has_room
    buffer.put_back(taken)
    assert (buffer.due.is_set(), buffer.has_room) == (is_due, has_room)


async def test_rows_that_are_put_back_leave_no_room_either():
    buffer = RowBuffer()
    buffer.add(0, rows(10 * CHUNK_ROWS), 20)
    buffer.put_back(buffer.take())
    waiting = asyncio.create_task(buffer.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_totals_of_rows_are_reported_by_their_names():
    report = RowTotals(staged=1, loaded=2, refused=3).report()
    assert report == {"rows_loaded": 2, "rows_refused": 3, "rows_staged": 1}
