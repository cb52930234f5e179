"""A quota that is gone is waited for without a slot and without a retry, and the report comes back whole."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from task_runner import Supervisor, run_try
from tasks import READINGS, ids, in_batches, rest_to_sql, sql_to_rest

from airflow_async_rest import NumberedPages, RequestRetry

HOUR = 3600
LOCATION = {"data": {"items": [{"location": {"geoLabel": "x"}}]}}


class Quota:
    """So many requests, and then ``Retry-After`` until :meth:`renew`: the hour passes when a test says so."""

    def __init__(self, each: int, answer=lambda seen: 200, seconds: float = HOUR) -> None:
        self.each, self.answer, self.seconds = each, answer, seconds
        self.left = each

    def renew(self) -> None:
        self.left = self.each

    def __call__(self, seen):
        self.left -= 1
        if self.left < 0:
            return web.Response(status=429, headers={"Retry-After": f"{self.seconds:g}"})
        return self.answer(seen)


def sittings(task, supervisor, quota, number=1, most=10, **of_try):
    """Start a try again as often as it asks for that. :return: how often it ran, and what came of it at last."""
    for count in range(1, most + 1):
        quota.renew()
        outcome, _ = run_try(task(), supervisor, number, **of_try)
        if outcome != "up_for_reschedule":
            return count, outcome
    raise AssertionError("it never ends")


def test_2000_rows_at_500_an_hour_take_four_sittings_and_no_retry(places, supervisor, tmp_path):
    places.answer = quota = Quota(500)
    count, outcome = sittings(lambda: sql_to_rest(sql=READINGS.format(rows=2000)), supervisor, quota)
    assert (count, outcome) == (4, "success")
    assert sorted(ids(places.delivered)) == list(range(1, 2001))
    report = supervisor.report
    assert [report[name] for name in ("read", "delivered", "failed", "unfinished")] == [2000, 2000, 0, 0]
    assert (report["complete"], report["dead_letters"], report["retries"]) == (True, None, 0)
    assert report["requests"] == len(places.seen)
    assert len(report["waits"]) == 3
    for wait in report["waits"]:
        since, until = map(datetime.fromisoformat, (wait["since"], wait["until"]))
        assert timedelta(0) <= until - since - timedelta(hours=1) <= timedelta(minutes=1)
        assert wait["why"].startswith("the API asks for a pause of 3600 s")


def test_the_time_of_its_sittings_adds_up_and_never_falls(places, supervisor, monkeypatch):
    """What the last writes take, which a slow state store makes long, is in neither of them."""
    monkeypatch.setenv("STATE_STORE_SECONDS", "0.05")
    places.answer = quota = Quota(40)
    took = [0.0]
    for _ in range(2):
        quota.renew()
        assert run_try(sql_to_rest(), supervisor)[0] == "up_for_reschedule"
        assert supervisor.report["elapsed_seconds"] == supervisor.checkpoint["totals"]["elapsed_seconds"] > took[-1]
        took.append(supervisor.report["elapsed_seconds"])
    quota.renew()
    assert run_try(sql_to_rest(), supervisor)[0] == "success"
    assert supervisor.report["elapsed_seconds"] > took[-1]


def test_the_task_starts_again_when_the_api_says_and_the_log_says_so(places, supervisor, logged):
    places.answer = Quota(30)
    before = datetime.now(UTC)
    outcome, _ = run_try(sql_to_rest(), supervisor)
    assert outcome == supervisor.data["outcome"] == "up_for_reschedule"
    ended, starts = datetime.now(UTC), datetime.fromisoformat(supervisor.data["starts_at"])
    assert (starts - before).total_seconds() >= HOUR
    assert (starts - ended).total_seconds() < HOUR + 70
    [wait] = supervisor.report["waits"]
    assert supervisor.data["state"]["progress"]["waits"] == [wait]
    text = logged()
    assert f"The quota has been used up since {wait['since']}: {wait['why']}. The task frees its slot" in text
    assert "quota is gone" not in text + wait["why"]
    assert f"goes on by itself at {wait['until']}; no retry is used" in text


def test_dead_letters_of_each_sitting_stay_and_are_numbered_on(places, supervisor, tmp_path):
    places.answer = quota = Quota(40, lambda seen: 422 if seen.json()["id"] % 10 == 0 else 200)
    count, outcome = sittings(lambda: sql_to_rest(max_failures=10), supervisor, quota)
    assert (count, outcome) == (3, "success")
    assert [supervisor.report[name] for name in ("read", "delivered", "failed")] == [100, 90, 10]
    assert len(supervisor.data["xcom"]["failed_items"]) == 10
    folder = supervisor.report["dead_letters"].removeprefix("file://")
    assert Counter(ids(places.seen))[10] == 1  # refused for good: not once more in each sitting
    parts = sorted(path.name for path in Path(folder).glob("*.jsonl"))
    assert parts == ["1-1.jsonl", "1-2.jsonl", "1-3.jsonl"]


def test_after_max_quota_wait_it_is_retried_as_before(places, supervisor):
    places.answer = quota = Quota(20)

    def task():
        return sql_to_rest(max_quota_wait=timedelta(hours=1, minutes=1))

    assert run_try(task(), supervisor)[0] == "up_for_reschedule"
    supervisor.data["state"]["waits"]["began"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    outcome, error = run_try(task(), supervisor)
    assert outcome == "up_for_retry"
    assert "the wait would end after max_quota_wait (1:01:00, counted from " in str(error)
    assert run_try(task(), supervisor, 2)[0] == "up_for_retry"
    quota.each = 1000
    quota.renew()
    assert run_try(task(), supervisor, 3)[0] == "success"
    assert supervisor.report["delivered"] == 100
    assert len(supervisor.report["waits"]) == 1


@pytest.mark.parametrize("most", [timedelta(0), timedelta(minutes=59)])
def test_what_may_not_be_waited_for_is_retried(places, supervisor, most):
    places.answer = Quota(20)
    outcome, error = run_try(sql_to_rest(max_quota_wait=most), supervisor)
    assert outcome == "up_for_retry"
    assert "the API asks for a pause of 3600 s" in str(error)
    assert supervisor.report["waits"] == []


@pytest.mark.parametrize(
    ("version", "outcome", "tries"), [("1.0.6", "up_for_retry", 2), ("1.1.8", "up_for_reschedule", 1)]
)
def test_where_airflow_would_start_it_again_at_once_it_stops_retriably(
    places, supervisor, monkeypatch, version, outcome, tries
):
    monkeypatch.setattr("airflow.sdk.__version__", version)
    places.answer = quota = Quota(60)
    assert run_try(sql_to_rest(), supervisor)[0] == outcome
    assert len(supervisor.report["waits"]) == 2 - tries
    quota.renew()
    assert run_try(sql_to_rest(), supervisor, tries)[0] == "success"
    assert sorted(ids(places.delivered)) == list(range(1, 101))


def test_a_clear_while_it_waits_goes_on_at_once_and_may_wait_as_long_again(places, supervisor):
    places.answer = quota = Quota(60)
    assert run_try(sql_to_rest(), supervisor, 1)[0] == "up_for_reschedule"
    supervisor.data["state"]["waits"]["began"] = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    assert run_try(sql_to_rest(), supervisor, 2, max_tries=4)[0] == "up_for_reschedule"
    quota.renew()
    assert run_try(sql_to_rest(), supervisor, 2, max_tries=4)[0] == "success"
    assert sorted(ids(places.delivered)) == list(range(1, 101))
    assert len(supervisor.report["waits"]) == 2


def test_a_clear_after_the_success_reports_no_earlier_waits(places, supervisor):
    places.answer = quota = Quota(60)
    assert sittings(sql_to_rest, supervisor, quota) == (2, "success")
    quota.each = 1000
    assert sittings(sql_to_rest, supervisor, quota, 2, max_tries=4) == (1, "success")
    assert (supervisor.report["delivered"], supervisor.report["waits"]) == (100, [])


def test_rows_that_are_others_now_start_over_and_the_bound_stays(places, supervisor):
    places.answer = Quota(20)
    assert run_try(sql_to_rest(), supervisor)[0] == "up_for_reschedule"
    began = supervisor.data["state"]["waits"]["began"]
    assert run_try(sql_to_rest(sql=READINGS.format(rows=99)), supervisor)[0] == "up_for_reschedule"
    assert supervisor.data["state"]["waits"]["began"] == began


def test_a_wait_that_cannot_be_written_down_is_a_retry(places, supervisor):
    def answer(seen):
        supervisor.failing = True
        return web.Response(status=429, headers={"Retry-After": "3600"})

    places.answer = answer
    outcome, error = run_try(sql_to_rest(), supervisor)
    assert outcome == "up_for_retry"
    assert "its quota is gone" in str(error)


def test_pauses_in_which_nothing_is_taken_are_waited_for_as_well(places, supervisor, monkeypatch):
    from engine import run_within

    run_within(monkeypatch, standstill_seconds=0.3)
    places.answer = Quota(50, seconds=0.2)
    task = sql_to_rest(request_retry=RequestRetry(max_retry_after_seconds=0.3))
    assert run_try(task, supervisor)[0] == "up_for_reschedule"
    assert "more after pauses of" in supervisor.report["waits"][0]["why"]


def test_a_load_waits_and_its_checkpoint_is_in_the_destination(places, supervisor, warehouse):
    places.answer = quota = Quota(40, lambda seen: web.json_response(LOCATION))
    assert sittings(rest_to_sql, supervisor, quota) == (3, "success")
    report = supervisor.report
    assert [report[name] for name in ("read", "delivered", "rows_loaded", "unfinished")] == [100, 100, 100, 0]
    assert len(report["waits"]) == 2
    assert len(places.delivered) == 100
    assert warehouse.execute("SELECT count(*), count(DISTINCT id) FROM locations") == [(100, 100)]


def test_a_load_that_waits_asks_once_for_what_was_refused_and_a_retry_asks_again(places, supervisor, warehouse):
    places.answer = api = Refusing(40)
    api.answer = lambda seen: web.json_response(LOCATION) if api.refuse(seen) == 200 else 422
    assert sittings(rest_to_sql, supervisor, api) == (3, "failed")
    assert api.refused == Counter(range(10, 101, 10))
    assert sittings(rest_to_sql, supervisor, api, 2, max_tries=4) == (1, "failed")
    assert api.refused == Counter([*range(10, 101, 10)] * 2)
    assert [supervisor.report[name] for name in ("read", "delivered", "failed", "rows_loaded")] == [100, 90, 10, 90]


def test_a_try_with_its_state_in_a_folder_goes_on_though_it_is_a_first_one(places, supervisor, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", str(tmp_path / "state"))
    places.answer = quota = Quota(40, lambda seen: 422 if seen.json()["id"] % 10 == 0 else 200)
    assert sittings(lambda: sql_to_rest(max_failures=10), supervisor, quota) == (3, "success")
    assert [supervisor.report[name] for name in ("read", "delivered", "failed")] == [100, 90, 10]
    assert sorted(ids(places.delivered)) == [i for i in range(1, 101) if i % 10]
    assert len(supervisor.report["waits"]) == 2
    assert supervisor.data["state"] == {}


def test_a_folder_that_does_not_keep_the_state_makes_it_a_retry(places, supervisor, tmp_path, monkeypatch, logged):
    from airflow_async_rest.core.keeping.folder_store import FolderStore

    keep = FolderStore.set

    def refuse(store, key, value):
        if key == "rescheduled":
            raise OSError("no space left")
        keep(store, key, value)

    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", str(tmp_path / "state"))
    monkeypatch.setattr(FolderStore, "set", refuse)
    places.answer = Quota(40)
    outcome, error = run_try(sql_to_rest(), supervisor)
    assert outcome == "up_for_retry"
    assert "a pause of 3600 s" in str(error)
    assert (supervisor.report["error"][:30], supervisor.report["waits"]) == (str(error)[:30], [])
    text = logged()
    assert "goes on by itself" not in text
    assert "Could not write down that the quota is waited for, so the task ends instead: no space left" in text


def test_dead_letters_that_cannot_be_written_make_it_a_retry_and_no_start_is_promised(
    places, supervisor, monkeypatch, logged
):
    from airflow_async_rest.core.letters.part_files import PartFiles

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(PartFiles, "write", full)
    places.answer = Refusing(40)
    outcome, error = run_try(sql_to_rest(), supervisor)
    assert (outcome, "no space left" in str(error)) == ("up_for_retry", True)
    assert "dead letters are not written" in supervisor.report["error"]
    assert "goes on by itself" not in logged()
    state = supervisor.data["state"]
    assert supervisor.report["waits"] == state["progress"]["waits"] == state["waits"]["waits"] == []
    assert state["waits"]["began"] is None  # what max_quota_wait counts from


def test_a_clock_that_was_ahead_costs_no_retry(places, supervisor):
    """That of the worker which had the first sitting: the next one seems to have begun before it."""
    places.answer = quota = Quota(60)
    assert run_try(sql_to_rest(retries=0), supervisor, max_tries=0)[0] == "up_for_reschedule"
    ahead = datetime.now(UTC) + timedelta(minutes=5)
    supervisor.data["state"]["try"][1] = ahead.isoformat(timespec="microseconds")
    again = {"max_tries": 0, "reschedules": 1}
    assert sittings(lambda: sql_to_rest(retries=0), supervisor, quota, **again) == (1, "success")
    assert sorted(ids(places.delivered)) == list(range(1, 101))


def test_instances_of_a_mapped_task_wait_each_for_itself(places, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", str(tmp_path / "state"))
    places.answer = quota = Quota(60)
    several = [Supervisor(tmp_path / f"{index}.json") for index in range(2)]
    outcomes = [run_try(sql_to_rest(), one, map_index=index)[0] for index, one in enumerate(several)]
    assert outcomes == ["up_for_reschedule"] * 2
    quota.each = 1000
    assert [sittings(sql_to_rest, one, quota, map_index=index) for index, one in enumerate(several)] == [
        (1, "success")
    ] * 2
    assert [one.report["delivered"] for one in several] == [100, 100]
    assert [len(one.report["waits"]) for one in several] == [1, 1]


def test_a_replay_goes_on_with_what_is_left_and_reports_all_of_it(places, supervisor, tmp_path):
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

    places.answer = lambda seen: 503
    assert (
        run_try(sql_to_rest(request_retry=RequestRetry(max_attempts=1), max_failures=100), supervisor)[0] == "success"
    )
    of, replaying = supervisor.report["dead_letters"], Supervisor(tmp_path / "replay.json")
    places.reset()
    places.answer = quota = Quota(40, lambda seen: 422 if seen.json()["id"] == 7 else 200)

    def task():
        return ReplayDeadLettersOperator(task_id="replay", dead_letters=of, http_conn_id="search_api", max_failures=1)

    assert sittings(task, replaying, quota) == (3, "success")
    assert sorted(ids(places.delivered)) == [i for i in range(1, 101) if i != 7]
    report = replaying.report
    assert [report[name] for name in ("read", "delivered", "failed", "unfinished")] == [100, 99, 1, 0]
    assert (len(report["waits"]), report["requests"]) == (2, len(places.seen))


@pytest.fixture
def refused(places, supervisor):
    """A task that succeeded with a hundred dead letters, of requests that the API could not answer."""
    places.answer = lambda seen: 503
    task = sql_to_rest(request_retry=RequestRetry(max_attempts=1), max_failures=100)
    assert run_try(task, supervisor)[0] == "success"
    places.reset()
    return supervisor


class Refusing(Quota):
    """A quota of an API that refuses every tenth row, and knows how often."""

    def __init__(self, each: int) -> None:
        super().__init__(each, self.refuse)
        self.refused = Counter()

    def refuse(self, seen):
        [number] = ids([seen])
        self.refused.update([number] if number % 10 == 0 else [])
        return 422 if number % 10 == 0 else 200


def replaying(of, **arguments):
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

    return ReplayDeadLettersOperator(task_id="replay", dead_letters=of, http_conn_id="search_api", **arguments)


@pytest.mark.parametrize("arguments", [{}, {"reasons": ["http_503"]}])
def test_a_replay_sends_nothing_once_more_that_was_refused_before_it_waited(places, refused, tmp_path, arguments):
    places.answer, of = Refusing(40), refused.report["dead_letters"]
    airflow = Supervisor(tmp_path / "replay.json")
    count = sittings(lambda: replaying(of, max_failures=10, **arguments), airflow, places.answer)
    assert count == (3, "success")
    assert places.answer.refused == Counter(range(10, 101, 10))
    assert [airflow.report[name] for name in ("read", "delivered", "reasons")] == [100, 90, {"http_422": 10}]
    assert len(airflow.data["xcom"]["failed_items"]) == 10
    parts = Path(of.removeprefix("file://")).glob("*.jsonl")
    assert sum(part.read_text().count('"http_422"') for part in parts) == 10


def test_a_retry_of_a_replay_and_one_in_a_run_that_is_made_again_send_what_was_refused(places, refused, tmp_path):
    places.answer, of = Refusing(40), refused.report["dead_letters"]
    airflow = Supervisor(tmp_path / "replay.json")
    assert sittings(lambda: replaying(of), airflow, places.answer)[1] == "failed"
    for number, again in ((2, airflow), (1, Supervisor(tmp_path / "other.json"))):
        places.reset()
        places.answer = Refusing(40)
        assert run_try(replaying(of), again, number)[0] == "failed"
        assert sorted(ids(places.seen)) == list(range(10, 101, 10))


@pytest.mark.parametrize(("chosen", "sent"), [(None, 100), (["http_503"], 100)])
def test_a_replay_in_the_task_itself_sends_nothing_once_more_and_counts_all_sittings(places, refused, chosen, sent):
    places.answer = Refusing(40)
    refused.data["state"]["replay"] = {"reasons": chosen, "search": "", "count": sent}
    task = {"request_retry": RequestRetry(max_attempts=1), "max_failures": 10}
    assert sittings(lambda: sql_to_rest(**task), refused, places.answer, 2, max_tries=4) == (3, "success")
    assert places.answer.refused == Counter(range(10, 101, 10))
    report = refused.report
    assert report["replay"] == {"sent": 100, "delivered": 90, "failed": 10}
    assert [report[name] for name in ("read", "delivered", "failed", "delivered_later")] == [100, 90, 10, 90]
    assert len(refused.data["xcom"]["failed_items"]) == 10


def test_a_retry_that_waits_sends_what_an_earlier_try_left_dead_and_it_has_not_come_to(places, supervisor):
    """Of a hundred, 30 fail in the first try; the second has a quota of ten."""
    places.answer = lambda seen: 503 if seen.json()["id"] <= 30 else 200
    once = {"request_retry": RequestRetry(max_attempts=1)}
    assert run_try(sql_to_rest(**once), supervisor)[0] == "up_for_retry"
    places.reset()
    places.answer = Refusing(10)
    assert sittings(lambda: sql_to_rest(max_failures=3, **once), supervisor, places.answer, 2)[1] == "success"
    assert set(ids(places.seen)) == set(range(1, 31))
    assert places.answer.refused == Counter([10, 20, 30])
    assert [supervisor.report[name] for name in ("read", "delivered", "failed")] == [100, 97, 3]


def test_a_plain_task_starts_again_from_its_first_line(places, supervisor):
    from airflow.sdk import task

    from airflow_async_rest.hooks.rest import AsyncRestHook

    @task(task_id="push")
    def push():
        items = [{"id": i} for i in range(50)]
        return AsyncRestHook("search_api").deliver(items, endpoint="readings/{id}", method="PUT", key="id")

    places.answer = quota = Quota(40)
    operator = push().operator
    assert run_try(operator, supervisor)[0] == "up_for_reschedule"
    quota.each = 1000
    assert sittings(lambda: operator, supervisor, quota) == (1, "success")
    assert (supervisor.report["delivered"], len(supervisor.report["waits"])) == (50, 1)
    keys = {seen.path: {one.key for one in places.seen if one.path == seen.path} for seen in places.seen}
    assert all(len(of_path) == 1 for of_path in keys.values())


def test_a_loop_over_fetch_is_started_again(places, supervisor):
    from airflow.sdk import task

    from airflow_async_rest.hooks.rest import AsyncRestHook

    @task(task_id="pull")
    def pull():
        chunks = AsyncRestHook("search_api").fetch(range(50), endpoint="x/{item}", rows="data", columns=["a"])
        taken = sum(len(chunk) for chunk in chunks)
        return {**chunks.report, "taken": taken}

    places.answer = quota = Quota(40, lambda seen: web.json_response({"data": [{"a": 1}]}))
    operator = pull().operator
    assert run_try(operator, supervisor)[0] == "up_for_reschedule"
    quota.each = 1000
    assert sittings(lambda: operator, supervisor, quota) == (1, "success")
    assert (supervisor.report["taken"], len(supervisor.report["waits"])) == (50, 1)


def test_a_later_start_of_a_first_try_does_not_send_all_when_the_state_store_is_away(places, supervisor, monkeypatch):
    """Nor does it append to a table: only the state store knows which life of the run its rows are of."""
    places.answer = Quota(40)
    assert run_try(sql_to_rest(), supervisor)[0] == "up_for_reschedule"
    supervisor.failing = True
    outcome, error = run_try(rest_to_sql(destination_conn_id="source_db"), supervisor, reschedules=1)
    assert outcome == "up_for_retry"
    assert "the task state store does not answer" in str(error)


@pytest.mark.parametrize(
    "arguments",
    [{"order_by_key": True}, {"concurrency": "adaptive"}, {"concurrency": 1}, {"key": None}, {"chunk_size": 7}],
)
def test_however_rows_are_sent_each_is_sent_once(places, supervisor, arguments):
    places.answer = quota = Quota(40)
    assert sittings(lambda: sql_to_rest(**arguments), supervisor, quota) == (3, "success")
    assert sorted(ids(places.delivered)) == list(range(1, 101))
    assert len({seen.key for seen in places.delivered}) == 100


def test_bulk_requests_are_made_again_as_they_were(places, supervisor):
    def answer(seen):
        return web.json_response([{"status": 200} for _ in seen.body.splitlines()])

    places.answer = quota = Quota(3, answer)
    assert sittings(lambda: sql_to_rest(**in_batches(10)), supervisor, quota) == (4, "success")
    assert sum(len(seen.body.splitlines()) for seen in places.delivered) == 100
    assert len({seen.key for seen in places.delivered}) == len(places.delivered) == 10


def test_rows_that_are_taken_wait_in_their_table(places, supervisor, postgres):
    postgres.execute("DROP TABLE IF EXISTS outbox", "CREATE TABLE outbox AS SELECT generate_series(1, 100) AS id")
    places.answer = quota = Quota(40)
    taking = "WITH gone AS (DELETE FROM outbox RETURNING id) SELECT id FROM gone ORDER BY id"
    assert sittings(lambda: sql_to_rest(sql=taking, read_only=False), supervisor, quota) == (3, "success")
    assert sorted(ids(places.delivered)) == list(range(1, 101))
    assert postgres.execute("SELECT count(*) FROM outbox") == [(0,)]
    assert [supervisor.report[name] for name in ("read", "delivered", "complete")] == [100, 100, True]


def test_a_load_of_pages_goes_on_at_the_page_where_it_waited(places, supervisor, warehouse):
    def answer(seen):
        page = int(dict(part.split("=") for part in seen.query.split("&"))["page"])
        rows = [{"location": {"geoLabel": f"{page}-{i}"}} for i in range(2)]
        return web.json_response({"data": {"items": rows if page <= 5 else []}})

    places.answer = quota = Quota(25, answer)

    def task():
        pages = {"paginate": NumberedPages(), "concurrency": 4, "load_mode": "append"}
        return rest_to_sql(
            sql="SELECT i AS id FROM generate_series(1, 20) AS i ORDER BY i", sql_conn_id="source_db", **pages
        )

    assert sittings(task, supervisor, quota)[1] == "success"
    assert warehouse.execute("SELECT count(*), count(DISTINCT (id, geo_label)) FROM locations") == [(200, 200)]
    assert supervisor.report["rows_loaded"] == 200


@pytest.fixture
def of_a_day(places, postgres, connect):
    """Return what makes the connection's limit one that is counted in a store."""

    def limit(written):
        postgres.execute("DROP TABLE IF EXISTS async_rest_limits")
        connect("limits", **postgres.connection())
        options = {"rate_limit": written, "rate_limit_conn_id": "limits"}
        connect("search_api", conn_type="async_rest", host=places.url, extra=options)

    return limit


def test_a_days_limit_that_is_used_up_is_waited_for_until_midnight(places, supervisor, of_a_day):
    of_a_day("40/d UTC")
    at_once = RequestRetry(max_retry_after_seconds=0)
    assert run_try(sql_to_rest(request_retry=at_once), supervisor)[0] == "up_for_reschedule"
    assert len(places.seen) == 40
    [wait] = supervisor.report["waits"]
    assert "the day's limit of 'search_api' is used up" in wait["why"]
    until = datetime.fromisoformat(wait["until"])
    midnight = until.replace(hour=0, minute=0, second=0, microsecond=0)
    assert until - midnight <= timedelta(seconds=70)
    assert run_try(sql_to_rest(request_retry=at_once), supervisor)[0] == "up_for_reschedule"
    assert len(places.seen) == 40  # before its time: nothing is sent


def test_any_24_hours_may_need_a_quarter_of_an_hour_more_than_a_day(places, supervisor, of_a_day):
    of_a_day("40/d")
    outcome, error = run_try(sql_to_rest(), supervisor)
    assert (outcome, "after max_quota_wait (1 day" in str(error)) == ("up_for_retry", True)
    outcome, _ = run_try(sql_to_rest(max_quota_wait=timedelta(days=2)), supervisor, 2)
    assert (outcome, len(places.seen)) == ("up_for_reschedule", 40)
