"""A mock server that others wrote, with routes of ours: the inventory of each type and id, after 200 ms."""

import json
import socket
import subprocess
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from node_peers import MODULES, need_peer

ROUTES = Path(__file__).with_name("inventory.mockoon.json")
COMMAND = MODULES / ".bin" / "mockoon-cli"
LATENCY_MS = 200


@pytest.fixture(scope="module")
def mockoon():
    """The server, until the tests of this file have ended; gives its URL."""
    need_peer("@mockoon/cli")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--hostname", "127.0.0.1", "--port", str(port), "--disable-log-to-file", "--disable-admin-api"]
    with subprocess.Popen([COMMAND, "start", "--data", ROUTES, *options], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert "Server started" in json.loads(server.stdout.readline())["message"]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def fetch(connect, url, types, **arguments):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    connect("inventory", conn_type="async_rest", host=url)
    items = [{"type": type_, "id": number} for type_, number in product(types, range(10))]
    chunks = AsyncRestHook("inventory").fetch(
        items,
        endpoint="inventory/{type}",
        query={"id": "{id}"},
        rows="data.items",
        columns={"type": "item.type", "id": "item.id", "number": "number", "label": "location.geoLabel"},
        **arguments,
    )
    return [row for chunk in chunks for row in chunk], chunks.report


def test_each_type_and_id_is_asked_for_once_and_the_waiting_is_shared(mockoon, connect, tmp_path):
    rows, report = fetch(connect, mockoon, ["pump", "valve & co"], concurrency=10, dead_letter_path=str(tmp_path))
    assert Counter((row["type"], row["id"]) for row in rows) == Counter(product(["pump", "valve & co"], range(10)))
    assert all(row["number"] == row["id"] and row["label"] == f"shelf {row['id']}" for row in rows)
    assert report["requests"] == 20
    assert report["latency_ms"]["p50"] >= LATENCY_MS * 0.95  # its buckets are 5 % wide
    assert report["elapsed_seconds"] < 20 * LATENCY_MS / 1000  # one after the other, it would be at least that


def test_what_it_has_not_is_missing(mockoon, connect, tmp_path):
    rows, report = fetch(connect, mockoon, ["unicorn", "pump"], missing_ok=True, dead_letter_path=str(tmp_path))
    assert {row["type"] for row in rows} == {"pump"}
    assert (report["delivered"], report["skipped"]) == (10, 10)
