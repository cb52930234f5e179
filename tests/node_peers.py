"""Servers that others wrote, which are programs of Node.js; ``make peers`` installs them."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from checkout import REPOSITORY, skip_or_fail
from programs import free_port

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


@contextmanager
def running_mockoon(environment: Path) -> Iterator[str]:
    """Run Mockoon with a file of routes, which it completes where it must; yields its URL."""
    need_peer("@mockoon/cli")
    port = free_port()
    address = ["--hostname", "127.0.0.1", "--port", str(port)]
    options = ["--repair", "--disable-log-to-file", "--disable-admin-api"]
    command = [MODULES / ".bin" / "mockoon-cli", "start", "--data", environment, *address, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert "Server started" in json.loads(server.stdout.readline())["message"]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def mockoon_route(endpoint: str, *responses: dict) -> dict:
    """Return a route for a file of Mockoon's: it gives the first response whose rule is met, else the last one."""
    *ruled, default = (response(**parts) for parts in responses)
    identity = {"uuid": endpoint, "type": "http", "method": "get", "endpoint": endpoint}
    return {**identity, "responses": [*ruled, default | {"default": True}]}


def response(when: tuple = (), content_type: str = "application/json", headers: dict | None = None, **fields) -> dict:
    """Return a response of Mockoon's; ``when`` is its rule: a target, the name in it, and a pattern."""
    rules = [dict(zip(("target", "modifier", "value"), when, strict=True), operator="regex")] if when else []
    named = {"Content-Type": content_type, **(headers or {})}
    shown = [{"key": key, "value": value} for key, value in named.items()]
    return {"statusCode": 200, "body": "", "headers": shown, "rules": rules, "rulesOperator": "OR", **fields}


def write_routes(path: Path, *routes: dict) -> Path:
    """Write a file of Mockoon's."""
    children = [{"type": "route", "uuid": route["uuid"]} for route in routes]
    path.write_text(json.dumps({"uuid": path.stem, "routes": routes, "rootChildren": children}))
    return path
