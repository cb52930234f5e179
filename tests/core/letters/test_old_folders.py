"""Dead-letter folders as the first version wrote them (``tests/samples/dead_letters``): read, resumed and replayed."""

import json
import shutil

import pytest
from checkout import REPOSITORY
from engine import (
    Database,
    Store,
    counts,
    make_bulk_job,
    make_fetch_job,
    make_job,
    number_of,
    replay_folder,
    rows_of,
    run,
)

from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.keeping.row_sink import Earlier, LoadState
from airflow_async_rest.core.letters.folder import DeadLetterFolder

SAMPLES = REPOSITORY / "tests" / "samples" / "dead_letters"


@pytest.fixture
def old(tmp_path):
    """Copy a folder, with what the state store had: ``old("rows")`` -> its path, and the store."""

    def copy(name):
        shutil.copytree(SAMPLES / name, tmp_path / name)
        store, kept = Store(), SAMPLES / f"{name}.state.json"
        store.update(json.loads(kept.read_text()) if kept.exists() else {})
        return tmp_path / name, store

    return copy


@pytest.mark.parametrize(
    ("name", "dead", "refused"),
    [
        ("rows", {25: "http_503", 36: "http_422", 47: "http_503", 58: "http_422"}, []),
        ("bulk", dict.fromkeys(range(5, 10), "http_503"), []),
        ("fetch", {5: "http_500"}, [(2, 1), (9, 1)]),
        ("started_over", {2: "http_422"}, []),
    ],
)
def test_an_old_folder_is_read(name, dead, refused):
    folder = DeadLetterFolder(SAMPLES / name)
    assert folder.read() == dead
    assert [record["index"] for record in folder.iter_records()] == [*dead]
    assert [(record["index"], record["row_number"]) for record in folder.read_refused()] == refused


@pytest.mark.parametrize("number", [3, 4])
def test_a_retry_goes_on_with_an_old_folder(api, old, number):
    path, store = old("rows")
    report = run(make_job(api, path, 60, folder=DeadLetterFolder(path, number)), store)
    assert counts(report) == [60, 60, 0, 0]
    assert sorted(number_of(seen) for seen in api.seen) == [25, 36, 47, 58]
    assert DeadLetterFolder(path).read() == {}


def test_a_batch_of_an_old_folder_goes_together_again(api, old):
    path, store = old("bulk")
    [request] = {record["batch"]["request"] for record in DeadLetterFolder(path).iter_records()}
    report = run(make_bulk_job(api, path, Batch(max_items=5), 20, folder=DeadLetterFolder(path, 2)), store)
    assert counts(report) == [20, 20, 0, 0]
    assert [seen.key for seen in api.seen] == [request]


def test_a_load_goes_on_with_an_old_folder(api, old):
    path, _ = old("fetch")
    line = json.loads((SAMPLES / "fetch.line.json").read_text())
    database = Database("append", [{"id": "n"}] * line["loaded"])
    database.line = Earlier(line["checkpoint"], LoadState(line["state"]), line["loaded"])
    api.answer = rows_of
    report = run(make_fetch_job(api, path, database, 12, folder=DeadLetterFolder(path, 2)))
    assert [report[name] for name in ("read", "delivered", "rows_loaded", "rows_refused")] == [12, 12, 24, 0]
    assert [number_of(seen) for seen in api.seen] == [5]


@pytest.mark.parametrize(("name", "sent"), [("rows", 4), ("bulk", 1), ("started_over", 1)])
def test_an_old_folder_is_replayed(api, old, name, sent):
    path, _ = old(name)
    dead = DeadLetterFolder(path).read()
    report = replay_folder(api, path)
    assert counts(report) == [len(dead), len(dead), 0, 0]
    assert len(api.seen) == sent
    assert replay_folder(api, path)["read"] == 0
