"""What Airflow gets to know of an error: the kind by which it decides, a line in the log, the report."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from airflow_async_rest.compat.names import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow_async_rest.connections.secrets import without_known_secrets
from airflow_async_rest.core.errors import (
    AsyncRestError,
    ConfigurationError,
    DeadlineError,
    FailuresError,
    QuotaWaitError,
)
from airflow_async_rest.core.watching.log import Log, say_why, sentence_of
from airflow_async_rest.tasks.run_life import leave_error, nothing_done

if TYPE_CHECKING:
    from airflow.sdk import Context


def push_report(ti: Any, report: dict[str, Any]) -> None:
    """Push the report of a task that fails, as Airflow pushes what a task returns that succeeds.

    In 3.0 no value can be None; what is not there is pulled as None, too.
    """
    ti.xcom_push(key="return_value", value=report)
    for key, value in report.items() if ti.task.multiple_outputs else ():
        with contextlib.suppress(*(Exception,) if value is None else ()):
            ti.xcom_push(key=key, value=value)


@contextlib.contextmanager
def airflow_errors(redact: Callable[[str], str] = str) -> Iterator[None]:
    """Turn the package's errors into those by which Airflow decides: retry the task, or not.

    Others pass as they are, but for one whose text has a secret, as a driver's that quotes a connection's URI.

    :param redact: takes secrets out of their texts, besides those that Airflow knows: a database quotes its SQL.
    """
    try:
        yield
    except QuotaWaitError as wait:
        raise AirflowRescheduleException(wait.until) from None  # type: ignore[no-untyped-call]
    except AsyncRestError as error:
        raise _kind_for_airflow(error)(_shown(error, redact)) from None  # the text says it all
    except AirflowException:
        raise
    except Exception as error:
        if (shown := _shown(error, redact)) == str(error):
            raise
        raise AirflowException(f"{type(error).__name__}: {shown}") from None


@contextlib.contextmanager
def explained(
    context: "Context | None", log: Log, redact: Callable[[str], str] = str, *, is_preview: bool = False
) -> Iterator[None]:
    """Turn errors as :func:`airflow_errors` does, and leave a line of them in the log, and in the task's progress.

    It is for what comes before, or after, a job's run, which leaves a report.

    :param context: None outside a task.
    :param is_preview: which leaves no progress: its report has the error.
    """
    with airflow_errors(redact):
        try:
            yield
        except AirflowSkipException:
            raise
        except (Exception, AirflowTaskTimeout) as error:
            sentence = sentence_of(error, lambda text: without_known_secrets(redact(text)))
            _tell(context, log, sentence, is_preview=is_preview)
            raise


def _tell(context: "Context | None", log: Log, sentence: str, *, is_preview: bool) -> None:
    say_why(log, sentence)
    if context is not None and not is_preview:
        leave_error(context, sentence)
    elif context is not None and context["ti"].task.do_xcom_push:
        push_report(context["ti"], nothing_done() | {"preview": True, "error": sentence})


def _shown(error: Exception, redact: Callable[[str], str]) -> str:
    return without_known_secrets(redact(str(error)))


def _kind_for_airflow(error: AsyncRestError) -> type[BaseException]:
    if isinstance(error, DeadlineError):
        return AirflowTaskTimeout
    for_good = isinstance(error, ConfigurationError) or (isinstance(error, FailuresError) and error.permanent)
    return AirflowFailException if for_good else AirflowException
