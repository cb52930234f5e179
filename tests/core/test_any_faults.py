"""Any sequence of faults, against a model: what the API has stored and what is dead are all rows, and no account is wrong."""

import copy
import json
import random
import threading

import pytest
from aiohttp import web
from engine import counts, make_bulk_job, make_job, number_of, replay_folder, run, within
from tables import left_to_release

from airflow_async_rest import Batch, RequestRetry
from airflow_async_rest.core.account.checkpoint import Checkpoint, Try
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import AsyncRestError, KilledError
from airflow_async_rest.core.keeping.resuming import REPLAYING
from airflow_async_rest.core.letters.filter import LetterFilter
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.letters.origins import Origins
from airflow_async_rest.core.letters.part_files import PartFiles
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.replay import Replay

ROWS = 60
MANY = pytest.mark.slow("many stories, by chance")
KINDS = ["retry"] * 5 + ["clear"] * 2 + ["replay", "replay in the task"] * 2


class Disk:
    """What outlives a SIGKILL: files and a state store, with each change to them in its order."""

    def __init__(self, path) -> None:
        self.path, self.state, self.changes, self.lock = path, {}, [], threading.Lock()
        self.is_full = self.is_away = lambda: False

    def begin(self):
        self.before = {file: file.read_bytes() for file in self.path.iterdir()}, copy.deepcopy(self.state)
        self.changes.clear()

    def kill(self, survived):
        """Be as after so many changes."""
        for file in self.path.iterdir():
            file.unlink()
        files, state = self.before
        for file, data in files.items():
            file.write_bytes(data)
        self.state.clear()
        self.state.update(copy.deepcopy(state))
        for change in self.changes[:survived]:
            change()

    def change(self, what):
        with self.lock:
            self.changes.append(what)
            what()


class DiskStore:
    """The state store of a disk. Each checkpoint adds up."""

    def __init__(self, disk) -> None:
        self.disk, self.wrong = disk, []

    def _answer(self):
        if self.disk.is_away():
            raise ConnectionError("the API server is away")

    def get(self, key):
        self._answer()
        return copy.deepcopy(self.disk.state.get(key))

    def set(self, key, value):
        self._answer()
        value = json.loads(json.dumps(value))
        if key == "checkpoint":
            totals, unfinished = value["totals"], Checkpoint.from_json(value).unfinished
            if totals["read"] != totals["delivered"] + sum(totals["reasons"].values()) + len(unfinished):
                self.wrong.append(value)
        self.disk.change(lambda: self.disk.state.__setitem__(key, value))

    def delete(self, key):
        self._answer()
        self.disk.change(lambda: self.disk.state.pop(key, None))


class Endpoint:
    """An API that stores rows; some of them it refuses, or answers so that nobody can read it."""

    def __init__(self, chance) -> None:
        self.chance, self.stored, self.refused, self.lost = chance, set(), {}, 0.0

    def answer(self, seen):
        lines = seen.body.splitlines() if "_bulk" in seen.path else []
        ids = {json.loads(line)["id"] for line in lines} or {number_of(seen)}
        statuses = [self.refused[each] for each in ids if each in self.refused]
        if statuses and statuses[0] > 299:
            return statuses[0]
        self.stored |= ids
        if self.chance.random() < self.lost:
            return "reset"
        return web.Response(body=b"{}", headers={"Content-Encoding": "gzip"} if statuses else {})


# Everything is written in small pieces, all the time.
OFTEN = within(write_every_seconds=0.003, most_unwritten=5, longest_unwritten_seconds=0.02)


class Story:
    """What happens to one window."""

    def __init__(self, seed, api, disk) -> None:
        self.chance, self.api, self.disk = random.Random(seed), api, disk
        self.endpoint, self.store = Endpoint(random.Random(seed)), DiskStore(disk)
        self.number = self.series = 0
        self.batch = self.chance.choice([None, Batch(max_items=self.chance.choice([5, 20]), format="ndjson")])

    def job(self, only=None, max_failures=0):
        folder, retry = DeadLetterFolder(self.disk.path, self.number), RequestRetry(max_attempts=1)
        how = {
            "this_try": Try(self.number, (self.series, 3)),
            "folder": folder,
            "max_failures": max_failures,
            "bounds": OFTEN,
        }
        how |= {"retry": retry, "concurrency": self.chance.choice([1, 4])}
        if only is not None:
            replay = Replay(Origins([folder]), only.can_replay, JsonEncoder(), retry, unreadable_too=True)
            how |= {"source": replay, "resuming": REPLAYING}
        if self.batch is None or only is not None:
            return make_job(self.api, self.disk.path, ROWS, response_check=lambda response: None, **how)
        return make_bulk_job(self.api, self.disk.path, self.batch, ROWS, response_check=lambda response: None, **how)

    def happen(self):
        """Let one thing happen, with whatever may go wrong meanwhile."""
        chance, stop = self.chance, StopSwitch()
        kind, of_try = chance.choice(KINDS), random.Random(chance.random())
        bad = chance.sample(range(ROWS), chance.choice([0, 2, 10, 30]))
        self.endpoint.refused = {index: chance.choice([201, 422, 503]) for index in bad}
        self.endpoint.lost = chance.choice([0, 0, 0.05])
        full, away = chance.choice([0, 0, 0, 0.3, 1]), chance.choice([0, 0, 0.3, 1])
        self.disk.is_full, self.disk.is_away = (lambda: of_try.random() < full), (lambda: of_try.random() < away)
        ends_at = chance.choice([ROWS, ROWS, chance.randrange(ROWS)])
        self.api.reset()
        self.api.answer = lambda seen: (
            len(self.api.seen) > ends_at and stop.pull(KilledError("killed")),
            self.endpoint.answer(seen),
        )[1]
        self.disk.begin()
        report = self._try(kind, stop)
        assert self.store.wrong == []
        if chance.random() < 0.5:
            self.disk.kill(chance.randint(0, len(self.disk.changes)))
        elif report is not None and kind != "replay":
            if report != self.disk.before[1].get("checkpoint", {}).get("report"):  # else it is that of an earlier try
                self.check(report)
            if chance.random() < 0.7:
                self.disk.state.pop("checkpoint", None)  # Airflow knows of it
                self.series += 1

    def _try(self, kind, stop):
        only = LetterFilter(self.chance.choice([None, ["http_503"], ["answer_unreadable"]]))
        if kind != "replay":
            self.number += 1
            self.series += kind != "retry"
        try:
            if kind == "replay":
                return replay_folder(self.api, self.disk.path, response_check=lambda response: None, bounds=OFTEN)
            in_task = kind == "replay in the task"
            return run(self.job(only if in_task else None, self.chance.choice([0, 1000])), self.store, stop)
        except AsyncRestError:
            return None

    def end(self):
        """Retry until all is delivered, with an API, a disk and a store that are well."""
        self.endpoint.refused, self.endpoint.lost = {}, 0
        self.disk.is_full = self.disk.is_away = lambda: False
        self.api.answer = self.endpoint.answer
        self.number += 1
        self.series += 1
        return run(self.job(max_failures=1000), self.store)

    def check(self, report):
        dead = DeadLetterFolder(self.disk.path).read()
        assert counts(report) == [ROWS, ROWS - len(dead), len(dead), 0]
        assert self.endpoint.stored | dead.keys() == set(range(ROWS))


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=MANY) for seed in range(1, 8)), *left_to_release(range(8, 40), but_for=0)]
)
def test_no_row_is_lost_and_no_account_is_wrong_whatever_happens(api, tmp_path, monkeypatch, seed):
    disk = Disk(tmp_path)
    write = PartFiles._write_whole

    def write_whole(self, file, data, place):
        if disk.is_full():
            raise OSError(28, "No space left on device")
        disk.change(lambda: write(self, file, data, place))
        return True

    monkeypatch.setattr(PartFiles, "_write_whole", write_whole)
    story = Story(seed, api, disk)
    for _ in range(story.chance.randint(3, 9)):
        story.happen()
    story.check(story.end())
    assert set(DeadLetterFolder(tmp_path).read().values()) <= {"answer_unreadable"}
