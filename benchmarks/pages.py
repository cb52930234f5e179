"""One item of many pages from an API that takes its time: one page after the other, and side by side."""

import argparse
import asyncio
import json
import os
from collections.abc import Iterator

import uvloop
from aiohttp import web

from airflow_async_rest import NumberedPages
from benchmarks.api import running_server, serve_until_stdin_closes
from benchmarks.fetch import _seconds
from benchmarks.fetchers import create_table, fetch_into_postgres
from benchmarks.measuring import SERVER_CORE, Figure, Plan, figure, in_turns, pin
from benchmarks.surroundings import running_ends

_ROWS_A_PAGE = 100
_CONCURRENCY = 16
_TIMES_FASTER = 10


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare both ways: the same rows, in their order, into a table that is empty before."""
    latency, pages = (0.01, 20) if plan.smoke else (0.2, 200)
    with (
        running_ends(plan) as ends,
        running_server("benchmarks.pages", "--latency", str(latency), "--pages", str(pages)) as port,
    ):
        os.environ["AIRFLOW_CONN_SEARCH_API"] = json.dumps(
            {"conn_type": "async_rest", "schema": "http", "host": "127.0.0.1", "port": port}
        )

        def fetch(*, concurrent: bool) -> None:
            create_table(ends.postgres)
            fetch_into_postgres(
                pages * _ROWS_A_PAGE,
                items=[{"id": 1}],
                endpoint="items/{id}",
                paginate=NumberedPages(pages="pages", concurrent=concurrent),
                columns=["id", "name"],
                concurrency=_CONCURRENCY,
            )

        fetch(concurrent=True)  # Airflow's imports are not part of it
        found = in_turns(
            plan.rounds, _seconds(lambda: fetch(concurrent=False)), _seconds(lambda: fetch(concurrent=True))
        )
        yield figure(
            "pages",
            f"{pages} pages of {latency * 1000:g} ms, {_CONCURRENCY} at once: times as fast",
            [(1, slow / ours) for slow, ours in found],
            "one after the other",
            target=f">= {_TIMES_FASTER}",
            meets=lambda line: line.ratio.median >= _TIMES_FASTER,
        )


async def _serve(latency_seconds: float, pages: int) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        first = (int(request.query["page"]) - 1) * _ROWS_A_PAGE
        await asyncio.sleep(latency_seconds)
        rows = [{"id": n, "name": f"sensor-{n}"} for n in range(first, first + _ROWS_A_PAGE)]
        return web.json_response({"data": rows, "pages": pages})

    await serve_until_stdin_closes(answer)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, required=True)
    parser.add_argument("--pages", type=int, required=True)
    arguments = parser.parse_args()
    pin(SERVER_CORE)
    uvloop.run(_serve(arguments.latency, arguments.pages))
