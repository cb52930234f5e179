"""A mock server that others wrote, with routes of ours: the inventory of each type and id, after 200 ms."""

from collections import Counter
from itertools import product

import pytest
from node_peers import mockoon_route, running_mockoon, write_routes

LATENCY_MS = 200
FOUND = '{"data": {"items": [{"number": {{queryParam "id"}}, "location": {"geoLabel": "shelf {{queryParam "id"}}"}}]}}'
RESPONSES = (
    {"statusCode": 404, "latency": LATENCY_MS, "when": ("params", "type", "^unicorn$")},
    {"body": FOUND, "latency": LATENCY_MS},
)


@pytest.fixture(scope="module")
def mockoon(tmp_path_factory):
    """The server, until the tests of this file have ended; gives its URL."""
    routes = tmp_path_factory.mktemp("routes") / "inventory.json"
    with running_mockoon(write_routes(routes, mockoon_route("inventory/:type", *RESPONSES))) as url:
        yield url


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
    # Ten are at once; one after the other it would be twice that at least, however slow the server is.
    assert report["elapsed_seconds"] < 10 * report["latency_ms"]["p50"] / 1000


def test_what_it_has_not_is_missing(mockoon, connect, tmp_path):
    rows, report = fetch(connect, mockoon, ["unicorn", "pump"], missing_ok=True, dead_letter_path=str(tmp_path))
    assert {row["type"] for row in rows} == {"pump"}
    assert (report["delivered"], report["skipped"]) == (10, 10)
