"""The contestants that fetch: a bare aiohttp loop, our operator into PostgreSQL, and our operator into nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import aiohttp

from airflow_async_rest.core.bounds import USUAL
from airflow_async_rest.core.keeping.row_sink import LoadState, Merged, PlacedRow
from benchmarks.database import execute as execute_sql
from benchmarks.senders import execute

TABLE = "readings"
_COLUMNS = ("id", "name", "value", "measured_at")


async def get_bare(urls: Sequence[str], concurrency: int) -> int:
    """Get and parse in the simplest way there is: workers that share a session and an iterator."""
    left = iter(urls)

    async def work(session: aiohttp.ClientSession) -> None:
        for url in left:
            async with session.get(url) as answer:
                answer.raise_for_status()
                await answer.json()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
        await asyncio.gather(*(work(session) for _ in range(concurrency)))
    return len(urls)


def create_table(postgres: dict[str, Any]) -> None:
    """Make the destination, empty."""
    execute_sql(
        postgres,
        f"DROP TABLE IF EXISTS {TABLE}",
        f"CREATE TABLE {TABLE} (day date, id bigint, name text, value numeric, measured_at timestamptz)",
    )


def fetch_into_postgres(rows: int, **arguments: Any) -> dict[str, Any]:
    """Run the operator itself, from ``search_api`` into ``source_db``, as a task that has not run before.

    :param rows: that must be loaded.
    :param arguments: of the operator, besides those that all measures share.
    :return: the report.
    """
    from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator  # noqa: PLC0415  (it imports Airflow)

    settings = {
        "task_id": "fetch",
        "http_conn_id": "search_api",
        "rows": "data",
        "destination_conn_id": "source_db",
        "destination_table": TABLE,
    }
    # Another run than the one before, of which the register says that all is loaded.
    report = execute(RestToSqlOperator(**(settings | arguments)), f"run-{uuid4()}")
    if report["rows_loaded"] != rows:
        raise RuntimeError(f"not all of {rows} rows were loaded: {report}")
    return report


def fetch_into_nothing(rows: int, **arguments: Any) -> dict[str, Any]:
    """Run the same, up to the rows that would be loaded: no database is asked for anything."""
    with (
        patch("airflow_async_rest.tasks.fetch_jobs.TableLoader", _Nowhere),
        patch("airflow_async_rest.tasks.fetch_jobs.open_destination"),
    ):
        return fetch_into_postgres(rows, **arguments)


class _Nowhere:
    """A loader that counts."""

    replaces = appends = needs_rows = can_remove = False
    chunk_rows = USUAL.chunk_rows

    def __init__(self, *_: object) -> None:
        self.destination = self
        self.names = ("day", *_COLUMNS)
        self.texts = frozenset({"name"})
        self._count = 0

    def check_bytes(self, _: object) -> None:
        pass

    def choose_columns(self, _: object) -> None:
        pass

    def open(self) -> None:
        pass

    def begin(self, **_: object) -> None:
        pass

    def clean_up(self) -> None:
        pass

    def stage(self, rows: Sequence[PlacedRow]) -> list[Any]:
        self._count += len(rows)
        return []

    def merge(self, **_: object) -> Merged:
        return Merged(self._count, [])

    def commit(self, checkpoint: Mapping[str, Any], state: LoadState, loaded: int) -> None:
        pass

    def rollback(self) -> None:
        pass

    cancel = close = rollback
