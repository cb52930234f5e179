"""What people publish for this job, each in its simplest usual form; it raises at the first answer that is an error."""

import asyncio
import json
import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import aiohttp
import psycopg
import requests
from psycopg.rows import dict_row

from benchmarks.database import ROWS_SQL

_HEADERS = {"Content-Type": "application/json"}
_SQL = ROWS_SQL.replace(":rows", "%s")
_CHUNK = 1000


def dumps(row: Any) -> str:
    """Encode what the database gives; the times and decimals by way of ``str``."""
    return json.dumps(row, default=str)


@contextmanager
def _cursor(postgres: dict[str, Any], rows: int) -> Iterator[psycopg.Cursor[dict[str, Any]]]:
    with (
        psycopg.connect(host=postgres["host"], user=postgres["login"], dbname=postgres["schema"]) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        yield cursor.execute(_SQL, (rows,))


def post_one_after_another(postgres: dict[str, Any], url: str, rows: int) -> int:
    """Post each row with ``requests``. :return: how many, as with the others."""
    posted = 0
    with _cursor(postgres, rows) as cursor, requests.Session() as session:
        while chunk := cursor.fetchmany(_CHUNK):
            for row in chunk:
                session.post(url, data=dumps(row), headers=_HEADERS).raise_for_status()
                posted += 1
    return posted


def gather_chunk_by_chunk(postgres: dict[str, Any], url: str, rows: int, concurrency: int) -> int:
    """Send each chunk with its own event loop, session and ``gather``."""
    posted = 0
    with _cursor(postgres, rows) as cursor:
        while chunk := cursor.fetchmany(_CHUNK):
            posted += asyncio.run(_post_chunk(url, chunk, concurrency))
    return posted


async def _post_chunk(url: str, chunk: list[dict[str, Any]], concurrency: int) -> int:
    semaphore = asyncio.Semaphore(concurrency)

    async def post(session: aiohttp.ClientSession, row: dict[str, Any]) -> None:
        async with semaphore, session.post(url, json=row) as answer:
            await answer.read()
            answer.raise_for_status()

    async with aiohttp.ClientSession(json_serialize=dumps) as session:
        return len(await asyncio.gather(*(post(session, row) for row in chunk)))


def post_bulk_one_after_another(postgres: dict[str, Any], url: str, rows: int, batch: int) -> int:
    """Post so many rows at a time as lines of JSON."""
    posted = 0
    with _cursor(postgres, rows) as cursor, requests.Session() as session:
        while chunk := cursor.fetchmany(batch):
            body = "".join(dumps(row) + "\n" for row in chunk)
            session.post(url, data=body, headers={"Content-Type": "application/x-ndjson"}).raise_for_status()
            posted += len(chunk)
    return posted


def get_one_after_another(urls: Sequence[str]) -> int:
    """Get each URL with ``requests``, and parse the answer; nothing is loaded. :return: how many."""
    with requests.Session() as session:
        for url in urls:
            _get(session, url)
    return len(urls)


def get_by_threads(urls: Sequence[str], workers: int) -> int:
    """Share the URLs among threads that take the next one from a queue; each has its own session."""
    left: queue.SimpleQueue[str] = queue.SimpleQueue()
    for url in urls:
        left.put(url)

    def work() -> int:
        done = 0
        with requests.Session() as session:
            while True:
                try:
                    url = left.get_nowait()
                except queue.Empty:
                    return done
                _get(session, url)
                done += 1

    with ThreadPoolExecutor(workers) as pool:
        return sum(working.result() for working in [pool.submit(work) for _ in range(workers)])


def _get(session: requests.Session, url: str) -> Any:
    answer = session.get(url)
    answer.raise_for_status()
    return answer.json()
