"""What a task of a small window pays before its first request: imports, connections, the state store.

Airflow's own task runner runs it, in a fresh process, with a supervisor that has nothing to tell. The time is that from
the runner's begin until the API sees a request, or until the function of an empty task is called.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from benchmarks.database import ROWS_SQL
from benchmarks.measuring import Figure, Plan, figure, in_turns
from benchmarks.surroundings import running_ends

_ROUNDS = 7  # a process start is short and noisy
_ROWS = 100
_MOST_EXTRA_MS = 150


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare with an empty ``PythonOperator``."""
    with running_ends(plan), _Api() as api, tempfile.TemporaryDirectory(prefix="async-rest-bench-pyc-") as compiled:
        # As an installed package: what it imports was compiled before.
        environment = {**os.environ, "AIRFLOW_CONN_SEARCH_API": api.connection}
        if not plan.smoke:
            environment |= {"PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
            _milliseconds("ours", api, environment)
            _milliseconds("empty", api, environment)
        pairs = in_turns(
            1 if plan.smoke else _ROUNDS,
            lambda: _milliseconds("empty", api, environment),
            lambda: _milliseconds("ours", api, environment),
        )
    yield figure(
        "first_request",
        f"{_ROWS} rows, from the task's begin to the first request: ms",
        pairs,
        "an empty PythonOperator",
        target=f"< {_MOST_EXTRA_MS} ms more",
        meets=lambda found: found.ours.median - found.baseline.median < _MOST_EXTRA_MS,
    )


class _Api(ThreadingHTTPServer):
    """An API that notes when it saw its first request; on the clock that all processes of a machine have."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.seen_at: float | None = None
        Thread(target=self.serve_forever, daemon=True).start()
        self.connection = json.dumps(
            {"conn_type": "async_rest", "schema": "http", "host": "127.0.0.1", "port": self.server_port}
        )

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        super().__exit__(*error)


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, _Api)
        self.server.seen_at = self.server.seen_at or time.monotonic()
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002  (its name there)
        """Say nothing."""


def _milliseconds(task: str, api: _Api, environment: dict[str, str]) -> float:
    api.seen_at = None
    command = [sys.executable, "-m", "benchmarks.one_task", task, ROWS_SQL, str(_ROWS)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120, env=environment)
    began, called = json.loads(done.stdout.splitlines()[-1])
    if (seen := api.seen_at if task == "ours" else called) is None:
        raise RuntimeError(f"the task ({task}) sent, or called, nothing")
    return float(seen - began) * 1000
