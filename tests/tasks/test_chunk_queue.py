"""Rows between the loop that fetches them and the thread that takes them."""

import asyncio

import pytest

from airflow_async_rest.core.errors import LoadError
from airflow_async_rest.core.keeping.row_sink import PlacedRow
from airflow_async_rest.tasks.fetched_chunks import ChunkQueue

ROW = [PlacedRow(0, {"n": 1})]


async def staged(chunks, times):
    for _ in range(times):
        await chunks.stage(ROW, ())


def test_two_chunks_are_ahead_and_a_third_waits_until_one_is_taken():
    chunks = ChunkQueue()

    async def fetch():
        await staged(chunks, 2)
        third = asyncio.create_task(staged(chunks, 1))
        await asyncio.sleep(0)
        assert not third.done()
        taken = iter(chunks)
        assert [next(taken), next(taken)] == [[{"n": 1}]] * 2  # the second says that the first is done with
        await third
        return await chunks.merge(first=True)

    assert asyncio.run(fetch()).loaded == 3
    chunks.end()
    assert list(chunks) == [[{"n": 1}]]  # though the loop is closed


def test_who_waits_for_room_ends_when_nobody_takes_rows_any_more():
    chunks = ChunkQueue()

    async def fetch():
        await staged(chunks, 2)
        waiting = [asyncio.create_task(staged(chunks, 1)) for _ in range(2)]
        await asyncio.sleep(0)
        chunks.cancel()
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(error) for error in asyncio.run(fetch())] == [LoadError, LoadError]


@pytest.mark.parametrize("rows", [[], ROW])
def test_only_rows_need_room(rows):
    chunks = ChunkQueue()
    chunks.cancel()
    if rows:
        with pytest.raises(LoadError):
            asyncio.run(chunks.stage(rows, ()))
    else:
        assert asyncio.run(chunks.stage(rows, ())).refused == ()
