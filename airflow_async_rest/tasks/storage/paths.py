"""Folders as arguments and airflow.cfg name them: on a disk, or in object storage."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from airflow_async_rest.compat.names import ObjectStoragePath, conf
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.letters.whole_files import FolderPath

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://?(.*)", re.DOTALL)
_FILE = re.compile(r"file:(?://(?:localhost)?(?=/)|(?!//))(/.*)", re.DOTALL | re.IGNORECASE)
_SCHEME = re.compile(r"[^/:]+:/+")
# In an id: what leads elsewhere, what some storages take for a pattern, and what their URIs lose, or are split at.
_NOT_IN_NAMES = re.compile(r"[%/\\*?@\[\x00-\x1f\x7f]|(?<=:):")
_LONGEST_NAME_BYTES = 255  # of a file, on nearly every file system
_OWNERS_MODE, _WIDEST_MODE = 0o600, 0o666


def instance_folder(base: str, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return the URI of what a task instance has of its own below a folder, whatever its ids are."""
    return "/".join((base, *map(_segment, (dag_id, run_id, task_id)), str(map_index)))


def _segment(name: str) -> str:
    """Return an id as the name of one folder: Airflow lets a run be called ``..``, or ``[x]*``, or have 250 letters."""
    quoted = _NOT_IN_NAMES.sub(lambda found: f"%{ord(found[0]):02X}", name)
    quoted = quoted if quoted.strip(".") else quoted.replace(".", "%2E")
    if len(quoted.encode()) <= _LONGEST_NAME_BYTES:
        return quoted
    digest = hashlib.blake2b(quoted.encode(), digest_size=16).hexdigest()
    return f"{quoted.encode()[: _LONGEST_NAME_BYTES - len(digest) - 1].decode(errors='ignore')}-{digest}"


def dead_letter_base(path: str | None = None) -> str:
    """Return the URI of the folder of all dead letters.

    :param path: an author's own; else airflow.cfg's, else a folder in AIRFLOW_HOME.
    :raises ConfigurationError: when it is not the path of a folder; says which setting.
    """
    if _text(path):
        return storage_uri("dead_letter_path", path).rstrip("/")
    if configured := configured_folder("dead_letter_path"):
        return configured
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser().absolute()
    return f"file://{home}/async_rest/dead_letters"


def configured_folder(option: str) -> str | None:
    """Return the URI of a folder that airflow.cfg names under ``[async_rest]``, or None.

    :raises ConfigurationError: when it is not the path of a folder; says which setting.
    """
    configured = conf.get("async_rest", option, fallback="").strip()
    return storage_uri(f"[async_rest] {option}", configured).rstrip("/") if configured else None


def _text(path: Any) -> str:
    return os.fspath(path).strip() if isinstance(path, str | os.PathLike) else path or ""


def storage_uri(argument: str, path: Any) -> str:
    """Return the URI of a folder: ``file:///...``, or one of object storage.

    :param path: such a URI, or an absolute path; ``~`` is the home of the user who runs this.
    :raises ConfigurationError: when it could mean another folder in another process, or none.
    """
    text = _text(path)
    if isinstance(text, str) and _has_password(text):
        raise ConfigurationError(
            f"{argument} has a password in its URI (a ':' before an '@'), which logs and reports would show: write the "
            "id of a connection instead, such as 's3://conn_id@bucket/dead_letters'."
        )
    hint = (
        f"{argument}={path!r}: write an absolute path such as '/opt/airflow/dead_letters', or a URI such as "
        "'file:///opt/airflow/dead_letters' or 's3://conn_id@bucket/dead_letters'"
    )
    if not isinstance(text, str) or "\0" in text:
        raise ConfigurationError(f"{hint}.")
    if local := _FILE.fullmatch(text):
        text = local[1]
    if (uri := _URI.fullmatch(text)) and uri[1].lower() != "file":
        if "://" not in text or not uri[2].partition("/")[0].rpartition("@")[2]:
            raise ConfigurationError(f"{hint}; after {uri[1]}:// comes the bucket.")
        return text
    try:
        local_path = Path(text).expanduser()
    except RuntimeError as error:  # ~somebody
        raise ConfigurationError(f"{hint}. {error}") from None
    if not local_path.is_absolute():
        raise ConfigurationError(
            f"{hint}. This one depends on the working directory, or on another machine, and each process has its own."
        )
    if not local_path.name:
        raise ConfigurationError(f"{hint}. This one is the whole file system.")
    return f"file://{local_path}"


def _has_password(text: str) -> bool:
    """Return whether something looks like one: it may have any letters, also those at which URIs are split."""
    is_local = _FILE.fullmatch(text) or text.startswith(("/", "~"))
    return not is_local and ":" in _SCHEME.sub("", text, count=1).rpartition("@")[0]


def open_path(uri: str) -> FolderPath:
    """Return the path that a URI of :func:`storage_uri` names."""
    return Path(uri.removeprefix("file://")) if uri.startswith("file://") else ObjectStoragePath(uri)


def file_mode() -> int:
    """Return who may read dead letters on a disk: ``[async_rest] file_mode``.

    :raises ConfigurationError: when it is not the mode of a file that its owner can read and write.
    """
    text = conf.get("async_rest", "file_mode", fallback="").strip() or "0600"
    mode = int(text, 8) if re.fullmatch(r"0?o?[0-7]{3}", text) else 0
    if mode & _OWNERS_MODE != _OWNERS_MODE or mode & ~_WIDEST_MODE:
        raise ConfigurationError(
            f"[async_rest] file_mode={text!r}: write 0600 (only the user that runs tasks), 0640 (its group may read "
            "them, too) or 0644 (everybody)."
        )
    return mode
