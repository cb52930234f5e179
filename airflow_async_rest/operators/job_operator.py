"""What the operators share: the job of the engine that a task runs, and what comes after it."""

import inspect
import warnings
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_async_rest.core.errors import ConfigurationError, KilledError
from airflow_async_rest.core.spelling import hint
from airflow_async_rest.operators.rendering import TextKeepingOperator
from airflow_async_rest.tasks.checking.arguments import check_arguments

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from airflow_async_rest.tasks.runtime import TaskRun

    Callback = Callable[[Context], None]

_ALIKE = 0.85  # 'rate_limits' and 'rate_limit' are, 'conn_id' and 'sql_conn_id' are not


class JobOperator(TextKeepingOperator):
    """An operator that runs a job of the engine.

    :cvar after_kill: what comes after a kill.
    """

    template_fields: Sequence[str] = ("http_conn_id", "headers", "rate_limit")
    template_fields_renderers: ClassVar[dict[str, str]] = {"headers": "json"}
    after_kill: ClassVar[str] = "a retry, or a Clear, goes on where it ended"

    def __init__(self, **kwargs: Any) -> None:
        _check_names(type(self), kwargs, kwargs.get("task_id"))
        _warn_of_misspelt_defaults(type(self), kwargs.get("default_args") or (), kwargs.get("task_id"))
        super().__init__(**kwargs)
        self._run: TaskRun | None = None
        self._is_killed = False

    @property
    def _is_of_mapped(self) -> bool:
        """Whether this is an instance of a mapped task, made as the task runs: then all is checked a moment later."""
        return bool(getattr(self, "_BaseOperator__from_mapped", False))

    def _check_arguments(self, **instead: Any) -> None:
        """Check, where the DAG file is parsed, what is known there: the rest is rendered, and checked, in the task.

        :param instead: arguments that the operator keeps in another form.
        :raises ConfigurationError: when one is wrong; names it. Airflow shows that as an import error.
        """
        if self._is_of_mapped:
            return
        with self._named_in_errors():
            self._check_known(vars(self) | instead)

    @contextmanager
    def _named_in_errors(self) -> Iterator[None]:
        """Say of which task an argument is wrong: Airflow shows no line of the DAG file."""
        try:
            yield
        except ConfigurationError as error:
            error.add_note(f"of {type(self).__name__}, task_id={self.task_id!r}")
            raise

    def _check_known(self, arguments: Mapping[str, Any]) -> None:
        try:
            check_arguments({name: value for name, value in arguments.items() if self._is_known(name, value)})
        except RecursionError:
            raise ConfigurationError("an argument is nested too deep to be checked: write a flatter one.") from None

    def _is_known(self, name: str, value: Any) -> bool:
        """Return whether an argument has its value by now; if not, check that it can be rendered."""
        is_rendered = self.is_rendered(name, value)
        if is_rendered:
            self.check_functions(name, vars(self)[name])  # as Airflow sees it, which renders it
        return not is_rendered

    def _begin(self, context: "Context", preview: Any = None, preview_send: Any = None) -> "TaskRun":
        from airflow_async_rest.tasks.runtime import TaskRun, begin_try  # noqa: PLC0415  (as a task runs, it loads)

        self._run = TaskRun(context, preview=begin_try(context, preview, preview_send))
        if self._is_killed:  # Airflow tells it once, and a task takes seconds to begin
            self._stop(self._run)
        return self._run

    def on_kill(self) -> None:
        """Stop, keeping what is done: called when the task is killed or cleared."""
        self._is_killed = True
        if self._run is not None:
            self._stop(self._run)

    def _stop(self, run: "TaskRun") -> None:
        run.stop.pull(KilledError(f"the task was killed; {self.after_kill}"))


@cache  # a DAG file may have many tasks
def _names_of(operator: type[JobOperator]) -> frozenset[str]:
    """Return the arguments of an operator, those of the classes that it is made of included."""
    inits = [vars(each)["__init__"] for each in operator.__mro__[:-1] if "__init__" in vars(each)]
    return frozenset(name for init in inits for name in inspect.signature(init).parameters) - {"self", "kwargs"}


def _check_names(operator: type[JobOperator], arguments: Collection[str], task_id: Any) -> None:
    """Find a misspelt argument. A name that is like no argument of the operator's is left to Airflow."""
    known = _names_of(operator)
    for name in arguments:
        if name not in known and (nearest := hint(name, known)):
            raise TypeError(f"{operator.__name__} has no argument {name!r}.{nearest} The task is {task_id!r}.")


def _warn_of_misspelt_defaults(operator: type[JobOperator], default_args: Collection[str], task_id: Any) -> None:
    """Warn of what Airflow passes over. What is little like an argument here may be one of another operator."""
    known = _names_of(operator)
    for name in default_args:
        if name not in known and (nearest := hint(name, known, alike=_ALIKE)):
            warnings.warn(
                f"default_args has {name!r}, which is no argument of {operator.__name__}, task_id={task_id!r}, and is "
                f"passed over.{nearest}",
                stacklevel=2,
            )


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
