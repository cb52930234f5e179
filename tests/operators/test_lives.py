"""A run that is deleted and made again under the same id, another deployment with the same storage: lives of their own."""

import json
import re
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from checkout import REPOSITORY
from task_runner import Supervisor, run_try
from tasks import ids, rest_to_sql, sql_to_rest

from airflow_async_rest import RequestRetry
from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.tasks.run_life import MARK, UNMARKED, Life, life_of

ONCE = RequestRetry(max_attempts=1)
TEN = "SELECT i AS id FROM generate_series(1, 10) AS i ORDER BY i"


def tried(supervisor, number, **arguments):
    run_try(sql_to_rest(sql=TEN, request_retry=ONCE, **arguments), supervisor, number)
    return [supervisor.report[name] for name in ("read", "delivered", "failed")]


def but_for(*numbers, status=422):
    return lambda seen: status if int(seen.path.rpartition("/")[2]) in numbers else 200


def test_a_run_that_is_made_again_is_delivered_again(places, tmp_path):
    for life in range(3):
        airflow = Supervisor(tmp_path / f"{life}.json")  # state and XCom are new, the folder is not
        places.reset()
        places.answer = but_for(4)
        assert tried(airflow, 1) == [10, 9, 1]
        places.answer = lambda seen: 200
        assert tried(airflow, 2) == [10, 10, 0]
        assert sorted(set(ids(places.delivered))) == list(range(1, 11))
        assert ids(places.seen)[-1] == 4
        assert len(places.seen) == 11


def test_two_deployments_with_one_storage_know_nothing_of_each_other(places, tmp_path):
    production, test = (Supervisor(tmp_path / f"{name}.json") for name in ("production", "test"))
    places.answer = but_for(4)
    assert tried(production, 1) == [10, 9, 1]
    places.answer = but_for(5, 6)
    assert tried(test, 1) == [10, 8, 2]
    folders = [airflow.data["xcom"]["return_value"]["dead_letters"] for airflow in (production, test)]
    assert [sorted(DeadLetterFolder_at(uri).read()) for uri in folders] == [[3], [4, 5]]
    places.reset()
    places.answer = lambda seen: 200
    assert tried(production, 2) == [10, 10, 0]
    assert ids(places.seen) == [4]
    assert tried(test, 2) == [10, 10, 0]
    assert sorted(ids(places.seen)) == [4, 5, 6]


def DeadLetterFolder_at(uri):  # noqa: N802
    from airflow_async_rest.tasks.storage.folders import open_folder

    return open_folder(uri)


def test_retries_and_clears_of_one_life_have_one_folder(places, supervisor):
    places.answer = but_for(4)
    folders = []
    for number in (1, 2, 5):
        tried(supervisor, number)
        folders.append(supervisor.report["dead_letters"])
    assert len(set(folders)) == 1


def test_a_retry_goes_on_where_a_try_of_the_first_version_ended(places, supervisor, tmp_path, api):
    """With the folder that it left, and its checkpoint, to which only the fingerprint of this task is given."""
    places.answer = but_for(4)
    tried(supervisor, 1)
    state = supervisor.data["state"]
    mark = state.pop("life")
    [folder] = tmp_path.rglob(mark)
    for file in folder.glob("*.jsonl"):
        file.rename(folder.parent / file.name)
    shutil.rmtree(folder)
    places.reset()
    places.answer = but_for(4)
    assert tried(supervisor, 2) == [10, 9, 1]
    assert ids(places.seen) == [4]
    assert supervisor.report["dead_letters"].endswith("/post/-1")
    assert "life" not in state


def test_a_retry_that_does_not_know_its_life_does_not_go_on_with_parts_of_another(
    places, supervisor, tmp_path, monkeypatch
):
    places.answer = but_for(4)
    tried(supervisor, 1)
    folder = Path(supervisor.report["dead_letters"].removeprefix("file://"))
    other = (folder / "1-1.jsonl").read_text().replace('"index":3', '"index":6')
    (folder.parent / "1-1.jsonl").write_text(other)
    places.reset()
    places.answer = lambda seen: 200
    monkeypatch.setattr("airflow_async_rest.tasks.storage.folders.life_of", lambda context: Life(is_known=False))
    assert tried(supervisor, 2) == [10, 10, 0]
    assert sorted(ids(places.seen)) == list(range(1, 11))


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_a_load_that_was_unfinished_does_not_go_on_in_another_life(places, postgres, connect, tmp_path, mode):
    connect("warehouse", **postgres.connection())
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads",
        "DROP TABLE IF EXISTS locations",
        "CREATE TABLE locations (id bigint PRIMARY KEY, label text)",
    )

    def task():
        key = {"conflict_key": "id"} if mode == "upsert" else {}
        return rest_to_sql(
            sql=TEN,
            sql_conn_id="source_db",
            rows=None,
            columns={"id": "item.id", "label": "label"},
            load_mode=mode,
            request_retry=ONCE,
            **key,
        )

    from aiohttp import web

    def answer(label, *failing):
        def of(seen):
            number = int(seen.path.rpartition("/")[2])
            return 401 if number in failing else web.json_response({"label": label})

        return of

    places.answer = answer("old", 10)
    assert run_try(task(), Supervisor(tmp_path / "first.json"))[0] != "success"
    places.answer = answer("new")
    assert run_try(task(), Supervisor(tmp_path / "second.json"))[0] == "success"
    assert postgres.execute("SELECT DISTINCT label FROM locations") == [("new",)]
    assert postgres.execute("SELECT count(*) FROM locations") == [(10,)]


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_a_load_whose_state_is_gone_finds_the_dead_letters_of_the_rows_that_were_refused(
    places, postgres, connect, tmp_path, mode
):
    connect("warehouse", **postgres.connection())
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads, locations",
        "CREATE TABLE locations (id bigint UNIQUE CHECK (id <> 4))",
    )
    key = {"conflict_key": "id"} if mode == "upsert" else {}
    task = rest_to_sql(
        sql=TEN, sql_conn_id="source_db", columns={"id": "item.id"}, rows=None, load_mode=mode, retries=3, **key
    )
    airflow = Supervisor(tmp_path / "airflow.json")
    assert run_try(task, airflow)[0] != "success"
    letters = airflow.report["dead_letters"]
    airflow.data["state"].clear()  # the task state store has forgotten it
    assert run_try(task, airflow, 2)[0] != "success"
    assert airflow.report["dead_letters"] == letters
    postgres.execute("ALTER TABLE locations DROP CONSTRAINT locations_id_check")
    airflow.data["state"].clear()
    assert run_try(task, airflow, 3)[0] == "success"
    assert postgres.execute("SELECT count(*) FROM locations") == [(10,)]
    assert [airflow.report[name] for name in ("read", "delivered", "failed")] == [10, 10, 0]


def test_a_retry_of_a_load_waits_for_the_store_that_knows_its_life(places, postgres, connect, tmp_path):
    connect("warehouse", **postgres.connection())
    postgres.execute("DROP TABLE IF EXISTS locations", "CREATE TABLE locations (id bigint)")
    airflow = Supervisor(tmp_path / "airflow.json", failing=True)
    state, error = run_try(rest_to_sql(sql=TEN, sql_conn_id="source_db", columns=["id"]), airflow, 2)
    assert (state, "the task state store does not answer" in str(error)) == ("up_for_retry", True)
    assert places.seen == []


class Store(dict):
    """A state store that may fail, or hang, at one of its calls."""

    def __init__(self, fails_at="", hangs_at=""):
        self.fails_at, self.hangs_at = fails_at, hangs_at

    def at(self, call):
        if call == self.fails_at:
            raise ConnectionError("the API server is away")
        if call == self.hangs_at:
            threading.Event().wait()

    def get(self, key):
        self.at("get")
        return super().get(key)

    def set(self, key, value):
        self.at("set")
        self[key] = value

    def delete(self, key):
        self.at("delete")
        self.pop(key, None)


def life(store, try_number=1, bounds=USUAL):
    return life_of({"task_state_store": store, "ti": SimpleNamespace(try_number=try_number)}, bounds)


def test_a_life_is_marked_once_and_known_from_then_on():
    store = Store()
    first = life(store)
    assert MARK.fullmatch(first.mark)
    assert life(store) == life(store, 2) == life(store, 7) == first
    assert life(Store()) != first


@pytest.mark.parametrize(
    ("store", "try_number", "expected"),
    [
        (None, 1, UNMARKED),
        (Store(), 2, UNMARKED),
        (Store(fails_at="get"), 1, Life(is_known=False)),
        (Store(fails_at="set"), 1, Life(is_known=False)),
        (Store(hangs_at="get"), 2, Life(is_known=False)),
        (Store(hangs_at="set"), 1, Life(is_known=False)),
    ],
)
def test_a_life_without_a_mark_is_that_of_earlier_versions(store, try_number, expected):
    assert life(store, try_number, Bounds(load_seconds=0.05, patient_load_seconds=0.05)) == expected


@pytest.mark.parametrize("left", ["waits", "checkpoint"])
def test_a_later_sitting_makes_no_mark_that_the_first_one_did_not_have(left):
    store = Store()
    store[left] = {"version": 2}
    assert life(store) == UNMARKED
    assert "life" not in store


def test_a_mark_that_is_kept_too_late_is_removed():
    store, go, before = Store(), threading.Event(), set(threading.enumerate())
    store.at = lambda call: go.wait(30) if call == "set" else None
    assert life(store, 1, Bounds(load_seconds=0.05)) == Life(is_known=False)
    [thread] = set(threading.enumerate()) - before
    go.set()
    thread.join(30)
    assert store == {}


@pytest.mark.parametrize("try_number", [1, 2])
def test_a_mark_that_cannot_be_kept_fresh_is_known_all_the_same(try_number):
    store = Store(fails_at="set")
    store["life"] = "20200101T000000Z-0123abcd"
    assert life(store, try_number) == Life("20200101T000000Z-0123abcd")


def test_a_mark_is_kept_fresh():
    store, kept = Store(), []
    store["life"] = "20200101T000000Z-0123abcd"
    store.at = kept.append
    life(store, 2)
    assert kept == ["get", "set"]


def test_a_later_try_waits_longer_for_a_slow_store():
    store = Store()
    mark = life(store)
    store.at = lambda call: threading.Event().wait(0.2)
    assert life(store, 2, Bounds(load_seconds=0.01)) == mark


def test_a_first_try_that_did_not_wait_for_its_mark_leaves_none():
    store, go, before = Store(), threading.Event(), set(threading.enumerate())
    store.at = lambda call: go.wait(30)
    assert life(store, 1, Bounds(load_seconds=0.01)) == Life(is_known=False)
    [thread] = set(threading.enumerate()) - before
    go.set()
    thread.join(30)
    assert store == {}


def test_calls_of_several_threads_have_one_life():
    store, found = Store(), []
    threads = [threading.Thread(target=lambda: found.append(life(store))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(found)) == 1


def test_what_stands_in_the_store_is_no_path():
    store = Store()
    store["life"] = "../../etc"
    assert MARK.fullmatch(life(store).mark)
    assert not re.search(r"\.\.|/", life(store).mark)


def test_a_kept_checkpoint_has_no_life():
    state = json.loads((REPOSITORY / "tests/samples/dead_letters/rows.state.json").read_text())
    assert set(state) == {"checkpoint", "progress"}
    assert DeadLetterFolder(REPOSITORY / "tests/samples/dead_letters/rows").read()
