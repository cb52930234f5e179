"""A REST API in a separate process, on the server's core. It answers after a given time and notes arrivals.

What it answers is the same for every request: an empty object, or rows.
"""

import argparse
import asyncio
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvloop
from aiohttp import web

from benchmarks.measuring import SERVER_CORE, pin

_ARRIVALS = "/arrivals"
# Below this path every second request is refused.
REFUSING = "refusing"
_END_WITHIN_SECONDS = 10


@dataclass(frozen=True)
class Api:
    """The running server, as a measure sees it."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def arrivals(self) -> list[float]:
        """Return when requests arrived since the last time this was asked: seconds, by the server's clock."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", _ARRIVALS)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def answer_of(rows: int) -> bytes:
    """Return the body of an answer with so many rows, below ``data``; ``{}`` for none."""
    return json.dumps({"data": [_row(number) for number in range(1, rows + 1)]} if rows else {}).encode()


def _row(number: int) -> dict[str, object]:
    measured_at = f"2026-11-01T{number // 60 % 24:02}:{number % 60:02}:00Z"
    return {"id": number, "name": f"sensor-{number}", "value": round(number * 0.37, 2), "measured_at": measured_at}


@contextmanager
def running_api(latency_seconds: float = 0.0, rows: int = 0) -> Iterator[Api]:
    """Run the server until the block ends.

    :param rows: in each answer.
    """
    with running_server("benchmarks.api", "--latency", str(latency_seconds), "--rows", str(rows)) as port:
        yield Api(port)


@contextmanager
def running_server(module: str, *arguments: str) -> Iterator[int]:
    """Run a module that serves, until the block ends. It ends with this process, too: it watches its stdin.

    :return: its port.
    """
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()
            try:
                server.wait(_END_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()


async def _serve(latency_seconds: float, rows: int) -> None:
    arrived, body = array("d"), answer_of(rows)

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path == _ARRIVALS:
            times = arrived.tolist()
            del arrived[:]
            return web.json_response(times)
        arrived.append(time.monotonic())
        await request.read()
        if latency_seconds:
            await asyncio.sleep(latency_seconds)
        if request.path.startswith(f"/{REFUSING}/") and len(arrived) % 2:
            return web.Response(status=422)
        return web.Response(body=body, content_type="application/json")

    await serve_until_stdin_closes(answer)


async def serve_until_stdin_closes(answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
    """Serve on a free port of this machine, and say which."""
    # The low-level server: no routing, no access log; it should not be what limits the throughput.
    runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0.1, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(runner.addresses[0][1], flush=True)
    await _stdin_closed()
    await runner.cleanup()


async def _stdin_closed() -> None:
    closed, loop = asyncio.Event(), asyncio.get_running_loop()

    def watch() -> None:
        while os.read(0, 1024):
            pass
        loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=watch, daemon=True).start()
    await closed.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--rows", type=int, default=0)
    pin(SERVER_CORE)
    arguments = parser.parse_args()
    uvloop.run(_serve(arguments.latency, arguments.rows))
