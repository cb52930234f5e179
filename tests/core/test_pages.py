from types import SimpleNamespace

import pytest
from multidict import CIMultiDict

from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.pages import CursorPages, LinkPages, NumberedPages, OffsetPages, OnePage, Page


def answer(payload=None, count=2, *links) -> SimpleNamespace:
    headers = CIMultiDict([("link", link) for link in links])
    return SimpleNamespace(response=SimpleNamespace(headers=headers), payload=payload, count=count)


def test_one_page_is_all():
    assert OnePage().begin() == Page()
    assert OnePage().after(Page(), answer()) is None


@pytest.mark.parametrize(
    ("links", "target"),
    [
        ((), None),
        (('</x?page=2>; rel="next"',), "/x?page=2"),
        (("</x?page=2>; rel=next",), "/x?page=2"),
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


@pytest.mark.parametrize(
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
    with pytest.raises(AnswerError, match="at 'next', is '7', which is no URL"):
        LinkPages("next").after(Page(), answer({"next": 7}))


@pytest.mark.parametrize(
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
@pytest.mark.parametrize("into", ["query", "body"])
def test_a_cursor_is_given_back(payload, cursor, into):
    pages = CursorPages("meta.next", "after", into=into)
    assert pages.begin() == Page(into=into)
    assert pages.after(pages.begin(), answer(payload)) == (None if cursor is None else Page({"after": cursor}, into))


@pytest.mark.parametrize("cursor", [["a", 1], {"id": 7}])
def test_a_cursor_of_several_values_belongs_into_the_body(cursor):
    pages = CursorPages("next", "after", into="body")
    assert pages.after(pages.begin(), answer({"next": cursor})) == Page({"after": cursor}, "body")
    pages = CursorPages("next", "after")
    with pytest.raises(AnswerError, match=r"the cursor, at 'next', is .* write .*to_string\(next\).*; or into='body'"):
        pages.after(pages.begin(), answer({"next": cursor}))


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
    ("pages", "payload", "count", "text"),
    [
        (NumberedPages(pages="n"), {}, 2, "NumberedPages(pages): the answer has nothing at 'n'"),
        (NumberedPages(pages="n"), {"n": None}, 2, "the answer has None at 'n', where a number should be"),
        (NumberedPages(pages="n"), {"n": "many"}, 2, "the answer has 'many' at 'n'"),
        (NumberedPages(pages="n"), {"n": float("inf")}, 2, "the answer has inf at 'n'"),
        (OffsetPages(total="n"), {"n": []}, 2, "OffsetPages(total): the answer has [] at 'n'"),
        (OffsetPages(total="n"), {"n": "0"}, 2, "2 rows have come, and 'n' says that there are 0: name the number"),
        (OffsetPages(total="n"), {"n": 5}, 0, "a page is empty after 0 of 5 rows, which 'n' speaks of"),
        (NumberedPages(pages="n"), {"n": True}, 2, "the answer has True at 'n', where a number should be, from 0 up"),
        (NumberedPages(pages="n"), {"n": -1}, 2, "the answer has -1 at 'n'"),
        (NumberedPages(pages="n"), {"n": 0}, 2, "page 1 has rows, and 'n' says that there are 0 pages: name the"),
        (NumberedPages(pages="n"), {"n": 0}, 2, "or leave pages= out"),
        (OffsetPages(total="n"), {"n": True}, 2, "the answer has True at 'n'"),
        (OffsetPages(total="n"), {"n": -1}, 2, "the answer has -1 at 'n'"),
        (OffsetPages(total="n"), {"n": "-1"}, 2, "the answer has '-1' at 'n'"),
        (
            OffsetPages(total="n"),
            {"n": 1},
            2,
            "2 rows have come, and 'n' says that there are 1: name the number of all",
        ),
    ],
)
def test_an_answer_that_does_not_tell_is_an_error(pages, payload, count, text):
    with pytest.raises(AnswerError) as caught:
        pages.after(pages.begin(), answer(payload, count))
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: LinkPages(""), "LinkPages(path): '' is no path"),
        (lambda: LinkPages(end_statuses=404), "LinkPages(end_statuses=404): write HTTP statuses from 400 to 599"),
        (lambda: CursorPages(end_statuses=("404",)), "CursorPages(end_statuses=('404',))"),
        (lambda: NumberedPages(end_statuses=(204,)), "NumberedPages(end_statuses=(204,))"),
        (lambda: OffsetPages(end_statuses=(True,)), "OffsetPages(end_statuses=(True,))"),
        (lambda: LinkPages("a..b"), "LinkPages(path): 'a..b' is no path"),
        (lambda: CursorPages(None), "CursorPages(cursor): None is no path"),
        (lambda: CursorPages(param=""), "CursorPages(param='')"),
        (lambda: CursorPages(into="header"), "CursorPages(into='header'): write 'query' or 'body'."),
        (lambda: NumberedPages(first=True), "NumberedPages(first=True): write 1 or 0."),
        (lambda: NumberedPages(first="1"), "NumberedPages(first='1')"),
        (lambda: NumberedPages(size=0), "NumberedPages(size) is 0: write a whole number from 1 up."),
        (lambda: NumberedPages(until="short"), "say what a full page is, with size=."),
        (lambda: NumberedPages(until="last"), "write 'empty' or 'short'."),
        (lambda: NumberedPages(pages=""), "NumberedPages(pages): '' is no path"),
        (lambda: NumberedPages(param=1), "NumberedPages(param=1)"),
        (lambda: NumberedPages(size_param=None), "NumberedPages(size_param=None)"),
        (lambda: OffsetPages(limit=None), "OffsetPages(limit) is None"),
        (lambda: OffsetPages(limit=True), "OffsetPages(limit) is True"),
        (lambda: OffsetPages(limit_param=""), "OffsetPages(limit_param='')"),
        (lambda: OffsetPages(total="."), "OffsetPages(total): '.' is no path"),
        (lambda: OffsetPages(until=None), "OffsetPages(until=None)"),
    ],
)
def test_a_wrong_page_style_is_said_where_it_is_made(make, text):
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert text in str(caught.value)
