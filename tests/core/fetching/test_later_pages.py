"""A page that fails after others of its item came: the API knows the path and the credentials, and is told so."""

import pytest
from aiohttp import web
from engine import Database, Store, make_fetch_job, run

from airflow_async_rest.core.errors import AuthenticationError, CredentialsError, FailuresError
from airflow_async_rest.core.pages import CursorPages, LinkPages, NumberedPages, OffsetPages

PATH_HINT = "Is the path right"


def fails_at(status, page):
    """Answer every page before one, by whatever style it is asked for."""

    def answer(seen):
        asked = dict(pair.split("=") for pair in seen.query.split("&") if pair)
        number = int(asked.get("page", asked.get("cursor", int(asked.get("offset", 0)) + 1)))
        if number == page:
            return web.json_response({"error": "no such page"}, status=status)
        body = {"items": [{"id": f"{number}"}], "cursor": str(number + 1), "next": f"?page={number + 1}", "pages": 9}
        return web.json_response(body)

    return answer


def failure(api, path, status, page, style, error=FailuresError):
    api.answer = fails_at(status, page)
    with pytest.raises(error) as raised:
        run(make_fetch_job(api, path, Database(), 1, pages=style, rows="items"), Store())
    return str(raised.value)


@pytest.mark.parametrize("style", [LinkPages("next"), CursorPages("cursor"), NumberedPages(), OffsetPages(limit=1)])
@pytest.mark.parametrize("status", [404, 410, 400])
def test_an_end_that_is_an_error_names_the_option_for_it(api, tmp_path, style, status):
    text = failure(api, tmp_path, status, 3, style)
    assert f"page 3 (where the API ends its pages so, write end_statuses=({status},) into paginate): " in text
    assert "no such page" in text
    assert PATH_HINT not in text


def test_a_page_that_the_api_counts_is_no_end(api, tmp_path):
    text = failure(api, tmp_path, 404, 3, NumberedPages(pages="pages"))
    assert "page 3: " in text
    assert "end_statuses" not in text
    assert PATH_HINT not in text


def test_a_server_that_fails_is_no_end(api, tmp_path):
    text = failure(api, tmp_path, 503, 3, NumberedPages())
    assert "page 3: " in text
    assert "end_statuses" not in text


def test_the_first_page_asks_for_the_path(api, tmp_path):
    text = failure(api, tmp_path, 404, 1, NumberedPages())
    assert PATH_HINT in text
    assert "page 1" not in text


@pytest.mark.parametrize(("page", "error"), [(1, AuthenticationError), (3, CredentialsError)])
def test_credentials_that_were_good_for_a_page_have_run_out(api, tmp_path, page, error):
    """They may be renewed before a retry; of those that never were good, there is none."""
    failure(api, tmp_path, 401, page, NumberedPages(), error)


def test_an_item_whose_credentials_have_run_out_goes_on_at_its_page(api, tmp_path, caplog):
    store, database = Store(), Database()
    caplog.set_level("INFO")

    def asked():
        api.seen.clear()
        run(make_fetch_job(api, tmp_path, database, 1, pages=NumberedPages(), rows="items"), store)

    api.answer = lambda seen: 401 if seen.query == "page=3" else fails_at(0, 0)(seen)
    for queries in (["page=1", "page=2", "page=3"], ["page=3"]):
        with pytest.raises(CredentialsError, match="page 3: .* 1 item was accepted before"):
            asked()
        assert [seen.query for seen in api.seen] == queries
        assert store["progress"]["unfinished"] == 1
    api.answer = lambda seen: fails_at(0, 0)(seen) if seen.query < "page=5" else web.json_response({"items": []})
    asked()
    assert [seen.query for seen in api.seen] == ["page=3", "page=4", "page=5"]
    assert [row["id"] for row in database.rows] == ["1", "2", "3", "4"]
    assert "1 unfinished and 0 failed ones before it; 1 of them at the page that it had come to." in caplog.text


def test_the_log_counts_requests_of_an_item_of_many_pages(api, tmp_path, caplog):
    failure(api, tmp_path, 404, 3, NumberedPages())
    assert "Item 0 failed: http_404, 3 requests: page 3 " in caplog.text


@pytest.mark.parametrize(
    ("style", "answer", "near"),
    [
        (CursorPages("meta.nxt"), {"meta": {"next": "2"}}, "meta.next"),
        (CursorPages("next_cursor"), {"meta": {"next_cursor": "2"}}, "meta.next_cursor"),
        (CursorPages("nextCursor"), {"next_cursor": "2"}, "next_cursor"),
        (LinkPages("nextLink"), {"@odata.nextLink": "?page=2"}, "@odata.nextLink"),
        (LinkPages("link.next"), {"links": {"next": "?page=2"}}, "links.next"),
        (LinkPages("meta.page.next"), {"meta": {"page": {"next": None}}}, None),  # it is there: the last page
        (LinkPages("links.next"), {"links": {"self": "?page=1"}}, None),
        (CursorPages("meta.next_cursor"), {"meta": {"prev_cursor": None, "count": 1}}, None),
        (CursorPages("next"), {"text": "x"}, None),
        (LinkPages(), {"next": "?page=2"}, None),
        (NumberedPages(pages="meta.pages"), {"meta": {"pages": 1}}, None),
    ],
)
def test_a_path_to_the_next_page_that_no_answer_has_is_warned_of(api, tmp_path, caplog, style, answer, near):
    api.answer = lambda seen: web.json_response({"items": [{"id": "1"}], **answer})
    run(make_fetch_job(api, tmp_path, Database(), 3, pages=style, rows="items"), Store())
    said = [record.getMessage() for record in caplog.records if "looks for the next page" in record.getMessage()]
    assert [text.rpartition("Is it ")[2] for text in said] == ([f"{near!r}?"] if near else [])


def test_a_cursor_that_some_item_has_had_is_no_wrong_path(api, tmp_path, caplog):
    def answer(seen):
        following = {"next_cursor": "2"} if seen.path == "/x/1" and not seen.query else {"next_cursors": None}
        return web.json_response({"items": [{"id": f"{seen.target}"}], **following})

    api.answer = answer
    run(make_fetch_job(api, tmp_path, Database(), 3, pages=CursorPages(), rows="items"), Store())
    assert "looks for the next page" not in caplog.text


@pytest.mark.parametrize(
    ("style", "answer", "headers", "path"),
    [
        (None, {}, {"Link": '</x?page=2>; rel="next"'}, "header.Link"),
        (None, {}, {"Link": '</x?page=1>; rel="last"'}, None),
        (None, {}, {"X-Next-Page": "2"}, "header.X-Next-Page"),  # GitLab
        (None, {}, {"X-Next-Page": "", "Content-Range": "items 0-1/2"}, None),
        (None, {}, {"Content-Range": "0-1/3573"}, "header.Content-Range"),  # PostgREST
        (None, {}, {"Content-Range": "0-1/*"}, None),
        (None, {"next": "?page=2"}, None, "next"),
        (None, {"@odata.nextLink": "?page=2"}, None, "@odata.nextLink"),
        (None, {"_links": {"next": {"href": "?page=2"}}}, None, "_links.next"),
        (None, {"meta": {"pagination": {"next_cursor": "c"}}}, None, "meta.pagination.next_cursor"),
        (None, {"data": {"users": {"pageInfo": {"hasNextPage": True}}}}, None, "data.users.pageInfo.hasNextPage"),
        (None, {"has_more": True}, None, "has_more"),
        (None, {"has_more": False, "next": "", "next_page": None, "links": {"next": None}}, None, None),
        (None, {"has_more": "unknown", "nextToken": True, "next": ["?page=2"]}, None, None),
        # pages that end before the API's do
        (NumberedPages(size=5, until="short"), {"links": {"next": "?page=2"}}, None, "links.next"),
        (LinkPages("links.next"), {"links": {"next": None}, "has_more": True}, None, "has_more"),
        # the API has told the end in another way
        (NumberedPages(pages="pages"), {"pages": 1, "next": "?page=1"}, None, None),
        (CursorPages("next_cursor", more="has_more"), {"has_more": False, "next_cursor": "c"}, None, None),
    ],
)  # fmt: skip
def test_a_next_page_that_nobody_asks_for_is_warned_of(api, tmp_path, caplog, style, answer, headers, path):
    api.answer = lambda seen: web.json_response({"items": [{"id": "1"}, {"id": "2"}], **answer}, headers=headers)
    run(make_fetch_job(api, tmp_path, Database(), 3, pages=style, rows="items"), Store())
    said = [record.args[0] for record in caplog.records if "nobody has asked for it" in record.getMessage()]
    assert said == ([path] if path else [])


@pytest.mark.parametrize("rows", [None, "item"])
def test_what_a_row_has_says_nothing_of_pages(api, tmp_path, caplog, rows):
    row = {"id": "1", "next": "2", "links": {"next": "/x/2"}}
    api.answer = lambda seen: web.json_response({"item": row} if rows else row)
    run(make_fetch_job(api, tmp_path, Database(), 3, rows=rows), Store())
    assert "nobody has asked for it" not in caplog.text


def test_an_empty_page_that_leads_on_is_no_page_that_is_missing(api, tmp_path, caplog):
    api.answer = lambda seen: web.json_response({"items": [], "next": "?page=2"})
    run(make_fetch_job(api, tmp_path, Database(), 3, rows="items"), Store())
    assert "nobody has asked for it" not in caplog.text


def test_an_item_of_many_pages_is_found_among_others(api, tmp_path, caplog):
    """It has a full page; however many others have none, or fewer rows."""

    def answer(seen):
        number = int(seen.path.removeprefix("/x/"))
        more = {"next": "?page=2"} if number == 55 else {}
        return web.json_response({"items": [{"id": "1"}] * (3 if more else number % 3), **more})

    api.answer = answer
    run(make_fetch_job(api, tmp_path, Database(), 60, rows="items"), Store())
    assert "An item's last answer has 'next', as where there is a next page" in caplog.text


def test_where_a_function_makes_the_rows_the_answer_is_looked_at_too(api, tmp_path, caplog):
    api.answer = lambda seen: web.json_response({"items": [{"id": "1"}], "next": "?page=2"})
    run(make_fetch_job(api, tmp_path, Database(), 3, rows=lambda payload, item: payload["items"]), Store())
    assert "has 'next', as where there is a next page" in caplog.text
