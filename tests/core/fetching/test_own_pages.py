"""Page styles that an author writes."""

from dataclasses import dataclass
from datetime import date
from threading import Lock
from types import SimpleNamespace

import pytest
from aiohttp import web
from fetches import pages_of
from tables import every_row

from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.models import Delivered, Skipped
from airflow_async_rest.core.pages import CursorPages, LinkPages, NumberedPages, Page, page_style, style_parts

LINK = "/api/x/7?"


class Numbers:
    """The next number, which the author's API has under ``pages``."""

    def begin(self):
        return Page({"page": 1})

    def after(self, page, answer):
        number = page.parameters["page"] + 1
        return Page({"page": number}) if number <= answer.payload["pages"] else None


class Links:
    end_statuses = (404,)

    def begin(self):
        return Page()

    def after(self, page, answer):
        return Page(link=answer.payload["next"]) if "next" in answer.payload else None


class UntilEmpty(Numbers):
    def after(self, page, answer):
        return Page({"page": page.parameters["page"] + 1}) if answer.count else None


@dataclass(frozen=True)
class CursorsInTheBody:
    name: str = "cursor"

    def begin(self):
        return Page(into="body")

    def after(self, page, answer):
        cursor = answer.payload.get("cursor")
        return Page({self.name: cursor}, "body") if cursor else None


class ByHeader(CursorPages):
    """Made of ours."""

    def after(self, page, answer):
        assert answer.response.status == 200
        return super().after(page, answer)


STYLES = [Numbers(), Links(), UntilEmpty(), CursorsInTheBody(), ByHeader("cursor")]


def named(style):
    return type(style).__name__


def failing_first(answer, *faults):
    """Answer, but for the first requests that name a page."""
    left = list(faults)
    return lambda seen: left.pop() if left and (seen.query or seen.body) else answer(seen)


@pytest.mark.anyio
@pytest.mark.parametrize("style", STYLES, ids=named)
@pytest.mark.parametrize("fails", [False, True])
async def test_all_rows_come_once(api, fetch, style, fails):
    for sizes in [(0,), (1,), (2, 2), (2, 2, 1)]:
        api.reset()
        api.answer = failing_first(pages_of(*sizes, link=LINK), *[503, "reset"] * fails)
        outcome, rows = await fetch(page_style(style), method="POST" if style.begin().into == "body" else "GET")
        assert (outcome, rows) == (Delivered(7, len(api.seen)), list(range(sum(sizes))))


@pytest.mark.anyio
async def test_its_end_may_be_a_status(api, fetch):
    api.answer = lambda seen: pages_of(2, 2, 2, link=LINK)(seen) if "page=3" not in seen.query else 404
    assert await fetch(page_style(Links())) == (Delivered(7, 3), [0, 1, 2, 3])
    api.answer = lambda seen: 404
    assert await fetch(page_style(Links()), missing_ok=True) == (Skipped(7), [])


def returning(page):
    return SimpleNamespace(begin=Page, after=lambda page_before, answer: page)


@pytest.mark.anyio
async def test_pages_that_lead_to_each_other_end_with_an_error(api, fetch):
    api.answer = pages_of(2, 2)
    back = {1: Page({"page": 2}), 2: Page({"page": 1})}
    style = SimpleNamespace(begin=lambda: Page({"page": 1}), after=lambda page, answer: back[page.parameters["page"]])
    letter, rows = await fetch(page_style(style))
    assert "the pages do not end: x/7?page=1 comes a second time" in letter.response_excerpt
    assert (rows, len(api.seen)) == ([], 2)


@pytest.mark.anyio
async def test_more_pages_than_an_item_may_have_fail_it(api, fetch):
    api.answer = lambda seen: web.json_response({"items": [{"n": len(api.seen)}], "pages": 10_000})
    letter, rows = await fetch(page_style(Numbers()), max_pages=5)
    assert "the pages do not end: 5 have come" in letter.response_excerpt
    assert (rows, len(api.seen)) == ([], 5)


@pytest.mark.anyio
async def test_a_link_of_its_own_leads_below_the_base_url_only(api, fetch):
    api.answer = pages_of(2)
    letter, _ = await fetch(page_style(returning(Page(link="http://elsewhere/api/x"))))
    assert "leads away from the connection's base URL" in letter.response_excerpt


@pytest.mark.anyio
async def test_pages_of_a_get_have_no_body(api, fetch):
    api.answer = pages_of(2)
    letter, _ = await fetch(page_style(returning(Page({"page": 2}, "body"))))
    assert "a GET has none: write method='POST'" in letter.response_excerpt
    with pytest.raises(ConfigurationError, match="into='body': a GET has none"):
        await fetch(page_style(CursorsInTheBody()))


@every_row(
    ("page", "text"),
    [
        ({"page": 2}, "after() returned {'page': 2}, which is not a Page: return Page(...), or None for the end"),
        (False, "returned False, which is not a Page"),
        (2, "returned 2, which is not a Page"),
        (Page("page=2"), "has parameters that are not a dict of names: write parameters={'page': 2}"),
        (Page({1: 2}), "has parameters that are not a dict of names"),
        (Page({"day": date(2026, 3, 1)}), "has a parameter that has no JSON form (Object of type date"),
        (Page({"n": float("nan")}), "has a parameter that has no JSON form"),
        (Page({"q": "\ud800"}), "has a parameter that has no JSON form ('utf-8' codec can't encode character"),
        (Page({"\ud800": 1}), "has a parameter that has no JSON form"),
        (Page({"q": None}), "has q=None for the query: write a text or a number, or leave it out"),
        (Page({"page": 2, "q": ""}), "has q='' for the query"),
        (Page({"q": [1]}), "has q=[1] for the query"),
        (Page({"q": {"a": 1}}), "has q={'a': 1} for the query"),
        (Page({}, "header"), "has into='header': write 'query' or 'body'"),
        (Page(link=5), "has link=5: write a URL, or leave it out"),
        (Page(link=""), "has link=''"),
    ],
)
def test_what_is_no_page_is_an_error_by_name(page, text):
    with pytest.raises(AnswerError) as caught:
        page_style(returning(page)).after(Page(), None)
    assert str(caught.value).startswith("paginate: SimpleNamespace.after() returned ")
    assert text in str(caught.value)
    with pytest.raises(ConfigurationError, match=r"paginate: SimpleNamespace.begin\(\) returned .*, which "):
        page_style(SimpleNamespace(begin=lambda: page, after=print)).begin()


@pytest.mark.anyio
async def test_a_cursor_may_be_any_number_of_an_answer(api, fetch):
    """Beside a long number, fractions are read exactly."""
    text = '{"items": [{"n": 1}], "id": 0.12345678901234567890, "cursor": %s}'
    api.answer = lambda seen: web.Response(
        text=text % ("null" if seen.query else "1.50"), content_type="application/json"
    )
    style = SimpleNamespace(begin=Page, after=lambda page, answer: (
        Page({"after": answer.payload["cursor"]}) if answer.payload["cursor"] else None
    ))  # fmt: skip
    assert await fetch(page_style(style)) == (Delivered(7, 2), [1, 1])
    assert [seen.query for seen in api.seen] == ["", "after=1.50"]


def test_what_it_raises_is_an_error_by_name():
    answer = SimpleNamespace(payload={})
    with pytest.raises(AnswerError, match=r"paginate: Numbers.after\(\) raised KeyError: 'pages'"):
        page_style(Numbers()).after(Page({"page": 1}), answer)
    with pytest.raises(ConfigurationError, match=r"paginate: SimpleNamespace.begin\(\) raised TypeError"):
        page_style(SimpleNamespace(begin=lambda: len(5), after=print)).begin()
    with pytest.raises(
        ConfigurationError, match=r"paginate: SimpleNamespace.begin\(\) returned None, which is not a Page"
    ):
        page_style(SimpleNamespace(begin=lambda: None, after=print)).begin()


@every_row(
    ("paginate", "text"),
    [
        ("link", "paginate='link': write LinkPages(), CursorPages(...), NumberedPages(...) or OffsetPages(...)"),
        (lambda page, answer: None, "or a style of your own, with begin() and after(page, answer)."),
        (SimpleNamespace(begin=Page), "a style of your own"),
        (SimpleNamespace(begin=Page, after=5), "a style of your own"),
        (Numbers, "write Numbers(...), an instance"),
        (LinkPages, "write LinkPages(...), an instance"),
        (SimpleNamespace(begin=Page, after=print, end_statuses=404), "SimpleNamespace(end_statuses=404): write HTTP"),
        (SimpleNamespace(begin=Page, after=print, keep="a"), "SimpleNamespace(keep='a'): write names"),
        (SimpleNamespace(begin=Page, after=print, below="a"), "SimpleNamespace(below='a'): write a path"),
    ],
)
def test_what_is_no_style_is_said_before_the_first_request(paginate, text):
    with pytest.raises(ConfigurationError) as caught:
        page_style(paginate)
    assert text in str(caught.value)


def test_ours_are_taken_as_they_are():
    assert page_style(None) is None
    assert page_style(ours := NumberedPages()) is ours


def test_one_that_is_made_of_ours_counts_and_goes_by_rows_as_it_does():
    made = page_style(type("Mine", (NumberedPages,), {})())
    assert (made.counts_rows, made.goes_by_rows, made.knows_end) == (True, True, False)


def test_a_job_is_the_same_in_another_process_and_with_other_ends():
    assert style_parts(Numbers()) == style_parts(Numbers()) == ["Numbers", {}]
    assert style_parts(CursorsInTheBody()) != style_parts(CursorsInTheBody("after"))
    lock = Lock()  # which cannot be copied
    assert style_parts(CursorsInTheBody(lock)) == ["CursorsInTheBody", {"name": lock}]
    assert style_parts(LinkPages()) == style_parts(LinkPages(end_statuses=(404,))) == ["LinkPages", {"path": None}]
    assert len({str(style_parts(LinkPages(**of))) for of in ({}, {"keep": ("a",)}, {"below": "/"}, {"more": "m"})}) == 4
