"""Rows in bulk against an API that answers at once: how many a second, from PostgreSQL to the last answer."""

from collections.abc import Iterator

from benchmarks.database import ROWS_SQL
from benchmarks.measuring import Figure, Plan, Rival, compare, per_second
from benchmarks.recipes import post_bulk_one_after_another
from benchmarks.senders import BATCH_ITEMS, CHUNK_SIZE, deliver_from_postgres, encode, in_bulk
from benchmarks.surroundings import Ends, running_ends


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare the operator with what people write, with its own single items, and with what it sends for nothing."""
    rows = 5_000 if plan.smoke else 300_000
    with running_ends(plan) as ends:
        deliver_from_postgres(10)  # Airflow's imports are not part of it

        def ours() -> float:
            return per_second(lambda: deliver_from_postgres(rows, **in_bulk())["delivered"])

        case = f"NDJSON, {BATCH_ITEMS} rows a request: rows/s"
        yield from compare("bulk", case, plan.rounds, ours, list(_rivals(ends, rows)))


def _rivals(ends: Ends, rows: int) -> Iterator[Rival]:
    def one_after_another() -> float:
        return per_second(lambda: post_bulk_one_after_another(ends.postgres, ends.url, rows // 5, BATCH_ITEMS))

    def single() -> float:
        return per_second(lambda: deliver_from_postgres(rows // 15, concurrency=64)["delivered"])

    def nowhere() -> float:
        return per_second(lambda: _read_and_encode(rows))

    yield Rival("requests, one batch after another", one_after_another)
    yield Rival("this package, single items", single, at_least=12)
    yield Rival("reading and encoding alone", nowhere, at_least=0.6)


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
