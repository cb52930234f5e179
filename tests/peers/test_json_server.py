"""Pages of a server that others wrote, in each style that it knows, also where each of them fails at first."""

import pytest
from node_peers import running_peer

from airflow_async_rest import CursorPages, LinkPages, NumberedPages, OffsetPages, Page, RequestRetry

pytestmark = pytest.mark.release
SIZE = 10
NUMBERED = {"param": "_page", "size": SIZE, "size_param": "_limit"}
OFFSETS = {"limit": SIZE, "param": "_start", "limit_param": "_limit"}
FIRST = {"_page": 1, "_limit": SIZE}


class FromKey:
    """A page style of one's own: a page begins at a key, and the last one is short."""

    def begin(self):
        return self.page_from(0)

    def after(self, page, answer):
        return self.page_from(answer.payload[-1]["id"] + 1) if answer.count == SIZE else None

    @staticmethod
    def page_from(key):
        return Page({"_sort": "id", "_limit": SIZE, "id_gte": key})


# The page style, and the query that goes with it; those of "wrapped" have their rows under a key, and a flag.
STYLES = {
    "links": (LinkPages(), FIRST),
    "numbers": (NumberedPages(**NUMBERED), {}),
    "numbers until short": (NumberedPages(**NUMBERED, until="short"), {}),
    "offsets": (OffsetPages(**OFFSETS), {}),
    "offsets until the total": (OffsetPages(**OFFSETS, total="header.X-Total-Count"), {}),
    "keys": (FromKey(), {}),
    "wrapped links and a flag": (LinkPages(more="has_more"), FIRST),
    "wrapped numbers until a flag": (NumberedPages(**NUMBERED, more="has_more"), {}),
    "wrapped offsets": (OffsetPages(**OFFSETS), {}),
    "wrapped keys until a flag": (CursorPages("items.-1.id", param="after", more="has_more"), FIRST),
    "wrapped keys until there is none": (CursorPages("items.-1.id", param="after"), FIRST),
}


@pytest.fixture(scope="module")
def json_server():
    with running_peer("json_server.cjs", "json-server") as url:
        yield url


@pytest.mark.parametrize("root", ["", "/flaky/{}"], ids=["well", "each page fails once"])
@pytest.mark.parametrize("style", STYLES)
def test_all_pages_come_and_each_row_once(json_server, connect, tmp_path, style, root):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    paginate, query = STYLES[style]
    is_wrapped = style.startswith("wrapped")
    connect("parts_api", conn_type="async_rest", host=json_server + root.format(style.replace(" ", "-")))
    chunks = AsyncRestHook("parts_api").fetch(
        ["pump", "valve"],
        endpoint="wrapped/parts" if is_wrapped else "parts",
        query={"kind": "{item}", **query},
        paginate=paginate,
        rows="items" if is_wrapped else None,
        columns={"id": "id", "kind": "kind", "of": "item.item"},
        request_retry=RequestRetry(backoff_base_seconds=0.01),
        dead_letter_path=str(tmp_path),
    )
    rows = sorted((row for chunk in chunks for row in chunk), key=lambda row: row["id"])
    kinds = [["pump", "valve"][n % 2] for n in range(45)]
    assert rows == [{"id": n, "kind": kind, "of": kind} for n, kind in enumerate(kinds, 1)]
