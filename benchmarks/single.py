"""Single items against an API that answers at once: how many a second, from PostgreSQL to the last answer."""

from collections.abc import Iterator

from benchmarks import wrk
from benchmarks.database import rows_in_memory
from benchmarks.measuring import Figure, Plan, Rival, compare, per_second, say
from benchmarks.recipes import gather_chunk_by_chunk, post_one_after_another
from benchmarks.senders import deliver_from_postgres, encode, run, send_bare
from benchmarks.surroundings import Ends, running_ends

_CONCURRENCY = 64


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare the operator with what people write, and with what could be reached at best."""
    items = 200 if plan.smoke else 100_000  # two seconds and more, as wrk has: a task's beginning is not in its figure
    with running_ends(plan) as ends:
        deliver_from_postgres(10)  # Airflow's imports are not part of it

        def ours() -> float:
            return per_second(lambda: deliver_from_postgres(items, concurrency=_CONCURRENCY)["delivered"])

        yield from compare("single", f"{_CONCURRENCY} at once: rows/s", plan.rounds, ours, list(_rivals(ends, items)))


def _rivals(ends: Ends, items: int) -> Iterator[Rival]:
    few = items // 30  # it is slow

    def one_after_another() -> float:
        return per_second(lambda: post_one_after_another(ends.postgres, ends.url, few))

    def gather() -> float:
        return per_second(lambda: gather_chunk_by_chunk(ends.postgres, ends.url, items, _CONCURRENCY))

    requests = [(ends.url, encode(row)) for row in rows_in_memory(items)]

    def bare() -> float:
        return per_second(lambda: run(send_bare(requests, _CONCURRENCY)))

    def wire() -> float:
        return wrk.requests_per_second(ends.url, requests[0][1], _CONCURRENCY, seconds=1 if items < 1000 else 3)

    yield Rival("requests, one after another", one_after_another)
    yield Rival("gather, chunk by chunk", gather, at_least=6)
    yield Rival("bare aiohttp loop, bodies ready", bare, at_least=2.3)
    if wrk.WRK:
        yield Rival("wrk: the wire", wire, at_least=0.4)
    else:
        say("  wrk is not installed, so what the wire could carry is left out")
