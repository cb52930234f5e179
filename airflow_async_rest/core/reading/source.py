"""Rows -> items: their keys, and what a transform makes of them."""

import contextlib
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from itertools import count
from operator import attrgetter
from typing import Any, Protocol, TypeVar, runtime_checkable

from airflow_async_rest.core.account.checkpoint import Resume
from airflow_async_rest.core.account.recorder import SourceDigest
from airflow_async_rest.core.encoding.json_encoder import stable_bytes
from airflow_async_rest.core.errors import ConfigurationError, ItemError, let_go
from airflow_async_rest.core.models import NO_VALUES, DeadLetter, Item, Skipped
from airflow_async_rest.core.reading.passed_rows import PassedRows
from airflow_async_rest.core.reading.payload_schema import PayloadSchema
from airflow_async_rest.core.reading.prepared import Prepare, prepare_all

Unit_co = TypeVar("Unit_co", covariant=True)
Row = Mapping[str, Any]
OnDigest = Callable[[SourceDigest], None]
# Of chunks of keys after those that are kept. To look at all would make rows that go in batches 10 % slower.
_EVERY = 16
_identity_of, _row_of = attrgetter("identity"), attrgetter("row")


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


class RepeatedKeys:
    """Counts rows whose key a row before them has.

    Of a window of up to 32,768 different keys all rows are looked at. After these, every sixteenth chunk is, and its
    rows are compared with the first ones and with each other: then there are at least as many as are counted.

    :param most: hashes that are kept; the default are 2.5 MB.
    :ivar count: of the rows since :meth:`begin`.
    """

    def __init__(self, most: int = 32_768) -> None:
        self._most = most
        self.begin()

    def begin(self) -> None:
        """Forget what came so far: the rows are read from the first one."""
        self.count = 0
        self._seen: set[int] = set()
        self._chunks_after = 0

    def add(self, items: Sequence[Item]) -> None:
        """Count the items of a chunk."""
        hashes = map(hash, map(_identity_of, items))
        if len(self._seen) < self._most:
            before = len(self._seen)
            self._seen.update(hashes)
            self.count += len(items) - (len(self._seen) - before)
            return
        self._chunks_after += 1
        if self._chunks_after % _EVERY == 0:
            self.count += len(items) - len(set(hashes) - self._seen)


@dataclass(eq=False)
class RowSource:
    """Makes items of rows, in their order; on a retry it passes over those that are settled.

    :param key: columns that identify a row; without any, its position does.
    :param whole_row_is_key: whether all columns together do.
    :param asked_for: argument -> columns that the rows must have for it; of several names together, one.
    :param in_braces: argument -> what is text there, in braces: a column of that name may have been meant.
    :param transform: the author's function: row -> payload, or None to skip the row.
    :param schema: what the payloads must be.
    :param prepare: makes what is sent of items: their requests; None where somebody else does.
    :param redact: takes secrets out of what ``transform`` raises.
    :param repeated: is told every row's key.
    """

    chunks: Chunks
    _: KW_ONLY
    key: tuple[str, ...] = ()
    whole_row_is_key: bool = False
    asked_for: Mapping[str, Sequence[str | tuple[str, ...]]] = field(default_factory=dict)
    in_braces: Mapping[str, Sequence[str]] = field(default_factory=dict)
    transform: Callable[[dict[str, Any]], Any] | None = None
    schema: PayloadSchema | None = None
    prepare: Prepare | None = None
    redact: Callable[[str], str] = str
    repeated: RepeatedKeys | None = None

    def cancel(self) -> None:
        """Cancel the statement that is running."""
        self.chunks.cancel()

    def open(self, resume: Resume | None, on_digest: OnDigest) -> Generator[list[Item] | None, None, None]:
        """Yield a list of items for each chunk; see :class:`Source`.

        :raises ConfigurationError: when the rows lack a column that an argument names, or have one that it may mean.
        """
        index = 0
        passed = (
            PassedRows(resume, on_digest, reads_again=getattr(self.chunks, "reads_again", True)) if resume else None
        )
        if self.repeated is not None:
            self.repeated.begin()
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
                if self.repeated is not None:
                    self.repeated.add(items)
                if passed:
                    items = passed.to_send(index, items)
                self._transform_items(items)
                if self.schema is not None:
                    self._check_items(items, self.schema)
                if self.prepare is not None:
                    prepare_all(items, self.prepare, self.redact)
                index += len(chunk)
                yield items
                del chunk, items  # before the next ones are read: both may be large
        self._check_end(index, passed)

    def _read(self) -> Generator[Sequence[Row] | None, None, None]:
        return self.chunks.in_transaction() if isinstance(self.chunks, TransactionalChunks) else _each(self.chunks)

    def _check_end(self, count: int, passed: PassedRows | None) -> None:
        if count == 0 and (columns := getattr(self.chunks, "columns", None)) is not None:
            self._check_columns(columns)
        if passed:
            passed.check_end(count)

    def _check_columns(self, row: Collection[str]) -> None:
        for argument, columns in {**self.asked_for, "key": self.key}.items():
            groups = [(column,) if isinstance(column, str) else column for column in columns]
            missing = [names for names in groups if frozenset(names).isdisjoint(row)]
            if missing:
                raise ConfigurationError(
                    f"{argument} names the column {missing[0][0]!r}, which the rows do not have; they have: "
                    f"{', '.join(map(str, row))}."
                    + (f" As a text, write {{{{{missing[0][0]}}}}}." if argument in self.in_braces else "")
                )
        for argument, texts in self.in_braces.items():
            if meant := next((text for text in texts if text in row), None):
                raise ConfigurationError(
                    f"{argument} has {meant!r} in braces that are text there, and the rows have such a column: write "
                    f"{{{{{meant}}}}} for the text; for the column, write {{{meant}}} and double the braces around it; "
                    "where there are none, make the whole text a column."
                )

    def _make(self, first: int, chunk: Sequence[Row]) -> list[Item]:
        if self.whole_row_is_key:
            return [
                Item(index, _shown_key(row), row, row, identity := stable_bytes(row), identity)
                for index, row in enumerate(chunk, first)
            ]
        if not self.key:
            return [
                Item(index, index, row, row, b"%d" % index, stable_bytes(list(row.values())))
                for index, row in enumerate(chunk, first)
            ]
        if len(self.key) == 1:
            keys: list[Any] = [row.get(self.key[0]) for row in chunk]
            # Of a number as stable_bytes writes it, in a third of the time: most keys are numbers.
            identities = [
                b"[%d]" % key if type(key) is int else identity_of([key], index)
                for index, key in enumerate(keys, first)
            ]
        else:
            keys = [[row.get(name) for name in self.key] for row in chunk]
            identities = [identity_of(key, index) for index, key in enumerate(keys, first)]
        return list(map(Item, count(first), keys, chunk, chunk, identities, identities))

    def _transform_items(self, items: Sequence[Item]) -> None:
        if self.transform is None and PartialRow not in set(map(type, map(_row_of, items))):
            return
        first, was = None, b""
        for item in items:
            if type(item.row) is PartialRow:
                item.settled = _dead_for_missing(item, item.row.missing)
            elif self.transform is not None:
                self._transform_item(item, self.transform)
                if item.settled is not None:
                    continue
                if first is None:
                    first, was = item.payload, stable_bytes(item.payload)
                elif item.payload is first and stable_bytes(first) != was:
                    raise ConfigurationError(
                        f"transform returns one and the same {type(first).__name__} for several rows, and changes it "
                        "in between, so that all of them would be sent as the last one: make a new one for each row."
                    )

    def _check_items(self, items: Iterable[Item], schema: PayloadSchema) -> None:
        for item in items:
            if item.settled is None:
                try:
                    schema.check(item.payload)
                except ItemError as error:
                    item.settled = DeadLetter.of(item, error.reason, detail=self.redact(str(error)))
                    let_go(error)

    def _transform_item(self, item: Item, transform: Callable[[dict[str, Any]], Any]) -> None:
        """Run the author's transform; what it skips or fails on never reaches a worker's client."""
        try:
            item.payload = transform(dict(item.row))
        except ItemError as error:
            item.settled = DeadLetter.of(item, error.reason, detail=self.redact(str(error)))
            let_go(error)
        except Exception as error:  # noqa: BLE001  (the author's code may raise anything)
            detail = self.redact(f"transform raised {type(error).__name__}: {error}")
            item.settled = DeadLetter.of(item, "transform", detail=detail)
            let_go(error)
        else:
            if item.payload is None:
                item.settled, item.row = Skipped(item.index), NO_VALUES


def _each(chunks: Chunks) -> Generator[Sequence[Row], None, None]:
    """Yield chunks of rows, and hold none."""
    yield from chunks


def _dead_for_missing(item: Item, missing: Mapping[str, str]) -> DeadLetter:
    [(column, why), *_] = missing.items()
    return DeadLetter.of(item, "value", detail=f"column {column!r} could not be read: {why}; cast it in the SQL.")


def identity_of(keys: list[Any], index: int) -> bytes:
    """Return what tells a row from all others: its key, and its position where a part of that is NULL."""
    return stable_bytes([*keys, index] if any(key is None for key in keys) else keys)


def _shown_key(row: Row) -> Any:
    values = list(row.values())
    return values[0] if len(values) == 1 else values
