"""Every style of demo/listing.py, fetched by the page style that is for it: a day by its hours, whatever fails."""

from datetime import timedelta

import httpx
import pytest
from sensor_api import serving

from airflow_async_rest import CursorPages, LinkPages, NumberedPages, OffsetPages, RequestRetry
from demo.listing import STYLES
from demo.week import DAYS, readings

TUESDAY = DAYS[1]
PAGES = {
    "link-header": LinkPages(),
    "body-link": LinkPages("links.next"),
    "cursor": CursorPages(cursor="meta.next_cursor"),
    "page": NumberedPages(pages="meta.pages"),
    "offset": OffsetPages(total="meta.total"),
}
# Of an API that does not say how many there are; and asking for more than a page has.
OTHERS = {
    "page": NumberedPages(size=1_000),
    "offset": OffsetPages(limit=1_000),
}


@pytest.fixture
def fetch(connect, tmp_path):
    """Fetch Tuesday; return the rows, by their order, and what the listing has counted."""

    def run(style, pages):
        from airflow_async_rest.hooks.rest import AsyncRestHook

        hours = [TUESDAY + timedelta(hours=hour) for hour in range(24)]
        with serving(read_fault_share=0.3, listing_per_second=100_000) as url:
            connect("search_api", conn_type="async_rest", host=url)
            chunks = AsyncRestHook("search_api").fetch(
                [{"start": hour, "end": hour + timedelta(hours=1)} for hour in hours],
                endpoint=f"readings/{style}",
                query={"from": "{start}", "to": "{end}"},
                paginate=pages,
                rows="data.items",
                request_retry=RequestRetry(backoff_base_seconds=0.01),
                dead_letter_path=str(tmp_path),
            )
            rows = [row for chunk in chunks for row in chunk]
            stats = httpx.get(f"{url}/_stats", trust_env=False).json()["listing"]
        return sorted(rows, key=lambda row: row["id"]), stats

    return run


@pytest.mark.parametrize(("style", "pages"), [*PAGES.items(), *OTHERS.items()])
def test_every_row_comes_once(fetch, style, pages):
    rows, stats = fetch(style, pages)
    same = rows == [
        {"id": number, "name": name, "value": value, "measured_at": at.isoformat()}
        for number, name, value, at in readings()
        if TUESDAY <= at < DAYS[2]
    ]
    assert same  # not in the assertion itself: a difference would print all of them
    assert all(stats["faults"].values())


def test_no_style_is_left_out():
    assert PAGES.keys() == STYLES.keys()
