"""Where the time of one item goes: each stage alone, in a loop over many items, and the whole way."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

from airflow_async_rest.core.checkpoint import SourceDigest
from airflow_async_rest.core.client import ClientSettings, RestClient
from airflow_async_rest.core.models import Delivered, Item, Request
from airflow_async_rest.core.recorder import Recorder
from airflow_async_rest.core.request import EndpointTemplate, Identity, RequestBuilder
from airflow_async_rest.core.source import RowSource
from benchmarks.database import ROWS_SQL, rows_in_memory
from benchmarks.measuring import Figure, Plan, figure, in_turns
from benchmarks.senders import CHUNK_SIZE, InMemory, deliver_from_postgres, encode, run
from benchmarks.surroundings import running_ends

_CONCURRENCY = 64


def measure(plan: Plan) -> Iterator[Figure]:
    """Give each stage's share of the whole: from PostgreSQL, with an identity as ``transform``, one by one."""
    count = 200 if plan.smoke else 20_000
    with running_ends(plan) as ends:
        deliver_from_postgres(10)  # Airflow's imports are not part of it
        stages = _stages(count, ends.url.rpartition("/")[0])

        def whole() -> None:
            deliver_from_postgres(count, concurrency=_CONCURRENCY, transform=_same)

        found = in_turns(plan.rounds, *(_microseconds(count, do) for do in (whole, *stages.values())))
    for place, name in enumerate(stages, 1):
        yield figure("stages", f"{name}: us", [(times[0], times[place]) for times in found], "the whole way")
    yield figure("stages", "their sum: us", [(times[0], sum(times[1:])) for times in found], "the whole way")


def _stages(count: int, base_url: str) -> dict[str, Callable[[], object]]:
    rows = rows_in_memory(count)
    [*chunks] = RowSource(InMemory(rows), key=("id",), transform=_same).open(None, lambda _: None)
    items = [item for chunk in chunks for item in chunk]
    bodies = {item.index: encode(item.payload) for item in items}
    # Its encoding is a stage of its own, so here the body is ready.
    ready = [Item(item.index, item.key, item.row, bodies[item.index], item.identity) for item in items]
    template = EndpointTemplate("items")
    build = RequestBuilder(endpoint=template, method="POST", encode=bytes, identity=Identity(), has_key=True).build
    requests = [build(item) for item in ready]
    return {
        "read": lambda: _read(count),
        "make items, transform": lambda: list(
            RowSource(InMemory(rows), key=("id",), transform=_same).open(None, lambda _: None)
        ),
        "encode": lambda: [encode(row) for row in rows],
        "build the request": lambda: [build(item) for item in ready],
        "send": lambda: run(_send(base_url, requests)),
        "account": lambda: _account(items),
    }


def _same(row: dict[str, Any]) -> dict[str, Any]:
    return row


def _read(count: int) -> None:
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook  # noqa: PLC0415  (it imports Airflow)

    for _ in ChunkedSqlHook("source_db").chunks(ROWS_SQL, {"rows": count}, CHUNK_SIZE):
        pass


async def _send(base_url: str, requests: list[Request]) -> None:
    left = iter(requests)
    async with RestClient(ClientSettings(base_url), _CONCURRENCY) as client:

        async def work() -> None:
            for request in left:
                answer = await client.send(request)
                if answer.status != 200:
                    raise RuntimeError(f"the server answers {answer.status}")

        await asyncio.gather(*(work() for _ in range(_CONCURRENCY)))


def _account(items: list[Item]) -> None:
    recorder = Recorder()
    recorder.continue_digest(SourceDigest())
    for item in items:
        recorder.take(item)
        recorder.record(Delivered(item.index, 1))


def _microseconds(count: int, do: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        started = time.perf_counter()
        do()
        return (time.perf_counter() - started) / count * 1e6

    return timed
