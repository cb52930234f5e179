"""Where dead letters are kept: a folder for each task instance, on a disk or in object storage."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_async_rest.compat.names import ObjectStoragePath, conf
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.letters.part_files import FolderPath
from airflow_async_rest.tasks.state_store import MARK, UNMARKED, Life, life_of

if TYPE_CHECKING:
    from airflow.sdk import Context

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://?(.*)", re.DOTALL)
_FILE = re.compile(r"file:(?://(?:localhost)?(?=/)|(?!//))(/.*)", re.DOTALL | re.IGNORECASE)
_LONGEST_NAME_BYTES = 255  # of a file, on nearly every file system
_OWNERS_MODE, _WIDEST_MODE = 0o600, 0o666


@dataclass(frozen=True)
class TaskScope:
    """Which task instance this is; outside a task, one made up for this run.

    :param call: which call of ``deliver`` or ``fetch`` in it: the dead letters of one must not replace another's.
    """

    dag_id: str = "no_dag"
    run_id: str = "no_run"
    task_id: str = "no_task"
    map_index: int = -1
    try_number: int = 1
    life: Life = UNMARKED
    call: int = 1

    @classmethod
    def of(cls, context: "Context", life: Life | None = None, call: int = 1) -> "TaskScope":
        """Read it from Airflow's context. :param life: default: as the state store knows it."""
        ti = context["ti"]
        map_index = ti.map_index if ti.map_index is not None else -1
        life = life_of(context) if life is None else life
        return cls(ti.dag_id, ti.run_id, ti.task_id, map_index, ti.try_number, life, call)

    def folder_uri(self, base: str | None) -> str:
        """Return the URI of this task instance's dead-letter folder, in this life of its run.

        :param base: the operator's ``dead_letter_path``; see :func:`dead_letter_base`.
        """
        names = (*map(_segment, (self.dag_id, self.run_id, self.task_id)), str(self.map_index), self.life.mark)
        call = f"call-{self.call}" if self.call > 1 else ""
        return "/".join((dead_letter_base(base), *filter(None, (*names, call))))


def _segment(name: str) -> str:
    """Return an id as the name of one folder: Airflow lets a run be called ``..``, or have 250 letters."""
    quoted = re.sub(r"[%/\\\0]", lambda found: f"%{ord(found[0]):02X}", name)
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
    if configured := conf.get("async_rest", "dead_letter_path", fallback="").strip():
        return storage_uri("[async_rest] dead_letter_path", configured).rstrip("/")
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser().absolute()
    return f"file://{home}/async_rest/dead_letters"


def _text(path: Any) -> str:
    return os.fspath(path).strip() if isinstance(path, str | os.PathLike) else path or ""


def storage_uri(argument: str, path: Any) -> str:
    """Return the URI of a folder: ``file:///...``, or one of object storage.

    :param path: such a URI, or an absolute path; ``~`` is the home of the user who runs this.
    :raises ConfigurationError: when it could mean another folder in another process, or none.
    """
    text = _text(path)
    hint = (
        f"{argument}={path!r}: write an absolute path such as '/opt/airflow/dead_letters', or a URI such as "
        "'file:///opt/airflow/dead_letters' or 's3://conn_id@bucket/dead_letters'"
    )
    if not isinstance(text, str) or "\0" in text:
        raise ConfigurationError(f"{hint}.")
    if local := _FILE.fullmatch(text):
        return f"file://{local[1]}"
    if (uri := _URI.fullmatch(text)) and uri[1].lower() != "file":
        if "://" not in text or not uri[2].strip("/") or uri[2].startswith("/"):
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
    return f"file://{local_path}"


def open_path(uri: str) -> FolderPath:
    """Return the path that a URI of :func:`storage_uri` names."""
    return Path(uri.removeprefix("file://")) if uri.startswith("file://") else ObjectStoragePath(uri)


def open_folder(uri: str, try_number: int | None = None, *, argument: str = "dead_letter_path") -> DeadLetterFolder:
    """Open a dead-letter folder: ``file:///path``, an absolute path, or an object-storage URI of Airflow.

    Its parts are listed once, so that storage which asks Airflow for its connection does it now.

    :param argument: that gives it, for errors.
    :raises ConfigurationError: when it cannot be reached.
    """
    path, mode = storage_uri(argument, uri), file_mode()
    try:
        folder = DeadLetterFolder(open_path(path), try_number, mode)
        folder.parts()
    except Exception as error:
        raise ConfigurationError(f"{argument} {uri!r} cannot be used: {error}") from error
    return folder


def open_dead_letters(*uris: str) -> list[DeadLetterFolder]:
    """Open folders to be replayed, each once, however it is spelled.

    A task instance's folder stands for that of its run's life, where there was only one.

    :raises ConfigurationError: when nothing ever was in one, as in a misspelt one.
    """
    found: dict[str, DeadLetterFolder] = {}
    for uri in uris:
        place, folder = storage_uri("dead_letters", uri).rstrip("/"), open_folder(uri, argument="dead_letters")
        if not folder.parts():
            lives = lives_below(uri)
            if len(lives) != 1:
                several = f" Its run was made {len(lives)} times: choose among {', '.join(lives)}." if lives else ""
                raise ConfigurationError(f"dead_letters: there is no folder {uri!r} with dead letters in it.{several}")
            [place] = lives
            folder = open_folder(place, argument="dead_letters")
        found.setdefault(place, folder)
    return [*found.values()]


def lives_below(uri: str) -> list[str]:
    """Return the folders of the lives of a task instance's run, the newest last. :param uri: without a life."""
    base = storage_uri("dead_letters", uri).rstrip("/")
    try:
        return sorted(f"{base}/{path.name}" for path in open_path(base).iterdir() if MARK.fullmatch(path.name))
    except Exception:  # noqa: BLE001  (opening the folder says why it cannot be read)
        return []


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


def shows_payloads() -> bool:
    """Return whether failed items are shown with their payloads."""
    return bool(conf.getboolean("async_rest", "xcom_payloads", fallback=True))
