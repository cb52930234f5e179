"""Servers that others wrote, which are programs of Node.js; ``make peers`` installs them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from checkout import REPOSITORY, skip_or_fail

MODULES = REPOSITORY / ".venv" / "peers" / "node_modules"
PROGRAMS = REPOSITORY / "tests" / "peers"


def need_peer(package: str) -> None:
    """Skip the test, or fail it in CI, where Node.js or the package is missing."""
    if shutil.which("node") is None or not (MODULES / package).exists():
        skip_or_fail(f"needs Node.js and {package}: 'make peers' installs it")


@contextmanager
def running_peer(program: str, *packages: str) -> Iterator[str]:
    """Run a program of tests/peers, which prints its port as it is ready; yields its URL."""
    for package in packages:
        need_peer(package)
    environment = {**os.environ, "NODE_PATH": str(MODULES)}
    command = ["node", PROGRAMS / program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()
