"""Parts of a dead-letter folder: a missing one is noticed, each is read once, and many at once."""

import errno
import os
import re
import shutil
import threading
from pathlib import Path

import pytest
from engine import Rows, Store, counts, make_job, number_of, replay_folder, run, within
from hypothesis import given
from hypothesis import strategies as st

from airflow_async_rest.core.account.checkpoint import Try
from airflow_async_rest.core.errors import DeadLettersGoneError, DeadLetterStoreError, FailuresError
from airflow_async_rest.core.letters.folder import RESET, DeadLetterFolder
from airflow_async_rest.core.letters.lines import whole_batches
from airflow_async_rest.core.letters.part_files import PartFiles, from_runs, read_ahead, to_runs
from airflow_async_rest.core.letters.sorting import SortedLines
from airflow_async_rest.core.models import DeadLetter


@pytest.fixture
def letter(item_of, request_of):
    return lambda index: DeadLetter.of(item_of(index, key=index), "http_422", status=422, request=request_of())


@pytest.fixture
def written(tmp_path, letter):
    """A folder of two tries: 1-1, 1-2, 1-3, then 2-1 and 2-2."""
    for number, count in ((1, 3), (2, 2)):
        folder = DeadLetterFolder(tmp_path, number)
        for seq in range(count):
            folder.write([letter(10 * number + seq)])
    return tmp_path


PARTS = ["1-1", "1-2", "1-3", "2-1", "2-2"]


def remove(folder, *names):
    for name in names:
        (folder / name).unlink()


@pytest.mark.parametrize("missing", [PARTS[:1], PARTS[1:2], PARTS[:3], PARTS[-1:], PARTS[3:], PARTS])
def test_a_part_that_is_missing_is_an_error_that_names_it(api, written, missing):
    remove(written, *(f"{name}.jsonl" for name in missing))
    for read in ("read", "read_refused", "live_parts", "read_latest"):
        with pytest.raises(DeadLettersGoneError, match=r"cannot be read: missing") as error:
            getattr(DeadLetterFolder(written), read)()
        assert re.findall(r"(\d-\d)\.jsonl", str(error.value)) == missing
    with pytest.raises(DeadLetterStoreError, match=f"{missing[0]}.jsonl"):
        replay_folder(api, written)
    assert api.seen == []


@pytest.mark.parametrize("missing", [PARTS[:1], PARTS[1:2], PARTS[3:4]])
def test_a_gap_is_noticed_where_no_list_of_the_parts_is(written, missing):
    remove(written, "parts.json", *(f"{name}.jsonl" for name in missing))
    with pytest.raises(DeadLettersGoneError, match=rf"{missing[0]}\.jsonl cannot be read: missing"):
        DeadLetterFolder(written).read()


def test_what_is_before_a_start_over_may_be_missing(written, letter):
    DeadLetterFolder(written, 3).write([RESET, letter(5)])
    for gone in ([], ["1-2.jsonl"], ["1-1.jsonl", "1-3.jsonl", "2-1.jsonl"]):
        remove(written, *gone)
        assert DeadLetterFolder(written).read() == {5: "http_422"}
    remove(written, "parts.json")
    assert DeadLetterFolder(written).read() == {5: "http_422"}


def test_what_two_wrote_into_one_folder_is_all_listed(written, letter):
    of_task, of_replay = DeadLetterFolder(written, 3), DeadLetterFolder(written)
    of_task.write([letter(1)])
    of_replay.write([{"index": 10, "resolved": True}])
    of_task.write([letter(2)])
    remove(written, "3-2.jsonl")
    with pytest.raises(DeadLettersGoneError, match=r"3-2\.jsonl"):
        DeadLetterFolder(written).read()


def test_two_that_write_at_once_overwrite_nothing(written, letter):
    class Overtaken(DeadLetterFolder):
        """Another one writes when this one has chosen the number of its part."""

        def _next_part(self, parts):
            part = super()._next_part(parts)
            if part == (2, 3):
                DeadLetterFolder(written).write([letter(77)])
            return part

    assert Overtaken(written, 2).write([letter(88)]) == (2, 4)
    assert {77, 88} <= DeadLetterFolder(written).read().keys()
    assert not list(written.glob("*.unfinished"))


def test_a_volume_that_lets_nobody_change_modes_takes_parts_all_the_same(tmp_path, letter, monkeypatch):
    def refuse(self, mode):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    DeadLetterFolder(tmp_path / "x", 1).write([letter(1)])
    assert DeadLetterFolder(tmp_path / "x").read() == {1: "http_422"}
    assert (tmp_path / "x" / "1-1.jsonl").stat().st_mode & 0o077 == 0


def test_where_there_are_no_hard_links_parts_are_written_all_the_same(tmp_path, letter, monkeypatch):
    def refuse(self, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    DeadLetterFolder(tmp_path, 1).write([letter(1)])
    assert DeadLetterFolder(tmp_path).read() == {1: "http_422"}
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_part_that_the_list_does_not_have_yet_counts(written, letter):
    shutil.copy(written / "parts.json", written / "kept")
    DeadLetterFolder(written, 2).write([letter(7)])  # and then the task is killed, before it writes the list
    shutil.move(written / "kept", written / "parts.json")
    assert 7 in DeadLetterFolder(written).read()
    DeadLetterFolder(written, 2).write([letter(8)])
    remove(written, "2-3.jsonl")
    with pytest.raises(DeadLettersGoneError, match=r"2-3\.jsonl"):
        DeadLetterFolder(written).read()


def test_a_folder_that_is_removed_while_it_is_used_is_an_error(written, letter):
    folder = DeadLetterFolder(written, 3)
    folder.write([letter(1)])
    shutil.rmtree(written)
    for use in (lambda: folder.write([letter(2)]), folder.check):
        with pytest.raises(DeadLettersGoneError, match=r"3-1\.jsonl cannot be read: missing"):
            use()
    folder.write([RESET])
    folder.check()


def fail_for(failing, then=lambda seen: None):
    def answer(seen):
        then(seen)
        return 422 if number_of(seen) in failing else 200

    return answer


@pytest.mark.parametrize("names", [None, ["1-1.jsonl"]])
@pytest.mark.parametrize("max_failures", [0, 100])
def test_a_job_whose_letters_are_removed_while_it_runs_fails_and_is_sent_again(api, tmp_path, names, max_failures):
    often = within(most_unwritten=1, write_every_seconds=0.01)
    path, store = tmp_path / "folder", Store()

    class Removed(Rows):
        def __iter__(self):
            chunks = super().__iter__()
            yield next(chunks)
            while not (path / "parts.json").exists():
                pass
            shutil.rmtree(path) if names is None else remove(path, *names)
            yield from chunks

    api.answer = fail_for(range(5))
    job = make_job(api, path, Removed(110), max_failures=max_failures, this_try=Try(1, (3, 3)), bounds=often)
    with pytest.raises(DeadLetterStoreError, match=r"1-1\.jsonl cannot be read: missing"):
        run(job, store)
    api.seen.clear()
    api.answer = lambda seen: 200
    again = make_job(api, path, 110, folder=DeadLetterFolder(path, 2), this_try=Try(2, (3, 3)), bounds=often)
    assert counts(run(again, store)) == [110, 110, 0, 0]
    assert len(api.seen) == 110
    assert DeadLetterFolder(path).read() == {}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"parts": 1}', '{"parts": [[1]]}', '{"parts": [["a", 1, 2]]}', "{}"]
)
def test_where_the_list_of_parts_is_broken_a_replay_fails_and_a_retry_begins_again(api, tmp_path, content):
    store = Store()
    api.answer = fail_for(range(5))
    with pytest.raises(FailuresError):
        run(make_job(api, tmp_path, 30), store)
    (tmp_path / "parts.json").write_text(content)
    api.seen.clear()
    with pytest.raises(DeadLetterStoreError, match=r"parts\.json is not what was written"):
        replay_folder(api, tmp_path)
    assert api.seen == []
    api.answer = fail_for([7])
    with pytest.raises(FailuresError):
        run(make_job(api, tmp_path, 30, folder=DeadLetterFolder(tmp_path, 2)), store)
    assert len(api.seen) == 30
    assert DeadLetterFolder(tmp_path).read() == {7: "http_422"}


def test_a_replay_whose_folder_is_removed_fails(api, written):
    api.answer = lambda seen: shutil.rmtree(written, ignore_errors=True) or 200
    with pytest.raises(DeadLetterStoreError, match=r"1-1\.jsonl, 1-2\.jsonl"):
        replay_folder(api, written)


# Reading.


class CountedPath:
    """A folder in memory, as object storage is: counts reads, and how many of them there were at once.

    :param together: reads that wait for each other, so that fewer at once would never end.
    """

    def __init__(self, objects, name="", reads=None, together=1):
        self.objects, self.name = objects, name
        self.reads = {} if reads is None else reads
        self.barrier = together if isinstance(together, threading.Barrier) else threading.Barrier(together)

    def __truediv__(self, name):
        return CountedPath(self.objects, name, self.reads, self.barrier)

    def __str__(self):
        return self.name

    def mkdir(self, *, parents, exist_ok):
        pass

    def exists(self):
        return True

    def iterdir(self):
        return [self / name for name in self.objects]

    def read_bytes(self):
        if self.name.endswith(".jsonl"):
            self.reads[self.name] = self.reads.get(self.name, 0) + 1
            self.barrier.wait(30)
        return self.objects[self.name]

    def write_bytes(self, data):
        self.objects[self.name] = data
        return len(data)


@pytest.fixture
def many(letter):
    """Objects of a folder of 64 parts."""
    objects = {}
    folder = DeadLetterFolder(CountedPath(objects), 1)
    for index in range(64):
        folder.write([letter(index), {"index": index - 1, "resolved": True}] if index % 2 else [letter(index)])
    return objects


def test_each_part_is_read_once_and_many_at_once(many):
    path = CountedPath(many, together=32)
    folder = DeadLetterFolder(path)
    assert len(folder.live_parts()) == 64
    assert len(folder.read([(1, 1), (1, 2)])) == 1
    assert (len(folder.read()), len(whole_batches(folder.read_latest())), len(folder.read_refused())) == (32, 0, 0)
    assert len(list(folder.iter_records())) == 32
    assert {*path.reads.values()} == {1}


def test_a_retry_reads_each_part_once(api, tmp_path, many):
    path, store = CountedPath({}), Store()
    often = within(most_unwritten=1, write_every_seconds=0.0)
    api.answer = fail_for(range(0, 250, 3))
    with pytest.raises(FailuresError):
        run(make_job(api, tmp_path, concurrency=1, folder=DeadLetterFolder(path, 1), bounds=often), store)
    assert len(path.objects) > 20
    api.answer = lambda seen: 200
    again = make_job(api, tmp_path, folder=DeadLetterFolder(path, 2), bounds=often)
    assert counts(run(again, store)) == [250, 250, 0, 0]
    assert {*path.reads.values()} == {1}


def test_a_replay_reads_each_part_once(api, many, monkeypatch):
    path = CountedPath(many, together=32)
    monkeypatch.setattr("engine.DeadLetterFolder", lambda *_: DeadLetterFolder(path))
    assert replay_folder(api, "/nowhere")["delivered"] == 32
    assert {*path.reads.values()} == {1}


def test_what_does_not_fit_into_memory_is_read_again(many):
    path = CountedPath(many)
    assert [record["index"] for record in DeadLetterFolder(path, most_kept_bytes=1000).iter_records()] == list(
        range(1, 64, 2)
    )
    assert set(path.reads.values()) == {1, 2}


@pytest.mark.slow("fifty examples")
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6)), unique=True), st.sampled_from([0, 3, 10, 10_000]))
def test_lines_come_in_the_order_wanted_and_few_parts_are_read_again(places, most_bytes):
    objects = {f"1-{seq}.jsonl": b"".join(b"%d %d\n" % (seq, line) for line in range(7)) for seq in range(1, 6)}
    wanted = [((1, seq), line) for seq, line in places]
    path = CountedPath(objects)
    lines = SortedLines(PartFiles(path, most_kept_bytes=0), wanted, most_bytes)
    assert list(lines) == [(part, b"%d %d" % (part[1], line)) for part, line in wanted]
    assert lines._bytes == 0
    assert lines._held == {}
    if most_bytes == 10_000:
        assert {*path.reads.values()} <= {1}


def test_a_replay_goes_by_the_rows_whichever_try_wrote_their_letters_last(tmp_path, letter):
    """Those that failed once more are in later parts."""
    DeadLetterFolder(tmp_path, 1).write([letter(index) for index in (4, 0, 2, 9)])
    DeadLetterFolder(tmp_path, 2).write([letter(index) for index in (2, 0)])
    DeadLetterFolder(tmp_path, 2).write([{"index": 4, "resolved": True}, letter(7)])
    assert [record["index"] for record in DeadLetterFolder(tmp_path).iter_records()] == [0, 2, 7, 9]


def test_reads_ahead_keep_their_order_and_raise_what_was_raised():
    assert list(read_ahead(lambda value: value * 2, range(100), 7)) == [value * 2 for value in range(100)]
    assert list(read_ahead(str, [], 0)) == []
    with pytest.raises(ZeroDivisionError):
        list(read_ahead(lambda value: 1 // value, [1, 0, 2, 3, 4], 2))


def test_reading_that_is_given_up_ends_its_threads():
    before = threading.active_count()
    reading = read_ahead(str, range(100), 8)
    next(reading)
    reading.close()
    for thread in threading.enumerate():
        if thread.name == "async-rest-parts":
            thread.join(30)
    assert threading.active_count() <= before


@pytest.mark.parametrize("parts", [[], [(1, 1)], [(1, 1), (1, 2), (1, 4), (2, 1), (10, 1), (10, 2)]])
def test_a_list_of_parts_is_short_and_read_back(parts):
    assert from_runs(to_runs(reversed(parts))) == parts


# How many parts there are.


def test_letters_wait_for_each_other_and_are_unfinished_until_they_are_in_a_part(api, tmp_path):
    store, often = Store(), within(write_every_seconds=0.01)
    api.answer = fail_for(range(0, 250, 5))
    assert counts(run(make_job(api, tmp_path, concurrency=2, max_failures=50, bounds=often), store)) == [
        250,
        200,
        50,
        0,
    ]
    assert sorted(part.name for part in tmp_path.iterdir()) == ["1-1.jsonl", "parts.json"]
    for checkpoint in (value for key, value in store.history if key == "checkpoint"):
        totals, unfinished = checkpoint["totals"], set(checkpoint["unfinished"])
        assert totals["read"] == totals["delivered"] + sum(totals["reasons"].values()) + len(unfinished)
        assert checkpoint["parts"] or unfinished.issuperset(range(0, checkpoint["position"], 5))


# Who may read them.


@pytest.fixture(params=[0o077, 0o000, 0o027])
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(path: Path) -> dict[str, str]:
    return {str(file.relative_to(path)): oct(file.stat().st_mode & 0o7777) for file in path.rglob("*")}


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(
    ("mode", "of_folders"), [(0o600, "0o700"), (0o640, "0o750"), (0o644, "0o755"), (0o660, "0o770")]
)
def test_files_have_the_mode_that_is_asked_for_and_what_was_there_keeps_its_own(tmp_path, letter, mode, of_folders):
    (tmp_path / "base").mkdir()
    (tmp_path / "base").chmod(0o711)
    DeadLetterFolder(tmp_path / "base" / "dag" / "run", 1, mode).write([letter(1)])
    assert modes(tmp_path) == {
        "base": "0o711",
        "base/dag": of_folders,
        "base/dag/run": of_folders,
        "base/dag/run/1-1.jsonl": oct(mode),
        "base/dag/run/parts.json": oct(mode),
    }


def test_nobody_else_may_read_them_by_default(tmp_path):
    PartFiles(tmp_path / "a" / "b").write((1, 1), b"\n")
    assert modes(tmp_path) == {"a": "0o700", "a/b": "0o700", "a/b/1-1.jsonl": "0o600"}
