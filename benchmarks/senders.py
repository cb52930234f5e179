"""The contestants: a bare aiohttp loop, our engine with rows from memory, our operator with rows from PostgreSQL."""

import asyncio
import json
import logging
import tempfile
import time
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import aiohttp
import uvloop

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.job import Job
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.limits.rate_limit import parse_rate_limit
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.reading.source import RowSource
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity, RequestBuilder
from airflow_async_rest.core.run import JobRun
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.transport.client import ClientSettings
from benchmarks.database import ROWS_SQL

Row = dict[str, Any]
Result = TypeVar("Result")

CHUNK_SIZE = 5000
BATCH_ITEMS = 500
encode = JsonEncoder()


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run on the loop that the operators use; the bare loop does, too, so that it is no part of the difference."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def send_bare(requests: Sequence[tuple[str, bytes]], concurrency: int) -> int:
    """Post (URL, body) pairs in the simplest way there is: workers that share a session and an iterator."""
    left = iter(requests)

    async def work(session: aiohttp.ClientSession) -> None:
        for url, body in left:
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
                await answer.read()
                answer.raise_for_status()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
        await asyncio.gather(*(work(session) for _ in range(concurrency)))
    return len(requests)


class InMemory:
    """Rows that are there already, in chunks as a cursor gives them."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Sequence[Row]]:
        for start in range(0, len(self._rows), CHUNK_SIZE):
            yield self._rows[start : start + CHUNK_SIZE]

    def cancel(self) -> None:
        pass


def deliver_from_memory(
    url: str, rows: Sequence[Row], concurrency: int, *, rate_limit: str | None = None, **of_connection: Any
) -> dict[str, Any]:
    """Deliver with the engine alone, without Airflow.

    :param of_connection: fields of the connection's settings.
    :return: the report.
    """
    template = EndpointTemplate("items")
    builder = RequestBuilder(endpoint=template, method="POST", encode=encode, identity=Identity(), has_key=True)
    with tempfile.TemporaryDirectory(prefix="async-rest-bench-") as folder:
        job = Job(
            settings=ClientSettings(url, **of_connection),
            source=RowSource(
                InMemory(rows), key=("id",), asked_for={"endpoint": template.columns}, prepare=builder.prepare
            ),
            retry=RequestRetry(),
            rate_limit=parse_rate_limit(rate_limit),
            concurrency=concurrency,
            about={},
            folder=DeadLetterFolder(Path(folder), 1),
            folder_uri=folder,
            log=logging.getLogger("benchmarks"),
        )

        async def deliver() -> dict[str, Any]:
            return await JobRun(job, StopSwitch(), None).run()

        return _all_delivered(run(deliver()), len(rows))


# A call of Airflow's, as measured with its API server on the same machine.
_STORE_SECONDS = 0.01


class _StateStore(dict[str, Any]):
    """Airflow's task state store, as far as a task uses it, and as slow."""

    def set(self, key: str, value: Any) -> None:
        time.sleep(_STORE_SECONDS)
        self[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        self.pop(key, None)


def deliver_from_postgres(rows: int, sql: str = ROWS_SQL, *, failing: int = 0, **arguments: Any) -> dict[str, Any]:
    """Run the operator itself, with checkpoints, between the connections ``source_db`` and ``search_api``.

    :param failing: rows that are dead letters at the end.
    :param arguments: of the operator, besides those that all measures share.
    :return: the report.
    """
    from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator  # noqa: PLC0415  (it imports Airflow)

    with tempfile.TemporaryDirectory(prefix="async-rest-bench-letters-") as folder:
        task = SqlToRestOperator(
            **{
                "task_id": "post",
                "sql": sql,
                "parameters": {"rows": rows},
                "sql_conn_id": "source_db",
                "http_conn_id": "search_api",
                "endpoint": "items",
                "key": "id",
                "chunk_size": CHUNK_SIZE,
                "window_start": "2026-11-01",
                "window_end": "2026-12-01",
                "dead_letter_path": folder,
                "max_failures": failing,
                **arguments,
            }
        )
        return _all_delivered(execute(task), rows - failing)


def execute(task: Any, run_id: str = "run") -> dict[str, Any]:
    """Execute an operator as Airflow does, without a scheduler. :return: the report."""
    which = {"dag_id": "bench", "run_id": run_id, "task_id": task.task_id, "map_index": -1}
    ti = SimpleNamespace(**which, try_number=1, max_tries=0, task=task)
    ti.xcom_push = lambda **_: None
    return task.execute({"ti": ti, "task_state_store": _StateStore()})


def in_bulk() -> dict[str, Any]:
    """Return the operator's arguments for lines of JSON, many to a request."""
    from airflow_async_rest import Batch  # noqa: PLC0415

    return {"batch": Batch(max_items=BATCH_ITEMS, format="ndjson")}


def _all_delivered(report: dict[str, Any], rows: int) -> dict[str, Any]:
    """Return the report; the figure of a run that lost something would be worth nothing."""
    if report["delivered"] + report["skipped"] != rows:
        raise RuntimeError(f"not all of {rows} rows were delivered: {report}")
    return report
