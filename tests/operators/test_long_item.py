"""One item of very many pages: memory does not grow with them, and a retry goes on where a kill came."""

import json
import re
from pathlib import Path

import pytest
from aiohttp import web
from task_runner import Supervisor, spawn_try

pytestmark = pytest.mark.release

PAGES, SIZE = 2_000, 1_000
EARLY = 50
_MOST_MORE_MB = 40


def page_of(seen) -> int:
    return int(seen.query.partition("=")[2] or 0)


def page(number):
    rows = ",".join(f'{{"id":{n},"name":"sensor-{n}"}}' for n in range(number * SIZE, (number + 1) * SIZE))
    following = f'"{number + 1}"' if number + 1 < PAGES else "null"
    return web.Response(body=f'{{"items":[{rows}],"next":{following}}}'.encode(), content_type="application/json")


def peak_mb(pid: int) -> float:
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def test_two_million_rows_of_one_item_are_loaded_in_flat_memory_over_a_kill(places, postgres, connect, supervisor):
    connect("warehouse", **postgres.connection())
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads, long_item", "CREATE TABLE long_item (id bigint, name text)"
    )
    peaks = {}

    def answer(seen):
        if (number := page_of(seen)) in {EARLY, PAGES - 1}:
            peaks[number] = peak_mb(process.pid)
        return page(number)

    places.answer = answer
    process = spawn_try("long_item_task", supervisor.path, 1)
    places.wait_for(lambda api: bool(api.seen) and page_of(api.seen[-1]) >= PAGES // 2, 120)
    process.kill()
    process.join()
    places.wait_for(lambda api: api.in_flight == 0)
    [(checkpoint,)] = postgres.execute("SELECT checkpoint FROM async_rest_loads")
    [bookmark] = json.loads(checkpoint)["bookmarks"].values()
    committed = bookmark["pages"]
    asked = [page_of(seen) for seen in places.seen]
    assert asked == list(range(len(asked)))
    assert 0 < committed <= len(asked)
    places.seen.clear()
    process = spawn_try("long_item_task", supervisor.path, 2)
    process.join()
    assert process.exitcode == 0
    assert [page_of(seen) for seen in places.seen] == list(range(committed, PAGES))
    count = "SELECT count(*), count(DISTINCT id), min(id), max(id) FROM long_item"
    assert postgres.execute(count) == [(PAGES * SIZE, PAGES * SIZE, 0, PAGES * SIZE - 1)]
    report = Supervisor(supervisor.path).report
    assert [report[name] for name in ("read", "delivered", "rows_loaded")] == [1, 1, PAGES * SIZE]
    assert peaks[PAGES - 1] - peaks[EARLY] < _MOST_MORE_MB
    postgres.execute("DROP TABLE long_item")
