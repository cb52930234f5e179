"""A state store that is a folder: a file for each key, seen whole by whoever reads it."""

import json
from contextlib import suppress
from typing import Any

from airflow_async_rest.core.letters.part_files import LIST_NAME
from airflow_async_rest.core.letters.whole_files import FILE_MODE, FolderPath, make_folder, write_whole

# The largest value; the usual ones have a few hundred bytes, and they are written again every second.
MOST_BYTES = 4 << 20
_SUFFIXES = (".json", ".unfinished")
_SHOWN_CHARACTERS = 80


class FolderStore:
    """Keeps the values of one task instance as ``<key>.json``; see :class:`~...core.keeping.stores.StateStore`.

    What is no JSON counts as the text that it is: whoever expects something else says so. Methods raise whatever the
    storage raises.

    :param path: the folder; made when the first value is written.
    :param mode: of files on a local disk; who may read the files may enter the folders.
    """

    def __init__(self, path: FolderPath, mode: int = FILE_MODE) -> None:
        self._path = path
        self._mode = mode

    def get(self, key: str) -> Any:
        """Return a value, or None."""
        try:
            data = self._file(key).read_bytes()
        except FileNotFoundError:
            return None
        try:
            return json.loads(data, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return data[:_SHOWN_CHARACTERS].decode(errors="replace")

    def set(self, key: str, value: Any) -> None:
        """Keep a value. :raises ValueError: when it is None, no JSON, or larger than 4 MB."""
        if value is None:
            raise ValueError(f"the state {key!r} cannot be null; delete it instead")
        data = json.dumps(value, allow_nan=False).encode()
        if len(data) > MOST_BYTES:
            raise ValueError(f"the state {key!r} has {len(data):,} bytes, and a file of it may have {MOST_BYTES:,}")
        make_folder(self._path, self._mode)
        write_whole(self._file(key), data, self._mode)

    def delete(self, key: str) -> None:
        """Forget a key, if it is there."""
        with suppress(FileNotFoundError):
            self._file(key).unlink()

    def wipe(self) -> None:
        """Forget all keys; the checkpoint first, in case that it is interrupted."""
        try:
            files = sorted(self._path.iterdir(), key=lambda file: file.name)
        except (FileNotFoundError, NotADirectoryError):
            if self._path.exists():
                raise
            return
        for file in files:
            if file.name.endswith(_SUFFIXES) and file.name != LIST_NAME:  # dead letters may have the same folder
                with suppress(FileNotFoundError):
                    file.unlink()

    def _file(self, key: str) -> FolderPath:
        return self._path / f"{key}.json"


def _refuse(constant: str) -> Any:
    raise ValueError(constant)
