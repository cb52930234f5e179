"""Files that others see whole or not at all, on a local disk and in object storage, and that only their owner reads."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeGuard

FILE_MODE = 0o600
_LOCAL = type(Path())


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
    def unlink(self) -> None: ...  # noqa: D102


def is_local(path: FolderPath) -> TypeGuard[Path]:
    """Return whether a path is one of this machine's file system.

    Before Airflow 3.2 those of object storage are a ``Path``, too, though not what ``Path`` makes.
    """
    return isinstance(path, _LOCAL)


def make_folder(path: FolderPath, mode: int = FILE_MODE) -> None:
    """Make a folder and those above it; what is there already stays as it is.

    :param mode: of the files in it; who may read these may enter it.
    """
    if not is_local(path):
        path.mkdir(parents=True, exist_ok=True)
        return
    mode |= (mode & 0o444) >> 2
    for folder in reversed([path, *path.parents]):
        if not folder.exists():
            with suppress(FileExistsError):  # another task was faster
                folder.mkdir(mode=mode)
                _widen(folder, mode)


def replace_file(unfinished: Path, file: Path) -> bool:
    """Put a file in its place, whatever is there."""
    unfinished.replace(file)
    return True


def write_whole(
    file: FolderPath, data: bytes, mode: int = FILE_MODE, place: Callable[[Path, Path], bool] = replace_file
) -> bool:
    """Write a file that is there whole or not at all, as object stores do by themselves.

    :param mode: of a file on a local disk, whatever the umask is.
    :param place: puts a local file that is written in its place. :return: what that returns.
    """
    if not is_local(file):
        file.write_bytes(data)
        return True
    # Not the process id: two containers that share a volume have the same one.
    unfinished = file.with_suffix(f".{secrets.token_hex(4)}.unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            _widen(unfinished, mode)
            opened.write(data)
        return place(unfinished, file)
    except BaseException:
        with suppress(OSError):  # a full disk is not filled with pieces
            unfinished.unlink()
        raise


def _widen(path: Path, mode: int) -> None:
    """Set the whole mode where the umask has left less of it; a volume that allows no modes is left as it is."""
    with suppress(PermissionError):
        path.chmod(mode)
