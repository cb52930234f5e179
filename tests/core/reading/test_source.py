import asyncio
import threading
import weakref
from contextvars import ContextVar
from functools import partial
from itertools import chain

import pytest

from airflow_async_rest.core.account.checkpoint import Checkpoint, Resume
from airflow_async_rest.core.account.recorder import SourceDigest
from airflow_async_rest.core.account.report import Commit
from airflow_async_rest.core.encoding.json_encoder import stable_bytes
from airflow_async_rest.core.errors import ConfigurationError, RowsTakenError, SourceChangedError
from airflow_async_rest.core.models import DeadLetter, Skipped
from airflow_async_rest.core.pipeline import ThreadedSource
from airflow_async_rest.core.reading.source import PartialRow, RepeatedKeys, RowSource

pytestmark = pytest.mark.anyio


class Chunked:
    """Rows in chunks; ``cancelled`` says whether the read was."""

    def __init__(self, rows, size: int = 3) -> None:
        self.rows, self.size, self.cancelled = list(rows), size, threading.Event()

    def __iter__(self):
        for start in range(0, len(self.rows), self.size):
            yield self.rows[start : start + self.size]

    def cancel(self):
        self.cancelled.set()


def rows_of(count: int) -> list[dict]:
    return [{"id": index, "v": index * 10} for index in range(count)]


def items_of(source: RowSource, resume: Resume | None = None) -> list:
    digests = []
    items = [item for chunk in source.open(resume, digests.append) for item in chunk]
    assert len(digests) == 1
    return items


def digest_after(rows, **parts) -> str:
    digest = SourceDigest()
    for item in items_of(RowSource(Chunked(rows), **parts)):
        digest.add(item.content)
    return digest.hexdigest()


def resume_at(position: int, rows, *, unfinished=(), dead=(), commit=Commit.NONE, **parts) -> Resume:
    digest, totals = digest_after(rows[:position], **parts), {"commit": commit}
    checkpoint = Checkpoint("f", position, digest, frozenset(unfinished), totals, ())
    return Resume(checkpoint, dead=dict.fromkeys(dead, "http_422"), known_dead=frozenset(dead))


async def test_rows_become_items_in_their_order():
    items = items_of(RowSource(Chunked(rows_of(7)), key=("id",)))
    assert [(item.index, item.key, item.payload, item.settled) for item in items] == [
        (index, index, row, None) for index, row in enumerate(rows_of(7))
    ]


class Weighty(dict):
    """A row of which one can ask whether it is still there."""


async def test_rows_are_let_go_before_the_next_ones_are_read():
    there = []

    def chunks():
        for number in range(3):
            assert [row() for row in there] == [None] * number
            rows = [Weighty(id=number)]
            there.append(weakref.ref(rows[0]))
            yield [rows.pop()]

    lists = RowSource(chunks(), key=("id",)).open(None, lambda _: None)
    assert [len(next(lists)) for _ in range(3)] == [1, 1, 1]


async def test_a_transform_that_writes_all_rows_into_one_dict_is_refused():
    document = {"of": {}}

    def transform(row):
        document["of"]["id"] = row["id"]
        return document if row["id"] else None

    with pytest.raises(ConfigurationError, match="transform returns one and the same dict for several rows"):
        items_of(RowSource(Chunked(rows_of(3)), key=("id",), transform=transform))
    constant = {"deleted": True}
    items = items_of(RowSource(Chunked(rows_of(3)), key=("id",), transform=lambda row: constant))
    assert [item.payload for item in items] == [constant] * 3


@pytest.mark.parametrize(
    ("key", "shown", "identity"),
    [((), 1, b"1"), (("id",), "b", b'["b"]'), (("id", "v"), ["b", 2], b'["b",2]'), (("v", "id"), [2, "b"], b'[2,"b"]')],
)
async def test_the_key_identifies_a_row_else_its_position_does(key, shown, identity):
    item = items_of(RowSource(Chunked([{"id": "a", "v": 1}, {"id": "b", "v": 2}]), key=key))[1]
    assert (item.key, item.identity) == (shown, identity)


class Ambiguous:
    """As pandas' NA, and arrays: nobody can say whether it equals anything."""

    def __eq__(self, other):
        raise TypeError("ambiguous")

    __hash__ = None


async def test_a_part_of_a_key_may_be_of_any_type():
    items = items_of(RowSource(Chunked([{"id": Ambiguous()}, {"id": None}]), key=("id",)))
    assert items[1].identity == b"[null,1]"


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"key": ("no",)}, r"key names the column 'no', .* they have: id, v\."),
        ({"asked_for": {"endpoint": ("id", "nope")}}, r"endpoint names the column 'nope'"),
    ],
)
async def test_a_column_that_is_not_there_is_told_by_name(parts, text):
    with pytest.raises(ConfigurationError, match=text):
        items_of(RowSource(Chunked(rows_of(1)), **parts))


async def test_a_column_that_is_text_elsewhere_is_told_by_name():
    rows = Chunked(rows_of(1))
    assert items_of(RowSource(rows, in_braces={"query": ("nope",), "body": ()}))
    with pytest.raises(
        ConfigurationError, match=r"query has 'id' in braces .* write \{\{id\}\}.* the whole text a column"
    ):
        items_of(RowSource(rows, in_braces={"body": (), "query": ("nope", "id")}))
    with pytest.raises(ConfigurationError, match=r"'nope', which .* they have: id, v\. As a text, write \{\{nope\}\}"):
        items_of(RowSource(rows, asked_for={"body": ("nope",)}, in_braces={"body": ()}))


async def test_transform_makes_the_payload_or_skips_the_row():
    def transform(row):
        return None if row["id"] == 1 else {"doc": row.pop("v")}

    items = items_of(RowSource(Chunked(rows_of(3)), transform=transform))
    assert [item.payload for item in items] == [{"doc": 0}, None, {"doc": 20}]
    assert items[1].settled == Skipped(1)
    assert items[0].row == {"id": 0, "v": 0}


async def test_a_transform_that_raises_fails_only_its_item():
    items = items_of(RowSource(Chunked(rows_of(3)), transform=lambda row: 1 / (row["id"] - 1)))
    settled = items[1].settled
    assert isinstance(settled, DeadLetter)
    assert (settled.reason, settled.response_excerpt, settled.row) == (
        "transform",
        "transform raised ZeroDivisionError: division by zero",
        {"id": 1, "v": 10},
    )
    assert [items[0].settled, items[2].settled] == [None, None]


@pytest.mark.parametrize("parts", [{}, {"key": ("id",)}, {"whole_row_is_key": True}, {"transform": dict}])
async def test_a_row_that_could_not_be_read_whole_is_a_dead_letter_that_names_the_column(parts):
    rows = rows_of(3)
    rows[1] = PartialRow(rows[1], {"v": "its text is not UTF-8"})
    items = items_of(RowSource(Chunked(rows), **parts))
    assert [items[0].settled, items[2].settled] == [None, None]
    dead = items[1].settled
    assert (dead.index, dead.reason, dead.row) == (1, "value", {"id": 1, "v": 10})
    assert dead.response_excerpt.startswith("column 'v' could not be read: its text is not UTF-8")


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("parts", [{}, {"key": ("id",)}])
async def test_a_retry_passes_over_what_is_settled(size, parts):
    resume = resume_at(5, rows_of(8), unfinished=[4], dead=[1], **parts)
    items = items_of(RowSource(Chunked(rows_of(8), size), **parts), resume)
    assert [item.index for item in items] == [1, 4, 5, 6, 7]


async def test_a_transform_is_not_asked_about_settled_rows():
    asked = []
    resume = resume_at(5, rows_of(6), dead=[1])
    items_of(RowSource(Chunked(rows_of(6)), transform=lambda row: asked.append(row["id"]) or row), resume)
    assert asked == [1, 5]


async def test_the_digest_handed_over_is_that_of_the_rows_before():
    resume, digests = resume_at(5, rows_of(8)), []
    list(RowSource(Chunked(rows_of(8), 3)).open(resume, lambda digest: digests.append(digest.hexdigest())))
    assert digests == [resume.checkpoint.digest]


@pytest.mark.parametrize(
    ("now", "parts"),
    [
        (rows_of(4), {}),
        ([], {}),
        (rows_of(8)[::-1], {}),
        ([{"id": 0, "v": 1}, *rows_of(8)[1:]], {}),
        (rows_of(9)[1:], {"key": ("id",)}),
    ],
)
async def test_a_source_that_is_not_the_same_is_noticed(now, parts):
    resume = resume_at(5, rows_of(8), **parts)
    with pytest.raises(SourceChangedError):
        items_of(RowSource(Chunked(now), **parts), resume)


class ReadOnce(Chunked):
    """Rows that a transaction takes away; ``ended`` says how, and what follows was asked for."""

    reads_again = False

    def __init__(self, rows, size: int = 3) -> None:
        super().__init__(rows, size)
        self.ended = None

    def in_transaction(self):
        self.ended = "undone"
        yield from super().__iter__()
        yield None
        self.ended = "committed"


def sent_of(chunks, resume) -> list[int]:
    """The rows that are sent when each list is asked for, up to the end of the transaction and with it."""
    lists = list(RowSource(chunks).open(resume, lambda digest: None))
    assert lists[-1] is None
    return [item.index for items in lists[:-1] for item in items]


@pytest.mark.parametrize("now", [[], rows_of(4)[::-1], rows_of(8)[::-1]])
@pytest.mark.parametrize(
    ("commit", "unfinished", "error"),
    [
        (Commit.NONE, [], SourceChangedError),
        (Commit.NONE, [2], SourceChangedError),
        (Commit.UNDONE, [], SourceChangedError),
        (Commit.BEGUN, [2], SourceChangedError),  # what became of it could not be written, so it was not committed
        (Commit.BEGUN, [], RowsTakenError),
        (Commit.DONE, [], RowsTakenError),
        (Commit.DONE, [2], RowsTakenError),
    ],
)
async def test_other_rows_than_before_are_not_taken_for_those(now, commit, unfinished, error):
    chunks = ReadOnce(now)
    resume = resume_at(5, rows_of(8), unfinished=unfinished, commit=commit)
    with pytest.raises(error):
        sent_of(chunks, resume)
    assert chunks.ended == (None if commit is Commit.DONE else "undone")


async def test_the_same_rows_as_those_that_are_taken_for_certain_are_new():
    chunks = ReadOnce(rows_of(8))
    with pytest.raises(RowsTakenError):
        sent_of(chunks, resume_at(5, rows_of(8), commit=Commit.DONE))
    assert chunks.ended is None


async def test_rows_that_are_given_once_are_sent_again_where_they_are_the_same():
    chunks = ReadOnce(rows_of(8))
    resume = resume_at(5, rows_of(8), unfinished=[1], dead=[4])
    assert sent_of(chunks, resume) == [1, 4, 5, 6, 7]
    assert chunks.ended == "committed"


async def threaded_to_the_end(count: int = 7) -> tuple[ReadOnce, ThreadedSource]:
    chunks = ReadOnce(rows_of(count))
    source = threaded(chunks)
    assert await everything(source) == list(range(count))
    assert (source.has_changes, chunks.ended) == (True, "undone")
    return chunks, source


@pytest.mark.parametrize(("commit", "ended"), [(True, "committed"), (False, "undone")])
@pytest.mark.parametrize("count", [0, 7])
async def test_what_reading_has_changed_waits_for_the_word(commit, ended, count):
    chunks, source = await threaded_to_the_end(count)
    await source.end(commit=commit)
    assert chunks.ended == ended


async def test_a_stop_undoes_what_reading_has_changed():
    chunks, source = await threaded_to_the_end()
    source.stop()
    await asyncio.to_thread(source._thread.join, 30)
    assert (source._thread.is_alive(), chunks.ended) == (False, "undone")


async def test_a_commit_that_fails_says_why():
    class Failing(ReadOnce):
        def in_transaction(self):
            yield from super().in_transaction()
            raise OSError("the database is gone")

    source = threaded(Failing(rows_of(3)))
    await everything(source)
    with pytest.raises(OSError, match="the database is gone"):
        await source.end(commit=True)


async def test_rows_that_change_nothing_have_nothing_to_commit():
    source = threaded(Chunked(rows_of(3)))
    await everything(source)
    assert not source.has_changes


async def test_with_a_key_other_columns_may_change_before_the_position():
    now = [{"id": row["id"], "v": "new"} for row in rows_of(8)]
    resume = resume_at(5, rows_of(8), key=("id",))
    assert [item.index for item in items_of(RowSource(Chunked(now), key=("id",)), resume)] == [5, 6, 7]


async def everything(source: ThreadedSource) -> list[int]:
    indexes = []
    while (item := await source.next_unit()) is not None:
        indexes.append(item.index)
    return indexes


def threaded(chunks, **parts) -> ThreadedSource:
    return ThreadedSource(RowSource(chunks, **parts), None, lambda digest: None)


@pytest.mark.parametrize("count", [0, 1, 3, 100])
async def test_a_thread_hands_over_every_item_once(count):
    source = threaded(Chunked(rows_of(count)))
    found = await asyncio.gather(*(everything(source) for _ in range(8)))
    assert sorted(chain.from_iterable(found)) == list(range(count))


async def test_items_are_taken_one_by_one_and_in_their_order_while_there_is_room_for_one():
    room, taken = asyncio.Event(), []

    async def make_room():
        while True:
            await asyncio.sleep(0)
            room.set()

    async def wait_for_room():
        while not room.is_set():
            await room.wait()

    async def work():
        while (item := await source.next_unit()) is not None:
            assert room.is_set()
            room.clear()
            taken.append(item.index)

    making = asyncio.create_task(make_room())
    source = ThreadedSource(RowSource(Chunked(rows_of(100))), None, lambda digest: None, until_room=wait_for_room)
    await asyncio.gather(*(work() for _ in range(8)))
    making.cancel()
    assert taken == list(range(100))


async def test_an_error_of_the_source_comes_after_the_items_before_it():
    class Broken(Chunked):
        def __iter__(self):
            yield self.rows[:3]
            raise OSError("the database is gone")

    source = threaded(Broken(rows_of(9)))
    assert [(await source.next_unit()).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the database is gone"):
        await source.next_unit()
    assert await source.next_unit() is None


async def test_the_thread_is_at_most_a_few_chunks_ahead():
    read = []

    class Watched(Chunked):
        def __iter__(self):
            for chunk in super().__iter__():
                read.append(chunk)
                yield chunk

    source = threaded(Watched(rows_of(300)))
    await source.next_unit()
    source.stop()
    assert len(read) <= 3


async def test_the_thread_carries_the_context_along():
    task_of_log: ContextVar[str] = ContextVar("task_of_log")
    task_of_log.set("mine")
    found = []

    class Asking(Chunked):
        def __iter__(self):
            found.append(task_of_log.get())
            yield from super().__iter__()

    await everything(threaded(Asking(rows_of(1))))
    assert found == ["mine"]


async def test_a_stop_cancels_the_read_and_gives_no_more_items():
    reading = threading.Event()

    class Slow(Chunked):
        def __iter__(self):
            yield self.rows[:2]
            reading.set()
            self.cancelled.wait(30)
            raise OSError("cancelled")

    chunks = Slow(rows_of(2))
    source = threaded(chunks)
    await source.next_unit()
    await asyncio.to_thread(reading.wait, 30)
    source.stop()
    assert await source.next_unit() is None
    assert await asyncio.to_thread(chunks.cancelled.wait, 30)


async def test_a_cancel_that_raises_harms_nobody():
    class Rude(Chunked):
        def cancel(self):
            super().cancel()
            raise OSError("no")

    chunks = Rude(rows_of(100))
    source = threaded(chunks)
    await source.next_unit()
    source.stop()
    assert await asyncio.to_thread(chunks.cancelled.wait, 30)


async def test_the_generator_of_a_stopped_source_is_closed():
    closed = threading.Event()

    class Closing(Chunked):
        def __iter__(self):
            try:
                yield from super().__iter__()
            finally:
                closed.set()

    source = threaded(Closing(rows_of(100)))
    await source.next_unit()
    source.stop()
    assert await asyncio.to_thread(closed.wait, 30)


@pytest.mark.parametrize("key", [("k",), ("k", "part")])
async def test_rows_whose_key_is_null_are_told_apart_by_their_position(key):
    rows = [{"k": None, "part": 1}] * 3 + [{"k": 7, "part": 1}]
    identities = [item.identity for item in items_of(RowSource(Chunked(rows), key=key))]
    assert len(set(identities)) == 4
    assert identities[3] == items_of(RowSource(Chunked([rows[3]]), key=key))[0].identity  # wherever it stands


async def test_an_identity_is_that_of_the_keys_json():
    keys = [7, -3, 2**70, True, "7", 1.5, None]
    items = items_of(RowSource(Chunked([{"k": key} for key in keys]), key=("k",)))
    assert [item.identity for item in items] == [*(stable_bytes([key]) for key in keys[:-1]), stable_bytes([None, 6])]


def count_repeated(rows, key=("k",), chunk=50, most=32_768) -> int:
    repeated = RepeatedKeys(most)
    items_of(RowSource(Chunked(rows, chunk), key=key, repeated=repeated))
    return repeated.count


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ([], 0),
        (list(range(120)), 0),
        ([7] * 9, 8),
        ([*range(100), *range(100)], 100),
        ([*range(100), 99, 100, 0], 2),
        ([None] * 9, 0),  # they are told apart by their position
        (["7", 7, 7.0, True], 0),
    ],
)
def test_rows_whose_key_came_before_are_counted(keys, count):
    assert count_repeated([{"k": key} for key in keys]) == count
    assert count_repeated([{"k": key, "part": 1} for key in keys], ("k", "part")) == count


@pytest.mark.slow("240,000 keys")
def test_of_more_keys_than_are_kept_a_share_is_looked_at():
    count = partial(count_repeated, most=20_000)
    keys = [*range(50_000), *range(50_000)]
    assert 0 < count([{"k": key} for key in keys]) <= 50_000
    assert count([{"k": key} for key in [*range(20_000), *range(20_000)]]) == 20_000 // 16
    twice = [key // 2 for key in range(100_000)]  # each right after the first
    assert 20_000 < count([{"k": key} for key in twice]) <= 50_000


def test_rows_that_are_read_again_are_counted_again():
    repeated = RepeatedKeys()
    source = RowSource(Chunked([{"k": 1}, {"k": 1}]), key=("k",), repeated=repeated)
    for _ in range(2):
        items_of(source)
    assert repeated.count == 1
