"""The endpoints of a task instance's state: the same, whether it is in Airflow's store or in a folder."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from airflow_async_rest.tasks.storage.state_stores import open_state, state_folder, state_store
from airflow_async_rest.ui.states import TaskInstanceId, progress_of

DAY = datetime(2026, 3, 1, tzinfo=UTC)
TASK = TaskInstanceId("kept", "scheduled__2026-03-01T00:00:00+00:00", "post")
UNCLEARED = {"max_tries": 1, "task": SimpleNamespace(retries=1)}
MAPPED = TASK._replace(task_id="mapped", map_index=2)
REQUEST = {"reasons": ["http_422"], "search": "", "count": 3}


def path_of(task, key=""):
    path = f"/async-rest/api/v2/dags/{task.dag_id}/dagRuns/{task.run_id}/taskInstances/{task.task_id}/state-store"
    return f"{path}{key and '/' + key}?map_index={task.map_index}"


@pytest.fixture(scope="module")
def dag_run(airflow_db):
    """A run with the two task instances, in Airflow's database. :return: the run's id there."""
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.dagrun import DagRun
    from airflow.models.task_state_store import TaskStateStoreModel
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import delete, insert
    from uuid6 import uuid7

    with create_session() as session:
        session.merge(DagBundleModel(name="tests"))
        session.flush()
        session.merge(DagModel(dag_id=TASK.dag_id, bundle_name="tests"))
        session.flush()
        run = {"dag_id": TASK.dag_id, "run_id": TASK.run_id, "run_type": "scheduled", "state": "running"}
        times = {"data_interval_start": DAY, "data_interval_end": DAY + timedelta(days=1), "run_after": DAY}
        id_ = session.execute(insert(DagRun.__table__).values(**run, **times, logical_date=DAY)).inserted_primary_key[0]
        for task in (TASK, MAPPED):
            more = {"state": "running", "operator": "SqlToRestOperator", "pool": "default_pool", "try_number": 1}
            session.execute(insert(TaskInstance.__table__).values(id=uuid7(), **task._asdict(), **more))
    yield id_
    with create_session() as session:
        for model in (TaskStateStoreModel, TaskInstance, DagRun, DagModel):
            session.execute(delete(model).where(model.dag_id == TASK.dag_id))


class Airflows:
    """What tasks have stored in Airflow's database."""

    def __init__(self, run):
        self.run = run

    def put(self, task, key, value):
        from airflow.models.task_state_store import TaskStateStoreModel
        from airflow.utils.session import create_session
        from sqlalchemy import insert

        with create_session() as session:
            values = {**task._asdict(), "dag_run_id": self.run, "key": key, "value": json.dumps(value)}
            session.execute(insert(TaskStateStoreModel.__table__).values(**values))

    def look(self, task, key):
        from airflow.models.task_state_store import TaskStateStoreModel
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            found = session.scalar(select(TaskStateStoreModel.value).filter_by(**task._asdict(), key=key))
            return None if found is None else json.loads(found)

    def clean(self):
        from airflow.models.task_state_store import TaskStateStoreModel
        from airflow.utils.session import create_session
        from sqlalchemy import delete

        with create_session() as session:
            session.execute(delete(TaskStateStoreModel).where(TaskStateStoreModel.dag_id == TASK.dag_id))


class Folder:
    """What tasks have stored in a folder."""

    def put(self, task, key, value):
        ti = SimpleNamespace(**task._asdict(), try_number=2, start_date=DAY, **UNCLEARED)
        state_store({"ti": ti, "dag_run": None}).set(key, value)

    def look(self, task, key):
        return open_state(state_folder(*task)).get(key)


@pytest.fixture(params=["airflow", "folder"])
def kept(request, dag_run, tmp_path, monkeypatch):
    if request.param == "folder":
        monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", str(tmp_path / "state"))
        yield Folder()
        return
    airflows = Airflows(dag_run)
    yield airflows
    airflows.clean()


def test_a_viewer_sees_what_a_task_has_stored(client_of, kept):
    client = client_of("vic")
    assert client.get(path_of(TASK)).json() == {"task_state_store": [], "total_entries": 0}
    for key in ("progress", "checkpoint", "life"):
        kept.put(TASK, key, {"of": key})
    kept.put(MAPPED, "progress", {"of": "the mapped one"})
    found = [{"key": key, "value": {"of": key}} for key in ("checkpoint", "progress")]
    assert client.get(path_of(TASK)).json() == {"task_state_store": found, "total_entries": 2}
    assert client.get(path_of(TASK, "progress")).json() == {"key": "progress", "value": {"of": "progress"}}
    assert client.get(path_of(MAPPED, "progress")).json()["value"] == {"of": "the mapped one"}


@pytest.mark.parametrize("key", ["settled", "life", "try", "other", "..%2Fprogress"])
def test_what_is_not_there_or_nobodys_business_is_not_found(client_of, kept, key):
    kept.put(TASK, "life", "20261101T000000Z-0123abcd")
    assert client_of("ann").get(path_of(TASK, key)).status_code == 404


@pytest.mark.parametrize("user", [None, "vic"])
def test_who_may_not_clear_the_task_asks_for_no_replay(client_of, kept, user):
    client, status = client_of(user), 401 if user is None else 403
    kept.put(TASK, "replay", REQUEST)
    assert client.put(path_of(TASK, "replay"), json={"value": REQUEST}).status_code == status
    assert client.delete(path_of(TASK, "replay")).status_code == status
    assert kept.look(TASK, "replay") == REQUEST
    if user is None:
        assert [client.get(path).status_code for path in (path_of(TASK), path_of(TASK, "replay"))] == [401, 401]


def test_who_may_clear_the_task_asks_for_a_replay_and_withdraws_it(client_of, kept):
    client = client_of("ann")
    for request in (REQUEST, {**REQUEST, "reasons": None}, {**REQUEST, "kind": "out of range"}):
        answer = client.put(path_of(TASK, "replay"), json={"value": request})
        assert answer.status_code == 204, answer.text
        assert kept.look(TASK, "replay") == request
        assert client.get(path_of(TASK, "replay")).json()["value"] == request
    assert kept.look(MAPPED, "replay") is None
    for _ in range(2):
        assert client.delete(path_of(TASK, "replay")).status_code == 204
        assert kept.look(TASK, "replay") is None


def test_a_request_of_a_folder_is_the_tasks_next_try_and_a_first_try_knows_of_none(
    client_of, dag_run, tmp_path, monkeypatch
):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", str(tmp_path / "state"))
    Folder().put(TASK, "checkpoint", 1)
    client_of("ann").put(path_of(TASK, "replay"), json={"value": REQUEST})
    contexts = [
        {"ti": SimpleNamespace(**TASK._asdict(), try_number=number, start_date=None, **UNCLEARED)} for number in (3, 1)
    ]
    assert [state_store(context).get("replay") for context in contexts] == [REQUEST, None]


@pytest.mark.parametrize(
    "value", [None, "all", [], 5, {"reason": ["http_422"]}, {"reasons": "http_422"}, {"search": 4}, {"folder": "/etc"}]
)
def test_a_request_that_no_task_would_understand_is_refused(client_of, kept, value):
    answer = client_of("ann").put(path_of(TASK, "replay"), json={"value": value})
    assert (answer.status_code, kept.look(TASK, "replay")) == (422, None)
    assert value is None or "write {'reasons': ['http_422'] or null" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"reasons": ["x" * 1_000_000]}, "and may have 20,000: choose by fewer reasons, or by a shorter search."),
        ({"reasons": ["x"] * 300_000}, "and may have 20,000"),
        ({"search": "x" * 100_000}, "and may have 20,000"),
        ({"folder": "x" * 100_000}, "and may have 20,000"),
        ({"count": float("nan")}, "as NaN: leave it out."),
        ({"count": [float("inf")]}, "as NaN: leave it out."),
    ],
)
def test_a_request_that_no_store_would_keep_is_refused(client_of, kept, value, why):
    kind = {"Content-Type": "application/json"}
    answer = client_of("ann").put(path_of(TASK, "replay"), content=json.dumps({"value": value}), headers=kind)
    assert (answer.status_code, kept.look(TASK, "replay")) == (422, None)
    assert why in answer.json()["detail"]
    assert len(answer.text) < 1_000


@pytest.mark.parametrize("map_index", [10**30, 2**31, -2, "x"])
@pytest.mark.parametrize("key", ["", "replay"])
def test_a_map_index_that_no_task_has_is_refused_by_name(client_of, kept, map_index, key):
    path, client = path_of(TASK._replace(map_index=map_index), key), client_of("ann")
    answers = [client.get(path), client.get(path.replace("state-store", "pushed"))] if not key else []
    answers += [client.put(path, json={"value": REQUEST}), client.delete(path)] if key else []
    for answer in answers:
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", "map_index"])


@pytest.mark.parametrize("other", [{"run_id": "another"}, {"map_index": 7}, {"task_id": "another"}])
def test_only_task_instances_that_there_are_are_asked(client_of, kept, other):
    task = TASK._replace(**other)
    answer = client_of("ann").put(path_of(task, "replay"), json={"value": REQUEST})
    assert (answer.status_code, kept.look(task, "replay")) == (404, None)


@pytest.mark.parametrize("key", ["checkpoint", "progress"])
@pytest.mark.parametrize("method", ["put", "delete"])
def test_nothing_but_a_replay_can_be_changed(client_of, kept, key, method):
    kept.put(TASK, key, 1)
    arguments = {"json": {"value": REQUEST}} if method == "put" else {}
    assert getattr(client_of("ann"), method)(path_of(TASK, key), **arguments).status_code == 405
    assert kept.look(TASK, key) == 1


def test_a_running_window_has_the_counts_of_its_progress(client_of, kept):
    counts = {"read": 9, "delivered": 7, "failed": 2, "skipped": 0, "unfinished": 0, "complete": False}
    kept.put(TASK, "progress", {**counts, "history": []})
    kept.put(MAPPED, "progress", "of another program")
    answer = client_of("vic").get("/async-rest/windows", params={"dag_id": TASK.dag_id})
    assert answer.status_code == 200, answer.text
    reports = {window["task_id"]: window["report"] for window in answer.json()["windows"]}
    assert reports == {"post": counts, "mapped": None}


@pytest.fixture
def folder(dag_run, tmp_path, monkeypatch):
    """The folder of ``TASK``."""
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", str(tmp_path / "state"))
    Folder().put(TASK, "progress", {"delivered": 1})
    return tmp_path.joinpath("state", *map(str, TASK))


@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_link_to_another_place_is_not_followed(client_of, folder, tmp_path, link):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "progress.json").write_text('"secret"')
    if link == "file":
        (folder / "progress.json").unlink()
        (folder / "progress.json").symlink_to(tmp_path / "secret" / "progress.json")
    else:
        folder.rename(folder.with_name("before"))
        folder.symlink_to(tmp_path / "secret")
    client = client_of("ann")
    answers = [
        client.get(path_of(TASK)),
        client.get(path_of(TASK, "progress")),
        client.put(path_of(TASK, "replay"), json={"value": REQUEST}),
    ]
    assert {(answer.status_code, answer.json()["detail"]) for answer in answers} == {
        (403, "The folder of the state is, or has, a link to another place.")
    }
    [window] = [
        w
        for w in client.get("/async-rest/windows", params={"dag_id": TASK.dag_id}).json()["windows"]
        if w["task_id"] == "post"
    ]
    assert window["report"] is None


@pytest.mark.parametrize("method", ["put", "delete"])
def test_a_folder_of_another_user_needs_a_group_that_may_write(client_of, folder, monkeypatch, method):
    def forbidden(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.replace", forbidden)
    monkeypatch.setattr("pathlib.Path.unlink", forbidden)
    arguments = {"json": {"value": REQUEST}} if method == "put" else {}
    answer = getattr(client_of("ann"), method)(path_of(TASK, "replay"), **arguments)
    assert (answer.status_code, "[async_rest] file_mode = 0660" in answer.json()["detail"]) == (503, True)


def test_files_of_another_user_name_the_setting_and_the_windows_are_shown_without(client_of, folder, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    client = client_of("ann")
    monkeypatch.setattr("pathlib.Path.read_bytes", forbidden)
    for path in (path_of(TASK), path_of(TASK, "progress")):
        answer = client.get(path)
        assert (answer.status_code, "[async_rest] file_mode = 0640" in answer.json()["detail"]) == (503, True)
    assert len(client.get("/async-rest/windows", params={"dag_id": TASK.dag_id}).json()["windows"]) == 2


@pytest.mark.parametrize(
    ("error", "most"),
    [(TimeoutError("away"), 32), (ConnectionError("away"), 32), (PermissionError("private"), 100)],
    ids=lambda value: type(value).__name__,
)
def test_storage_that_is_away_is_not_asked_for_each_task_instance(folder, monkeypatch, error, most):
    asked = []

    def away(path):
        asked.append(path)
        raise error

    monkeypatch.setattr("pathlib.Path.read_bytes", away)
    places = [(f"run{n}", "post", -1) for n in range(100)]
    assert [value for _, value in progress_of(None, TASK.dag_id, places) if value is not None] == []
    assert 1 <= len(asked) <= most
    assert len(asked) > 32 or most == 32


@pytest.mark.parametrize("path", ["relative", "nowhere://bucket/state"])
def test_a_setting_that_is_wrong_is_told(client_of, folder, monkeypatch, path):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__STATE_PATH", path)
    answer = client_of("vic").get(path_of(TASK))
    assert (answer.status_code, "The API server cannot use the state of the task" in answer.text) == (503, True)
    answer = client_of("vic").get("/async-rest/windows", params={"dag_id": TASK.dag_id})
    assert [window["report"] for window in answer.json()["windows"]] == [None, None]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"NaN", b"[1, Infinity]"])
def test_a_file_that_is_no_json_is_shown_as_the_text_that_it_is(client_of, folder, data):
    (folder / "progress.json").write_bytes(data)
    answer = client_of("vic").get(path_of(TASK, "progress"))
    assert (answer.status_code, answer.json()["value"]) == (200, data.decode(errors="replace"))


def test_before_airflow_33_the_folder_below_the_dead_letters_is_read(client_of, dag_run, tmp_path, monkeypatch):
    from airflow_async_rest.compat import task_states

    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path))
    open_state(f"file://{tmp_path}/_state/{'/'.join(map(str, TASK))}").set("progress", {"delivered": 5})
    with monkeypatch.context() as older:
        older.setattr(task_states, "has_state_store", lambda: False)
        assert client_of("vic").get(path_of(TASK, "progress")).json()["value"] == {"delivered": 5}
    assert client_of("vic").get(path_of(TASK, "progress")).status_code == 404
