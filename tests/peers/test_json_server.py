"""Pages of a server that others wrote, in each style that it knows."""

import pytest
from node_peers import running_peer

from airflow_async_rest import LinkPages, NumberedPages, OffsetPages

pytestmark = pytest.mark.release
SIZE = 10


@pytest.fixture(scope="module")
def json_server():
    with running_peer("json_server.cjs", "json-server") as url:
        yield url


@pytest.mark.parametrize(
    ("paginate", "query"),
    [
        (LinkPages(), {"_page": 1, "_limit": SIZE}),
        (NumberedPages(param="_page", size=SIZE, size_param="_limit"), {}),
        (NumberedPages(param="_page", size=SIZE, size_param="_limit", until="short"), {}),
        (OffsetPages(limit=SIZE, param="_start", limit_param="_limit"), {}),
    ],
    ids=["links", "numbers", "numbers until short", "offsets"],
)
def test_all_pages_come_and_each_row_once(json_server, connect, tmp_path, paginate, query):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    connect("parts_api", conn_type="async_rest", host=json_server)
    chunks = AsyncRestHook("parts_api").fetch(
        ["pump", "valve"],
        endpoint="parts",
        query={"kind": "{item}", **query},
        paginate=paginate,
        columns={"id": "id", "kind": "kind", "of": "item.item"},
        dead_letter_path=str(tmp_path),
    )
    rows = sorted((row for chunk in chunks for row in chunk), key=lambda row: row["id"])
    kinds = [["pump", "valve"][n % 2] for n in range(45)]
    assert rows == [{"id": n, "kind": kind, "of": kind} for n, kind in enumerate(kinds, 1)]
