"""Tasks whose state lies in a folder: what they resume, what they begin again, and what they do when it cannot be used."""

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
from tables import left_to_release
from task_runner import Supervisor, run_try, spawn_try
from tasks import READINGS, ids, make_task, sql_to_rest

from airflow_async_rest import RequestRetry
from airflow_async_rest.core.keeping.folder_store import FolderStore
from airflow_async_rest.tasks.storage.state_stores import open_state, state_store

ONCE = RequestRetry(max_attempts=1)
TEN = "SELECT i AS id FROM generate_series(1, 10) AS i ORDER BY i"
ALL = list(range(1, 11))
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
RUN = ("the_dag", "scheduled__2026-11-01", "post")


@pytest.fixture
def state_path(places, tmp_path, monkeypatch):
    """``[async_rest] state_path``."""
    path = tmp_path / "state"
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", str(path))
    return path


@pytest.fixture
def state(state_path):
    """The state of the task instance that is not mapped."""
    return FolderStore(state_path.joinpath(*RUN, "-1"))


def tried(supervisor, number=1, **arguments):
    """Run a try. :return: its state, and the ids that it sent."""
    of_try = {name: arguments.pop(name) for name in ("map_index", "max_tries", "run_started") if name in arguments}
    outcome, _ = run_try(sql_to_rest(**{"sql": TEN, "request_retry": ONCE} | arguments), supervisor, number, **of_try)
    return outcome


def but_for(*numbers, status=503):
    return lambda seen: status if int(seen.path.rpartition("/")[2]) in numbers else 200


def sent(places) -> list[int]:
    """The ids that were sent since it was last asked."""
    found = sorted(ids(places.seen))
    places.reset()
    places.answer = lambda seen: 200
    return found


def test_a_retry_sends_what_is_missing_with_the_same_keys_and_airflows_store_stays_empty(places, supervisor, state):
    places.answer = but_for(4, 7)
    assert tried(supervisor) == "up_for_retry"
    keys = {seen.path: seen.key for seen in places.seen}
    assert sent(places) == ALL
    assert tried(supervisor, 2) == "success"
    assert {seen.path: seen.key for seen in places.seen} == {
        path: keys[path] for path in ("/readings/4", "/readings/7")
    }
    assert [supervisor.report[name] for name in ("read", "delivered", "failed")] == [10, 10, 0]
    assert supervisor.data["state"] == {}
    assert state.get("checkpoint") is None
    assert state.get("progress")["delivered"] == state.get("settled")["totals"]["delivered"] == 10


def test_after_a_sigkill_a_retry_goes_on_at_the_last_checkpoint(places, supervisor, state, monkeypatch):
    monkeypatch.setenv("ROWS", "3000")
    process = spawn_try("tasks", supervisor.path, 1)
    places.wait_for(lambda api: (state.get("checkpoint") or {}).get("position", 0) > 100)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    places.wait_until_left()
    before, keys = state.get("checkpoint"), {seen.path: seen.key for seen in places.seen}
    assert sent(places)
    assert run_try(make_task(), Supervisor(supervisor.path), 2)[0] == "success"
    assert all(number > before["position"] or number - 1 in before["unfinished"] for number in ids(places.seen))
    assert all(keys.get(seen.path, seen.key) == seen.key for seen in places.seen)
    assert {*keys, *(seen.path for seen in places.seen)} == {f"/readings/{number}" for number in range(1, 3001)}


def test_a_clear_of_a_failed_task_resumes_and_that_of_a_succeeded_one_sends_all(places, supervisor, state):
    places.answer = but_for(4)
    tried(supervisor)
    assert sent(places) == ALL
    assert tried(supervisor, 2, max_tries=1) == "success"
    assert sent(places) == [4]
    assert tried(supervisor, 3, max_tries=2) == "success"
    assert sent(places) == ALL


@pytest.mark.parametrize("tries", [1, 2])
def test_a_run_that_is_made_again_sends_all(places, supervisor, state, tmp_path, tries):
    places.answer = but_for(4)
    for number in range(1, tries + 1):
        assert tried(supervisor, number) == "up_for_retry"
    assert state.get("checkpoint")["position"] == 10
    letters = supervisor.report["dead_letters"]
    state.set("replay", {"reasons": None, "search": ""})
    sent(places)
    places.answer = but_for(5)
    again = Supervisor(tmp_path / "again.json")
    assert tried(again) == "up_for_retry"
    assert sent(places) == ALL
    assert state.get("replay") is None
    assert again.report["dead_letters"] != letters
    assert tried(again, 2) == "success"
    assert sent(places) == [5]


@pytest.mark.parametrize("last", [1, 2, 3])
def test_a_run_that_is_made_again_sends_all_where_its_first_try_never_came_to_run(
    places, supervisor, state, tmp_path, last
):
    places.answer = but_for(4)
    for number in range(1, last + 1):
        assert tried(supervisor, number, max_tries=2, retries=2) != "success"
    sent(places)
    assert tried(Supervisor(tmp_path / "again.json"), 2, max_tries=2, retries=2) == "success"
    assert sent(places) == ALL


@pytest.mark.parametrize("tries", [1, 2])
def test_a_run_that_is_made_again_sends_all_on_a_worker_whose_clock_is_slow(places, supervisor, state, tmp_path, tries):
    places.answer = but_for(4, 5)
    for number in range(1, tries + 1):
        assert tried(supervisor, number) == "up_for_retry"
    number, _, *rest = state.get("try")
    state.set("try", [number, "2999-01-01T00:00:00.000000+00:00", *rest])
    sent(places)
    again = Supervisor(tmp_path / "again.json")
    places.answer = but_for(6)
    assert tried(again) == "up_for_retry"
    assert sent(places) == ALL
    assert tried(again, 2) == "success"
    assert sent(places) == [6]


def test_a_clear_of_a_run_that_has_ended_goes_on_though_airflow_says_that_it_began_again(places, supervisor, state):
    places.answer = but_for(4)
    assert tried(supervisor, max_tries=1, retries=1, run_started=NOON) == "up_for_retry"
    sent(places)
    assert tried(supervisor, 2, max_tries=2, retries=1, run_started=NOON + timedelta(days=1)) == "success"
    assert sent(places) == [4]


@pytest.mark.parametrize(
    "first", [{"preview": 1}, {"http_conn_id": "nowhere"}, {"sql": "SELECT nothing"}, {"endpoint": "x/{nothing}"}]
)
def test_a_run_that_is_made_again_sends_all_whatever_its_first_try_came_to(places, supervisor, state, tmp_path, first):
    places.answer = but_for(4)
    tried(supervisor)
    sent(places)
    again = Supervisor(tmp_path / "again.json")
    assert tried(again, **first) != "success"
    assert sent(places) == []
    assert tried(again, 2) == "success"
    assert sent(places) == ALL


@pytest.mark.parametrize("how", ["argument", "conf", "replay"])
def test_a_preview_leaves_nothing_and_takes_nothing_away(places, supervisor, state, state_path, how):
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

    task = sql_to_rest(sql=TEN, preview=1 if how == "argument" else None)
    if how == "replay":
        task = ReplayDeadLettersOperator(task_id="r", dead_letters=[], http_conn_id="search_api", preview=True)
    run_try(task, supervisor, conf={"preview": 1} if how == "conf" else None)
    assert [*state_path.rglob("*.json")] == []
    places.answer = but_for(4)
    assert tried(supervisor) == "up_for_retry"
    before = {file: file.read_bytes() for file in state_path.rglob("*") if file.is_file()}
    run_try(task, supervisor, 2, conf={"preview": 1} if how == "conf" else None)
    assert {file: file.read_bytes() for file in state_path.rglob("*") if file.is_file()} == before


def test_a_try_that_was_rescheduled_goes_on(places, supervisor, state, state_path, monkeypatch):
    places.answer = but_for(4)
    assert tried(supervisor, run_started=NOON) == "up_for_retry"
    sent(places)
    ti = SimpleNamespace(dag_id=RUN[0], run_id=RUN[1], task_id=RUN[2], map_index=-1, try_number=1)
    ti.max_tries, ti.task = 1, SimpleNamespace(retries=1)
    claim = state.get("try")
    state.set("rescheduled", {"try_number": 1, "run_started": "2026-11-01T12:00:00.000000+00:00"})
    assert tried(supervisor, run_started=NOON) == "success"
    assert sent(places) == [4]
    assert state.get("try") != claim
    context = {"ti": ti, "dag_run": SimpleNamespace(start_date=datetime(2026, 12, 1, tzinfo=UTC))}
    assert state_store(context).get("settled") is None  # of another run


def test_two_mapped_tasks_do_not_mix(places, supervisor, state_path, tmp_path):
    others = Supervisor(tmp_path / "others.json")
    places.answer = but_for(4)
    assert tried(supervisor, map_index=0) == "up_for_retry"
    places.answer = but_for(5, 6)
    assert tried(others, map_index=1) == "up_for_retry"
    sent(places)
    assert tried(supervisor, 2, map_index=0) == "success"
    assert sent(places) == [4]
    assert tried(others, 2, map_index=1) == "success"
    assert sent(places) == [5, 6]
    assert sorted(path.name for path in state_path.joinpath(*RUN).iterdir()) == ["0", "1"]


@pytest.mark.parametrize("max_failures", [0, 2])
def test_a_replay_that_the_tab_asked_for(places, supervisor, state, max_failures):
    places.answer = but_for(4, 7, status=422)
    assert tried(supervisor, max_failures=max_failures) == ("success" if max_failures else "failed")
    sent(places)
    state.set("replay", {"reasons": None, "search": "readings/7", "count": 1})
    assert tried(supervisor, 2, max_tries=4, max_failures=2) == "success"
    assert sent(places) == [7]
    assert (supervisor.report["replay"], state.get("replay")) == ({"sent": 1, "delivered": 1, "failed": 0}, None)
    assert tried(supervisor, 3, max_tries=5, max_failures=2) == "success"  # another Clear is no replay
    assert sent(places) == ALL


@pytest.mark.parametrize(
    "data", left_to_release([b"{", b"", b'{"position": 3', b"[]", b"5", b"\xff", b'{"version": 2}'])
)
@pytest.mark.parametrize("key", ["checkpoint", "life", "try", "settled", "progress", "rescheduled", "replaying"])
def test_a_file_that_is_not_what_was_written_costs_no_row(places, supervisor, state, state_path, key, data):
    places.answer = but_for(4)
    assert tried(supervisor) == "up_for_retry"
    sent(places)
    state_path.joinpath(*RUN, "-1", f"{key}.json").write_bytes(data)
    assert tried(supervisor, 2) == "success"
    assert sent(places) in ([4], ALL)
    assert supervisor.report["delivered"] == 10


def test_a_request_to_replay_that_cannot_be_read_sends_nothing(places, supervisor, state, state_path):
    places.answer = but_for(4)
    tried(supervisor)
    sent(places)
    state_path.joinpath(*RUN, "-1", "replay.json").write_bytes(b'{"reasons": ["htt')
    _, error = run_try(sql_to_rest(sql=TEN), supervisor, 2, max_tries=4)
    assert (sent(places), "has the key 'replay' with '{\"reasons\": [\"htt'" in str(error)) == ([], True)


def test_a_folder_that_cannot_be_used_costs_resumability_and_no_row(places, supervisor, tmp_path, monkeypatch, logged):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", str(tmp_path / "file" / "state"))
    places.answer = but_for(4)
    for number in (1, 2):
        assert tried(supervisor, number, retries=3) == "up_for_retry"
        assert sent(places) == ALL
        places.answer = but_for(4)
    assert supervisor.report["delivered"] == 9
    assert logged().count("Could not write the checkpoint, so a retry may send again more than it must") == 2


def test_a_folder_that_becomes_read_only_is_still_read_by_a_retry(places, supervisor, state, monkeypatch, logged):
    places.answer = but_for(4)
    tried(supervisor)
    sent(places)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as read_only:
        read_only.setattr(FolderStore, "set", refuse)
        read_only.setattr(FolderStore, "delete", refuse)
        assert tried(supervisor, 2, max_tries=4) == "success"  # after a Clear, too
    assert sent(places) == [4]
    assert logged().count("Could not write the checkpoint") == 1


def test_a_setting_that_is_no_folder_stops_the_task_before_it_sends(places, supervisor, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", "state")
    state, error = run_try(sql_to_rest(sql=TEN), supervisor)
    assert (state, sent(places)) == ("failed", [])
    assert "[async_rest] state_path='state': write an absolute path" in str(error)


def test_object_storage_is_a_folder_as_any_other(places, supervisor, tmp_path, monkeypatch):
    uri = f"memory://{uuid4().hex}/state"
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", uri)
    places.answer = but_for(4)
    assert tried(supervisor) == "up_for_retry"
    assert open_state("/".join((uri, *RUN, "-1"))).get("checkpoint")["position"] == 10
    sent(places)
    assert tried(supervisor, 2) == "success"
    assert sent(places) == [4]
    assert tried(Supervisor(tmp_path / "again.json")) == "success"
    assert sent(places) == ALL
    assert supervisor.data["state"] == {}


def test_a_try_that_a_later_one_has_replaced_writes_nothing_more(places, supervisor, state, logged):
    """It is not stopped by that, but what it writes would be taken for the later one's."""
    later = []

    def answer(seen):
        if seen.path.endswith("/60"):
            ids_of = {"dag_id": RUN[0], "run_id": RUN[1], "task_id": RUN[2], "map_index": -1}
            ti = SimpleNamespace(**ids_of, try_number=2, start_date=datetime.now(UTC))
            ti.max_tries, ti.task = 1, SimpleNamespace(retries=1)
            run = SimpleNamespace(start_date=datetime.fromisoformat(supervisor.data["run_started"]))
            store = state_store({"ti": ti, "dag_run": run})
            store.set("checkpoint", "of the later try")
            later.append(store)
        return 200

    places.answer = answer
    run_try(sql_to_rest(sql=READINGS.format(rows=200), concurrency=1), supervisor)
    assert later[0].get("checkpoint") == "of the later try"
    assert "a later try of this task has taken over its state" in logged()


def test_where_airflow_has_no_store_the_folder_is_beside_the_default_dead_letters(
    places, supervisor, tmp_path, monkeypatch
):
    """As before Airflow 3.3: the context has none. An operator's own path is none of its business."""
    from airflow.sdk.execution_time import task_runner

    complete = task_runner.RuntimeTaskInstance.get_template_context

    def without_a_store(self):
        context = complete(self)
        context.pop("task_state_store", None)
        return context

    monkeypatch.setattr(task_runner.RuntimeTaskInstance, "get_template_context", without_a_store)
    places.answer = but_for(4)
    own = {"dead_letter_path": str(tmp_path / "own")}
    assert tried(supervisor, **own) == "up_for_retry"
    files = {path.name for path in (tmp_path / "dead_letters/_state").joinpath(*RUN, "-1").iterdir()}
    assert files == {"checkpoint.json", "life.json", "progress.json", "try.json"}
    sent(places)
    assert tried(supervisor, 2, **own) == "success"
    assert sent(places) == [4]
    assert supervisor.data["state"] == {}


def test_state_is_private_as_dead_letters_are(places, supervisor, state_path):
    before = os.umask(0)
    try:
        assert tried(supervisor) == "success"
    finally:
        os.umask(before)
    files = [path for path in state_path.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert all(json.loads(path.read_bytes()) for path in files)
    assert state_path.stat().st_mode & 0o777 == 0o700
