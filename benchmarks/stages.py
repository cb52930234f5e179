"""Where the time of a row goes: each stage alone, in a loop over many rows, and the whole way."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from airflow_async_rest.core.account.recorder import Recorder, SourceDigest
from airflow_async_rest.core.batches.form import BatchForm, ItemBatch
from airflow_async_rest.core.batches.source import BatchSource
from airflow_async_rest.core.models import Delivered, Item, Request
from airflow_async_rest.core.reading.source import RowSource
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity, RequestBuilder
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.transport.client import ClientSettings, RestClient
from benchmarks.database import ROWS_SQL, rows_in_memory
from benchmarks.measuring import Figure, Plan, figure, in_turns
from benchmarks.senders import CHUNK_SIZE, InMemory, Row, deliver_from_postgres, encode, in_bulk, run
from benchmarks.surroundings import running_ends

Stages = dict[str, Callable[[], object]]

_CONCURRENCY = 64


def measure(plan: Plan) -> Iterator[Figure]:
    """Return each stage's share of the whole, from PostgreSQL, with an identity as ``transform``."""
    single, bulk = (200, 1_000) if plan.smoke else (20_000, 100_000)
    with running_ends(plan) as ends:
        base_url = ends.url.rpartition("/")[0]
        deliver_from_postgres(10)  # Airflow's imports are not part of it
        yield from _compare("single", single, _single_stages(single, base_url), plan.rounds)
        yield from _compare("bulk", bulk, _bulk_stages(bulk, base_url), plan.rounds, **in_bulk())


def _compare(way: str, count: int, stages: Stages, rounds: int, **arguments: Any) -> Iterator[Figure]:
    def whole() -> None:
        deliver_from_postgres(count, concurrency=_CONCURRENCY, transform=_same, **arguments)

    found = in_turns(rounds, *(_microseconds(count, do) for do in (whole, *stages.values())))
    against = f"the whole way, {way}"
    for place, name in enumerate(stages, 1):
        yield figure("stages", f"{way}, {name}: us a row", [(times[0], times[place]) for times in found], against)
    yield figure("stages", f"{way}, their sum: us a row", [(times[0], sum(times[1:])) for times in found], against)


def _single_stages(count: int, base_url: str) -> Stages:
    rows = rows_in_memory(count)
    items = _items(rows)
    together = [items[start : start + 64] for start in range(0, count, 64)]  # as they are prepared
    builder = _builder()
    requests = builder.build(items)

    def account() -> None:
        recorder = _recorder()
        for item in items:
            recorder.take(item)
            recorder.record(Delivered(item.index, 1))

    return {
        "read": lambda: _read(count),
        "make items, transform": lambda: _exhaust(_source(rows).open(None, lambda _: None)),
        "encode, build requests": lambda: [builder.build(some) for some in together],
        "send": lambda: run(_send(base_url, requests)),
        "account": account,
    }


def _bulk_stages(count: int, base_url: str) -> Stages:
    rows = rows_in_memory(count)
    items = _items(rows)
    how = {"encode": encode, "retry": RequestRetry(), "key": ("id",), "request": _builder().build_batch}
    form = BatchForm(**in_bulk(), **how)

    def cut() -> Iterator[list[ItemBatch]]:
        return BatchSource(_Given(items), form).open(None, lambda _: None)

    batches = [batch.items for made in cut() for batch in made]
    requests = [form.build(batch) for batch in batches]

    def account() -> None:
        recorder = _recorder()
        for batch in batches:
            recorder.take_batch(batch)
            recorder.delivered(batch)

    return {
        "read": lambda: _read(count),
        "make items, transform": lambda: _exhaust(_source(rows).open(None, lambda _: None)),
        "encode, cut": lambda: _exhaust(cut()),
        "build requests": lambda: [form.build(batch) for batch in batches],
        "send": lambda: run(_send(base_url, requests)),
        "account": account,
    }


class _Given:
    """A source whose items are there already."""

    def __init__(self, items: list[Item]) -> None:
        self._items = items

    def open(self, *_: object) -> Iterator[list[Item]]:
        for start in range(0, len(self._items), CHUNK_SIZE):
            yield self._items[start : start + CHUNK_SIZE]


def _same(row: Row) -> Row:
    return row


def _source(rows: list[Row]) -> RowSource:
    return RowSource(InMemory(rows), key=("id",), transform=_same)


def _items(rows: list[Row]) -> list[Item]:
    return [item for chunk in _source(rows).open(None, lambda _: None) for item in chunk]


def _exhaust(chunks: Iterable[object]) -> None:
    """Let each chunk go before the next one comes, as it is when they are sent."""
    deque(chunks, maxlen=0)


def _builder() -> RequestBuilder:
    template = EndpointTemplate("items")
    return RequestBuilder(endpoint=template, method="POST", encode=encode, identity=Identity(), has_key=True)


def _recorder() -> Recorder:
    recorder = Recorder()
    recorder.continue_digest(SourceDigest())
    return recorder


def _read(count: int) -> None:
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook  # noqa: PLC0415  (it imports Airflow)

    _exhaust(ChunkedSqlHook("source_db").chunks(ROWS_SQL, {"rows": count}, CHUNK_SIZE))


async def _send(base_url: str, requests: list[Request]) -> None:
    left = iter(requests)
    async with RestClient(ClientSettings(base_url), _CONCURRENCY) as client:

        async def work() -> None:
            for request in left:
                answer = await client.send(request)
                if answer.status != 200:
                    raise RuntimeError(f"the server answers {answer.status}")

        await asyncio.gather(*(work() for _ in range(_CONCURRENCY)))


def _microseconds(count: int, do: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        started = time.perf_counter()
        do()
        return (time.perf_counter() - started) / count * 1e6

    return timed
