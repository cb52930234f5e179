"""What decides which rows an answer has, from the operator and from a plain task."""

from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from task_runner import run_try
from tasks import rest_to_sql

from airflow_async_rest import CursorPages, LinkPages, NumberedPages, OffsetPages, Page

ROWS = [{"id": n, "user.name": f"u{n}", "tags": [f"t{n}"], "parts": [{"n": 1}, {"n": 2}]} for n in range(12)]


@pytest.fixture
def warehouse(places, postgres, connect):
    connect("warehouse", **postgres.connection())
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads",
        "DROP TABLE IF EXISTS users",
        "CREATE TABLE users (id int, name text, tag text)",
    )
    return postgres


def users(warehouse) -> list[tuple]:
    return warehouse.execute("SELECT id, name, tag FROM users ORDER BY id")


def paged(seen, size=2, past=None):
    """Answer with a page in any style; past the last one with a status, where there is one."""
    asked = {name: values[0] for name, values in parse_qs(seen.query).items()}
    offset = int(asked.get("offset", int(asked.get("after", -1)) + 1))
    offset = (int(asked["page"]) - 1) * size if "page" in asked else offset
    if past and offset >= len(ROWS):
        return past
    rows = ROWS[offset : offset + size]
    more = {"@odata.nextLink": f"?offset={offset + size}"} if offset + size < len(ROWS) else {}
    flags = {"has_more": bool(more), "elsewhere": more and f"/v2/users?offset={offset + size}"}
    headers = {"X-Total-Count": str(len(ROWS))}
    return web.json_response({"data": {"items": rows}, "took": len(seen.query), **more, **flags}, headers=headers)


class Offsets:
    """A page style of one's own."""

    def begin(self):
        return Page({"offset": 0})

    def after(self, page, answer):
        return Page({"offset": page.parameters["offset"] + 2}) if answer.payload["has_more"] else None


def task(**arguments):
    settings = {
        "items": [{"id": 1}],
        "endpoint": "users",
        "columns": {"id": "id", "name": "user.name", "tag": "tags[0]"},
        "destination_table": "users",
    }
    return rest_to_sql(**(settings | arguments))


WAYS = {
    "links at a key with a dot": {"paginate": LinkPages("@odata.nextLink")},
    "a cursor from the end": {"paginate": CursorPages("data.items.-1.id", "after")},
    "offsets": {"paginate": OffsetPages(2)},
    "offsets, with a function": {
        "paginate": OffsetPages(2),
        "rows": lambda payload, item: [row for row in payload["data"]["items"] for _ in row["parts"]],
        "page_rows": "data.items",
    },
    "numbers, until a 404": {"paginate": NumberedPages(end_statuses=(404,)), "missing_ok": True},
    "a flag": {"paginate": NumberedPages(more="has_more")},
    "a total in a header": {"paginate": OffsetPages(2, total="header.X-Total-Count")},
    "links elsewhere": {"paginate": LinkPages("elsewhere", below="/v2", keep=("token",)), "query": {"token": "t0k3n"}},
    "a style of one's own": {"paginate": Offsets()},
    "a filter": {"paginate": NumberedPages(), "rows": "data.items[?id > `3`]", "page_rows": "data.items"},
}
EXPECTED = {"offsets, with a function": sorted([*range(12)] * 2), "a filter": list(range(4, 12))}


@pytest.mark.parametrize("way", sorted(WAYS))
def test_all_rows_are_loaded_once(places, warehouse, supervisor, way):
    places.answer = lambda seen: paged(seen, past=404 if "404" in way else None)
    assert run_try(task(**WAYS[way]), supervisor) == ("success", None)
    expected = EXPECTED.get(way, list(range(12)))
    assert users(warehouse) == [(n, f"u{n}", f"t{n}") for n in expected]


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_plain_task_gets_the_same(api, connect, tmp_path, way):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    connect("search_api", conn_type="async_rest", host=f"{api.url}/api")
    api.answer = lambda seen: paged(seen, past=404 if "404" in way else None)
    arguments = {"rows": "data.items", **WAYS[way]}
    chunks = AsyncRestHook("search_api").fetch([1], endpoint="users", dead_letter_path=str(tmp_path), **arguments)
    assert sorted(row["id"] for chunk in chunks for row in chunk) == EXPECTED.get(way, list(range(12)))


def test_pages_that_do_not_end_fail_the_item_with_their_number(places, warehouse, supervisor):
    places.answer = paged
    state, error = run_try(task(**WAYS["a cursor from the end"], max_pages=3), supervisor)
    assert state == "up_for_retry"
    assert "max_pages=3 is the most that an item may have" in str(error)
    assert users(warehouse) == []


def test_a_link_takes_along_what_the_author_says(places, warehouse, supervisor):
    places.answer = paged
    assert run_try(task(**WAYS["links elsewhere"]), supervisor) == ("success", None)
    assert {seen.path for seen in places.seen} == {"/users", "/v2/users"}
    assert all("token=t0k3n" in seen.query.split("&") for seen in places.seen)


def test_a_retry_with_a_style_of_ones_own_fetches_only_the_item_whose_page_failed(places, warehouse, supervisor):
    def arguments():  # as of another process
        return {"items": [{"id": n} for n in range(3)], "endpoint": "users/{id}", "paginate": Offsets()}

    places.answer = lambda seen: 503 if seen.path == "/users/1" and "offset=4" in seen.query else paged(seen)
    assert run_try(task(**arguments()), supervisor)[0] == "up_for_retry"
    assert len(users(warehouse)) == 24
    places.reset()
    places.answer = paged
    assert run_try(task(**arguments()), supervisor, 2) == ("success", None)
    assert {seen.path for seen in places.seen} == {"/users/1"}
    assert [row[0] for row in users(warehouse)] == sorted([*range(12)] * 3)


def test_a_404_in_the_middle_is_no_end(places, warehouse, supervisor):
    places.answer = lambda seen: 404 if "page=3" in seen.query else paged(seen)
    state, error = run_try(task(paginate=NumberedPages(), missing_ok=True), supervisor)
    assert state == "failed"
    assert "1 of 1 item failed (1 http_404)" in str(error)
    assert users(warehouse) == []


def test_an_answer_of_nothing_is_no_rows_only_where_that_is_said(places, warehouse, supervisor):
    places.answer = lambda seen: web.json_response({"data": {"items": None}})
    state, error = run_try(task(), supervisor)
    assert state == "up_for_retry"
    assert "if that says that there are no rows, write empty_ok=True" in str(error)
    assert run_try(task(empty_ok=True), supervisor, 2) == ("success", None)


@pytest.mark.parametrize(("zone", "hour"), [("Europe/Helsinki", 22), ("America/New_York", 5)])
def test_the_start_of_a_window_is_its_own_day_in_a_column_of_dates(places, warehouse, supervisor, zone, hour):
    warehouse.execute("DROP TABLE IF EXISTS days", "CREATE TABLE days (day date, at timestamp, moment timestamptz)")
    start = datetime(2026, 3, 2, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    places.answer = lambda seen: web.json_response([{"id": 1}])
    columns = dict.fromkeys(("day", "at", "moment"), "window.start")
    daily = task(
        rows=None, columns=columns, destination_table="days", window_timezone=zone, load_mode="replace_window",
        window_column="day",
    )  # fmt: skip
    assert run_try(daily, supervisor, window=(start, start + timedelta(days=1))) == ("success", None)
    expected = (date(2026, 3, 2), start.replace(tzinfo=None), start)
    assert warehouse.execute("SELECT * FROM days") == [expected]
    assert start.hour == hour


@pytest.mark.parametrize("day", [datetime(2026, 3, 8), datetime(2026, 11, 1), datetime(2026, 7, 1)])  # noqa: DTZ001
@pytest.mark.parametrize("how", ["window_timezone", "timetable"])
def test_a_local_day_is_asked_for_once(places, warehouse, supervisor, day, how):
    from airflow.sdk import DAG, CronDataIntervalTimetable

    zone = ZoneInfo("America/New_York")
    window = tuple(time.replace(tzinfo=zone).astimezone(UTC) for time in (day, day + timedelta(days=1)))
    places.answer = lambda seen: web.json_response([])
    arguments = {"window_timezone": "America/New_York"} if how == "window_timezone" else {}
    schedule = CronDataIntervalTimetable("0 0 * * *", timezone="America/New_York" if how == "timetable" else "UTC")
    with DAG("daily", schedule=schedule):
        daily = task(items=None, window_step=timedelta(days=1), endpoint="days/{date}", rows=None, **arguments)
    assert run_try(daily, supervisor, window=window) == ("success", None)
    assert [seen.path for seen in places.seen] == [f"/days/{day:%Y-%m-%d}"]
