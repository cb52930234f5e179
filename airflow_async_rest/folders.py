"""Where dead letters are kept: a folder for each task instance, on a disk or in object storage."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import ObjectStoragePath
from airflow.sdk.configuration import conf

from airflow_async_rest.core.dead_letters import DeadLetterFolder
from airflow_async_rest.core.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Context


@dataclass(frozen=True)
class TaskScope:
    """Which task instance this is; outside a task, one made up for this run."""

    dag_id: str = "no_dag"
    run_id: str = "no_run"
    task_id: str = "no_task"
    map_index: int = -1
    try_number: int = 1

    @classmethod
    def of(cls, context: "Context") -> "TaskScope":
        """Read it from Airflow's context."""
        ti = context["ti"]
        map_index = ti.map_index if ti.map_index is not None else -1
        return cls(ti.dag_id, ti.run_id, ti.task_id, map_index, ti.try_number)

    def folder_uri(self, base: str | None) -> str:
        """Give the URI of this task instance's dead-letter folder.

        :param base: the operator's ``dead_letter_path``; see :func:`dead_letter_base`.
        """
        return "/".join((dead_letter_base(base), self.dag_id, self.run_id, self.task_id, str(self.map_index)))


def dead_letter_base(path: str | None = None) -> str:
    """Give the URI of the folder of all dead letters.

    :param path: an author's own; else airflow.cfg's, else a folder in AIRFLOW_HOME.
    """
    home = os.environ.get("AIRFLOW_HOME", "~/airflow")
    path = path or conf.get("async_rest", "dead_letter_path", fallback="") or f"{home}/async_rest/dead_letters"
    return (path if "://" in path else f"file://{Path(path).expanduser().absolute()}").rstrip("/")


def open_folder(uri: str, try_number: int | None = None) -> DeadLetterFolder:
    """Open a dead-letter folder: ``file:///path``, a plain path, or an object-storage URI of Airflow.

    Its parts are listed once, so that storage which asks Airflow for its connection does it now.

    :raises ConfigurationError: when it cannot be reached.
    """
    remote = "://" in uri and not uri.startswith("file://")
    try:
        path = ObjectStoragePath(uri) if remote else Path(uri.removeprefix("file://"))
        folder = DeadLetterFolder(path, try_number)
        folder.parts()
    except Exception as error:
        raise ConfigurationError(f"dead_letter_path {uri!r} cannot be used: {error}") from error
    return folder


def open_dead_letters(uri: str) -> DeadLetterFolder:
    """Open a folder to be replayed. :raises ConfigurationError: when nothing ever was in it, as a misspelt one."""
    folder = open_folder(uri)
    if not folder.parts():
        raise ConfigurationError(f"dead_letters: there is no folder {uri!r} with dead letters in it.")
    return folder


def shows_payloads() -> bool:
    """Tell whether failed items are shown with their payloads."""
    return bool(conf.getboolean("async_rest", "xcom_payloads", fallback=True))
