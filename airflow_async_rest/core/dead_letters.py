"""Numbered JSON Lines parts of dead letters: written once each, read back as one list.

A folder holds ``{try}-{seq}.jsonl`` in the order of its numbers. Parts are never changed, because object
stores cannot append. A later record for the same index wins; ``{"index": 7, "resolved": true}`` says that it
was delivered after all; ``{"reset": true}`` says that the source was read anew and everything before is void.
A record with a ``body`` has the text of one as its payload.
A record with a ``row_number`` is no item, but one of its rows, which the database refused.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self, cast

import orjson

from airflow_async_rest.core.bodies import stored_body
from airflow_async_rest.core.encoding import encode_anything
from airflow_async_rest.core.errors import AnswerUnreadableError, DeadLetterStoreError
from airflow_async_rest.core.models import DeadLetter

_PART_NAME = re.compile(r"(\d+)-(\d+)\.jsonl")
SHOWN_PAYLOAD_CHARACTERS = 2_000
_LONGEST_INTEGER = 4_000  # Python refuses to read decimal integers of more than 4300 digits
RESET: dict[str, Any] = {"reset": True}
ROW_REFUSED = "row_refused"
# The API took the request, and its answer could not be read: who sends it again does so knowingly.
UNREADABLE = AnswerUnreadableError.reason

PartId = tuple[int, int]
Record = dict[str, Any]


class FolderPath(Protocol):
    """What is used of ``pathlib.Path`` and Airflow's ``ObjectStoragePath``."""

    @property
    def name(self) -> str: ...  # noqa: D102
    def __truediv__(self, name: str, /) -> "FolderPath": ...
    def mkdir(self, *, parents: bool, exist_ok: bool) -> None: ...  # noqa: D102
    def exists(self) -> bool: ...  # noqa: D102
    def iterdir(self) -> Iterator["FolderPath"]: ...  # noqa: D102
    def read_bytes(self) -> bytes: ...  # noqa: D102
    def write_bytes(self, data: bytes, /) -> int: ...  # noqa: D102


class Latest(NamedTuple):
    """What is looked at of the latest record of an item that is dead.

    :param place: part and line.
    :param request: of a bulk request that it was in: its idempotency key, and how many items it had.
    :param uncertain: see :class:`~airflow_async_rest.core.models.DeadLetter`.
    """

    reason: str
    place: tuple[PartId, int]
    request: tuple[str, int] | None
    uncertain: bool

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """Return what would be looked at, of a letter that is in no part."""
        batch = letter.batch or {}
        request = (str(batch["request"]), int(batch["items"])) if batch.get("request") else None
        return cls(letter.reason, ((0, 0), 0), request, letter.uncertain)


class DeadLetterFolder:
    """The dead letters of one task instance. Its methods block; none is called on the event loop's thread.

    :param path: the folder; made when the first part is written.
    :param try_number: first number of the parts this object writes; None goes on with the last one there is.
    """

    def __init__(self, path: FolderPath, try_number: int | None = None) -> None:
        self._path = path
        self._try_number = try_number
        self._last: PartId | None = None

    def parts(self) -> list[PartId]:
        """List the parts there are, in their order.

        :raises DeadLetterStoreError: when the folder cannot be read.
        """
        try:
            if not self._path.exists():
                return []
            names = [_PART_NAME.fullmatch(part.name) for part in self._path.iterdir()]
        except Exception as error:
            raise DeadLetterStoreError(f"the dead-letter folder {self._path} cannot be read: {error}") from error
        return sorted((int(name[1]), int(name[2])) for name in names if name)

    def live_parts(self) -> list[PartId]:
        """List the parts from the last start-over on; what is before it is void, and need not be readable."""
        live: list[PartId] = []
        for part in reversed(self.parts()):
            live.append(part)
            if next(self._read_part(part)).get("reset"):
                break
        return live[::-1]

    def write(self, records: Iterable[DeadLetter | Record]) -> PartId:
        """Write one part, and give its number when it is durable.

        :raises DeadLetterStoreError: when it cannot be written.
        """
        lines = [
            orjson.dumps(to_record(record)) if isinstance(record, DeadLetter) else orjson.dumps(record)
            for record in records
        ]
        part = self._next_part()
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            _write_whole(self._file(part), b"\n".join((*lines, b"")))
        except Exception as error:
            raise DeadLetterStoreError(f"the dead-letter part {self._file(part)} cannot be written: {error}") from error
        self._last = part
        return part

    def _next_part(self) -> PartId:
        if self._last is None:
            parts = self.parts()
            number = self._try_number or (parts[-1][0] if parts else 1)
            self._last = max((part for part in parts if part[0] == number), default=(number, 0))
        number, seq = self._last[0], self._last[1] + 1
        while self._file((number, seq)).exists():  # a replay and the task itself may write to one folder
            seq += 1
        return number, seq

    def read(self, parts: Iterable[PartId] | None = None) -> dict[int, str]:
        """Find what is still dead: index -> reason.

        :param parts: those to read; default: all.
        :raises DeadLetterStoreError: when a part is missing or is not what was written.
        """
        return {index: letter.reason for index, letter in self.read_latest(parts).items()}

    def read_batches(self) -> tuple[tuple[int, ...], ...]:
        """Find bulk requests of which all is still dead; see :func:`whole_batches`.

        :raises DeadLetterStoreError: as :meth:`read`.
        """
        return whole_batches(self.read_latest())

    def iter_records(self, *, exactly: bool = True) -> Iterator[Record]:
        """Give the latest records of what is still dead, one by one, in the order they were written.

        :param exactly: without losing a digit of any number, which takes five times as long.
        :raises DeadLetterStoreError: as :meth:`read`.
        """
        latest = self.read_latest()
        for part in self.live_parts():
            for line, record in enumerate(self._read_part(part, None if exactly else _skim)):
                letter = latest.get(record.get("index", -1))
                if letter and letter.place == (part, line):
                    yield record

    def read_refused(self, parts: Iterable[PartId] | None = None) -> list[Record]:
        """Give the rows that the database refused, and has not taken since.

        :raises DeadLetterStoreError: as :meth:`read`.
        """
        refused: dict[tuple[int, int], Record] = {}
        for part in self.live_parts() if parts is None else parts:
            for record in self._read_part(part, holding=(b'"row_number"', b'"reset"')):
                if record.get("reset"):
                    refused.clear()
                elif "row_number" in record:
                    place = record["index"], record["row_number"]
                    if record.get("resolved"):
                        refused.pop(place, None)
                    else:
                        refused[place] = record
        return list(refused.values())

    def read_latest(self, parts: Iterable[PartId] | None = None) -> dict[int, Latest]:
        """Fold the parts: index of what is still dead -> its latest record.

        :raises DeadLetterStoreError: as :meth:`read`.
        """
        dead: dict[int, Latest] = {}
        for part in self.live_parts() if parts is None else parts:
            for line, record in enumerate(self._read_part(part, _skim)):
                if record.get("reset"):
                    dead.clear()
                elif "row_number" in record:
                    continue
                elif record.get("resolved"):
                    dead.pop(record["index"], None)
                else:
                    batch = record.get("batch") or {}
                    request = (str(batch["request"]), int(batch["items"])) if batch.get("request") else None
                    uncertain = bool(record.get("uncertain"))
                    dead[record["index"]] = Latest(str(record.get("reason")), (part, line), request, uncertain)
        return dead

    def _file(self, part: PartId) -> FolderPath:
        return self._path / f"{part[0]}-{part[1]}.jsonl"

    def _read_part(
        self, part: PartId, parse: Callable[[bytes], Any] | None = None, *, holding: tuple[bytes, ...] = ()
    ) -> Iterator[Record]:
        """Give the records of a part.

        :param parse: of a line; default: without losing a digit.
        :param holding: pass over the lines that have none of these.
        """
        parse = parse or parse_exactly
        try:
            data = self._file(part).read_bytes()
            if not data.endswith(b"\n"):
                raise ValueError("it is cut off")  # noqa: TRY301
            for line in data.splitlines():
                if holding and not any(text in line for text in holding):
                    continue
                record = parse(line)
                if not isinstance(record, dict) or not (record.get("reset") or isinstance(record.get("index"), int)):
                    raise ValueError(f"not a dead-letter record: {line[:80]!r}")  # noqa: TRY301
                yield record
        except Exception as error:
            raise DeadLetterStoreError(f"the dead-letter part {self._file(part)} cannot be read: {error}") from error


def whole_batches(latest: Mapping[int, Latest]) -> tuple[tuple[int, ...], ...]:
    """Find bulk requests of which all is still dead: the indexes of each.

    Who sends them again sends them as they were: the API may have stored one, and its answer was lost.
    """
    requests: dict[tuple[str, int], list[int]] = {}
    for index, letter in latest.items():
        if letter.request is not None:
            requests.setdefault(letter.request, []).append(index)
    return tuple(tuple(sorted(indexes)) for (_, items), indexes in requests.items() if len(indexes) == items)


def _write_whole(file: FolderPath, data: bytes) -> None:
    """Write a file that is there whole or not at all, as object stores do by themselves."""
    if isinstance(file, Path):
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_bytes(data)
        unfinished.replace(file)
    else:
        file.write_bytes(data)


def parse_exactly(text: bytes) -> Any:
    """Parse JSON without losing a digit: fractions become Decimals that remember how they were written.

    :raises ValueError: when it is no JSON, or has a number that no Decimal holds.
    """
    try:
        return json.loads(text, parse_float=_AsWritten, parse_int=_integer)
    except ArithmeticError as error:
        raise ValueError("an exponent of more than 18 digits") from error


def _skim(text: bytes) -> Any:
    """Parse JSON five times as fast, for those who do not look at its numbers."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # it takes no 1E+400
        return parse_exactly(text)


class _AsWritten(Decimal):
    """A number that is written again as it was read: ``1e-7`` stays ``1e-7``, as in the body that was sent."""

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number._text = text
        return number

    _text: str

    def __str__(self) -> str:
        return self._text


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) < _LONGEST_INTEGER else _AsWritten(text)


def to_record(letter: DeadLetter) -> Record:
    """Give a dead letter as it is stored; see :func:`~airflow_async_rest.core.bodies.stored_body`."""
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
    if request is None:
        record["row"] = orjson.Fragment(encode_anything(letter.row))
    else:
        record |= stored_body(request)
    if letter.batch is not None:
        record["batch"] = letter.batch
    if letter.fetch:
        record["fetch"] = True
    if letter.uncertain:
        record["uncertain"] = True
    return record


def refused_record(index: int, number: int, row: Mapping[str, Any], words: str) -> Record:
    """Give a row that the database refused as it is stored.

    :param index: of its item.
    :param number: its own among the item's rows.
    :param words: the database's.
    """
    return {
        "index": index,
        "row_number": number,
        "key": index,
        "reason": ROW_REFUSED,
        "row": orjson.Fragment(encode_anything(row)),
        "response_excerpt": orjson.Fragment(encode_anything(words)),
        "failed_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


def _shown_fraction(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text  # 1E+400: JSON knows no infinity


def _shown_integer(text: str) -> int | str:
    return int(text) if len(text) < _LONGEST_INTEGER else text


def shown_record(record: Record, *, payloads: bool, longest: int = SHOWN_PAYLOAD_CHARACTERS) -> Record:
    """Give a record as people see it: plain JSON, a large payload cut and marked as cut.

    :param payloads: whether to show the payload (or row) at all.
    :param longest: characters of it that are shown; the default is XCom's.
    """
    shown = cast("Record", json.loads(encode_anything(record), parse_float=_shown_fraction, parse_int=_shown_integer))
    name = "row" if "row" in shown else "payload"
    if not payloads:
        shown.pop(name, None)
    elif len(text := json.dumps(shown.get(name))) > longest:
        shown[name] = f"{text[:longest]}... [cut: {len(text)} characters in all]"
    return shown
