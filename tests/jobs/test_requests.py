"""A hundred requests, which workers share, go to a mock server that others wrote; their answers make a data frame, and those
that failed are listed.
"""

import time
from itertools import product

import pytest
from node_peers import mockoon_route, running_mockoon, write_routes
from task_runner import run_try

from airflow_async_rest import RequestRetry

pytestmark = pytest.mark.release
TYPES, NUMBERS = ("pump", "valve & co"), range(50)
LATENCY_MS = 200
FOUND = '{"data": {"items": [{"stock": {{queryParam "id"}}, "location": {"geoLabel": "shelf {{queryParam "id"}}"}}]}}'
RESPONSES = (
    {"statusCode": 500, "body": '{"error": "a broken shelf"}', "when": ("query", "id", "^17$")},
    {"statusCode": 404, "body": '{"error": "no such part"}', "when": ("query", "id", "^(3|30)$")},
    {"statusCode": 429, "headers": {"Retry-After": "1"}, "when": ("request_number", "", "^(20|60)$")},
    {"statusCode": 502, "when": ("request_number", "", "^(10|40|70)$")},
    {"body": FOUND, "latency": LATENCY_MS},
)
FAILED = {(type_, n): "http_500" if n == 17 else "http_404" for type_, n in product(TYPES, (3, 17, 30))}


@pytest.fixture
def inventory(connect, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "dead_letters"))
    routes = write_routes(tmp_path / "inventory.json", mockoon_route("inventory/:type", *RESPONSES))
    with running_mockoon(routes) as url:
        connect("inventory", conn_type="async_rest", host=url)
        yield url


def look_up() -> list[dict]:
    from airflow_async_rest.hooks.rest import AsyncRestHook

    chunks = AsyncRestHook("inventory").fetch(
        [{"type": type_, "id": number} for type_, number in product(TYPES, NUMBERS)],
        endpoint="inventory/{type}",
        query={"id": "{id}"},
        rows="data.items",
        columns={"type": "item.type", "id": "item.id", "stock": "stock", "label": "location.geoLabel"},
        concurrency=10,
        max_failures="10%",
        request_retry=RequestRetry(max_attempts=3, backoff_base_seconds=0.01),
    )
    return [row for chunk in chunks for row in chunk]


def test_all_that_was_answered_is_in_the_frame_once_and_the_rest_is_listed(inventory, supervisor):
    from airflow.sdk import DAG, task

    @task
    def to_frame():
        began = time.monotonic()
        rows = look_up()
        elapsed = time.monotonic() - began
        return {"columns": {name: [row[name] for row in rows] for name in rows[0]}, "elapsed": elapsed}

    with DAG("inventory", schedule=None):
        operator = to_frame().operator
    assert run_try(operator, supervisor) == ("success", None)
    frame, elapsed = supervisor.data["xcom"]["return_value"].values()
    expected = [key for key in product(TYPES, NUMBERS) if key not in FAILED]
    assert sorted(zip(*frame.values(), strict=True)) == [(type_, n, n, f"shelf {n}") for type_, n in expected]
    failed = {tuple(item["key"]): item for item in supervisor.data["xcom"]["failed_items"]}
    assert {key: item["reason"] for key, item in failed.items()} == FAILED
    assert "a broken shelf" in failed[TYPES[0], 17]["response_excerpt"]
    assert elapsed < len(expected) * LATENCY_MS / 1000  # one after the other, it would be at least that
