"""Numbered JSON Lines parts of dead letters: written once each, read back as one list.

A folder holds ``{try}-{seq}.jsonl`` in the order of its numbers, and ``parts.json``, which lists them, so that one that
is missing is noticed. Parts are never changed, because object stores cannot append. A later record for the same index
wins; ``{"index": 7, "resolved": true}`` says that it was delivered after all; ``{"reset": true}`` says that the source
was read from its start and everything before is void. A record with a ``body`` has the text of one as its payload. A
record with a ``row_number`` is no item, but one of its rows, which the database refused.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from io import BytesIO
from operator import attrgetter
from typing import Any

import orjson

from airflow_async_rest.core.encoding.chunk_sizes import bytes_of
from airflow_async_rest.core.encoding.json_encoder import encode_anything
from airflow_async_rest.core.errors import AnswerUnreadableError, DeadLettersGoneError, DeadLetterStoreError
from airflow_async_rest.core.letters.lines import Latest, Line, Refused, Reset, Resolved, lines_of, parse_exactly
from airflow_async_rest.core.letters.part_files import MOST_KEPT_BYTES, PartFiles, PartId
from airflow_async_rest.core.letters.replays import add_replay, read_replays
from airflow_async_rest.core.letters.sorting import SortedLines
from airflow_async_rest.core.letters.whole_files import FILE_MODE, FolderPath
from airflow_async_rest.core.models import DeadLetter
from airflow_async_rest.core.requests.bodies import stored_body

Record = dict[str, Any]
RESET: dict[str, Any] = {"reset": True}
ROW_REFUSED = "row_refused"
# The API took the request, and its answer could not be read: it is sent again only when it is named.
UNREADABLE = AnswerUnreadableError.reason
_MOST_NAMED = 5  # parts in an error, beside the first
_ARE_GONE = "cannot be read: missing, and what was in there is nowhere else"
_BEGIN_AGAIN = "clear the task that failed, which starts over from its first row"
_RESTORE = f"No task removes any: restore it from a backup, or {_BEGIN_AGAIN}"


class DeadLetterFolder:
    """The dead letters of one task instance. Its methods block; none is called on the event loop's thread.

    A part is read once, however often it is asked for; many are read at once.

    :param path: the folder; made when the first part is written.
    :param try_number: first number of the parts this object writes; None goes on with the last one there is.
    :param mode: and the bytes that are kept: see :class:`~airflow_async_rest.core.letters.part_files.PartFiles`.
    """

    def __init__(
        self,
        path: FolderPath,
        try_number: int | None = None,
        mode: int = FILE_MODE,
        *,
        most_kept_bytes: int = MOST_KEPT_BYTES,
    ) -> None:
        self._path, self._mode = path, mode
        self._files = PartFiles(path, mode, most_kept_bytes)
        self._try_number = try_number
        self._known: set[PartId] = set()  # parts that this object has read or written, and that count
        self._own: set[PartId] = set()  # of these, not those that somebody else has written since
        self._lines: dict[PartId, tuple[Line, ...]] = {}

    @property
    def history(self) -> "DeadLetterFolder":
        """What earlier tries of the same job have left: this folder has it."""
        return self

    def parts(self) -> list[PartId]:
        """List the parts that there are, or should be, in their order; maybe not those before the last start-over.

        :raises DeadLetterStoreError: when the folder cannot be read.
        """
        return self._look()[1]

    def _look(self) -> tuple[set[PartId], list[PartId], ValueError | None]:
        """Find the parts that there are, those that there should be, and why these are not known."""
        try:
            there, listed = self._files.look()
        except Exception as error:
            raise DeadLetterStoreError(f"the dead-letter folder {self._path} cannot be read: {error}") from error
        if listed is None:  # as the first version left it: parts of a try are numbered from 1
            last = dict(sorted(there))
            return there, [(number, seq) for number in last for seq in range(1, last[number] + 1)], None
        if isinstance(listed, ValueError):
            return there, sorted(there), listed
        return there, sorted({*listed, *(part for part in there if part > min(listed, default=(0, 0)))}), None

    def live_parts(self) -> list[PartId]:
        """List the parts from the last start-over on; what is before it is void, and need not be readable.

        :raises DeadLetterStoreError: when one of them is missing or not what was written, or their list cannot be read.
        """
        _, parts, unknown = self._look()
        if unknown is not None:
            raise DeadLetterStoreError(f"the list of the dead letters in {self._path} cannot be read: {unknown}")
        failures = self._read_new(parts)
        live = []
        for part in reversed(parts):
            live.append(part)
            if part not in failures and isinstance(self._lines[part][0], Reset):
                break
        self._check_read(live, failures)
        self._known.update(live)
        self._own.update(live)
        return live[::-1]

    def find_strays(self, counted: Iterable[PartId]) -> frozenset[int]:
        """Find what is dead only by parts that somebody else has written since this object has read.

        :param counted: the parts by which it is known what is dead.
        :raises DeadLetterStoreError: as :meth:`read`.
        """
        since = set(self._look()[1]) - self._own
        if not since:
            return frozenset()
        known = self.read(counted)
        latest = self.read_latest().items()
        return frozenset(index for index, letter in latest if letter.place[0] in since and index not in known)

    def check(self, parts: Iterable[PartId] = ()) -> None:
        """Check that what was read and written is still there.

        :param parts: of earlier tries, that count as well.
        :raises DeadLetterStoreError: when a part is missing; it says which.
        """
        self._known.update(parts)
        if self._known:
            self._check_there(self._look()[0])

    def _check_there(self, there: set[PartId]) -> None:
        if missing := self._known - there:
            raise DeadLettersGoneError(f"{self._named(missing)} {_ARE_GONE}", _RESTORE)

    def write(self, records: Collection[DeadLetter | Record]) -> PartId:
        """Write one part, and return its number when it is durable.

        :raises DeadLetterStoreError: when it cannot be written.
        """
        lines = BytesIO()  # each is let go at once, and the whole is not copied
        lines.writelines(map(_line, records))
        there, parts, _ = self._look()
        begins = RESET in records
        if begins:  # it comes after all parts of all tries, and so does what follows
            self._try_number = max(self._try_number or 1, max(there.union(parts), default=(1, 0))[0])
        part = self._next_part(there.union(parts))
        if begins:
            self._known, parts = set(), []
        self._check_there(there)
        known = self._known.union(parts)
        try:
            while not self._files.write(part, lines.getvalue()):  # a replay writes, too, while the task runs
                part = self._next_part({*there, *parts, part})
            self._files.list_parts(known | {part})
        except Exception as error:
            raise DeadLetterStoreError(f"{self._named([part])} cannot be written: {error}") from error
        self._known = (known & there) | {part}
        self._own.add(part)
        return part

    def _next_part(self, parts: Collection[PartId]) -> PartId:
        number = self._try_number or max(parts, default=(1, 0))[0]
        return number, 1 + max((seq for of_try, seq in parts if of_try == number), default=0)

    def read(self, parts: Iterable[PartId] | None = None) -> dict[int, str]:
        """Find what is still dead: index -> reason.

        :param parts: those to read; default: all.
        :raises DeadLetterStoreError: when a part is missing or is not what was written.
        """
        return {index: letter.reason for index, letter in self.read_latest(parts).items()}

    def iter_records(
        self, parse: Callable[[bytes], Any] = parse_exactly, *, resolved: bool = False
    ) -> Iterator[Record]:
        """Yield the latest records of what is still dead, one by one, by their index: in the order of the rows.

        :param parse: reads one; see :mod:`~airflow_async_rest.core.letters.lines`.
        :param resolved: those of what was dead, and is delivered, instead.
        :raises DeadLetterStoreError: as :meth:`read`.
        """
        letters = self._fold()[resolved].values()
        places = [letter.place for letter in sorted(letters, key=attrgetter("item"))]
        for part, line in SortedLines(self._files, places, MOST_KEPT_BYTES):
            if isinstance(line, Exception):
                self._check_read([part], {part: line})
            else:
                yield parse(line)

    def read_refused(self, parts: Iterable[PartId] | None = None) -> list[Record]:
        """Return the rows that the database refused, and has not taken since.

        :raises DeadLetterStoreError: as :meth:`read`.
        """
        refused: dict[tuple[int, int], Record] = {}
        for line in self._iter_lines(parts):
            if isinstance(line, Reset):
                refused.clear()
            elif isinstance(line, Refused):
                refused.pop(line.place, None)
                if line.record is not None:
                    refused[line.place] = line.record
        return list(refused.values())

    def read_latest(self, parts: Iterable[PartId] | None = None) -> dict[int, Latest]:
        """Fold the parts: index of what is still dead -> its latest record.

        :raises DeadLetterStoreError: as :meth:`read`.
        """
        return self._fold(parts)[0]

    def count_resolved(self) -> int:
        """Return how many items were dead, and are delivered. :raises DeadLetterStoreError: as :meth:`read`."""
        return len(self._fold()[1])

    def _fold(self, parts: Iterable[PartId] | None = None) -> tuple[dict[int, Latest], dict[int, Latest]]:
        """Return what is still dead, and what was dead and is delivered: index -> its latest record."""
        dead: dict[int, Latest] = {}
        resolved: dict[int, Latest] = {}
        for line in self._iter_lines(parts):
            if isinstance(line, Latest):
                dead[line.item] = line
                resolved.pop(line.item, None)
            elif isinstance(line, Resolved) and line.item in dead:
                resolved[line.item] = dead.pop(line.item)
            elif isinstance(line, Reset):
                dead.clear()
                resolved.clear()
        return dead, resolved

    def replays(self) -> list[Record]:
        """Return what other tasks have sent again; see :mod:`~airflow_async_rest.core.letters.replays`.

        :raises DeadLetterStoreError: when that cannot be read.
        """
        try:
            return read_replays(self._path)
        except Exception as error:
            raise DeadLetterStoreError(f"the replays noted in {self._path} cannot be read: {error}") from error

    def add_replay(self, by: Mapping[str, Any], delivered: int, failed: int) -> None:
        """Note that another task has sent dead letters again. :raises DeadLetterStoreError: as :meth:`read`."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        counts = {"delivered": delivered, "failed": failed, "left": len(self.read())}
        add_replay(self._path, self._mode, {"at": now, "by": dict(by), **counts})

    def _iter_lines(self, parts: Iterable[PartId] | None) -> Iterator[Line]:
        if parts is None:
            parts = self.live_parts()
        else:
            parts = list(parts)
            self._check_read(parts, self._read_new(parts))
        for part in parts:
            yield from self._lines[part]

    def _read_new(self, parts: Iterable[PartId]) -> dict[PartId, Exception]:
        """Read the parts that were not read yet. :return: why some cannot be."""
        failures: dict[PartId, Exception] = {}
        unread = [part for part in parts if part not in self._lines]
        for part, data in zip(unread, self._files.read(unread), strict=True):
            try:
                self._lines[part] = lines_of(part, data)
            except Exception as error:  # noqa: BLE001  (whatever the storage raises)
                failures[part] = error
        return failures

    def _check_read(self, parts: Iterable[PartId], failures: Mapping[PartId, Exception]) -> None:
        failed = [part for part in parts if part in failures]
        if not failed:
            return
        if missing := set(failed) - self._look()[0]:
            raise DeadLettersGoneError(f"{self._named(missing)} {_ARE_GONE}", _RESTORE)
        raise DeadLetterStoreError(
            f"{self._named(failed[-1:])} cannot be read: {failures[failed[-1]]}", f"Restore it, or {_BEGIN_AGAIN}"
        )

    def _named(self, parts: Collection[PartId]) -> str:
        """Return parts as errors name them."""
        first, *others = [f"{number}-{seq}.jsonl" for number, seq in sorted(parts)]
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        names = "".join(f", {name}" for name in others[:_MOST_NAMED])
        return f"the dead-letter part{'s' if others else ''} {self._path / first}{names}{more}"


def held_bytes(letter: DeadLetter) -> int:
    """Return the bytes of its body, and of its row: about what it takes as long as it is in memory."""
    body = letter.request.body if letter.request else None
    return len(body or b"") + bytes_of([value] for value in (letter.row or {}).values())


def _line(record: DeadLetter | Record) -> bytes:
    return orjson.dumps(
        to_record(record) if isinstance(record, DeadLetter) else record, None, orjson.OPT_APPEND_NEWLINE
    )


def to_record(letter: DeadLetter) -> Record:
    """Return a dead letter as it is stored; see :func:`~airflow_async_rest.core.requests.bodies.stored_body`."""
    request = letter.request
    record: Record = {
        "index": letter.index,
        "key": orjson.Fragment(encode_anything(letter.key)),
        "method": request.method if request else None,
        "path": request.path if request else None,
        "query": request.query if request else None,
        "idempotency_key": request.idempotency_key if request else None,
        "reason": letter.reason,
        "status": letter.status,
        "attempts": letter.attempts,
        "response_excerpt": orjson.Fragment(encode_anything(letter.response_excerpt)),
        "failed_at": letter.failed_at,
    }
    if request is not None:
        record |= stored_body(request)
    if request is None or letter.row is not None:
        record["row"] = orjson.Fragment(encode_anything(letter.row))
    if letter.batch is not None:
        record["batch"] = letter.batch
    if letter.fetch:
        record["fetch"] = True
    if letter.uncertain:
        record["uncertain"] = True
    return record


def refused_record(index: int, number: int, row: Mapping[str, Any], message: str) -> Record:
    """Return a row that the database refused as it is stored.

    :param index: of its item.
    :param number: its own among the item's rows.
    :param message: the database's.
    """
    return {
        "index": index,
        "row_number": number,
        "key": index,
        "reason": ROW_REFUSED,
        "row": orjson.Fragment(encode_anything(row)),
        "response_excerpt": orjson.Fragment(encode_anything(message)),
        "failed_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
