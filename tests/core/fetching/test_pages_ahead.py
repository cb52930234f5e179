"""Pages side by side: the rows and their order are those of one after the other, and no more are in flight than may be."""

import asyncio
import contextlib
import gc
import json
from itertools import count

import pytest
from aiohttp import web
from engine import Database, make_fetch_job, number_of, run, within

from airflow_async_rest.core.errors import AnswerError, ConfigurationError, FailuresError, KilledError
from airflow_async_rest.core.fetching.pages_ahead import PagesAhead, room_ahead
from airflow_async_rest.core.keeping.row_sink import item_of
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.limits.adaptive import Places
from airflow_async_rest.core.models import Request
from airflow_async_rest.core.pages import NumberedPages, OffsetPages, Page
from airflow_async_rest.core.pipeline import StopSwitch

PAGES, SIZE = 40, 5
MANY = pytest.mark.slow("40 pages, for each that fails")
NUMBERS = NumberedPages(pages="pages", concurrent=True)
OFFSETS = OffsetPages(SIZE, total="total", concurrent=True)


class OwnPages:
    """An author's style that tells which pages follow."""

    def begin(self):
        return Page({"page": 1})

    def after(self, page, answer):
        number = page.parameters["page"]
        return Page({"page": number + 1}) if number < answer.payload["pages"] else None

    def ahead(self, page, answer):
        for number in range(page.parameters["page"] + 1, answer.payload["pages"] + 1):
            yield Page({"page": number})


STYLES = {"numbers": NUMBERS, "offsets": OFFSETS, "an author's own": OwnPages()}
each_style = pytest.mark.parametrize("style", STYLES)


@pytest.fixture
def database():
    return Database()


@pytest.fixture
def fetch(api, tmp_path, database):
    tries = count(1)

    def one_try(items=1, *, style="numbers", stop=None, **parts):
        from airflow_async_rest.core.pages import page_style

        pages = page_style(STYLES[style]) if isinstance(style, str) else style
        how = {"rows": "items", "pages": pages, "folder": DeadLetterFolder(tmp_path, next(tries)), "concurrency": 8}
        how["bounds"] = within(chunk_rows=SIZE)
        return run(make_fetch_job(api, tmp_path, database, items, **{**how, **parts}), None, stop)

    return one_try


def first_row(seen) -> int:
    """Tell the number of the first row that is asked for."""
    asked = dict(pair.split("=") for pair in seen.query.split("&") if pair)
    return int(asked["offset"]) if "offset" in asked else (int(asked["page"]) - 1) * SIZE


def page_of(seen, total=PAGES * SIZE, size=SIZE, said=None):
    number, first = number_of(seen), first_row(seen)
    rows = [{"id": f"{number}-{n}", "item": number, "day": "this"} for n in range(first, min(first + size, total))]
    return web.json_response({"items": rows, "pages": -(-total // SIZE), "total": said or total})


def expected(*items, total=PAGES * SIZE):
    return [f"{item}-{n}" for item in items for n in range(total)]


def ids(database):
    return [row["id"] for row in database.rows]


class Together:
    """Answers all pages but the first when so many are in flight, so that fewer would wait for ever.

    :param first: the row with which the first one begins.
    """

    def __init__(self, api, many, first=0, **answers):
        self.api, self.many, self.first, self.answers, self.together = api, many, first, answers, asyncio.Event()

    async def __call__(self, seen):
        if first_row(seen) != self.first:
            if self.api.in_flight >= self.many:
                self.together.set()
            async with asyncio.timeout(30):
                await self.together.wait()
        return page_of(seen, **self.answers)


@each_style
def test_the_rest_is_fetched_side_by_side_once_the_first_page_has_told_how_many_there_are(fetch, database, api, style):
    api.answer = Together(api, 8)
    report = fetch(style=style)
    assert api.peak == 8
    assert ids(database) == expected(0)  # in their order, too
    assert (report["requests"], report["delivered"], report["rows_loaded"]) == (PAGES, 1, PAGES * SIZE)
    assert first_row(api.seen[0]) == 0
    assert api.seen[1].at >= api.seen[0].at


@each_style
def test_no_more_are_in_flight_than_may_be_however_many_items_there_are(fetch, database, api, style):
    api.answer = page_of
    fetch(6, style=style, concurrency=3)
    assert api.peak <= 3
    assert sorted(ids(database)) == sorted(expected(*range(6)))
    assert len(api.seen) == 6 * PAGES


def test_without_the_option_pages_come_one_after_the_other(fetch, database, api):
    api.answer = page_of
    fetch(style=NumberedPages(pages="pages"))
    assert api.peak == 1
    assert ids(database) == expected(0)


def test_one_that_takes_long_does_not_let_all_others_wait_in_memory(fetch, database, api):
    """Twice as many as may be in flight are asked for before they are wanted."""
    asked_meanwhile = []

    async def answer(seen):
        if first_row(seen) == SIZE:
            await asyncio.to_thread(api.wait_for, lambda api: len(api.delivered) == 1 + 2 * 8 and api.in_flight == 1)
            asked_meanwhile.append(len(api.seen) - 2)
        return page_of(seen)

    api.answer = answer
    fetch()
    assert asked_meanwhile == [2 * 8]
    assert ids(database) == expected(0)


@pytest.mark.parametrize("short", [1, 2, 17, PAGES - 2])
def test_a_short_page_in_the_middle_means_going_on_from_there_one_by_one(fetch, database, api, short):
    """An API may give fewer rows than it is asked for: those that were expected overlap then."""

    def answer(seen):
        return page_of(seen, size=SIZE - 2 if first_row(seen) == short * SIZE else SIZE)

    api.answer = answer
    fetch(style="offsets")
    assert ids(database) == expected(0)
    one_by_one = [first_row(seen) for seen in api.seen if first_row(seen) % SIZE]
    assert one_by_one == list(range((short + 1) * SIZE - 2, PAGES * SIZE, SIZE))


@pytest.mark.parametrize("given", [3, 2])
def test_an_api_that_gives_fewer_rows_than_it_is_asked_for_is_believed_from_the_first_page_on(
    fetch, database, api, given
):
    api.answer = Together(api, 4, size=given, total=60)
    fetch(style="offsets")
    assert ids(database) == expected(0, total=60)
    assert len(api.seen) == 60 / given


@pytest.mark.parametrize(
    ("last", "loaded"), [(PAGES * SIZE + 7, PAGES * SIZE + 7), (PAGES * SIZE - 12, PAGES * SIZE - 12)]
)
@pytest.mark.parametrize("style", ["numbers", "offsets"])
def test_a_total_that_changes_meanwhile_is_the_last_one_said(fetch, database, api, style, last, loaded):
    api.answer = lambda seen: page_of(seen, total=PAGES * SIZE if first_row(seen) == 0 else last)
    fetch(style=style)
    assert ids(database) == expected(0, total=loaded)


def test_the_total_must_agree(fetch, database, api):
    api.answer = lambda seen: page_of(seen, said=199 if first_row(seen) == (PAGES - 1) * SIZE else None)
    with pytest.raises(FailuresError, match=r"200 rows have come, but 'total' says that there are 199"):
        fetch(style="offsets")
    assert ids(database) == []


@each_style
@pytest.mark.parametrize("what", [503, 429, "reset"])
def test_pages_that_fail_and_are_retried_are_neither_missing_nor_twice(fetch, database, api, style, what):
    failed = set()

    def answer(seen):
        if first_row(seen) % (3 * SIZE) == 0 and seen.target not in failed:
            failed.add(seen.target)
            return web.json_response({}, status=429, headers={"Retry-After": "0"}) if what == 429 else what
        return page_of(seen)

    from airflow_async_rest.core.sending.retry import RequestRetry

    api.answer = answer
    fetch(style=style, retry=RequestRetry(backoff_base_seconds=0.001))
    assert ids(database) == expected(0)


@each_style
@pytest.mark.parametrize("failing", [20, *(pytest.param(page, marks=MANY) for page in (1, PAGES - 1))])
def test_a_page_that_fails_for_good_fails_the_item_and_leaves_none_of_its_rows(fetch, database, api, style, failing):
    api.answer = lambda seen: 422 if (number_of(seen), first_row(seen)) == (1, failing * SIZE) else page_of(seen)
    with pytest.raises(FailuresError):
        fetch(3, style=style)
    assert sorted(ids(database)) == sorted(expected(0, 2))
    api.answer = page_of
    report = fetch(3, style=style)
    assert sorted(ids(database)) == sorted(expected(0, 1, 2))
    assert report["rows_staged"] == 0


@each_style
def test_a_stop_in_the_middle_keeps_what_came_in_order_and_the_retry_goes_on_there(fetch, database, api, style):
    stop = StopSwitch()

    def after(call):
        if call == "commit" and sum(item_of(row.place)[0] == 0 for row in database.staged or ()) >= 10 * SIZE:
            stop.pull(KilledError("stop"))

    database.after = after
    api.answer = lambda seen: "hang" if first_row(seen) >= 15 * SIZE else page_of(seen)
    with pytest.raises(KilledError):
        fetch(style=style, stop=stop)
    staged = len(database.staged)
    assert staged % SIZE == 0
    api.reset()
    # What the first try had on its way may come after the reset.
    api.answer, database.after = Together(api, 8, first=staged), lambda call: None
    fetch(style=style)
    assert ids(database) == expected(0)
    assert min(map(first_row, api.seen)) == staged


def test_an_item_with_one_page_asks_once(fetch, database, api):
    api.answer = lambda seen: page_of(seen, total=3)
    fetch(4)
    assert len(api.seen) == 4
    assert sorted(ids(database)) == sorted(expected(*range(4), total=3))


def test_the_adaptive_concurrency_holds_pages_too(fetch, database, api):
    api.answer = page_of
    fetch(3, concurrency=None)
    assert sorted(ids(database)) == sorted(expected(*range(3)))


def test_no_more_pages_are_asked_for_than_an_item_may_have(fetch, database, api):
    api.answer = page_of
    with pytest.raises(FailuresError, match="the pages do not end: 5 have come"):
        fetch(max_pages=5)
    assert len(api.seen) == 5


def test_the_most_that_an_item_may_have_may_be_any_number(fetch, database, api):
    api.answer = page_of
    fetch(max_pages=10**30)
    assert ids(database) == expected(0)


@pytest.mark.parametrize(
    "style",
    [
        NumberedPages(pages="pages", more="more", concurrent=True),
        OffsetPages(SIZE, total="total", more="more", concurrent=True),
    ],
)
def test_where_a_flag_tells_the_end_only_some_pages_may_tell_how_many_there_are(fetch, database, api, style):
    def answer(seen):
        page = json.loads(page_of(seen).body) | {"more": first_row(seen) < (PAGES - 1) * SIZE}
        if first_row(seen) % (20 * SIZE):
            del page["pages"], page["total"]
        return web.json_response(page)

    api.answer = answer
    fetch(style=style)
    assert ids(database) == expected(0)


@pytest.mark.parametrize(
    "made",
    [
        lambda number: [number + 1] * 3 + [number + 2] * 3,
        count,
        lambda number: [number, number + 1, number + 2],
        lambda number: [number + 2, number + 1],
        lambda number: [],
    ],
    ids=["twice", "endless, and itself", "itself", "out of order", "none"],
)
def test_whatever_an_author_says_of_the_pages_ahead_each_is_asked_for_once(fetch, database, api, monkeypatch, made):
    monkeypatch.setattr(
        OwnPages, "ahead", lambda self, page, answer: (Page({"page": n}) for n in made(page.parameters["page"]))
    )
    api.answer = page_of
    fetch(style="an author's own")
    assert ids(database) == expected(0)
    asked = [first_row(seen) for seen in api.seen if first_row(seen) < PAGES * SIZE]
    assert sorted(asked) == list(range(0, PAGES * SIZE, SIZE))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: NumberedPages(concurrent=True),
            r"NumberedPages\(concurrent=True\): .* say where, with pages='meta.pages'",
        ),
        (
            lambda: OffsetPages(concurrent=True),
            r"OffsetPages\(concurrent=True\): .* say where, with total='meta.total'",
        ),
        (lambda: NumberedPages(pages="n", concurrent=1), r"NumberedPages\(concurrent=1\): write True or False"),
        (lambda: OffsetPages(total="n", concurrent="yes"), r"OffsetPages\(concurrent='yes'\): write True or False"),
    ],
)
def test_it_takes_an_api_that_tells_how_many_there_are(make, text):
    with pytest.raises(ConfigurationError, match=text):
        make()


@pytest.mark.parametrize(
    ("fault", "text"), [("raises", r"OwnPages.ahead\(\) raised KeyError"), ("none", "is not a Page")]
)
def test_an_authors_pages_ahead_that_cannot_be_told_fail_the_item(fetch, database, api, monkeypatch, fault, text):
    def ahead(self, page, answer):
        yield Page({"page": 2})
        if fault == "raises":
            raise KeyError("n")
        yield None

    monkeypatch.setattr(OwnPages, "ahead", ahead)
    api.answer = page_of
    with pytest.raises(FailuresError, match=text):
        fetch(style="an author's own")
    assert ids(database) == []


async def all_have_ended():
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)
    await asyncio.sleep(0)  # and who is told of it


def request(number):
    return Request("GET", f"x/{number}", "", None, f"key-{number}")


def test_places_are_given_back_whatever_becomes_of_what_was_begun():
    async def all_of_it():
        places, begun = Places(lambda: 3), []

        async def settle(request):
            begun.append(request.path)
            if request.path == "x/1":
                raise AnswerError("broken")
            await asyncio.Event().wait()

        ahead = PagesAhead(settle, places, room_ahead(places))
        ahead.expect(request(number) for number in range(1, 9))
        ahead.close()  # before any of them has run
        await all_have_ended()
        assert begun == []
        assert [places.take_free() for _ in range(4)] == [True, True, True, False]
        for _ in range(3):
            places.release()
        ahead.expect(request(number) for number in range(1, 9))
        with pytest.raises(AnswerError, match="broken"):
            await ahead.settle(request(1))
        ahead.close()
        await all_have_ended()
        assert [places.take_free() for _ in range(4)] == [True, True, True, False]

    asyncio.run(all_of_it())
    gc.collect()  # an exception that nobody has looked at would be logged


def test_who_waits_for_a_place_comes_before_what_is_only_expected():
    async def all_of_it():
        places, begun, go = Places(lambda: 1), [], asyncio.Event()

        async def settle(request):
            begun.append(request.path)
            await go.wait()

        room = room_ahead(places)
        ahead, other = PagesAhead(settle, places, room), PagesAhead(settle, places, room)
        ahead.expect(request(number) for number in (1, 2))
        waiting = asyncio.ensure_future(other.settle(request(7)))
        await asyncio.sleep(0)
        go.set()
        await waiting
        assert begun[:2] == ["x/1", "x/7"]
        ahead.close()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)

    asyncio.run(all_of_it())


def test_all_items_together_have_no_more_ahead_than_one_may_have():
    """Where the database takes its time, each of many items would wait with that many in memory."""

    async def all_of_it():
        places, begun = Places(lambda: 2), []

        async def settle(request):
            begun.append(request.path)

        room = room_ahead(places)
        items = [PagesAhead(settle, places, room) for _ in range(5)]
        for item in items:
            item.expect(request(number) for number in range(10))
        await all_have_ended()
        assert len(begun) == 4
        await items[0].settle(request(0))
        await all_have_ended()
        assert len(begun) == 5
        for item in items:
            item.close()
        items[1].expect(request(number) for number in range(10))
        await all_have_ended()
        assert len(begun) == 9

    asyncio.run(all_of_it())
