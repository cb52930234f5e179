"""What is known of dead letters that another task has delivered: by whom, and which they were."""

import json
from datetime import UTC, datetime

import pytest

from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.letters.replays import NAME
from airflow_async_rest.core.models import DeadLetter, Item, Request

BY = {"dag_id": "replay", "run_id": "manual__1", "task_id": "send", "map_index": -1, "try_number": 1}
REPORT = {"read": 10, "delivered": 8, "failed": 2, "skipped": 0, "unfinished": 0, "complete": True}
LONG_AGO, LATER = datetime(2026, 3, 2, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The dead letters of the first run of ``delivery``: two, of which one was delivered later."""
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path))
    made = DeadLetterFolder(tmp_path.joinpath("delivery", "run0", "post", "-1"), 1)
    items = [Item(index, f"row {index}", {"id": index}, None) for index in range(2)]
    request = Request("PUT", "sensors/1", "", b'{"id": 1}', "key1")
    made.write([DeadLetter.of(item, "http_422", request=request, status=422, attempts=1) for item in items])
    made.write([{"index": 0, "resolved": True}])
    return made


@pytest.fixture
def run(dag_runs, tmp_path):
    """Make that run. :return: its report names the folder."""

    def make(ended, **more):
        uri = f"file://{tmp_path}/delivery/run0/post/-1"
        dag_runs("delivery", ("failed", {**REPORT, "dead_letters": uri, **more}), ended=ended)

    return make


def replay_of(client):
    [window] = client.get("/async-rest/windows", params={"dag_id": "delivery"}).json()["windows"]
    return window["replay"]


def test_a_window_tells_who_has_sent_its_dead_letters_again_since(client_of, dag_runs, folder, run):
    dag_runs("replay", ("success", REPORT))
    folder.add_replay(BY, 0, 2)
    folder.add_replay(BY | {"run_id": "manual__2"}, 1, 1)
    run(LONG_AGO)
    found = replay_of(client_of("vic"))
    assert (found["by"]["run_id"], found["delivered"], found["failed"], found["left"]) == ("manual__2", 1, 1, 1)


@pytest.mark.parametrize(
    ("ended", "more"),
    [
        (LATER, {}),  # the task's own report knows of it
        (None, {}),
        (LONG_AGO, {"failed": 0}),
        (LONG_AGO, {"dead_letters": "file:///etc"}),
        (LONG_AGO, {"dead_letters": None}),
    ],
)
def test_a_replay_that_says_nothing_of_the_window_is_not_told(client_of, folder, run, ended, more):
    folder.add_replay(BY, 2, 0)
    run(ended, **more)
    assert replay_of(client_of("vic")) is None


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"replays": 1}', b'{"replays": [1, {"at": 1}]}', b"x" * 200_000, b"\xff", b"[" * 50_000]
)
def test_a_note_that_is_damaged_says_nothing(client_of, folder, run, data):
    run(LONG_AGO)
    folder._path.joinpath(NAME).write_bytes(data)
    assert replay_of(client_of("vic")) is None
    assert folder.replays() == []
    folder.add_replay(BY, 1, 0)
    assert replay_of(client_of("vic"))["delivered"] == 1


@pytest.mark.parametrize(
    ("by", "is_named"), [("secret_project", False), ("gone", False), ("delivery", True), ("replay", True)]
)
def test_a_dag_that_airflow_would_not_show_is_not_named(client_of, dag_runs, folder, run, only, by, is_named):
    for name in ("replay", "secret_project"):
        dag_runs(name, ("success", REPORT))
    folder.add_replay(BY | {"dag_id": by}, 1, 1)
    run(LONG_AGO)
    only(lambda dag_id, entity: dag_id != "secret_project")
    client, task = client_of("ann"), {"dag_id": "delivery", "run_id": "run0", "task_id": "post"}
    page = client.get("/async-rest/dead-letters", params=task).json()
    for replay in (replay_of(client), page["replays"][-1]):
        assert (replay.get("by"), replay["left"]) == ((BY | {"dag_id": by}) if is_named else None, 1)


def test_the_last_replays_are_kept(folder):
    for number in range(60):
        folder.add_replay(BY | {"try_number": number}, 0, 1)
    assert [each["by"]["try_number"] for each in folder.replays()] == [*range(10, 60)]
    assert len(json.dumps(folder.replays())) < 20_000


def test_dead_letters_that_were_delivered_are_pages_of_their_own(client_of, folder):
    task = {"dag_id": "delivery", "run_id": "run0", "task_id": "post"}
    folder.add_replay(BY, 1, 1)
    page = client_of("vic").get("/async-rest/dead-letters", params=task).json()
    assert (page["total"], page["resolved"], len(page["replays"])) == (1, 1, 1)
    found = client_of("vic").get("/async-rest/dead-letters/resolved", params=task).json()
    assert (found["total"], [record["key"] for record in found["records"]]) == (1, ["row 0"])
    nothing = client_of("vic").get("/async-rest/dead-letters/resolved", params=task | {"offset": 1}).json()
    assert (nothing["total"], nothing["records"]) == (1, [])
    assert client_of(None).get("/async-rest/dead-letters/resolved", params=task).status_code == 401


def test_what_fails_once_more_is_no_longer_resolved(folder):
    item = Item(0, "row 0", {"id": 0}, None)
    folder.write([DeadLetter.of(item, "timeout", request=None, attempts=1)])
    assert (folder.count_resolved(), set(folder.read())) == (0, {0, 1})
    folder.write([{"index": 0, "resolved": True}, {"index": 1, "resolved": True}])
    assert [record["reason"] for record in folder.iter_records(resolved=True)] == ["timeout", "http_422"]
    folder.write([{"reset": True}])
    assert folder.count_resolved() == 0
