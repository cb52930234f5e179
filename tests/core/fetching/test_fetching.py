"""One item's pages from a real server, until the last one, or until one of them fails for good."""

import asyncio

import pytest
from aiohttp import web
from engine import number_of
from fetches import RETRY, pages_of
from servers import raw_server

from airflow_async_rest.core.account.bookmarks import Bookmark
from airflow_async_rest.core.errors import ConfigurationError, QuotaExhaustedError
from airflow_async_rest.core.keeping.row_sink import MOST_ROWS_OF_AN_ITEM
from airflow_async_rest.core.models import DeadLetter, Delivered, Skipped, Verdict
from airflow_async_rest.core.pages import CursorPages, LinkPages, NumberedPages, OffsetPages

pytestmark = pytest.mark.anyio


STYLES = [
    LinkPages(),
    LinkPages("next"),
    CursorPages("cursor"),
    CursorPages("cursor", into="body"),
    NumberedPages(),
    NumberedPages(size=2, until="short"),
    NumberedPages(pages="pages", into="body"),
    OffsetPages(2),
    OffsetPages(2, until="short"),
    OffsetPages(2, total="total", into="body"),
]


@pytest.mark.parametrize("style", STYLES, ids=str)
async def test_all_pages_are_fetched_whatever_the_style(api, fetch, style):
    for sizes in [(0,), (1,), (2,), (2, 2), (2, 2, 1)]:
        api.reset()
        api.answer = pages_of(*sizes, link="/api/x/7?")
        outcome, rows = await fetch(style, method="POST" if getattr(style, "into", "") == "body" else "GET")
        assert rows == list(range(sum(sizes)))
        assert outcome == Delivered(7, len(api.seen))
        assert {seen.path for seen in api.seen} == {"/api/x/7"}
        assert len(sizes) <= len(api.seen) <= len(sizes) + 1


@pytest.mark.parametrize("link", ["?", "7?", "/api/x/7?", "//127.0.0.1/api/x/7?", "https://127.0.0.1:1/api/x/7?"])
async def test_links_of_every_kind_lead_to_the_next_page(api, fetch, link):
    """Relative, absolute, of another scheme and port, as of an API behind a proxy."""
    api.answer = pages_of(2, 2, 1, link=link)
    assert await fetch(LinkPages()) == (Delivered(7, 3), [0, 1, 2, 3, 4])
    assert [seen.query for seen in api.seen] == ["", "page=2", "page=3"]


@pytest.mark.parametrize(
    "link", ["http://elsewhere/api/x/7?", "//elsewhere/api/x/7?", "/admin?", "/api2/x?", "../../admin?"]
)
async def test_a_link_that_leads_away_fails_the_item(api, fetch, link):
    api.answer = pages_of(2, 2, link=link)
    letter, rows = await fetch(LinkPages())
    assert (letter.index, letter.reason, rows) == (7, "unreadable_answer", [])
    assert "leads away from the connection's base URL" in letter.response_excerpt
    assert len(api.seen) == 1


async def test_pages_that_lead_to_each_other_end_with_an_error(api, fetch):
    api.answer = lambda seen: web.json_response(
        {"items": [{"n": 1}], "next": f"/api/x/{2 if number_of(seen) == 1 else 1}"}
    )
    letter, rows = await fetch(LinkPages("next"))
    assert "the pages do not end: x/1? comes a second time" in letter.response_excerpt
    assert (rows, len(api.seen)) == ([], 3)


@pytest.mark.parametrize("style", STYLES[2:], ids=str)
async def test_an_api_that_does_not_know_the_parameter_fails_the_item(api, fetch, style):
    """It gives the first page again and again."""
    api.answer = pages_of(2, 2, ignored=True)
    letter, rows = await fetch(style, method="POST" if style.into == "body" else "GET")
    assert (letter.reason, letter.fetch, rows) == ("unreadable_answer", True, [])
    assert len(api.seen) == 2


async def test_pages_without_rows_may_be_alike(api, fetch):
    """The filter of an API may leave none of them; what it says of the next one stands in the header."""

    def answer(seen):
        number = int(seen.query.rpartition("=")[2] or 1)
        headers = {"Link": f'<?page={number + 1}>; rel="next"'} if number < 4 else {}
        return web.json_response({"items": []}, headers=headers)

    api.answer = answer
    assert await fetch(LinkPages()) == (Delivered(7, 4), [])


def failing_at(page, *statuses):
    """Answer with three pages, of which one fails a few times, or for good."""
    left, good = list(statuses), pages_of(2, 2, 2)

    def answer(seen):
        if seen.query == f"page={page}" and left:
            return left.pop(0) if len(left) > 1 or statuses[-1] != 500 else left[0]
        return good(seen)

    return answer


@pytest.mark.parametrize("page", [1, 2, 3])
async def test_a_page_that_fails_twice_is_asked_for_again(api, fetch, page):
    api.answer = failing_at(page, 503, "reset")
    assert await fetch(NumberedPages(pages="pages")) == (Delivered(7, 5), list(range(6)))


@pytest.mark.parametrize(("status", "attempts"), [(500, 4), (410, 2)])
async def test_a_page_that_fails_for_good_fails_its_item_with_all_its_rows(api, fetch, status, attempts):
    api.answer = failing_at(2, status)
    letter, rows = await fetch(NumberedPages(pages="pages"))
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.status, letter.attempts, letter.fetch) == (f"http_{status}", status, attempts, True)
    assert (letter.request.path, letter.request.query) == ("x/7", "page=2")
    assert rows == []


async def test_a_pause_longer_than_we_honour_ends_everything(api, fetch):
    api.answer = lambda seen: web.Response(status=429, headers={"Retry-After": "9999"})
    with pytest.raises(QuotaExhaustedError):
        await fetch()


# Answers.


@pytest.mark.parametrize(("missing_ok", "outcome", "rows"), [(True, Skipped(7), []), (False, "http_404", [])])
async def test_a_404_is_no_rows_where_that_is_said(api, fetch, missing_ok, outcome, rows):
    api.answer = lambda seen: 404
    found = await fetch(missing_ok=missing_ok)
    assert (getattr(found[0], "reason", found[0]), found[1]) == (outcome, rows)


@pytest.mark.parametrize(
    "style", [None, NumberedPages(), NumberedPages(pages="n"), OffsetPages(total="n"), LinkPages()]
)
async def test_no_content_is_no_rows(api, fetch, style):
    api.answer = lambda seen: web.Response(status=204)
    assert await fetch(style) == (Delivered(7, 1), [])


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (web.Response, "has 0 bytes and status 200, which does not say that there are no rows"),
        (lambda: web.Response(text="<html>s3cret", content_type="text/html"), "it begins '<html>***'"),
        (lambda: web.json_response({"other": []}), "the answer has nothing at rows='items'"),
        (lambda: web.json_response({"items": 5}), "which is not a list of objects"),
    ],
)
async def test_an_answer_without_rows_to_find_fails_the_item(api, fetch, answer, text):
    api.answer = lambda seen: answer()
    letter, rows = await fetch()
    assert (letter.reason, letter.attempts, rows) == ("unreadable_answer", 1, [])
    assert text in letter.response_excerpt
    assert letter.request.path == "x/7"


async def test_what_a_function_raises_fails_the_item(api, fetch):
    api.answer = pages_of(1)
    letter, rows = await fetch(rows=lambda payload, item: payload["items"][item["id"]])
    assert (letter.reason, rows) == ("unreadable_answer", [])
    assert "the function rows raised IndexError" in letter.response_excerpt


async def test_an_item_that_makes_no_request_keeps_its_row(api, fetch):
    letter, rows = await fetch(endpoint="x/{id}", query={"q": "{missing}"})
    assert (letter.reason, letter.attempts, letter.row, letter.fetch, rows) == ("endpoint", 0, {"id": 7}, True, [])
    assert api.seen == []


async def test_an_answer_that_is_too_large_fails_the_item_at_once(api, fetch):
    api.answer = pages_of(2, 1000)
    letter, rows = await fetch(NumberedPages(), settings={"max_response_bytes": 1000})
    assert (letter.reason, letter.attempts, rows) == ("answer_unreadable", 2, [])


async def test_an_answer_that_is_cut_off_is_asked_for_again(fetch):
    cut = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"items": [{"n": 1}]}'
    with raw_server(cut) as port:
        letter, rows = await fetch(url=f"http://127.0.0.1:{port}")
    assert (letter.reason, letter.attempts, rows) == ("connection", RETRY.max_attempts, [])


async def test_the_check_of_the_author_decides_about_each_page(api, fetch):
    api.answer = pages_of(1, 1)
    letter, rows = await fetch(
        NumberedPages(pages="pages"),
        response_check=lambda response: Verdict.REFUSED if b'"n": 1' in response.body else None,
    )
    assert (letter.reason, letter.attempts, rows) == ("response_check", 2, [])


async def test_more_rows_than_an_item_can_have_fail_it(api, fetch):
    api.answer = pages_of(2, 2, 2)
    many = Bookmark(NumberedPages().begin(), "", pages=0, rows=MOST_ROWS_OF_AN_ITEM - 3, given="")
    letter, rows = await fetch(NumberedPages(), begun_at=many)
    assert (letter.reason, rows, len(api.seen)) == ("unreadable_answer", [], 2)
    assert "have 16,777,217 rows; 16,777,216 is the most" in letter.response_excerpt


@pytest.mark.parametrize("style", [CursorPages(into="body"), NumberedPages(into="body"), OffsetPages(into="body")])
async def test_pages_of_a_get_cannot_be_asked_for_in_its_body(fetch, style):
    with pytest.raises(ConfigurationError, match="into='body': a GET has none"):
        await fetch(style)


async def test_a_cancelled_fetch_says_nothing_of_its_item(api, fetch):
    api.answer = lambda seen: "hang"
    fetching = asyncio.create_task(fetch())
    await asyncio.to_thread(api.wait_for, lambda api: api.in_flight == 1)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching


async def test_nothing_is_asked_for_an_item_that_is_settled(api, fetch):
    assert await fetch(settled=Skipped(7)) == (Skipped(7), [])
    assert api.seen == []
