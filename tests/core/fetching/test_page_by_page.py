"""Pages are staged as they come, and an item counts with its last one: what a retry finds, asks for, and loads."""

import asyncio
import contextlib
import json
import threading
from itertools import count
from types import MappingProxyType, SimpleNamespace

import pytest
from aiohttp import web
from engine import Database, make_fetch_job, number_of, run, within

from airflow_async_rest.core.errors import FailuresError, KilledError, LoadError
from airflow_async_rest.core.keeping.row_sink import item_of
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.pages import CursorPages, LinkPages, NumberedPages, OffsetPages, Page, page_style
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.transport.client import ClientSettings

PAGES, SIZE = 8, 5
STYLES = {
    "links": LinkPages("next"),
    "cursors": CursorPages("cursor"),
    "cursors in the body": CursorPages("cursor", into="body"),
    "numbers": NumberedPages(),
    "number of pages": NumberedPages(pages="pages"),
    "offsets": OffsetPages(limit=SIZE),
    "total": OffsetPages(limit=SIZE, total="total"),
}


# A page is a chunk, so that each is staged as soon as it has come.
SMALL = within(chunk_rows=SIZE, write_every_seconds=0.02)


@pytest.fixture
def database():
    return Database()


@pytest.fixture
def fetch(api, tmp_path, database):
    """Run one try of a load of items with many pages, one after the other."""
    tries = count(1)

    def one_try(items=1, *, stop=None, pages=STYLES["cursors"], **parts):
        folder = DeadLetterFolder(tmp_path, next(tries))
        how = {"rows": "items", "pages": pages, "folder": folder, "concurrency": 1, "bounds": SMALL}
        return run(make_fetch_job(api, tmp_path, database, items, **{**how, **parts}), None, stop)

    return one_try


def page_of(seen) -> int:
    """Tell which page of its item a request is for, whatever asks for it: 0 is the first."""
    asked = dict(pair.split("=") for pair in seen.query.split("&") if pair)
    asked |= json.loads(seen.body) if seen.body else {}
    return int(asked["offset"]) // SIZE if "offset" in asked else int(asked.get("page", asked.get("cursor", 1))) - 1


def page(item, number, pages=PAGES):
    """Answer with a page, in all styles at once."""
    first = number * SIZE
    rows = [{"id": f"{item}-{n}", "item": item, "day": "this"} for n in range(first, first + SIZE)]
    body = {"items": rows if number < pages else [], "pages": pages, "total": pages * SIZE}
    if number + 1 < pages:
        body |= {"next": f"?page={number + 2}", "cursor": str(number + 2)}
    return web.json_response(body)


def staged_of(database, item=0) -> int:
    return sum(item_of(row.place)[0] == item for row in database.staged or ())


def answering(at=(), what=500):
    """Answer with pages; with something else at one of an item's."""
    return lambda seen: what if (number_of(seen), page_of(seen)) in at else page(number_of(seen), page_of(seen))


def stopping(api, database, *, at, item=0, refused=0):
    """Answer with pages, and pull the stop once those before a page, which hangs, are staged but for refused rows."""
    stop, committed = StopSwitch(), database.after

    def answer(seen):
        return "hang" if (number_of(seen), page_of(seen)) == (item, at) else page(number_of(seen), page_of(seen))

    def after(call):
        committed(call)
        if call == "commit" and staged_of(database, item) == at * SIZE - refused:
            stop.pull(KilledError("stop"))

    api.answer, database.after = answer, after
    return stop


def expected(*items, pages=PAGES):
    return sorted(f"{item}-{n}" for item in items for n in range(pages * SIZE))


def ids(database):
    return sorted(row["id"] for row in database.rows)


def test_pages_are_staged_before_the_last_one_has_come(fetch, database, api):
    all_but_the_last, delivered = threading.Event(), []

    def after(call):
        if call == "commit" and staged_of(database) == (PAGES - 1) * SIZE:
            delivered.append(database.checkpoint["totals"]["delivered"])
            all_but_the_last.set()

    async def answer(seen):
        if page_of(seen) == PAGES - 1:
            assert await asyncio.to_thread(all_but_the_last.wait, 30)
        return page(number_of(seen), page_of(seen))

    api.answer, database.after = answer, after
    report = fetch()
    assert set(delivered) == {0}  # an item counts with its last page
    assert (ids(database), report["delivered"], report["rows_loaded"]) == (expected(0), 1, PAGES * SIZE)


@pytest.mark.parametrize("style", STYLES)
def test_a_retry_goes_on_at_the_page_where_the_try_before_ended(fetch, database, api, style):
    method = {"method": "POST"} if "body" in style else {}
    with pytest.raises(KilledError):
        fetch(stop=stopping(api, database, at=5), pages=STYLES[style], **method)
    assert staged_of(database) == 5 * SIZE
    api.reset()
    api.answer, database.after = answering(), lambda call: None
    report = fetch(pages=STYLES[style], **method)
    assert [page_of(seen) for seen in api.seen] == list(range(5, PAGES + (style in {"numbers", "offsets"})))
    assert ids(database) == expected(0)
    assert [report[name] for name in ("read", "delivered", "failed", "unfinished")] == [1, 1, 0, 0]
    assert [report[name] for name in ("rows_loaded", "rows_staged", "requests")] == [
        PAGES * SIZE,
        0,
        PAGES + 1 + (style in {"numbers", "offsets"}),
    ]


@pytest.mark.parametrize(
    ("kind", "goes_on"),
    [(dict, True), (MappingProxyType, True), (lambda parameters: parameters | {"of": (1, 2)}, False)],
)
def test_a_page_of_an_authors_style_is_kept_as_far_as_json_has_it(fetch, database, api, kind, goes_on):
    def number(number):
        return Page(kind({"page": number}), "body")

    style = page_style(
        SimpleNamespace(
            begin=lambda: number(1),
            after=lambda page, answer: number(page.parameters["page"] + 1) if "next" in answer.payload else None,
        )
    )
    with pytest.raises(KilledError):
        fetch(pages=style, method="POST", stop=stopping(api, database, at=5))
    api.reset()
    api.answer, database.after = answering(), lambda call: None
    fetch(pages=style, method="POST")
    assert ids(database) == expected(0)
    assert page_of(api.seen[0]) == (5 if goes_on else 0)


def test_several_items_go_on_each_at_its_own_page(fetch, database, api):
    with pytest.raises(KilledError):
        fetch(3, stop=stopping(api, database, at=3, item=2), concurrency=3)
    staged = [staged_of(database, item) // SIZE for item in range(3)]
    done = [item for item in range(3) if staged[item] == PAGES]
    api.reset()
    api.answer, database.after = answering(), lambda call: None
    fetch(3, concurrency=3)
    asked = [sorted(page_of(seen) for seen in api.seen if number_of(seen) == item) for item in range(3)]
    assert asked == [[] if item in done else list(range(staged[item], PAGES)) for item in range(3)]
    assert ids(database) == expected(0, 1, 2)


@pytest.mark.parametrize("failing", [1, 4, PAGES - 1])
def test_the_rows_of_an_item_that_fails_are_taken_out_again(fetch, database, api, failing):
    answer, some_are_staged = answering(at=[(1, failing)]), threading.Event()

    def after(call):
        if call == "commit" and staged_of(database, 1):
            some_are_staged.set()

    async def answer_once_some_are_staged(seen):
        if failing > 1 and (number_of(seen), page_of(seen)) == (1, failing):
            assert await asyncio.to_thread(some_are_staged.wait, 30)
        return answer(seen)

    api.answer, database.after = answer_once_some_are_staged, after
    with pytest.raises(FailuresError):
        fetch(3)
    assert ids(database) == expected(0, 2)
    assert "remove" in database.calls or failing == 1
    database.after = lambda call: None
    api.reset()
    api.answer = answering()
    report = fetch(3)
    assert [(number_of(seen), page_of(seen)) for seen in api.seen] == [(1, number) for number in range(PAGES)]
    assert ids(database) == expected(0, 1, 2)
    assert (report["delivered"], report["rows_loaded"], report["rows_staged"]) == (3, 3 * PAGES * SIZE, 0)


def test_the_rows_of_items_that_fail_and_were_never_staged_cost_the_database_nothing(fetch, database, api):
    api.answer = answering(at=[(item, 2) for item in range(5)])
    with pytest.raises(FailuresError):
        fetch(6, bounds=within(chunk_rows=1_000_000, write_every_seconds=600))
    assert "remove" not in database.calls
    assert ids(database) == expected(5)


@pytest.mark.parametrize("fails", ["stage", "commit", "remove"])
def test_rows_that_are_on_their_way_when_their_item_fails_are_not_put_back(fetch, database, api, fails):
    """The database fails while a page is written, and the item meanwhile: then neither is kept."""
    calls = count(1)

    def before(call):
        if call == fails and next(calls) == (1 if fails == "remove" else 3):
            raise LoadError("away")

    api.answer, database.before = answering(at=[(0, 6)]), before
    with pytest.raises((LoadError, FailuresError)):
        fetch(2)
    with contextlib.suppress(FailuresError, LoadError):  # what is staged at once is up to the clock: it may fail here
        fetch(2)
    api.answer = answering()
    report = fetch(2)
    assert ids(database) == expected(0, 1)
    assert (report["delivered"], report["rows_loaded"], report["rows_staged"]) == (2, 2 * PAGES * SIZE, 0)


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_where_the_api_does_not_go_on_at_a_page_the_item_begins_again(fetch, database, api, lines, status):
    with pytest.raises(KilledError):
        fetch(stop=stopping(api, database, at=5))
    api.reset()
    database.after = lambda call: None
    asked = count()
    api.answer = lambda seen: status if next(asked) == 0 else page(number_of(seen), page_of(seen))
    report = fetch(log=lines.log)
    assert [page_of(seen) for seen in api.seen] == [5, *range(PAGES)]
    assert ids(database) == expected(0)
    assert (report["delivered"], report["failed"], report["rows_loaded"]) == (1, 0, PAGES * SIZE)
    assert len([text for text in lines.texts if "does not go on at the page where an earlier try stopped" in text]) == 1


def test_a_page_that_fails_in_the_retry_too_takes_out_what_both_tries_have_staged(fetch, database, api):
    with pytest.raises(KilledError):
        fetch(2, stop=stopping(api, database, at=5))
    database.after = lambda call: None
    api.answer = answering(at=[(0, 5)])
    with pytest.raises(FailuresError):
        fetch(2)
    assert ids(database) == expected(1)


def test_a_link_with_a_secret_in_it_is_not_written_and_the_item_begins_again(fetch, database, api):
    """With rows that the database has refused of it, which are not there twice either."""

    def secretly(seen):
        if page_of(seen) == 5 and hangs:
            return "hang"
        body = json.loads(page(number_of(seen), page_of(seen)).body)
        if "next" in body:
            body["next"] += "&token=s3cret"
        return web.json_response(body)

    hangs = True
    database.refused = lambda values: "no" if hangs and values["id"] == "0-3" else None
    stop = stopping(api, database, at=5, refused=1)
    api.answer = secretly
    settings = ClientSettings(api.url, secrets=frozenset({"s3cret"}))
    with pytest.raises(KilledError):
        fetch(stop=stop, pages=STYLES["links"], settings=settings)
    assert "s3cret" not in json.dumps(database.checkpoint)
    assert (staged_of(database), database.checkpoint["bookmarks"]) == (5 * SIZE - 1, {"0": None})
    api.reset()
    hangs, database.after = False, lambda call: None
    report = fetch(pages=STYLES["links"], settings=settings)
    assert [page_of(seen) for seen in api.seen] == list(range(PAGES))
    assert (ids(database), report["rows_refused"]) == (expected(0), 0)


def test_refused_rows_of_an_item_that_fails_afterwards_are_refused_no_longer(fetch, database, api, tmp_path):
    database.refused = lambda values: "no" if values["id"] == "0-3" else None
    api.answer = answering(at=[(0, 6)])
    with pytest.raises(FailuresError, match="1 of 2 items failed"):
        fetch(2)
    assert (DeadLetterFolder(tmp_path).read_refused(), ids(database)) == ([], expected(1))
    api.answer = answering()
    with pytest.raises(FailuresError, match="1 row was refused"):
        fetch(2)
    assert [record["row"]["id"] for record in DeadLetterFolder(tmp_path).read_refused()] == ["0-3"]


@pytest.mark.parametrize("then", ["it goes on", "it fails", "it begins again"])
def test_refused_rows_of_an_open_item_are_known_to_the_next_try(fetch, database, api, tmp_path, then):
    database.refused = lambda values: "no" if values["id"] == "0-3" else None
    with pytest.raises(KilledError):
        fetch(stop=stopping(api, database, at=5, refused=1))
    database.after = lambda call: None
    if then == "it begins again":
        asked = count()
        api.answer = lambda seen: 400 if next(asked) == 0 else page(number_of(seen), page_of(seen))
    else:
        api.answer = answering(at=[(0, 6)] if then == "it fails" else ())
    with pytest.raises(FailuresError) as failed:
        fetch()
    refused = [record["row"]["id"] for record in DeadLetterFolder(tmp_path).read_refused()]
    if then == "it fails":
        assert (refused, ids(database)) == ([], [])
        assert "1 of 1 item failed (1 http_500)" in str(failed.value)
    else:
        assert (refused, ids(database)) == (["0-3"], [one for one in expected(0) if one != "0-3"])
        assert "0 of 1 item failed and 1 row was refused" in str(failed.value)
    database.refused = lambda values: None
    api.answer = answering()
    report = fetch()
    assert (ids(database), report["rows_refused"], report["rows_loaded"]) == (expected(0), 0, PAGES * SIZE)
    assert DeadLetterFolder(tmp_path).read_refused() == []


@pytest.mark.parametrize("ended_at", [1, 2, 5])
def test_the_last_page_that_is_given_again_and_again_is_no_new_one_in_a_retry_either(fetch, database, api, ended_at):
    """What a page is compared with survives a retry."""

    def answer(seen):
        if page_of(seen) == ended_at and hangs:
            return "hang"
        return page(0, min(page_of(seen), ended_at - 1))

    hangs = True
    stop = stopping(api, database, at=ended_at)
    api.answer = answer
    with pytest.raises(KilledError):
        fetch(stop=stop, pages=STYLES["numbers"])
    hangs, database.after = False, lambda call: None
    api.reset()
    if ended_at == 1:  # the API knows nothing of pages
        with pytest.raises(FailuresError, match="the second page has the rows of the first one"):
            fetch(pages=STYLES["numbers"])
        assert ids(database) == []
    else:
        fetch(pages=STYLES["numbers"])
        assert ids(database) == expected(0, pages=ended_at)
    assert [page_of(seen) for seen in api.seen] == [ended_at]


def test_an_api_that_begins_again_past_its_last_page_is_found_out_in_a_retry_as_well(fetch, database, api):
    stop = stopping(api, database, at=3)
    with pytest.raises(KilledError):
        fetch(stop=stop, pages=STYLES["numbers"])
    api.answer, database.after = lambda seen: page(0, page_of(seen) % 3), lambda call: None
    with pytest.raises(FailuresError, match="page 4 has the rows of the first one"):
        fetch(pages=STYLES["numbers"])
    assert ids(database) == []


def test_rows_that_cannot_be_taken_back_are_held_until_the_last_page_has_come(fetch, database, api, monkeypatch):
    monkeypatch.setattr("engine.MemoryLoader.can_remove", False)
    staged = []

    def answer(seen):
        staged.append(staged_of(database))
        return answering(at=[(1, PAGES - 1)])(seen)

    api.answer = answer
    with pytest.raises(FailuresError):
        fetch(3)
    assert set(staged[:PAGES]) == {0}
    assert ids(database) == expected(0, 2)
    assert "remove" not in database.calls
