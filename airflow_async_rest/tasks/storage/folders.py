"""Where dead letters are kept: a folder for each task instance, on a disk or in object storage."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_async_rest.compat.names import conf
from airflow_async_rest.compat.task_context import is_first_start
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.tasks.run_life import MARK, UNMARKED, Life, life_of
from airflow_async_rest.tasks.storage.paths import dead_letter_base, file_mode, instance_folder, open_path, storage_uri

if TYPE_CHECKING:
    from airflow.sdk import Context


@dataclass(frozen=True)
class TaskScope:
    """Which task instance this is; outside a task, one made up for this run.

    :param is_first: whether nothing of it has run before.
    :param call: which call of ``deliver`` or ``fetch`` in it: the dead letters of one must not replace another's.
    """

    dag_id: str = "no_dag"
    run_id: str = "no_run"
    task_id: str = "no_task"
    map_index: int = -1
    try_number: int = 1
    is_first: bool = True
    life: Life = UNMARKED
    call: int = 1

    @classmethod
    def of(cls, context: "Context", life: Life | None = None, call: int = 1) -> "TaskScope":
        """Read it from Airflow's context. :param life: default: as the state store knows it."""
        ti = context["ti"]
        map_index = ti.map_index if ti.map_index is not None else -1
        life = life_of(context) if life is None else life
        return cls(ti.dag_id, ti.run_id, ti.task_id, map_index, ti.try_number, is_first_start(context), life, call)

    def folder_uri(self, base: str | None) -> str:
        """Return the URI of this task instance's dead-letter folder, in this life of its run.

        :param base: the operator's ``dead_letter_path``; see :func:`dead_letter_base`.
        """
        own = instance_folder(dead_letter_base(base), self.dag_id, self.run_id, self.task_id, self.map_index)
        call = f"call-{self.call}" if self.call > 1 else ""
        return "/".join((own, *filter(None, (self.life.mark, call))))


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


def shows_payloads() -> bool:
    """Return whether failed items are shown with their payloads."""
    return bool(conf.getboolean("async_rest", "xcom_payloads", fallback=True))
