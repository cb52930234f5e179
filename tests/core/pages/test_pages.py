from dataclasses import replace
from types import SimpleNamespace

import pytest
from multidict import CIMultiDict
from tables import every_row

from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.pages import CursorPages, LinkPages, NumberedPages, OffsetPages, Page


def answer(payload=None, count=2, *links, **named) -> SimpleNamespace:
    headers = CIMultiDict([("link", link) for link in links])
    headers.update({name.replace("_", "-"): value for name, value in named.items()})
    return SimpleNamespace(response=SimpleNamespace(headers=headers), payload=payload, count=count)


@every_row(
    ("links", "target"),
    [
        ((), None),
        (('</x?page=2>; rel="next"',), "/x?page=2"),
        (("</x?page=2>; rel=next",), "/x?page=2"),
        (("</1>; rel='prev', </3>; rel='last next'",), "/3"),
        (("</1>; title='rel=next'; rel='nextish'",), None),
        (("</x?page=2> ;REL = Next",), "/x?page=2"),
        (('</x?a=1,2;b>; rel="next"',), "/x?a=1,2;b"),
        (('</1>; rel="first", </3>; rel="next"; title="a", </9>; rel="last"',), "/3"),
        (('</1>; rel="prev first"', '</3>; rel="last next"'), "/3"),
        (('</1>; rel="first"', "</9>; rel=last"), None),
        (('</1>; rel="nextish"', "</2>; rel=next-archive"), None),
        (("not a link",), None),
        (('<>; rel="next"',), None),
    ],
)
def test_a_link_is_found_in_the_header(links, target):
    after = LinkPages().after(Page(), answer(None, 2, *links))
    assert after == (None if target is None else Page(link=target))


@every_row(
    ("payload", "target"),
    [
        ({"links": {"next": "/2"}}, "/2"),
        ({"links": {"next": None}}, None),
        ({"links": {"next": ""}}, None),
        ({"links": {}}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_a_link_is_found_in_the_body(payload, target):
    after = LinkPages("links.next").after(Page(), answer(payload))
    assert after == (None if target is None else Page(link=target))


def test_a_link_that_is_no_url_is_an_error():
    with pytest.raises(AnswerError, match="at 'next', is '7', which is not a URL"):
        LinkPages("next").after(Page(), answer({"next": 7}))


@every_row(
    ("payload", "cursor"),
    [
        ({"meta": {"next": "abc="}}, "abc="),
        ({"meta": {"next": 17}}, 17),
        ({"meta": {"next": None}}, None),
        ({"meta": {"next": ""}}, None),
        ({"meta": {"next": False}}, None),
        ({"meta": {"next": 0}}, None),
        ({"meta": {"next": []}}, None),
        ({"meta": {"next": {}}}, None),
        ({"meta": {"next": "0"}}, "0"),
        ({"meta": {}}, None),
        ([], None),
        (None, None),
    ],
)
@every_row("into", ["query", "body"])
def test_a_cursor_is_given_back(payload, cursor, into):
    pages = CursorPages("meta.next", "after", into=into)
    assert pages.begin() == Page(into=into)
    assert pages.after(pages.begin(), answer(payload)) == (None if cursor is None else Page({"after": cursor}, into))


@every_row(
    ("value", "cursor"),
    [
        *[({"next": nothing}, None) for nothing in (None, "", False, [], {})],
        ({}, None),
        ({"next": 0}, "0"),
        ({"next": ["a", 1]}, '["a",1]'),
        ({"next": "b"}, "b"),
    ],
)
def test_a_cursor_that_is_made_a_text_ends_where_there_is_none(value, cursor):
    made = CursorPages("to_string(meta.next)").after(Page(), answer({"meta": value}))
    assert made == (None if cursor is None else Page({"cursor": cursor}))


def test_a_text_that_the_api_gives_as_a_cursor_is_one_whatever_it_says():
    assert CursorPages("next").after(Page(), answer({"next": "null"})) == Page({"cursor": "null"})


@pytest.mark.parametrize("cursor", [["a", 1], {"id": 7}])
def test_a_cursor_of_several_values_belongs_into_the_body(cursor):
    pages = CursorPages("next", "after", into="body")
    assert pages.after(pages.begin(), answer({"next": cursor})) == Page({"after": cursor}, "body")
    pages = CursorPages("next", "after")
    with pytest.raises(AnswerError, match=r"the cursor, at 'next', is .* write .*to_string\(next\).*; or into='body'"):
        pages.after(pages.begin(), answer({"next": cursor}))


@every_row(
    ("pages", "first", "counts", "asked"),
    [
        (NumberedPages(), {"page": 1}, [2, 1, 0], [{"page": 2}, {"page": 3}, None]),
        (NumberedPages("p", first=0), {"p": 0}, [2], [{"p": 1}]),
        (NumberedPages(size=2), {"page": 1, "per_page": 2}, [2, 1], [{"page": 2, "per_page": 2}, {"page": 3, "per_page": 2}]),
        (NumberedPages(size=2, size_param="n", until="short"), {"page": 1, "n": 2}, [2, 1], [{"page": 2, "n": 2}, None]),
        (OffsetPages(2), {"offset": 0, "limit": 2}, [2, 1, 0], [{"offset": 2, "limit": 2}, {"offset": 3, "limit": 2}, None]),
        (OffsetPages(2, "from", "size", until="short"), {"from": 0, "size": 2}, [2, 1], [{"from": 2, "size": 2}, None]),
    ],
)  # fmt: skip
def test_pages_are_asked_for_until_one_is_empty_or_short(pages, first, counts, asked):
    page = pages.begin()
    assert page == Page(first)
    for count, parameters in zip(counts, asked, strict=True):
        after = pages.after(page, answer([], count))
        assert after == (None if parameters is None else Page(parameters))
        page = after


@every_row(
    ("pages", "payloads", "asked"),
    [
        (NumberedPages(pages="meta.pages"), [{"meta": {"pages": n}} for n in (3, "3", 3.0)], [{"page": 2}, {"page": 3}, None]),
        (NumberedPages(pages="n", first=0), [{"n": 2}, {"n": 2}], [{"page": 1}, None]),
        (NumberedPages(pages="n"), [{"n": 0, "count": 0}], [None]),
        (NumberedPages(pages="n"), [{"n": 2.5}] * 3, [{"page": 2}, {"page": 3}, None]),
        (NumberedPages(pages="n"), [{"n": 1}], [None]),
        (NumberedPages(pages="n"), [{"n": 5}, {"n": 3}, {"n": 3}], [{"page": 2}, {"page": 3}, None]),
        (NumberedPages(pages="n"), [None], [None]),
        (OffsetPages(5, total="n"), [{"n": 4}, {"n": 4}], [{"offset": 2, "limit": 5}, None]),
        (OffsetPages(5, total="n"), [{"n": 2}], [None]),
        (OffsetPages(5, total="n"), [None], [None]),
    ],
)  # fmt: skip
def test_pages_are_asked_for_as_many_as_the_api_says_there_are(pages, payloads, asked):
    page = pages.begin()
    for payload, parameters in zip(payloads, asked, strict=True):
        after = pages.after(page, answer(payload, 0 if payload is None else payload.get("count", 2)))
        assert after == (None if parameters is None else Page(parameters))
        page = after


@every_row(
    ("pages", "payload", "count", "text"),
    [
        (NumberedPages(pages="n"), {}, 2, "NumberedPages(pages): the answer has nothing at 'n'"),
        (NumberedPages(pages="n"), {"n": None}, 2, "the answer has None at 'n', where a number should be"),
        (NumberedPages(pages="n"), {"n": "many"}, 2, "the answer has 'many' at 'n'"),
        (NumberedPages(pages="n"), {"n": float("inf")}, 2, "the answer has inf at 'n'"),
        (OffsetPages(total="n"), {"n": []}, 2, "OffsetPages(total): the answer has [] at 'n'"),
        (OffsetPages(total="n"), {"n": "0"}, 2, "2 rows have come, but 'n' says that there are 0: write the path"),
        (OffsetPages(total="n"), {"n": 5}, 0, "a page is empty after 0 of the 5 rows that 'n' counts"),
        (OffsetPages(total="header.X-Total"), {}, 2, "the answer has nothing at 'header.X-Total', where a number"),
        (
            NumberedPages(more="more"),
            {},
            2,
            "NumberedPages(more): the answer has nothing at 'more', where true or false",
        ),
        (CursorPages(more="more"), {"more": None}, 2, "CursorPages(more): the answer has None at 'more'"),
        (LinkPages(more="more"), {"more": "maybe"}, 2, "LinkPages(more): the answer has 'maybe' at 'more'"),
        (OffsetPages(more="more"), {"more": 7}, 2, "OffsetPages(more): the answer has 7 at 'more'"),
        (OffsetPages(more="more"), {"more": True}, 0, "empty after 0 rows, but 'more' says that there are more"),
        (
            CursorPages(more="more"),
            {"more": True},
            2,
            "'more' says that there is a next page, but no cursor is at 'next_cursor'",
        ),
        (
            LinkPages(more="more"),
            {"more": True},
            2,
            "'more' says that there is a next page, but there is no link to it",
        ),
        (NumberedPages(pages="n"), {"n": True}, 2, "the answer has True at 'n', where a number should be, from 0 up"),
        (NumberedPages(pages="n"), {"n": -1}, 2, "the answer has -1 at 'n'"),
        (NumberedPages(pages="n"), {"n": 0}, 2, "page 1 has rows, but 'n' says that there are 0 pages: write the path"),
        (NumberedPages(pages="n"), {"n": 0}, 2, "or leave pages= out"),
        (OffsetPages(total="n"), {"n": True}, 2, "the answer has True at 'n'"),
        (OffsetPages(total="n"), {"n": -1}, 2, "the answer has -1 at 'n'"),
        (OffsetPages(total="n"), {"n": "-1"}, 2, "the answer has '-1' at 'n'"),
        (
            OffsetPages(total="n"),
            {"n": 1},
            2,
            "2 rows have come, but 'n' says that there are 1: write the path of the number of all",
        ),
    ],
)
def test_an_answer_that_does_not_tell_is_an_error(pages, payload, count, text):
    with pytest.raises(AnswerError) as caught:
        pages.after(pages.begin(), answer(payload, count))
    assert text in str(caught.value)


@every_row(
    ("make", "text"),
    [
        (lambda: LinkPages(""), "LinkPages(path): '' is not a path"),
        (lambda: LinkPages(end_statuses=404), "LinkPages(end_statuses=404): write HTTP statuses from 400 to 599"),
        (lambda: CursorPages(end_statuses=("404",)), "CursorPages(end_statuses=('404',))"),
        (lambda: NumberedPages(end_statuses=(204,)), "NumberedPages(end_statuses=(204,))"),
        (lambda: OffsetPages(end_statuses=(True,)), "OffsetPages(end_statuses=(True,))"),
        (lambda: LinkPages("a..b"), "LinkPages(path): 'a..b' is not a path"),
        (lambda: CursorPages(None), "CursorPages(cursor): None is not a path"),
        (lambda: CursorPages(param=""), "CursorPages(param='')"),
        (lambda: CursorPages(into="header"), "CursorPages(into='header'): write 'query' or 'body'."),
        (lambda: NumberedPages(first=True), "NumberedPages(first=True): write 1 or 0."),
        (lambda: NumberedPages(first="1"), "NumberedPages(first='1')"),
        (lambda: NumberedPages(size=0), "NumberedPages(size) is 0: write a whole number from 1 up."),
        (lambda: NumberedPages(until="short"), "say what a full page is, with size=."),
        (lambda: NumberedPages(until="last"), "write 'empty' or 'short'."),
        (lambda: NumberedPages(pages=""), "NumberedPages(pages): '' is not a path"),
        (lambda: NumberedPages(param=1), "NumberedPages(param=1)"),
        (lambda: NumberedPages(size_param=None), "NumberedPages(size_param=None)"),
        (lambda: OffsetPages(limit=None), "OffsetPages(limit) is None"),
        (lambda: OffsetPages(limit=True), "OffsetPages(limit) is True"),
        (lambda: OffsetPages(limit_param=""), "OffsetPages(limit_param='')"),
        (
            lambda: OffsetPages(param="n", limit_param="n"),
            "OffsetPages(param='n', limit_param='n'): one parameter cannot be both; write the name of each.",
        ),
        (lambda: NumberedPages(param="per_page", size=5), "NumberedPages(param='per_page', size_param='per_page')"),
        (lambda: OffsetPages(total="."), "OffsetPages(total): '.' is not a path"),
        (lambda: OffsetPages(until=None), "OffsetPages(until=None)"),
        (lambda: LinkPages(more=""), "LinkPages(more): '' is not a path"),
        (lambda: CursorPages(more=True), "CursorPages(more): True is not a path"),
        (lambda: NumberedPages(more="a..b"), "NumberedPages(more): 'a..b' is not a path"),
        (lambda: CursorPages("header."), "CursorPages(cursor): 'header.' is not a path"),
        (lambda: CursorPages(param="variables.", into="body"), "param='variables.'): in a body, write names with dots"),
        (lambda: NumberedPages(size_param=".n", into="body"), "NumberedPages(size_param='.n'): in a body"),
        (
            lambda: LinkPages(keep="token"),
            "LinkPages(keep='token'): write names of parameters of query=, as ('token',).",
        ),
        (lambda: LinkPages(keep=(7,)), "LinkPages(keep=(7,))"),
        (lambda: LinkPages(below="v2"), "LinkPages(below='v2'): write a path on the connection's host, such as '/v2'"),
        (lambda: LinkPages(below="//other/x"), "LinkPages(below='//other/x')"),
        (lambda: LinkPages(below="/a/../b"), "LinkPages(below='/a/../b')"),
        (lambda: LinkPages(below="/a%2e"), "LinkPages(below='/a%2e')"),
        (lambda: LinkPages(below="/a?b"), "LinkPages(below='/a?b')"),
        (lambda: LinkPages(below="https://host/"), "LinkPages(below='https://host/')"),
    ],
)
def test_a_wrong_page_style_is_said_where_it_is_made(make, text):
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert text in str(caught.value)


# Flags, and what stands in headers.


@every_row(
    ("flag", "goes_on"),
    [(True, True), (False, False), ("true", True), ("False", False), (1, True), (0, False), ("1", True), ("no", False)],
)
@every_row(
    ("pages", "following"),
    [
        (LinkPages("next", more="has_more"), Page(link="n")),
        (CursorPages("next", more="has_more"), Page({"cursor": "n"})),
        (NumberedPages(more="has_more"), Page({"page": 2})),
        (NumberedPages(size=5, until="short", pages="pages", more="has_more"), Page({"page": 2, "per_page": 5})),
        (OffsetPages(5, total="total", more="has_more"), Page({"offset": 2, "limit": 5})),
        (OffsetPages(5, until="short", more="has_more"), Page({"offset": 2, "limit": 5})),
    ],
)
def test_a_flag_comes_before_all_else_that_tells_the_end(pages, following, flag, goes_on):
    says = {"next": "n", "pages": 1, "total": 2, "has_more": flag}
    assert pages.after(pages.begin(), answer(says)) == (following if goes_on else None)
    in_header = replace(pages, more="header.X-More")
    assert in_header.after(pages.begin(), answer(says, x_more=str(flag))) == (following if goes_on else None)


@pytest.mark.parametrize("style", [LinkPages, CursorPages, NumberedPages, OffsetPages])
def test_no_content_is_the_end_without_a_flag(style):
    pages = style(more="has_more")
    assert pages.after(pages.begin(), answer(None, 0)) is None


def test_a_flag_that_says_the_opposite_is_an_expression():
    pages = NumberedPages(more="(!done)")
    assert [pages.after(pages.begin(), answer({"done": done})) for done in (False, True)] == [Page({"page": 2}), None]


def test_an_empty_page_may_lead_on_where_a_flag_says_so():
    assert NumberedPages(more="more").after(Page({"page": 4}), answer({"more": True}, 0)) == Page({"page": 5})


@pytest.mark.parametrize("cursor", [0, False, 5])
def test_any_cursor_leads_on_where_a_flag_says_so(cursor):
    pages = CursorPages("next", more="more")
    assert pages.after(pages.begin(), answer({"next": cursor, "more": True})) == Page({"cursor": cursor})


@every_row(
    ("pages", "headers", "following"),
    [
        (CursorPages("header.X-Next-Page", "page"), {"x_next_page": "2"}, Page({"page": "2"})),
        (CursorPages("header.x-next-page", "page"), {"x_next_page": ""}, None),
        (CursorPages("header.X-Next-Page", "page"), {}, None),
        (LinkPages("header.X-Next"), {"x_next": "/x?page=2"}, Page(link="/x?page=2")),
        (NumberedPages(pages="header.X-Total-Pages"), {"x_total_pages": "2"}, Page({"page": 2})),
        (NumberedPages(pages="header.X-Total-Pages"), {"x_total_pages": "1"}, None),
        (OffsetPages(2, total="header.X-Total-Count"), {"x_total_count": "3"}, Page({"offset": 2, "limit": 2})),
        (OffsetPages(2, total="header.X-Total-Count"), {"x_total_count": "2"}, None),
        (OffsetPages(2, total="header.Content-Range"), {"content_range": "items 0-1/3"}, Page({"offset": 2, "limit": 2})),
        (OffsetPages(2, total="header.Content-Range"), {"content_range": "0-1/2"}, None),
        (OffsetPages(2, total="header.Content-Range"), {"content_range": "0-1/*"}, Page({"offset": 2, "limit": 2})),
        (OffsetPages(3, total="header.Content-Range", until="short"), {"content_range": "0-1/*"}, None),
    ],
)  # fmt: skip
def test_what_tells_the_next_page_may_stand_in_a_header(pages, headers, following):
    assert pages.after(pages.begin(), answer([], 2, **headers)) == following


def test_a_range_of_nothing_is_the_end():
    pages = OffsetPages(2, total="header.Content-Range")
    assert pages.after(pages.begin(), answer([], 0, content_range="items */0")) is None


def test_a_key_of_the_body_called_header_is_one():
    pages = CursorPages("header.next")
    assert pages.after(Page(), answer({"header": {"next": "a"}}, next="b")) == Page({"cursor": "a"})
    assert pages.after(Page(), answer({"header": {}}, next="b")) == Page({"cursor": "b"})


@pytest.mark.parametrize(
    ("payload", "cursor"),
    [({"data": [{"id": 3}, {"id": 5}]}, 5), ({"data": []}, None), ({"data": [{"id": None}]}, None)],
)
def test_the_key_of_the_last_row_leads_on_until_a_page_is_empty(payload, cursor):
    following = CursorPages("data.-1.id", "after").after(Page(), answer(payload))
    assert following == (None if cursor is None else Page({"after": cursor}))
