"""A slice of the 4 million ids of a table is looked up, a GET for each, inside the API's limit, and loaded in bulk, though
the API fails in several ways and the task is killed half-way.
"""

from bisect import bisect_left
from collections import Counter

import pytest
from aiohttp import web
from dag_runs import dead_letters
from jobs.slice_task import CONCURRENCY, FIRST, PAST, PER_SECOND, make_task
from task_runner import Supervisor, run_try, spawn_try

pytestmark = pytest.mark.release

IDS = range(FIRST, PAST)
MISSING, BROKEN = set(IDS[::97]), set(IDS[50::500])
THROTTLED = set(IDS[1_000::900])
SHAKY = set(IDS[::11])


def id_of(seen) -> int:
    return int(seen.path.rpartition("/")[2])


def answering():
    """Make the API: some ids it does not have, some it never finds, some it finds the second time that it is asked."""
    asked = Counter()

    def answer(seen):
        number = id_of(seen)
        asked[number] += 1
        if number in MISSING:
            return 404
        if number in BROKEN or (number in SHAKY and asked[number] == 1):
            return 500
        if number in THROTTLED and asked[number] == 1:
            return web.json_response({}, status=429, headers={"Retry-After": "1"})
        return web.json_response({"label": f"place {number}", "place": {"latitude": number / 1_000_000}})

    return answer


@pytest.fixture
def table(places, postgres, connect):
    """Four million ids, and where the places of some of them go."""
    connect("warehouse", **postgres.connection())
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads, master, places",
        "CREATE UNLOGGED TABLE master AS SELECT generate_series(1, 4000000)::bigint AS id",
        "CREATE UNIQUE INDEX ON master (id)",
        "CREATE TABLE places (id bigint, label text, latitude float)",
    )
    places.answer = answering()
    yield lambda: postgres.execute("SELECT id, label, latitude FROM places ORDER BY id")
    postgres.execute("DROP TABLE master")


def within_a_second(times: list[float], begin: float) -> int:
    return bisect_left(times, begin + 1) - bisect_left(times, begin)


def test_each_id_is_in_the_table_once_or_listed_and_the_limit_is_kept(places, table, supervisor):
    process = spawn_try("jobs.slice_task", supervisor.path, 1)
    places.wait_for_targets(len(IDS) // 2, set())
    process.kill()
    process.join()
    places.wait_for(lambda api: api.in_flight == 0)
    before = len(places.seen)
    after = Supervisor(supervisor.path)
    assert run_try(make_task(), after, 2) == ("success", None)

    rows, report = table(), after.report
    listed = dead_letters(report["dead_letters"])
    assert rows == [(n, f"place {n}", n / 1_000_000) for n in IDS if n not in MISSING | BROKEN]
    assert listed == {n: "http_404" if n in MISSING else "http_500" for n in MISSING | BROKEN}
    assert Counter([n for n, *_ in rows] + list(listed)) == Counter(IDS)
    assert (report["read"], report["delivered"], report["failed"]) == (len(IDS), len(rows), len(listed))
    assert report["rows_loaded"] == len(rows)
    answered = Counter(id_of(seen) for seen in places.delivered)
    again = sum(count - 1 for count in answered.values())
    assert again < 0.5 * before  # what had come, and was not staged yet

    for requests in (places.seen[:before], places.seen[before:]):  # a limit is a try's own
        times = [seen.at for seen in requests]
        # What is under way may arrive together.
        assert max(within_a_second(times, begin) for begin in times) <= PER_SECOND + CONCURRENCY
        assert len(times) / (times[-1] - times[0]) <= PER_SECOND
    first_asked = {}
    for seen in places.seen:
        first_asked.setdefault(id_of(seen), seen.at)
    times = [seen.at for seen in places.seen]
    throttled = [at for number, at in first_asked.items() if number in THROTTLED]
    assert len(throttled) == len(THROTTLED)
    assert all(within_a_second(times, at) <= 2 * CONCURRENCY for at in throttled)
