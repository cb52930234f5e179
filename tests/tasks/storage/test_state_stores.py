"""What every state store does, Airflow's own and a folder, and what a folder does besides."""

import json
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from engine import Store
from tables import every_row
from task_runner import Supervisor

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.keeping.folder_store import MOST_BYTES, FolderStore
from airflow_async_rest.core.keeping.try_store import TryStore
from airflow_async_rest.tasks.storage.paths import open_path
from airflow_async_rest.tasks.storage.state_stores import open_state, state_base, state_folder, state_store

NOON, LATER = datetime(2026, 11, 1, 12, tzinfo=UTC), datetime(2026, 11, 1, 13, tzinfo=UTC)
TASK = ("sensors", "scheduled__2026-11-01", "post", -1)


@pytest.fixture(params=["airflow", "disk", "memory", "file", "try", "fake"])
def store(request, tmp_path, monkeypatch):
    """Each state store there is."""
    if request.param == "airflow":
        from airflow.sdk.execution_time import context, task_runner

        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(tmp_path / "airflow.json"), raising=False)
        scope = task_runner.TaskScope(dag_id="sensors", run_id="run", task_id="post", map_index=-1)
        return context.TaskStateStoreAccessor(uuid.UUID(int=1), scope)
    if request.param == "fake":
        return Store()
    if request.param == "try":
        monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", str(tmp_path))
        return state_store(context_of(*TASK))
    places = {
        "disk": f"file://{tmp_path}/a/b",
        "memory": f"memory://{uuid4().hex}/state",
        "file": f"local://{tmp_path}/c",
    }
    return open_state(places[request.param])


def context_of(dag_id, run_id, task_id, map_index, try_number=1, **more):
    ti = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index, "try_number": try_number}
    return {"ti": SimpleNamespace(**ti, max_tries=1, task=SimpleNamespace(retries=1)), **more}


@pytest.mark.parametrize(
    "value", [{"position": 3, "unfinished": [1, 2], "none": None}, [], {}, "", "text", 0, 1.5, False, "\N{SNOWMAN}\n"]
)
def test_a_value_comes_back_as_it_was(store, value):
    store.set("checkpoint", value)
    assert store.get("checkpoint") == value
    assert type(store.get("checkpoint")) is type(value)


def test_each_key_has_its_value_and_the_last_one_counts(store):
    assert store.get("checkpoint") is None
    for key in ("checkpoint", "progress", "checkpoint"):
        store.set(key, [key, store.get(key)])
    assert store.get("checkpoint") == ["checkpoint", ["checkpoint", None]]
    store.delete("checkpoint")
    assert (store.get("checkpoint"), store.get("progress")) == (None, ["progress", None])


def test_a_key_that_is_not_there_can_be_forgotten(store):
    store.delete("settled")
    store.set("settled", 1)
    store.delete("settled")
    store.delete("settled")
    assert store.get("settled") is None


def test_null_is_no_value(store):
    with pytest.raises(ValueError, match="None|null"):
        store.set("checkpoint", None)


@pytest.fixture
def folder(tmp_path):
    return FolderStore(tmp_path / "dag" / "run")


def test_more_than_airflows_store_takes_and_not_without_end(folder):
    folder.set("checkpoint", "x" * 1_000_000)
    with pytest.raises(ValueError, match=r"'checkpoint' has [\d,]+ bytes, and a file of it may have 4,194,304"):
        folder.set("checkpoint", "x" * MOST_BYTES)
    assert folder.get("checkpoint") == "x" * 1_000_000


def test_what_is_no_json_is_not_written(folder):
    folder.set("progress", 1)
    for value in (float("nan"), {1, 2}, b"x"):
        with pytest.raises((ValueError, TypeError)):
            folder.set("progress", value)
    assert folder.get("progress") == 1


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", ""),
        (b"{", "{"),
        (b'{"a": 1', '{"a": 1'),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}" * 2),
        (b"x" * 999, "x" * 80),
        (b"[" * 100_000, "[" * 80),
        (b"null", None),
    ],
)
def test_a_file_that_is_no_json_is_a_text(folder, tmp_path, data, value):
    folder.set("progress", 1)
    (tmp_path / "dag" / "run" / "progress.json").write_bytes(data)
    assert folder.get("progress") == value


@pytest.mark.parametrize(("mode", "of_file", "of_folder"), [(None, 0o600, 0o700), ("0640", 0o640, 0o750)])
def test_files_are_private_whatever_the_umask_is(tmp_path, monkeypatch, mode, of_file, of_folder):
    if mode:
        monkeypatch.setenv("AIRFLOW__ASYNC_REST__FILE_MODE", mode)
    before = os.umask(0)
    try:
        open_state(f"file://{tmp_path}/state/dag").set("progress", 1)
    finally:
        os.umask(before)
    assert (tmp_path / "state/dag/progress.json").stat().st_mode & 0o777 == of_file
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("state", "state/dag")} == {of_folder}


def test_a_reader_sees_the_old_value_or_the_new_one(folder, tmp_path, monkeypatch):
    folder.set("progress", "old")
    seen = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda *names: (seen.append(folder.get("progress")), replace(*names)))
    folder.set("progress", "new")
    assert (seen, folder.get("progress")) == (["old"], "new")
    assert [file.name for file in (tmp_path / "dag/run").iterdir()] == ["progress.json"]


def test_a_full_disk_leaves_the_value_before_and_no_pieces(folder, tmp_path, monkeypatch):
    folder.set("progress", "old")
    with monkeypatch.context() as full:
        full.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                folder.set("progress", "new")
    assert folder.get("progress") == "old"
    assert [file.name for file in (tmp_path / "dag/run").iterdir()] == ["progress.json"]


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_a_wipe_takes_all_but_the_dead_letters(where, tmp_path):
    uri = f"file://{tmp_path}/x" if where == "disk" else f"memory://{uuid4().hex}/x"
    folder, path = open_state(uri), open_path(uri)
    folder.wipe()  # nothing is there
    for key in ("checkpoint", "replay", "what_comes_later"):
        folder.set(key, 1)
    for other in ("parts.json", "1-1.jsonl"):
        (path / other).write_bytes(b"{}")
    folder.wipe()
    assert sorted(file.name for file in path.iterdir()) == ["1-1.jsonl", "parts.json"]


def test_the_folder_lies_beside_the_default_dead_letters_unless_it_is_named(monkeypatch):
    monkeypatch.setenv("AIRFLOW_HOME", "/airflow")
    monkeypatch.delenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", raising=False)
    assert state_base() == "file:///airflow/async_rest/dead_letters/_state"
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", "s3://bucket/letters/")
    assert state_base() == "s3://bucket/letters/_state"
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", " /shared/state/ ")
    assert state_base() == "file:///shared/state"
    assert state_folder("dag", "..", "group.task", 3) == "file:///shared/state/dag/%2E%2E/group.task/3"
    assert state_folder("dag", "a/b", "task", -1) == "file:///shared/state/dag/a%2Fb/task/-1"


@pytest.mark.parametrize("path", ["x/y", "s3:x", "file://host/x"])
def test_a_setting_that_is_no_folder_is_refused_by_its_name(monkeypatch, path):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", path)
    with pytest.raises(ConfigurationError, match=r"^\[async_rest\] state_path=.*: write an absolute path such as"):
        state_store(context_of(*TASK, task_state_store=Store()))


@pytest.mark.parametrize("path", ["", " "])
def test_airflows_store_is_used_where_there_is_one_and_no_folder_is_named(monkeypatch, tmp_path, path):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", path)
    airflows = Store()
    assert state_store(context_of(*TASK, task_state_store=airflows)) is airflows
    assert state_store(context_of(*TASK, task_state_store=None)) is None
    assert isinstance(state_store(context_of(*TASK)), TryStore)
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", str(tmp_path))
    assert isinstance(state_store(context_of(*TASK, task_state_store=airflows)), TryStore)


def test_values_lie_where_the_documentation_says(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", str(tmp_path))
    state_store(context_of("sensors", "..", "post", 7)).set("checkpoint", {"position": 1})
    assert json.loads((tmp_path / "sensors/%2E%2E/post/7/checkpoint.json").read_bytes()) == {"position": 1}


@pytest.mark.parametrize("run_id", ["[x]*", "a?b", "{a,b}", "a#b", "**", "a%20b", "x::y", "x\n", "x\t"])
def test_whatever_a_run_is_called_its_state_can_be_wiped(monkeypatch, run_id):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", f"memory://{uuid4().hex}/state")
    store, other = (open_state(state_folder("dag", each, "task", -1)) for each in (run_id, "x"))
    store.set("checkpoint", 1)
    other.set("checkpoint", 2)
    store.wipe()
    assert (store.get("checkpoint"), other.get("checkpoint")) == (None, 2)


@pytest.mark.parametrize("run_id", ["a::b", "a:::b"])
def test_in_object_storage_two_tasks_of_a_run_have_two_folders_whatever_it_is_called(monkeypatch, run_id):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", f"memory://{uuid4().hex}/state")
    one, other = (open_state(state_folder("dag", run_id, task_id, -1)) for task_id in ("one", "other"))
    one.set("checkpoint", 1)
    assert other.get("checkpoint") is None


@every_row(
    ("run", "again", "number", "max_tries", "kept"),
    [
        # dag_run of 2: `airflow dags backfill` gives it another start_date, a run that is made again is another row
        ({"id": 7, "start_date": NOON}, {"id": 7, "start_date": LATER}, 2, 1, True),
        ({"id": 7, "start_date": NOON}, {"id": 7, "start_date": LATER}, 3, 1, True),
        ({"id": 7, "start_date": NOON}, {"id": 7, "start_date": LATER}, 2, 2, True),  # cleared, too
        ({"id": 7, "start_date": NOON}, {"id": 8, "start_date": LATER}, 2, 1, False),
        ({"id": 7, "start_date": NOON}, {"id": 8, "start_date": NOON}, 2, 1, False),
        ({"id": 7, "start_date": NOON}, {"id": 8, "start_date": LATER}, 2, 2, False),  # made again, and cleared
        ({"id": 7, "start_date": NOON}, {"id": 7, "start_date": LATER}, 1, 1, False),  # SQLite has the number again
        # of 3, which has no number for it: only a Clear has a run begin once more
        ({"start_date": NOON}, {"start_date": NOON}, 2, 1, True),
        ({"start_date": NOON}, {"start_date": LATER}, 2, 1, False),
        ({"start_date": NOON}, {"start_date": LATER}, 2, 2, True),
    ],
)
def test_what_is_left_in_the_folder_is_used_by_the_same_run_only_and_the_log_says_so(
    tmp_path, monkeypatch, caplog, run, again, number, max_tries, kept
):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", str(tmp_path / uuid4().hex))
    caplog.set_level("INFO")
    caplog.clear()

    def store_of(dag_run, try_number, most=1):
        context = context_of(*TASK, try_number, dag_run=SimpleNamespace(**dag_run))
        context["ti"].max_tries, context["ti"].start_date = most, dag_run["start_date"]
        return state_store(context)

    store_of(run, 1).set("checkpoint", 3)
    assert store_of(again, number, max_tries).get("checkpoint") == (3 if kept else None)
    assert ("Starting over without the checkpoint in the state folder: it is of try 1 of " in caplog.text) is not kept


def test_a_try_that_was_rescheduled_goes_on_in_a_second_backfill_of_2(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", str(tmp_path))
    runs = (SimpleNamespace(id=number, start_date=date) for number, date in ((7, NOON), (7, LATER), (8, LATER)))
    first, second, made_again = (state_store(context_of(*TASK, dag_run=run)) for run in runs)
    first.set("checkpoint", 3)
    first.reschedule()
    assert [store.get("checkpoint") for store in (second, made_again)] == [3, None]
