"""Rows -> items, read by a separate thread, one chunk ahead of the senders."""

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from airflow_async_rest.core.account.checkpoint import Resume
from airflow_async_rest.core.account.recorder import SourceDigest
from airflow_async_rest.core.encoding.json_encoder import stable_bytes
from airflow_async_rest.core.errors import ConfigurationError, ItemError, let_go
from airflow_async_rest.core.models import NO_VALUES, DeadLetter, Item, Skipped
from airflow_async_rest.core.reading.passed_rows import PassedRows
from airflow_async_rest.core.reading.repeated_keys import RepeatedKeys

Unit = TypeVar("Unit")
Unit_co = TypeVar("Unit_co", covariant=True)
Row = Mapping[str, Any]
OnDigest = Callable[[SourceDigest], None]


@dataclass(frozen=True)
class Expected:
    """How many items a window will have.

    :param how: ``about``: a database's estimate; ``counted``; ``given``: by the author.
    """

    items: int
    how: str


class PartialRow(dict[str, Any]):
    """A row that could not be read whole; in the place of what is missing stands what is known of it.

    :param missing: column -> why it could not be read.
    """

    def __init__(self, row: Row, missing: Mapping[str, str]) -> None:
        super().__init__(row)
        self.missing = missing


class Chunks(Protocol):
    """Where rows come from: iterated by the reading thread, cancelled from another.

    Where all rows have the same columns, ``columns`` names them, at the latest when there are no more rows.
    """

    def __iter__(self) -> Iterator[Sequence[Row]]:
        """Yield chunks of rows."""
        ...

    def cancel(self) -> None:
        """Make a read that is under way raise, soon."""
        ...


@runtime_checkable
class TransactionalChunks(Protocol):
    """Chunks of a transaction.

    :ivar reads_again: whether it changes nothing, so that a retry finds the same rows in any case.
    """

    reads_again: bool

    def in_transaction(self) -> Generator[Sequence[Row] | None, None, None]:
        """Yield the chunks, and None after the last one where the transaction may have changed something.

        Asking for more then commits that, and closing the generator undoes it.
        """
        ...


class Source(Protocol[Unit_co]):
    """Where items, or batches of them, come from: rows, or dead letters."""

    def open(self, resume: Resume | None, on_digest: OnDigest) -> Generator[Sequence[Unit_co] | None, None, None]:
        """Yield what is to be sent, in lists; runs on the reading thread.

        None after the last list says that reading has changed something; see :class:`TransactionalChunks`.

        :param resume: what the tries before left.
        :param on_digest: called once, before the first item that was not read before, with the digest of all
            rows before it.
        :raises SourceChangedError: when those rows are not the ones an earlier try read.
        :raises RowsTakenError: when an earlier try has committed what reading them changed.
        """
        ...

    def cancel(self) -> None:
        """Make a read that is under way raise, soon."""
        ...


class RowSource:
    """Makes items of rows, in their order; on a retry it passes over those that are settled.

    :param key: columns that identify a row; without any, its position does.
    :param whole_row_is_key: whether all columns together do.
    :param asked_for: argument -> columns that the rows must have for it; of several names together, one.
    :param in_braces: argument -> what is text there, in braces: a column of that name may have been meant.
    :param transform: the author's function: row -> payload, or None to skip the row.
    :param redact: takes secrets out of what ``transform`` raises.
    :param repeated: is told every row's key.
    """

    def __init__(
        self,
        chunks: Chunks,
        *,
        key: tuple[str, ...] = (),
        whole_row_is_key: bool = False,
        asked_for: Mapping[str, Sequence[str | tuple[str, ...]]] | None = None,
        in_braces: Mapping[str, Sequence[str]] | None = None,
        transform: Callable[[dict[str, Any]], Any] | None = None,
        redact: Callable[[str], str] = str,
        repeated: RepeatedKeys | None = None,
    ) -> None:
        self._chunks = chunks
        self._reads_again = getattr(chunks, "reads_again", True)
        self._key = key
        self._whole_row_is_key = whole_row_is_key
        self._asked_for = {**(asked_for or {}), "key": key}
        self._in_braces = in_braces or {}
        self._transform = transform
        self._redact = redact
        self._repeated = repeated

    def cancel(self) -> None:
        """Cancel the statement that is running."""
        self._chunks.cancel()

    def open(self, resume: Resume | None, on_digest: OnDigest) -> Generator[list[Item] | None, None, None]:
        """Yield a list of items for each chunk; see :class:`Source`.

        :raises ConfigurationError: when the rows lack a column that an argument names, or have one that it may mean.
        """
        index = 0
        passed = PassedRows(resume, on_digest, reads_again=self._reads_again) if resume else None
        if self._repeated is not None:
            self._repeated.begin()
        if not (resume and resume.checkpoint.position):
            on_digest(SourceDigest())
        with contextlib.closing(self._read()) as chunks:
            for chunk in chunks:
                if chunk is None:
                    self._check_end(index, passed)
                    yield None
                    continue
                if index == 0 and chunk:
                    self._check_columns(chunk[0])
                items = self._make(index, chunk)
                if self._repeated is not None:
                    self._repeated.add(items)
                if passed:
                    items = passed.to_send(index, items)
                self._transform_items(items)
                index += len(chunk)
                yield items
        self._check_end(index, passed)

    def _read(self) -> Generator[Sequence[Row] | None, None, None]:
        if isinstance(self._chunks, TransactionalChunks):
            return self._chunks.in_transaction()
        return (chunk for chunk in self._chunks)

    def _check_end(self, count: int, passed: PassedRows | None) -> None:
        if count == 0 and (columns := getattr(self._chunks, "columns", None)) is not None:
            self._check_columns(columns)
        if passed:
            passed.check_end(count)

    def _check_columns(self, row: Collection[str]) -> None:
        for argument, columns in self._asked_for.items():
            groups = [(column,) if isinstance(column, str) else column for column in columns]
            missing = [names for names in groups if frozenset(names).isdisjoint(row)]
            if missing:
                raise ConfigurationError(
                    f"{argument} names the column {missing[0][0]!r}, which the rows do not have; they have: "
                    f"{', '.join(map(str, row))}."
                    + (f" As a text, write {{{{{missing[0][0]}}}}}." if argument in self._in_braces else "")
                )
        for argument, texts in self._in_braces.items():
            if meant := next((text for text in texts if text in row), None):
                raise ConfigurationError(
                    f"{argument} has {meant!r} in braces that are text there, and the rows have such a column: write "
                    f"{{{{{meant}}}}} for the text; for the column, write {{{meant}}} and double the braces around it; "
                    "where there are none, make the whole text a column."
                )

    def _make(self, first: int, chunk: Sequence[Row]) -> list[Item]:
        if self._whole_row_is_key:
            return [
                Item(index, _shown_key(row), row, row, identity := stable_bytes(row), identity)
                for index, row in enumerate(chunk, first)
            ]
        if not self._key:
            return [
                Item(index, index, row, row, b"%d" % index, stable_bytes(list(row.values())))
                for index, row in enumerate(chunk, first)
            ]
        if len(self._key) == 1:
            [name] = self._key
            return [
                Item(
                    index,
                    key := row.get(name),
                    row,
                    row,
                    # As stable_bytes writes it, in a third of the time: most keys are numbers.
                    identity := b"[%d]" % key if type(key) is int else _identity([key], index),
                    identity,
                )
                for index, row in enumerate(chunk, first)
            ]
        return [
            Item(
                index,
                keys := [row.get(name) for name in self._key],
                row,
                row,
                identity := _identity(keys, index),
                identity,
            )
            for index, row in enumerate(chunk, first)
        ]

    def _transform_items(self, items: Iterable[Item]) -> None:
        for item in items:
            if type(item.row) is PartialRow:
                item.settled = _dead_for_missing(item, item.row.missing)
            elif self._transform is not None:
                self._transform_item(item, self._transform)

    def _transform_item(self, item: Item, transform: Callable[[dict[str, Any]], Any]) -> None:
        """Run the author's transform; what it skips or fails on never reaches a worker's client."""
        try:
            item.payload = transform(dict(item.row))
        except ItemError as error:
            item.settled = DeadLetter.of(item, error.reason, detail=self._redact(str(error)))
            let_go(error)
        except Exception as error:  # noqa: BLE001  (the author's code may raise anything)
            detail = self._redact(f"transform raised {type(error).__name__}: {error}")
            item.settled = DeadLetter.of(item, "transform", detail=detail)
            let_go(error)
        else:
            if item.payload is None:
                item.settled, item.row = Skipped(item.index), NO_VALUES


def _dead_for_missing(item: Item, missing: Mapping[str, str]) -> DeadLetter:
    [(column, why), *_] = missing.items()
    return DeadLetter.of(item, "value", detail=f"column {column!r} could not be read: {why}; cast it in the SQL.")


def _identity(keys: list[Any], index: int) -> bytes:
    """Return what tells a row from all others: its key, and its position where a part of that is NULL."""
    return stable_bytes([*keys, index] if any(key is None for key in keys) else keys)


def _shown_key(row: Row) -> Any:
    values = list(row.values())
    return values[0] if len(values) == 1 else values


class ThreadedSource(Generic[Unit]):
    """Items, or batches of them, from a daemon thread.

    Drivers dislike hopping threads, and a blocked read must not hold the end up. The thread is at most one chunk
    ahead of the workers, so memory does not grow with the table.

    :param on_end: called when there is nothing more to take.
    :param room: tells what to wait for until there is room for what may become of one more; None for nothing.
    :ivar has_changes: whether all is read, and reading has changed something: that waits for :meth:`end`.
    """

    def __init__(
        self,
        source: Source[Unit],
        resume: Resume | None,
        on_digest: OnDigest,
        on_end: Callable[[], None] | None = None,
        room: Callable[[], Awaitable[None] | None] | None = None,
    ) -> None:
        self._on_end = on_end
        self._room_for_outcome = room
        self._source = source
        self._resume = resume
        self._on_digest = on_digest
        self._ready: deque[Unit] = deque()
        self._turn = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[Sequence[Unit] | BaseException | None] = asyncio.Queue()
        self._room = threading.Semaphore(1)
        self._stopped = threading.Event()
        self._commits: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._ended = False
        self.has_changes = False
        self._thread: threading.Thread | None = None

    async def next_unit(self) -> Unit | None:
        """Return the next one; None when there are no more.

        :raises Exception: whatever reading raised.
        """
        while True:
            # Right before one is taken, with no wait between: others would take later rows first, or the room.
            if self._room_for_outcome is not None and (room := self._room_for_outcome()) is not None:
                await room
            if self._ready:
                return self._ready.popleft()
            async with self._turn:
                if not self._ready and not await self._has_more():
                    return None

    async def _has_more(self) -> bool:
        """Wait for the next chunk. :return: whether there is one."""
        if self._ended or self._stopped.is_set():
            return False
        self._start()
        arrived = await self._arrived.get()
        self._room.release()
        if isinstance(arrived, Sequence) and not self._stopped.is_set():
            self._ready.extend(arrived)
            return True
        self._ended = True
        if self._on_end is not None:
            self._on_end()
        if isinstance(arrived, BaseException):
            raise arrived
        return False

    async def end(self, *, commit: bool) -> None:
        """Commit what reading has changed, or undo it.

        :raises Exception: why it could not be committed, or may not have been.
        """
        self._commits.put(commit)
        failure = await self._arrived.get()
        if commit and isinstance(failure, BaseException):
            raise failure

    def stop(self) -> None:
        """Read no more, cancel the statement that is running, and undo what it has changed."""
        self._stopped.set()
        self._commits.put(False)
        self._ready.clear()
        self._arrived.put_nowait(None)  # for a worker that waits for rows
        self._room.release()  # for the thread, if it waits for room
        if self._thread is not None and self._thread.is_alive():
            # Cancelling may itself wait for the network; it has its own thread and nobody waits for it.
            threading.Thread(target=self._cancel, name="async-rest-cancel", daemon=True).start()

    def _cancel(self) -> None:
        with contextlib.suppress(Exception):
            self._source.cancel()

    def _start(self) -> None:
        if self._thread is None:
            # The context carries Airflow's log and trace variables into the thread.
            self._thread = threading.Thread(
                target=copy_context().run, args=(self._read,), name="async-rest-reader", daemon=True
            )
            self._thread.start()

    def _read(self) -> None:
        try:
            with contextlib.closing(self._source.open(self._resume, self._on_digest)) as chunks:
                for items in chunks:
                    if items is None:
                        self.has_changes = True
                        if not self._hand_over(None):
                            return
                        if not self._commits.get():
                            break
                    elif self._stopped.is_set() or (items and not self._hand_over(items)):
                        return
        except BaseException as error:  # noqa: BLE001  (raised again where the items are awaited)
            self._hand_over(error)
        else:
            self._hand_over(None)

    def _hand_over(self, what: Sequence[Unit] | BaseException | None) -> bool:
        """Hand a chunk to the loop, when it has taken the one before. :return: False when nobody reads any more."""
        self._room.acquire()
        if not self._stopped.is_set():
            with contextlib.suppress(RuntimeError):  # the loop is closed: there is nobody left to tell
                self._loop.call_soon_threadsafe(self._arrived.put_nowait, what)
        return not self._stopped.is_set()
