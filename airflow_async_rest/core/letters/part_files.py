"""The files of a dead-letter folder: numbered parts that are never changed, and ``parts.json``, which lists them.

A part that somebody removed cannot be told from one that never was, unless something says how many there are. Object
stores can neither append nor rename, so that is a small separate file, written again after each part: a cleaner that
goes by age takes it last. It is written after the part, so it may lack one, and never has one too many.
"""

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import cycle
from pathlib import Path
from typing import Any, TypeVar

from airflow_async_rest.core.letters.whole_files import (
    FILE_MODE,
    FolderPath,
    make_folder,
    replace_file,
    write_whole,
)
from airflow_async_rest.core.worker_thread import WorkerThread

Value = TypeVar("Value")
Result = TypeVar("Result")
PartId = tuple[int, int]

_PART_NAME = re.compile(r"(\d+)-(\d+)\.jsonl")
LIST_NAME = "parts.json"
# 4,000 parts at 30 ms each are read in 4 s.
_READ_AT_ONCE = 32
# Of parts that are kept in memory, so that their payloads are not read from the storage again.
MOST_KEPT_BYTES = 32_000_000


class PartFiles:
    """Lists, reads and writes parts. Its methods block, and raise whatever the storage raises.

    :param path: the folder; made when the first part is written.
    :param mode: of files on a local disk, whatever the umask is; who may read the files may enter the folders.
    :param most_kept_bytes: of parts that are kept in memory.
    """

    def __init__(self, path: FolderPath, mode: int = FILE_MODE, most_kept_bytes: int = MOST_KEPT_BYTES) -> None:
        self._path = path
        self._mode = mode
        self._kept: dict[PartId, bytes] = {}
        self._room = most_kept_bytes

    def file(self, part: PartId) -> FolderPath:
        """Return the path of a part."""
        return self._path / f"{part[0]}-{part[1]}.jsonl"

    def look(self) -> tuple[set[PartId], list[PartId] | ValueError | None]:
        """Return the parts that are there, and those that ``parts.json`` lists.

        :return: None for the list where there is none: the first version wrote none; an error where it is not a list.
        """
        try:
            names = [file.name for file in self._path.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            if self._path.exists():
                raise
            return set(), None
        there = {(int(match[1]), int(match[2])) for match in map(_PART_NAME.fullmatch, names) if match}
        if LIST_NAME not in names:
            return there, None
        data = (self._path / LIST_NAME).read_bytes()
        try:
            return there, from_runs(json.loads(data)["parts"])
        except (ValueError, TypeError, LookupError):
            return there, ValueError(f"{LIST_NAME} is not what was written: {data[:80]!r}")

    def read(self, parts: Sequence[PartId]) -> Iterator[bytes | Exception]:
        """Yield the content of parts, in their order; or why a part cannot be read.

        Several are read at once, and each only once as long as they are not too large for that.
        """
        unread = sum(part not in self._kept for part in parts)
        for part, data in zip(parts, read_ahead(self._read, parts, min(unread, _READ_AT_ONCE)), strict=True):
            if isinstance(data, bytes) and part not in self._kept and len(data) <= self._room:
                self._kept[part] = data
                self._room -= len(data)
            yield data

    def _read(self, part: PartId) -> bytes | Exception:
        try:
            return self._kept.get(part) or self.file(part).read_bytes()
        except Exception as error:  # noqa: BLE001  (whatever the storage raises)
            return error

    def write(self, part: PartId, data: bytes) -> bool:
        """Write a part, and return when it is durable.

        :return: False, and nothing is written, when a file has its name: another writer's, who was faster. Only a
            local disk can tell.
        """
        make_folder(self._path, self._mode)
        return self._write_whole(self.file(part), data, place=_place_new)

    def list_parts(self, parts: Iterable[PartId]) -> None:
        """Write ``parts.json``."""
        self._write_whole(self._path / LIST_NAME, json.dumps({"parts": to_runs(parts)}).encode(), place=replace_file)

    def _write_whole(self, file: FolderPath, data: bytes, place: Callable[[Path, Path], bool]) -> bool:
        return write_whole(file, data, self._mode, place)


def _place_new(unfinished: Path, file: Path) -> bool:
    try:
        file.hardlink_to(unfinished)
    except FileExistsError:
        unfinished.unlink()
        return False
    except OSError:  # not every file system has hard links
        return replace_file(unfinished, file)
    unfinished.unlink()
    return True


def to_runs(parts: Iterable[PartId]) -> list[list[int]]:
    """Return parts as JSON keeps them: the first and last numbers of each run of them."""
    runs: list[list[int]] = []
    for number, seq in sorted(parts):
        if runs and runs[-1][0] == number and runs[-1][2] == seq - 1:
            runs[-1][2] = seq
        else:  # another try, or a gap: a part between them is another writer's
            runs.append([number, seq, seq])
    return runs


def from_runs(runs: Any) -> list[PartId]:
    """Return the parts of :func:`to_runs`."""
    return [(int(number), seq) for number, first, last in runs for seq in range(int(first), int(last) + 1)]


def read_ahead(read: Callable[[Value], Result], values: Sequence[Value], at_once: int) -> Iterator[Result]:
    """Yield what ``read`` returns for each value, in their order, while the next ones are being read.

    The threads are daemons, so that a read that hangs does not keep the process alive.

    :param at_once: how many; with fewer than two, none is read ahead.
    """
    if at_once <= 1:
        yield from map(read, values)
        return
    threads = [WorkerThread("async-rest-parts") for _ in range(at_once)]
    waiting: deque[Future[Result]] = deque()
    try:
        for value, thread in zip(values, cycle(threads), strict=False):  # each is done with the one before
            waiting.append(thread.queue(read, value))
            if len(waiting) == at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for thread in threads:
            thread.close()
