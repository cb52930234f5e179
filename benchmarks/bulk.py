"""Rows in bulk against an API that answers at once: how many a second, from PostgreSQL to the last answer."""

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.database import ROWS_SQL
from benchmarks.measuring import Figure, Plan, Rival, compare, per_second
from benchmarks.recipes import post_bulk_one_after_another
from benchmarks.senders import BATCH_ITEMS, CHUNK_SIZE, deliver_from_postgres, encode, in_bulk
from benchmarks.surroundings import Ends, running_ends

_CASE = f"NDJSON, {BATCH_ITEMS} rows a request"
_LATENCY_SECONDS = 0.02  # an API needs it for so many rows, if not more


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare the operator with what people write, with single items, and with what has to be done anyway."""
    rows = 5_000 if plan.smoke else 300_000
    with running_ends(plan) as ends:
        deliver_from_postgres(10)  # Airflow's imports are not part of it
        rivals = [
            Rival("requests, one batch after another", _recipe(ends, rows // 5)),
            Rival("this package, single items", _operator(rows // 15, concurrency=64)),
            Rival("reading and encoding alone", lambda: per_second(lambda: _read_and_encode(rows)), at_least=0.72),
        ]
        yield from compare("bulk", f"{_CASE}: rows/s", plan.rounds, _operator(rows, **in_bulk()), rivals)
    with running_ends(plan, _LATENCY_SECONDS) as ends:
        case = f"{_CASE}, {_LATENCY_SECONDS * 1000:g} ms each: rows/s"
        rivals = [Rival("requests, one batch after another", _recipe(ends, rows // 5))]
        yield from compare("bulk", case, plan.rounds, _operator(rows, **in_bulk()), rivals)


def _operator(rows: int, **arguments: Any) -> Callable[[], float]:
    return lambda: per_second(lambda: deliver_from_postgres(rows, **arguments)["delivered"])


def _recipe(ends: Ends, rows: int) -> Callable[[], float]:
    return lambda: per_second(lambda: post_bulk_one_after_another(ends.postgres, ends.url, rows, BATCH_ITEMS))


def _read_and_encode(rows: int) -> int:
    """Do what has to be done in any case, with our reader and our encoder."""
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook  # noqa: PLC0415  (it imports Airflow)

    done = 0
    for chunk in ChunkedSqlHook("source_db").chunks(ROWS_SQL, {"rows": rows}, CHUNK_SIZE):
        for start in range(0, len(chunk), BATCH_ITEMS):
            batch = chunk[start : start + BATCH_ITEMS]
            b"\n".join(map(encode, batch))
            done += len(batch)
    return done
