"""demo/listing.py does what it says: in every style of pages, faults included, each row comes exactly once."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import aiohttp
import pytest
from sensor_api import get, running

from demo.api_rules import fault_of
from demo.listing import STYLES
from demo.reads import READ_FAULTS
from demo.week import DAYS, readings

pytestmark = pytest.mark.anyio

DAY = ("2026-03-03T00:00:00Z", "2026-03-04T00:00:00Z")
NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


def listed(start=DAYS[0], end=DAYS[-1] + timedelta(days=1)):
    """What the listing must give of a span: the rows that the database has."""
    return [
        {"id": number, "name": name, "value": value, "measured_at": at.isoformat()}
        for number, name, value, at in readings()
        if start <= at < end
    ]


TUESDAY = listed(DAYS[1], DAYS[2])


async def ask(client, path, **query):
    """Ask until it answers, as a client does that knows how this API fails."""
    while True:
        try:
            async with client.get(path, params={key: str(value) for key, value in query.items()}) as answer:
                body = await answer.json()
        except aiohttp.ClientError:
            continue
        if answer.status != 500:
            assert answer.status == 200, body
            return body, answer


async def walk_link_header(client, span):
    body, answer = await ask(client, "/readings/link-header", **span)
    yield body
    while "next" in answer.links:
        body, answer = await ask(client, path_on(client, answer.links["next"]["url"]))
        yield body


async def walk_body_link(client, span):
    url, query = "/readings/body-link", span
    while url:
        body, _ = await ask(client, url, **query)
        yield body
        url, query = body["links"]["next"], {}
        url = url and path_on(client, url)


async def walk_cursor(client, span):
    body, _ = await ask(client, "/readings/cursor", **span)
    yield body
    while cursor := body["meta"]["next_cursor"]:
        body, _ = await ask(client, "/readings/cursor", **span, cursor=cursor)
        yield body


async def walk_page(client, span):
    page, pages = 0, 1
    while page < pages:
        page += 1
        body, _ = await ask(client, "/readings/page", **span, page=page)
        pages = body["meta"]["pages"]
        yield body


async def walk_offset(client, span):
    offset, total = 0, 1
    while offset < total:
        body, _ = await ask(client, "/readings/offset", **span, offset=offset)
        offset += len(body["data"]["items"])
        total = body["meta"]["total"]
        yield body


def path_on(client, url):
    """The test client's path for a link, which must lead to the server as the client addressed it."""
    root = str(client.make_url("/"))
    assert str(url).startswith(root)
    return str(url).removeprefix(root[:-1])


WALKS = {
    "link-header": walk_link_header,
    "body-link": walk_body_link,
    "cursor": walk_cursor,
    "page": walk_page,
    "offset": walk_offset,
}


async def rows_of(client, style, start, end):
    return [row async for body in WALKS[style](client, {"from": start, "to": end}) for row in body["data"]["items"]]


@pytest.mark.parametrize("style", STYLES)
async def test_every_row_of_the_week_comes_once_and_in_order_whatever_fails(anyio_backend, style):
    async with running(read_fault_share=0.3, listing_per_second=10_000) as client:
        rows = await rows_of(client, style, "2026-03-01T00:00:00Z", "2026-04-01T00:00:00+02:00")
        same = rows == listed()
        assert same  # not in the assertion itself: a difference would print all of them
        stats = (await get(client, "/_stats"))["listing"]
    pages = -(-len(rows) // 100)
    assert all(stats["faults"][fault] > 5 for fault in READ_FAULTS)
    assert stats["requests"] == pages + sum(stats["faults"].values())


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("offset", ["Z", "+00:00"])
async def test_a_span_is_half_open(anyio_backend, style, offset):
    async with running() as client:
        rows = await rows_of(client, style, f"2026-03-03T00:00:00{offset}", f"2026-03-04T00:00:00{offset}")
        assert [row["id"] for row in rows] == [row["id"] for row in TUESDAY]
        assert rows[0]["measured_at"] == "2026-03-03T00:00:00+00:00"
        first_times = [row["measured_at"] for row in rows[:2]]
        assert [row["id"] for row in await rows_of(client, style, *first_times)] == [rows[0]["id"]]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("start", "end"), [DAY[::-1], ("2026-04-01T00:00:00Z", "2026-04-02T00:00:00Z")])
async def test_a_span_without_rows_is_one_empty_page(anyio_backend, style, start, end):
    async with running() as client:
        assert await rows_of(client, style, start, end) == []
        assert (await get(client, "/_stats"))["listing"]["requests"] == 1


@pytest.mark.parametrize("style", STYLES)
async def test_a_page_has_a_hundred_rows_at_most_and_as_few_as_are_asked_for(anyio_backend, style):
    size = "per_page" if style == "page" else "limit"
    async with running() as client:
        for asked, given in ((7, 7), (100, 100), (5_000, 100)):
            body, _ = await ask(client, f"/readings/{style}", **{"from": DAY[0], "to": DAY[1], size: asked})
            assert body["data"]["items"] == TUESDAY[:given]


async def test_a_page_says_where_it_lies(anyio_backend):
    span = {"from": DAY[0], "to": DAY[1]}
    async with running() as client:
        body, _ = await ask(client, "/readings/page", **span, page=3, per_page=50)
        assert body["meta"] == {"page": 3, "per_page": 50, "pages": 58}
        assert body["data"]["items"] == TUESDAY[100:150]
        body, _ = await ask(client, "/readings/offset", **span, offset=2_860, limit=50)
        assert body["meta"] == {"offset": 2_860, "limit": 50, "total": 2_862}
        assert body["data"]["items"] == TUESDAY[2_860:]


@pytest.mark.parametrize("style", STYLES)
async def test_the_last_page_names_no_next_one(anyio_backend, style):
    span = {"from": TUESDAY[-100]["measured_at"], "to": DAY[1]}  # one page, filled to its end
    async with running() as client:
        body, answer = await ask(client, f"/readings/{style}", **span)
    assert len(body["data"]["items"]) == 100
    assert "next" not in answer.links
    assert not body.get("links", {}).get("next")
    assert not body.get("meta", {}).get("next_cursor")


async def test_the_next_link_is_not_the_only_one_and_keeps_the_query(anyio_backend):
    async with running() as client:
        _, answer = await ask(client, "/readings/link-header", **{"from": DAY[0], "to": DAY[1], "limit": 5})
        assert list(answer.links) == ["first", "next"]
        following = answer.links["next"]["url"]
        assert following.query["from"] == DAY[0]
        body, _ = await ask(client, path_on(client, following))
        assert body["data"]["items"] == TUESDAY[5:10]


@pytest.mark.parametrize(
    ("path", "status", "why"),
    [
        ("cursor", 400, "from must be a time"),
        ("cursor?from=yesterday", 400, "from must be a time"),
        (f"cursor?from={DAY[0]}", 400, "to must be a time"),
        (f"cursor?from={DAY[0]}&to=2026-03-04", 400, "to must have an offset"),
        (f"cursor?from={DAY[0]}&to={quote(NOON.isoformat(), safe='+')}", 400, "to must be a time"),
        (f"cursor?from={DAY[0]}&to={DAY[1]}&cursor=7", 400, "which this API did not give"),
        (f"cursor?from={DAY[0]}&to={DAY[1]}&cursor=YWJj", 400, "which this API did not give"),
        (f"page?from={DAY[0]}&to={DAY[1]}&page=0", 400, "page must be a number, 1 or more"),
        (f"page?from={DAY[0]}&to={DAY[1]}&per_page=-1", 400, "per_page must be a number, 1 or more"),
        (f"offset?from={DAY[0]}&to={DAY[1]}&offset=x", 400, "offset must be a number, 0 or more"),
        (f"offset?from={DAY[0]}&to={DAY[1]}&limit=", 400, "limit must be a number, 1 or more"),
        ("spiral", 404, "link-header, body-link, cursor, page, offset"),
    ],
)
async def test_a_wrong_query_is_refused_with_the_reason(anyio_backend, path, status, why):
    async with running() as client, client.get(f"/readings/{path}") as answer:
        assert (answer.status, why in (await answer.json())["error"]) == (status, True)


async def test_the_limit_is_the_listings_own(anyio_backend):
    span = {"from": DAY[0], "to": DAY[1]}
    async with running(listing_per_second=2, requests_per_second=1) as client:
        answers = [await client.get("/readings/page", params=span) for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 429, 429]
        assert answers[-1].headers["Retry-After"] == "1"
        stats = await get(client, "/_stats")
        listing = stats["listing"]
        assert (listing["requests"], listing["over_limit"], listing["busiest_second"]) == (4, 2, 3)
        assert (stats["requests"], stats["over_limit"], stats["busiest_second"]) == (0, 0, 0)


@pytest.mark.parametrize(("fault", "status"), [("error", 500), ("reset", None)])
async def test_a_fault_is_the_pages_own_and_the_page_comes_through_when_it_has_failed_twice(
    anyio_backend, fault, status
):
    paths = (f"/readings/page?from={DAY[0]}&to={DAY[1]}&page={page}" for page in range(1, 29))
    path = next(path for path in paths if {fault_of(path, n, 1.0, READ_FAULTS) for n in (1, 2)} == {fault})
    async with running(read_fault_share=1.0) as client:
        for _ in range(2):
            if status is None:
                with pytest.raises(aiohttp.ClientError):
                    await client.get(path)
            else:
                assert (await client.get(path)).status == status
        assert (await client.get(path)).status == 200
        assert (await get(client, "/_stats"))["listing"]["faults"][fault] == 2


async def test_the_rows_are_those_of_the_database_after_json(anyio_backend):
    async with running() as client, client.get("/readings/page", params={"from": DAY[0], "to": DAY[1]}) as answer:
        assert json.loads(await answer.text(), parse_float=str)["data"]["items"][0]["value"] == str(TUESDAY[0]["value"])
