"""Where an item's pages end: by what the API gives, whatever is made of it; never too early, and never never."""

import itertools
import json
import re
from dataclasses import replace

import pytest
from aiohttp import web
from fetches import pages_of

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.models import DeadLetter, Delivered, Skipped
from airflow_async_rest.core.pages import CursorPages, LinkPages, NumberedPages, OffsetPages

pytestmark = pytest.mark.anyio
LINK = "/api/x/7?"
STYLES = [LinkPages, CursorPages, NumberedPages, OffsetPages]


def style(cls, **options):
    """A page style that asks for pages of two."""
    return (
        cls("cursor", **options)
        if cls is CursorPages
        else cls(**({"limit": 2} if cls is OffsetPages else {}), **options)
    )


def fails_after(count, status, good):
    """Answer so many requests well, and the others with a status."""
    left = itertools.count(1)
    return lambda seen: good(seen) if next(left) <= count else status


# The API's rows count, and not what is made of them.


def exploded(payload, item):
    return [row | {"part": part} for row in payload["items"] for part in range(3)]


def odd(payload, item):
    return [row for row in payload["items"] if row["n"] % 2]


def late(payload, item):
    return [row for row in payload["items"] if row["n"] > 7]


MADE = {
    "exploded": (exploded, sorted([*range(12)] * 3)),
    "odd": (odd, [1, 3, 5, 7, 9, 11]),
    "late": (late, [8, 9, 10, 11]),
    "none": (lambda payload, item: None, []),
    "expression": ("items[?n > `7`]", [8, 9, 10, 11]),
    "twice": ("[items, items][]", sorted([*range(12)] * 2)),
}


@pytest.mark.parametrize(("rows", "expected"), MADE.values(), ids=MADE)
@pytest.mark.parametrize(
    "pages",
    [NumberedPages(), NumberedPages(size=2, until="short"), OffsetPages(2), OffsetPages(2, until="short"), OffsetPages(2, total="total")],
    ids=str,
)  # fmt: skip
async def test_pages_go_by_the_rows_of_the_api(api, fetch, pages, rows, expected):
    api.answer = pages_of(2, 2, 2, 2, 2, 2)
    outcome, found = await fetch(pages, rows=rows, page_rows="items")
    assert isinstance(outcome, Delivered)
    assert sorted(found) == expected
    assert len(api.seen) in {6, 7}


async def test_a_function_may_take_the_rows_out_of_what_it_is_given(api, fetch):
    """What is left of the pages is the same, and they are not."""
    api.answer = lambda seen: web.json_response({"items": [{"n": int(seen.query.removeprefix("page="))}], "pages": 3})
    fetched = await fetch(NumberedPages(pages="pages"), rows=lambda payload, item: payload.pop("items"))
    assert fetched == (Delivered(7, 3), [1, 2, 3])


@pytest.mark.parametrize("rows", [exploded, "items[?n > `7`]", "items[*]"])
@pytest.mark.parametrize("pages", [NumberedPages(), OffsetPages(), OffsetPages(total="total")])
async def test_a_style_that_counts_refuses_rows_that_it_cannot_count(fetch, pages, rows):
    with pytest.raises(ConfigurationError, match=f"paginate={type(pages).__name__}.* say with page_rows='data.items'"):
        await fetch(pages, rows=rows)


@pytest.mark.parametrize("pages", [LinkPages(), CursorPages("cursor"), NumberedPages(pages="pages")])
async def test_a_style_that_does_not_count_does_without(api, fetch, pages):
    api.answer = pages_of(2, 2, 2, link=LINK)
    assert await fetch(pages, rows=late) == (Delivered(7, 3), [])
    api.reset()
    assert await fetch(pages, rows=odd) == (Delivered(7, 3), [1, 3, 5])


# A 404 on the way is no end, unless that is said.


@pytest.mark.parametrize("cls", STYLES)
@pytest.mark.parametrize("page", [2, 3])
async def test_a_404_to_a_later_page_fails_the_item(api, fetch, cls, page):
    api.answer = fails_after(page - 1, 404, pages_of(2, 2, 2, 2, 2, link=LINK))
    letter, rows = await fetch(style(cls), missing_ok=True)
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.status, rows) == ("http_404", 404, [])


@pytest.mark.parametrize(
    ("pages", "count", "status", "is_said"),
    [
        (NumberedPages(), 3, 404, True),
        (OffsetPages(2), 1, 400, True),
        (NumberedPages(), 0, 404, False),
        (NumberedPages(), 3, 403, False),
        (NumberedPages(pages="pages"), 1, 404, False),
        (CursorPages("cursor"), 1, 404, True),
    ],
)
async def test_of_a_status_that_may_be_past_the_last_page_it_is_said_how_to_write_that(
    api, fetch, pages, count, status, is_said
):
    api.answer = fails_after(count, status, pages_of(2, 2, 2))
    letter, _ = await fetch(pages)
    hint = f"page {count + 1} (where the API ends its pages so, write end_statuses=({status},) into paginate): "
    assert letter.response_excerpt.startswith(hint) is is_said
    assert letter.status == status


@pytest.mark.parametrize("cls", STYLES)
@pytest.mark.parametrize("status", [400, 404, 416])
async def test_a_status_past_the_last_page_is_the_end_where_that_is_said(api, fetch, cls, status):
    api.answer = fails_after(2, status, pages_of(2, 2, 2, link=LINK))
    assert await fetch(style(cls, end_statuses=(404, 416, 400))) == (Delivered(7, 3), [0, 1, 2, 3])


@pytest.mark.parametrize("cls", STYLES)
async def test_the_first_page_is_not_past_the_last(api, fetch, cls):
    api.answer = lambda seen: 404
    pages = style(cls, end_statuses=(404,))
    assert (await fetch(pages))[0].reason == "http_404"
    assert await fetch(pages, missing_ok=True) == (Skipped(7), [])


COUNTED = [NumberedPages(pages="pages"), NumberedPages(first=0, pages="pages"), OffsetPages(2, total="total")]


@pytest.mark.parametrize("pages", COUNTED, ids=str)
@pytest.mark.parametrize("status", [204, 404])
async def test_a_page_that_the_api_has_counted_is_not_past_the_last(api, fetch, pages, status):
    """What an answer without content, or a status, says is less than what the page before has said."""
    api.answer = fails_after(2, status, pages_of(2, 2, 2))
    letter, rows = await fetch(replace(pages, end_statuses=(404,)))
    assert (letter.reason, rows) == ("unreadable_answer" if status == 204 else "http_404", [])


@pytest.mark.parametrize("pages", COUNTED, ids=str)
@pytest.mark.parametrize("later", [True, -1, 0])
async def test_a_number_of_pages_that_changes_into_none_is_no_end(api, fetch, pages, later):
    good, number = pages_of(2, 2, 2), itertools.count(1)

    def answer(seen):
        changed = {"pages": later, "total": later} if next(number) > 1 else {}
        return web.json_response(body_of(good(seen)) | changed)

    api.answer = answer
    letter, rows = await fetch(pages)
    assert (letter.reason, rows, len(api.seen)) == ("unreadable_answer", [], 2)


# Pages without an end.


def clamped(*sizes, took=False):
    """Answer with the last page where one after it is asked for, and where asked, with something that changes."""
    good, number = pages_of(*sizes), itertools.count()

    def answer(seen):
        asked = dict(pair.split("=") for pair in seen.query.split("&") if pair)
        last = {"page": len(sizes), "offset": sum(sizes[:-1])}
        for name, most in last.items():
            if name in asked:
                asked[name] = str(min(int(asked[name]), most))
        seen.query = "&".join("=".join(pair) for pair in asked.items())
        response = good(seen)
        return response if not took else web.json_response(body_of(response) | {"took": next(number)})

    return answer


def body_of(response):
    return json.loads(response.body)


@pytest.mark.parametrize("took", [True, False])
@pytest.mark.parametrize("pages", [NumberedPages(), OffsetPages(2), NumberedPages(size=2, until="short")])
async def test_the_last_page_again_is_the_end(api, fetch, pages, took):
    api.answer = clamped(2, 2, 2, took=took)
    assert await fetch(pages) == (Delivered(7, 4), [0, 1, 2, 3, 4, 5])


@pytest.mark.parametrize("took", [True, False])
@pytest.mark.parametrize("pages", [NumberedPages(), OffsetPages(2), NumberedPages(pages="total")])
async def test_the_first_page_again_and_again_fails_the_item(api, fetch, pages, took):
    api.answer = clamped(2, took=took)
    letter, rows = await fetch(pages)
    assert (letter.reason, rows, len(api.seen)) == ("unreadable_answer", [], 2)
    assert "the second page has the rows of the first one: does the API know the parameters" in letter.response_excerpt


async def test_equal_pages_are_pages_where_the_api_says_how_many_there_are(api, fetch):
    sizes = iter([1, 2, 2, 2])
    api.answer = lambda seen: web.json_response({"items": [{"n": 1}] * next(sizes), "pages": 4})
    assert await fetch(NumberedPages(pages="pages")) == (Delivered(7, 4), [1] * 7)


@pytest.mark.parametrize("took", [True, False])
@pytest.mark.parametrize("pages", [LinkPages("next"), CursorPages("next")])
async def test_equal_pages_with_other_links_are_pages(api, fetch, pages, took):
    number = itertools.count(1)

    def answer(seen):
        place = next(number)
        more = {"next": f"?page={place + 1}"} if place < 4 else {}
        return web.json_response({"items": [{"n": 1}], **more, **({"took": place} if took else {})})

    api.answer = answer
    assert await fetch(pages) == (Delivered(7, 4), [1, 1, 1, 1])


def with_a_last_page(again, took):
    """Answer with pages of 5 rows and of 2, the last of which leads to itself.

    :param again: how many rows that brings.
    """
    number, last = itertools.count(), itertools.chain([2], itertools.repeat(again))

    def answer(seen):
        rows = [{"n": 5 + n} for n in range(next(last))] if seen.query else [{"n": n} for n in range(5)]
        return web.json_response({"items": rows, "next": "?page=2", **({"took": next(number)} if took else {})})

    return answer


@pytest.mark.parametrize("took", [True, False])
@pytest.mark.parametrize("again", [2, 0])
@pytest.mark.parametrize("pages", [LinkPages("next"), CursorPages("next", "page")])
async def test_a_last_page_that_leads_to_itself_is_the_end(api, fetch, pages, again, took):
    api.answer = with_a_last_page(again, took)
    assert await fetch(pages) == (Delivered(7, 3), list(range(7)))


@pytest.mark.parametrize("again", [[], [{"n": 5}]])
async def test_a_last_page_that_gives_its_own_cursor_and_nothing_new_is_the_end(api, fetch, again):
    """Three pages; what comes for the last cursor is empty, or the last page again."""
    answers = {"": ([{"n": 4}], "a"), "cursor=a": ([{"n": 5}], "b"), "cursor=b": (again, "b")}
    api.answer = lambda seen: web.json_response(dict(zip(("items", "cursor"), answers[seen.query], strict=True)))
    assert await fetch(CursorPages("cursor")) == (Delivered(7, 3), [4, 5])


@pytest.mark.parametrize("again", [[], [{"n": 5}]])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("pages", [CursorPages("next", "page", more="more"), LinkPages("next", more="more")], ids=str)
async def test_a_page_that_leads_to_itself_is_no_end_where_a_flag_says_that_there_are_more(
    api, fetch, pages, first, again
):
    link = "?page=b" if isinstance(pages, LinkPages) else "b"
    rows = iter([[{"n": 4}], [{"n": 5}]] if not first else [[{"n": 5}]])
    api.answer = lambda seen: web.json_response({"items": next(rows, again), "next": link, "more": True})
    letter, found = await fetch(pages)
    assert (letter.reason, found) == ("unreadable_answer", [])
    assert re.search("leads to itself, but the API says that there are more|rows of the first", letter.response_excerpt)


async def test_a_cursor_that_stays_the_same_leads_on_while_rows_come(api, fetch):
    """As a scroll does."""
    chunks = iter([[0, 1], [2, 3], [4], [], []])
    api.answer = lambda seen: web.json_response({"items": [{"n": n} for n in next(chunks)], "scroll": "s"})
    assert await fetch(CursorPages("scroll", into="body"), method="POST") == (Delivered(7, 4), [0, 1, 2, 3, 4])


async def test_the_only_page_may_lead_to_itself(api, fetch):
    api.answer = lambda seen: web.json_response({"items": [{"n": 1}], "next": "/api/x/7"})
    assert await fetch(LinkPages("next")) == (Delivered(7, 2), [1])


@pytest.mark.parametrize("pages", [LinkPages("next"), CursorPages("next")])
async def test_empty_pages_that_lead_on_are_followed(api, fetch, pages):
    number = itertools.count(1)

    def answer(seen):
        place = next(number)
        return web.json_response(
            {"items": [{"n": place}] if place == 5 else [], "next": f"?p={place}" if place < 5 else None}
        )

    api.answer = answer
    assert await fetch(pages) == (Delivered(7, 5), [5])


@pytest.mark.parametrize("pages", [LinkPages("next"), CursorPages("next"), NumberedPages(), OffsetPages(1)])
async def test_more_pages_than_an_item_may_have_fail_it(api, fetch, pages):
    number = itertools.count(1)
    api.answer = lambda seen: web.json_response({"items": [{"n": (place := next(number))}], "next": f"?p={place}"})
    letter, rows = await fetch(pages, max_pages=20)
    assert (letter.reason, rows, len(api.seen)) == ("unreadable_answer", [], 20)
    assert "the pages do not end: 20 have come, and there is a next one; max_pages=20 is" in letter.response_excerpt


async def test_as_many_pages_as_an_item_may_have_are_fetched(api, fetch):
    api.answer = pages_of(2, 2, 2, link=LINK)
    assert await fetch(LinkPages(), max_pages=3) == (Delivered(7, 3), list(range(6)))


@pytest.mark.parametrize("most", [0, -1, "10", True, None, 1.5])
async def test_the_most_pages_are_a_number(fetch, most):
    with pytest.raises(ConfigurationError, match="max_pages=.*: write a whole number from 1 up"):
        await fetch(max_pages=most)


# A function that hides what the API gave.


async def test_what_the_api_gave_is_compared_and_not_what_a_function_made(api, fetch):
    """Each page has one sum; the first two are equal, and the API's rows are not."""
    api.answer = pages_of(2, 2, 2)
    made = await fetch(NumberedPages(), rows=lambda payload, item: [{"n": len(payload["items"])}], page_rows="items")
    assert made == (Delivered(7, 4), [2, 2, 2, 0])


@pytest.mark.parametrize("rows", [odd, "items[?n == `1` || n == `3`]"])
async def test_pages_of_which_nothing_is_made_are_not_the_end_of_a_scroll(api, fetch, rows):
    chunks = iter([[1, 2], [4, 6], [8, 10], [3], []])
    api.answer = lambda seen: web.json_response({"items": [{"n": n} for n in next(chunks, [])], "scroll": "s"})
    outcome, rows = await fetch(CursorPages("scroll"), rows=rows)
    assert (outcome, rows) == (Delivered(7, 6), [1, 3])


@pytest.mark.parametrize("pages", [NumberedPages(), NumberedPages(size=2), OffsetPages(2)])
@pytest.mark.parametrize("count", [2, 3, 5])
async def test_an_api_that_begins_again_past_its_last_page_fails_the_item(api, fetch, pages, count):
    """Its rows would be there twice."""
    good, number = pages_of(*[2] * count), itertools.count()

    def answer(seen):
        name, step = ("page", 1) if "page" in seen.query else ("offset", 2)
        seen.query = f"{name}={(next(number) % count) * step + (name == 'page')}"
        return good(seen)

    api.answer = answer
    letter, rows = await fetch(pages)
    assert (letter.reason, rows, len(api.seen)) == ("unreadable_answer", [], count + 1)
    assert f"page {count + 1} has the rows of the first one" in letter.response_excerpt
