"""Page styles that real APIs ask for, each from a real server: nothing missing, nothing twice, whatever fails between."""

import itertools
from dataclasses import asdict

import orjson
import pytest
from aiohttp import web

from airflow_async_rest.core.models import Delivered
from airflow_async_rest.core.pages import CursorPages, LinkPages, NumberedPages, OffsetPages, Page

pytestmark = pytest.mark.anyio

SIZE = 2
COUNTS = [0, 1, 2, 4, 7]
GRAPHQL = {"query": "query($after: String) { users(after: $after) { id } }", "variables": {"first": SIZE}}


def listing(count):
    """Answer with two rows of so many, as any style asks for them, and with all that any of them goes by."""

    def answer(seen):
        asked = dict(pair.split("=") for pair in seen.query.split("&") if pair)
        variables = seen.json().get("variables", {}) if seen.body else {}
        if "token" in asked and asked["token"] != "t":
            return 403
        offset = int(asked.get("offset", (int(asked.get("page", 1)) - 1) * SIZE))
        offset = int(asked.get("after", variables.get("after", offset - 1))) + 1
        rows = [{"n": n} for n in range(offset, min(offset + SIZE, count))]
        following, more = offset // SIZE + 2, offset + SIZE < count
        body = {
            "items": rows,
            "has_more": more,
            "done": not more,
            "next": f"/v2/list?page={following}" if more else None,
            "always": f"?page={following}",
            "end": offset + SIZE - 1,
            "pageInfo": {"hasNextPage": more, "endCursor": str(offset + SIZE - 1)},
        }
        range_of = f"items {offset}-{offset + len(rows) - 1}/" if rows else "items */"
        headers = {
            "X-Next-Page": str(following) if more else "",
            "X-Has-More": str(more).lower(),
            "X-Total-Count": str(count),
            "X-Total-Pages": str(-(-count // SIZE)),
            "Content-Range": f"{range_of}{count}",
            "X-Unknown-Range": f"{range_of}*",
        }
        return web.json_response(body, headers=headers, status=206 if rows and more else 200)  # as beside a range

    return answer


BODY = {"method": "POST", "body": lambda item: GRAPHQL}
WAYS = {
    "a flag, and numbers": (NumberedPages(more="has_more"), {}),
    "a flag, and offsets": (OffsetPages(SIZE, more="has_more"), {}),
    "a flag, and a cursor": (CursorPages("end", "after", more="has_more"), {}),
    "a flag, and links": (LinkPages("always", more="has_more"), {}),
    "a flag that says the opposite": (NumberedPages(more="(!done)"), {}),
    "a flag in a header": (NumberedPages(more="header.X-Has-More"), {}),
    "the next page in a header": (CursorPages("header.X-Next-Page", "page"), {}),
    "the number of pages in a header": (NumberedPages(pages="header.X-Total-Pages"), {}),
    "the total in a header": (OffsetPages(SIZE, total="header.X-Total-Count"), {}),
    "a range": (OffsetPages(SIZE, total="header.Content-Range"), {}),
    "a range without a total": (OffsetPages(SIZE, total="header.X-Unknown-Range"), {}),
    "GraphQL": (CursorPages("pageInfo.endCursor", "variables.after", "body", more="pageInfo.hasNextPage"), BODY),
    "the key of the last row": (CursorPages("items.-1.n", "after"), {}),
    "links elsewhere": (LinkPages("next", below="/v2"), {}),
    "links elsewhere, with a token": (
        LinkPages("next", below="/", keep=("token",)),
        {"query": {"token": "t", "q": "x"}, "keep": ("token",)},
    ),
}


def failing(answer):
    """Answer every request, but only when it comes for the third time."""
    times = itertools.count()
    return lambda seen: (503, "reset", answer)[number % 3] if (number := next(times)) % 3 < 2 else answer(seen)


def asks(pages, arguments):
    return {**arguments, "below": pages.below}


@pytest.mark.parametrize("way", WAYS)
async def test_all_rows_come_once(api, fetch, way):
    pages, arguments = WAYS[way]
    for count in COUNTS:
        api.reset()
        api.answer = listing(count)
        outcome, rows = await fetch(pages, **asks(pages, arguments))
        assert (outcome, rows) == (Delivered(7, len(api.seen)), list(range(count)))
        assert max(1, -(-count // SIZE)) <= len(api.seen) <= count // SIZE + 2


@pytest.mark.parametrize("way", WAYS)
async def test_all_rows_come_once_when_each_page_fails_twice(api, fetch, way):
    pages, arguments = WAYS[way]
    api.answer = failing(listing(7))
    outcome, rows = await fetch(pages, **asks(pages, arguments))
    assert (outcome, rows) == (Delivered(7, len(api.seen)), list(range(7)))


@pytest.mark.parametrize("way", WAYS)
async def test_a_page_that_fails_for_good_fails_its_item(api, fetch, way):
    pages, arguments = WAYS[way]
    good, left = listing(7), itertools.count()
    api.answer = lambda seen: good(seen) if next(left) < 2 else 422
    letter, rows = await fetch(pages, **asks(pages, arguments))
    assert (letter.reason, letter.attempts, rows) == ("http_422", 3, [])


@pytest.mark.parametrize("way", WAYS)
async def test_a_page_that_was_written_down_leads_on(api, fetch, monkeypatch, way):
    """All that a style goes by is in the page: as JSON, and by an equal style of another process."""
    pages, arguments = WAYS[way]
    after = type(pages).after

    def after_a_life(self, page, answer):
        written = orjson.loads(orjson.dumps(asdict(page)))
        return after(type(self)(**asdict(self)), Page(**written), answer)

    monkeypatch.setattr(type(pages), "after", after_a_life)
    api.answer = listing(7)
    assert (await fetch(pages, **asks(pages, arguments)))[1] == list(range(7))


async def test_what_is_asked_for_of_graphql(api, fetch):
    pages, arguments = WAYS["GraphQL"]
    api.answer = listing(3)
    await fetch(pages, **arguments)
    assert [seen.json()["variables"] for seen in api.seen] == [{"first": SIZE}, {"first": SIZE, "after": "1"}]
    assert {seen.json()["query"] for seen in api.seen} == {GRAPHQL["query"]}


async def test_what_is_asked_for_on_links(api, fetch):
    pages, arguments = WAYS["links elsewhere, with a token"]
    api.answer = listing(3)
    await fetch(pages, **asks(pages, arguments))
    assert [(seen.path, seen.query) for seen in api.seen] == [
        ("/api/x/7", "token=t&q=x"),
        ("/v2/list", "page=2&token=t"),
    ]


async def test_credentials_go_below_the_base_url_only_unless_the_author_says_so(api, fetch):
    api.answer = listing(3)
    letter, _ = await fetch(LinkPages("next"))
    assert "leads away from the connection's base URL" in letter.response_excerpt
    assert [seen.path for seen in api.seen] == ["/api/x/7"]


@pytest.mark.parametrize(
    "pages",
    [
        NumberedPages(more="has_more"), OffsetPages(1, more="has_more"),
        CursorPages("next_cursor", more="has_more"), LinkPages("next", more="has_more"),
    ],
    ids=str,
)  # fmt: skip
async def test_an_api_that_does_not_know_the_parameter_fails_the_item(api, fetch, pages):
    """Its flag stays true, and it gives the first page again and again."""
    page = {"items": [{"n": 1}], "has_more": True, "next_cursor": "c", "next": "?page=2"}
    api.answer = lambda seen: web.json_response(page)
    letter, rows = await fetch(pages)
    assert (letter.reason, rows, len(api.seen)) == ("unreadable_answer", [], 2)
    assert "the second page has the rows of the first one" in letter.response_excerpt


@pytest.mark.parametrize("pages", [NumberedPages(more="has_more"), CursorPages("n", more="has_more")], ids=str)
async def test_a_flag_that_stays_true_ends_at_the_most_pages(api, fetch, pages):
    number = itertools.count()
    api.answer = lambda seen: web.json_response({"items": [{"n": (n := next(number))}], "has_more": True, "n": n})
    letter, rows = await fetch(pages, max_pages=5)
    assert "the pages do not end: 5 have come" in letter.response_excerpt
    assert (rows, len(api.seen)) == ([], 5)
