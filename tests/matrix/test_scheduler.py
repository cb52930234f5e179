"""Tasks under a scheduler: killed, retried, cleared, in runs that are made again, and in a backfill."""

import asyncio
import json
import re
from collections import Counter
from dataclasses import replace

import pytest
from aiohttp import web
from scheduling import VERSION, running_airflow
from servers import running_api
from ui.browser import browsing, open_page, photograph

WINDOW = range(601, 1201)  # the rows of 1 March
DAYS = {f"2026-03-0{day}": range(600 * day + 1, 600 * day + 601) for day in range(1, 8)}
CONCURRENCY = 4


@pytest.fixture(scope="module")
def server():
    with running_api() as server:
        yield server


@pytest.fixture(scope="module")
def airflow(server, postgres, tmp_path_factory):
    """A table of nine days from 28 February on, 600 rows each, the first of them at midnight."""
    postgres.execute(
        "CREATE TABLE measured AS SELECT i AS id, '2026-02-28Z'::timestamptz + (i - 1) * interval '1 day' / 600 "
        "AS measured_at FROM generate_series(1, 5400) AS i"
    )
    with postgres.open(autocommit=True) as connection:
        connection.execute("CREATE DATABASE airflow")
    home = tmp_path_factory.mktemp("airflow")
    settings = {
        "AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH": str(home / "dead_letters"),
        "AIRFLOW_CONN_SEARCH_API": json.dumps({"conn_type": "async_rest", "host": server.url}),
        "AIRFLOW_CONN_SOURCE_DB": json.dumps(postgres.connection()),
    }
    database = replace(postgres, database="airflow")
    with running_airflow(
        home, database, ["ends_early", "made_again", "looked_at", "quota", "week", "days"], settings
    ) as airflow:
        yield airflow


@pytest.fixture
def api(server):
    server.reset()
    server.answer = lambda seen: 200
    return server


def ids(seen):
    return sorted(int(one.path.rpartition("/")[2]) for one in seen)


def keys(seen):
    return {one.path: one.key for one in seen}


def hang_after(api, count):
    """Have the API answer so many requests more, and none of those after them."""
    last = len(api.delivered) + count

    async def answer(seen):
        if len(api.delivered) >= last:
            await asyncio.Event().wait()
        return 200

    api.answer = answer


def kill_once_kept(airflow, delivered):
    """Kill the task as soon as it has noted how many rows are delivered."""

    def is_kept():
        checkpoint = airflow.stored("ends_early", "killed", "checkpoint")
        return checkpoint and checkpoint["totals"]["delivered"] == delivered

    airflow.wait_until(is_kept)
    airflow.kill("ends_early")


def test_a_killed_task_goes_on_and_so_does_a_cleared_one_that_failed(airflow, api):
    """Killed, and retried; killed in its last try, and cleared; cleared once more when all is done."""
    hang_after(api, 200)
    airflow.command("dags", "trigger", "ends_early", "--run-id", "killed")
    kill_once_kept(airflow, 200)
    hang_after(api, 200)
    if VERSION[:2] == (3, 0):  # a task whose process was killed has failed there, however many retries it has
        assert airflow.ended("ends_early", tries=1) == "failed"
        airflow.clear("ends_early")
    kill_once_kept(airflow, 400)
    assert airflow.ended("ends_early", tries=2) == "failed"
    api.answer = lambda seen: 200
    airflow.clear("ends_early")
    assert airflow.ended("ends_early", tries=3) == "success"
    assert ids(api.delivered) == list(WINDOW)  # each once; what was in flight at a kill had no answer
    assert len(WINDOW) <= len(api.seen) <= len(WINDOW) + 2 * CONCURRENCY
    of_all = keys(api.delivered)
    assert len(set(of_all.values())) == len(WINDOW)
    assert all(of_all[one.path] == one.key for one in api.seen)

    api.reset()
    airflow.clear("ends_early")
    assert airflow.ended("ends_early", tries=4) == "success"
    assert (len(api.seen), keys(api.seen)) == (len(WINDOW), of_all)


def test_a_retry_sends_what_failed_and_a_run_that_is_made_again_all(airflow, api):
    api.answer = lambda seen: 503 if ids([seen]) == [700] else 200
    airflow.command("dags", "trigger", "made_again", "--run-id", "again")
    assert airflow.ended("made_again", tries=2) == "failed"
    assert ids(api.seen) == sorted([*WINDOW, 700])
    assert airflow.stored("made_again", "again", "checkpoint")["totals"]["delivered"] == len(WINDOW) - 1
    airflow.delete_runs("made_again", tries=2)
    api.reset()
    api.answer = lambda seen: 200
    airflow.command("dags", "trigger", "made_again", "--run-id", "again")
    assert airflow.ended("made_again", tries=1) == "success"
    assert ids(api.seen) == list(WINDOW)


def test_a_task_whose_quota_is_gone_goes_on_when_the_api_says(airflow, api):
    """Of older versions, which would start it again at once, it uses a retry up."""
    refused, pause = [], 5

    def answer(seen):
        if len(api.delivered) < len(WINDOW) // 2 or (refused and seen.at >= refused[0] + pause):
            return 200
        refused.append(seen.at)
        return web.Response(status=429, headers={"Retry-After": str(pause)})

    api.answer = answer
    airflow.command("dags", "trigger", "quota")
    assert airflow.ended("quota", tries=1 if VERSION >= (3, 1) else 2) == "success"
    assert ids(api.delivered) == list(WINDOW)
    assert len(refused) <= CONCURRENCY
    assert len(api.seen) == len(WINDOW) + len(refused)


def test_a_backfill_of_a_week_sends_each_day_once(airflow, api):
    airflow.backfill("week", *(sorted(DAYS)[end] for end in (0, -1)))
    assert Counter(one.path for one in api.seen) == Counter(f"/{day}/{i}" for day, rows in DAYS.items() for i in rows)


@pytest.mark.parametrize("ends", ["failed", "interrupted"] if VERSION < (3,) else ["failed"])
def test_a_second_backfill_sends_what_the_first_has_not(airflow, api, ends):
    """2 gives a run that is there another start_date then, as if the run had been made again."""
    day, refused = ("2026-03-02", 1300) if ends == "failed" else ("2026-03-03", 1900)
    airflow.delete_runs("days")
    api.answer = lambda seen: 503 if ids([seen]) == [refused] else 200
    if ends == "failed":
        airflow.backfill("days", day, day, fails=True)
        assert len(api.seen) == 601  # and a retry sends one row
    else:
        is_to_be_retried = lambda: airflow.task("days")[0] == "up_for_retry"  # noqa: E731
        airflow.interrupt(*airflow.backfill_of_2("days", day, day), once=is_to_be_retried, **airflow.alone)
        sent = list(DAYS[day])
        assert ids(api.seen) in (sent, sorted([*sent, refused]))  # on a busy machine the retry may have begun
    api.reset()
    api.answer = lambda seen: 200
    airflow.backfill("days", day, day, again=True)
    assert ids(api.seen) == [refused]
    airflow.delete_runs("days", tries=0 if VERSION < (3,) else 3)
    airflow.backfill("days", day, day)
    assert ids(api.seen) == sorted([*DAYS[day], refused])


def test_windows_are_listed_with_what_became_of_them(airflow, api):
    if VERSION < (3,):
        pytest.skip("2.11 has no API server to which a plugin can add an application")
    found = sorted((one["start"][:10], one["end"][:10], one["report"]["delivered"]) for one in airflow.windows("week"))
    assert found == [(day, f"{day[:-1]}{int(day[-1]) + 1}", 600) for day in DAYS]


def test_the_state_of_a_task_is_served(airflow, api):
    if VERSION < (3,):
        pytest.skip("2.11 has no API server to which a plugin can add an application")
    task, wanted = ("made_again", "again"), {"reasons": ["http_503"], "search": ""}
    assert airflow.stored(*task, "progress")["delivered"] == len(WINDOW)
    assert airflow.ask("GET", *task, "progress", user="viewer").status_code == 200
    assert airflow.ask("GET", *task, "progress", user=None).status_code == 401
    assert airflow.ask("PUT", *task, "replay", user="viewer", json={"value": wanted}).status_code == 403
    assert airflow.ask("PUT", *task, "replay", json={"value": wanted}).status_code == 204
    assert airflow.stored(*task, "replay") == wanted
    assert airflow.ask("DELETE", *task, "replay").status_code == 204
    assert airflow.stored(*task, "replay") is None
    assert airflow.ask("PUT", "made_again", "never", "replay", json={"value": wanted}).status_code == 404


def test_the_tabs_are_used_in_a_browser(airflow, api):
    """With the components that Airflow hands its tabs, and with our own where it hands none."""
    if VERSION < (3, 1):
        pytest.skip("the UI takes no pages of plugins before 3.1")

    def answer(seen):
        refused = ids([seen])[0] in {700, 800}
        return web.json_response({"detail": f"no sensor has sent {seen.path}"}, status=422) if refused else 200

    api.answer = answer
    airflow.command("dags", "trigger", "looked_at", "--run-id", "tabs")
    assert airflow.ended("looked_at", tries=1) == "failed"
    api.answer = lambda seen: 200
    with browsing() as browser:
        page = open_page(browser, airflow.url, airflow.token())
        page.goto("/dags/looked_at/runs/tabs/tasks/post/plugin/delivery")
        page.get_by_role("table", name="Dead letters").get_by_text(re.compile("no sensor has sent .*/700$")).wait_for()
        page.locator("[data-primary]:enabled").wait_for()
        page.get_by_role("button", name="Send the same requests again (2 items)").press("Enter")
        page.get_by_role("alertdialog").get_by_role("button", name="Send 2 items again").press("Enter")
        page.get_by_text("2 delivered, 0 failed again.").wait_for()
        page.goto("/dags/looked_at/plugin/windows")
        page.locator(".cell[data-outcome=later]").wait_for()
        page.goto("/plugin/deliveries")
        page.get_by_role("table", name="Deliveries").get_by_role("link", name="looked_at").first.wait_for()
        assert page.complaints == []


def test_links_lead_to_pages_where_there_is_no_place_for_tabs(airflow, api):
    if VERSION >= (3, 1):
        pytest.skip("there are tabs from 3.1 on")
    refusal = {"detail": "<b>no</b> sensor"}
    api.answer = lambda seen: web.json_response(refusal, status=422) if ids([seen])[0] in {700, 800} else 200
    airflow.command("dags", "trigger", "looked_at", "--run-id", "pages+1")
    assert airflow.ended("looked_at", tries=1) == "failed"
    if VERSION < (3,):
        airflow.serve_2()
    links = airflow.links("looked_at", "pages+1", "post")
    assert set(links) == {"Delivery", "Windows"}
    content = {name: url if VERSION < (3,) else url.replace("?", "/content?") for name, url in links.items()}
    with airflow.browser() as admin:
        delivery, windows = (admin.get(content[name]) for name in ("Delivery", "Windows"))
        assert admin.get(content["Delivery"].replace("task_id=post", "task_id=none")).status_code == 404
    assert (delivery.status_code, windows.status_code) == (200, 200)
    shown = ("post: failed", "<dd>598</dd>", 'role="alert"', "no&lt;/b&gt; sensor", "measured/700", "http_422: 2")
    assert [part for part in shown if part not in delivery.text] == [], delivery.text
    assert "<b>" not in delivery.text
    assert "run_id=pages%2B1" in windows.text
    with airflow.browser(None) as nobody:
        refused = nobody.get(content["Delivery"])
        assert refused.status_code == 401 if VERSION >= (3,) else "/login" in refused.headers["location"]
    if VERSION < (3,):
        with airflow.browser("viewer") as public:
            assert public.get(content["Delivery"]).status_code == 403
    else:  # whose UI has the token, and a link sends none
        _open_pages(airflow)


def _open_pages(airflow):
    with browsing() as browser:
        page = open_page(browser, airflow.url, airflow.token())
        page.goto("/dags/looked_at/runs/pages+1/tasks/post/details")
        with page.expect_popup() as opened:
            page.get_by_role("link", name="Delivery").click()
        opened.value.get_by_role("table", name="Dead letters").get_by_text("/700").wait_for()
        photograph(opened.value, "page-3.0")
        opened.value.get_by_role("link", name="All windows of looked_at").click()
        opened.value.get_by_role("table", name="Windows").wait_for()
        assert page.complaints == []
