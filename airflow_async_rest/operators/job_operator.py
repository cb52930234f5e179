"""What the operators share: the job of the engine that a task runs, and what comes after it."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_async_rest.core.errors import KilledError
from airflow_async_rest.operators.rendering import TextKeepingOperator

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from airflow_async_rest.tasks.runtime import TaskRun

    Callback = Callable[[Context], None]


class JobOperator(TextKeepingOperator):
    """An operator that runs a job of the engine.

    :cvar after_kill: what comes after a kill.
    """

    template_fields: Sequence[str] = ("http_conn_id", "headers", "rate_limit")
    template_fields_renderers: ClassVar[dict[str, str]] = {"headers": "json"}
    after_kill: ClassVar[str] = "a retry, or a Clear, goes on where it ended"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._run: TaskRun | None = None

    def _begin(self, context: "Context", preview: Any = None, preview_send: Any = None) -> "TaskRun":
        from airflow_async_rest.tasks.arguments import Previewing  # noqa: PLC0415  (the engine loads when a task runs)
        from airflow_async_rest.tasks.runtime import TaskRun  # noqa: PLC0415

        self._run = TaskRun(context, preview=Previewing.of(context, preview, preview_send))
        return self._run

    def on_kill(self) -> None:
        """Stop, keeping what is done: called when the task is killed or cleared."""
        if self._run is not None:
            self._run.stop.pull(KilledError(f"the task was killed; {self.after_kill}"))


class WindowOperator(JobOperator):
    """An operator that moves the rows of a window between a database and an API."""

    template_fields: Sequence[str] = (
        *("sql", "parameters", "sql_conn_id", "window_start", "window_end", "endpoint", "dead_letter_path"),
        *JobOperator.template_fields,
    )
    template_fields_renderers: ClassVar = {**JobOperator.template_fields_renderers, "sql": "sql", "parameters": "json"}
    template_ext: Sequence[str] = (".sql",)

    def __init__(self, *, on_success_callback: "Callback | Sequence[Callback] | None" = None, **kwargs: Any) -> None:
        given = [on_success_callback] if callable(on_success_callback) else on_success_callback or []
        super().__init__(on_success_callback=[*given, self._forget], **kwargs)

    @staticmethod
    @abstractmethod
    def _forget(context: "Context") -> None:
        """Remove what says that all is done; Airflow calls this when it knows of the task's success."""

    @abstractmethod
    def _lineage(self, report: Mapping[str, Any]) -> "OperatorLineage[Any, Any]":
        """Return what OpenLineage is to know.

        :param report: empty before the end of the task.
        :raises ImportError: when OpenLineage's provider is not installed.
        """

    def get_openlineage_facets_on_start(self) -> "OperatorLineage[Any, Any] | None":
        """Return the tables and the endpoint, with the counts of the report once there is one.

        OpenLineage's provider calls this, and the methods below when the task has ended.
        """
        with suppress(ImportError):
            return self._lineage({} if self._run is None else self._run.report)
        return None

    def get_openlineage_facets_on_complete(self, _: Any) -> "OperatorLineage[Any, Any] | None":
        """Return the same."""
        return self.get_openlineage_facets_on_start()

    get_openlineage_facets_on_failure = get_openlineage_facets_on_complete
