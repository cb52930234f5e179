"""When a run has failed: on its way, and at its end."""

from collections.abc import Collection

from airflow_async_rest.core.errors import AuthenticationError, FailuresError, MostlyFailingError, StoppedError
from airflow_async_rest.core.models import DeadLetter
from airflow_async_rest.core.recorder import Recorder
from airflow_async_rest.core.report import Totals
from airflow_async_rest.core.response import NEVER_SENT, is_permanent
from airflow_async_rest.core.retry import RequestRetry


def give_up_when_hopeless(letter: DeadLetter, recorder: Recorder) -> None:
    """End the run when the failure of one item says that the others will fail, too.

    :raises AuthenticationError: when the API refuses the credentials before it accepted anything.
    :raises StoppedError: when nearly everything fails, or no TLS connection can be made.
    """
    if letter.status in {401, 403} and recorder.delivered_now == 0 and not recorder.refused_again(letter):
        raise AuthenticationError(
            f"the API answers {letter.status} and has accepted nothing yet: check login, password or token of the "
            f"connection, and what they may do. It says: {letter.response_excerpt[:200]!r}"
        )
    if letter.reason == "tls" and recorder.delivered_now == 0:
        raise StoppedError(
            f"no TLS connection to the API could be made: check the connection's schema (http or https) and its "
            f"'verify'. {letter.response_excerpt[:200]}"
        )
    if recorder.mostly_failing:
        raise MostlyFailingError(
            f"at least 90 % of the last 200 items failed, the last one with {letter.reason}: "
            f"{letter.response_excerpt[:200]!r}"
        )


def judge(
    totals: Totals, max_failures: float, retry: RequestRetry, folder_uri: str | list[str]
) -> FailuresError | None:
    """Decide, when all is done, whether what failed is too much.

    :param max_failures: see :func:`~airflow_async_rest.core.settings.parse_max_failures`.
    """
    limit = max_failures if isinstance(max_failures, int) else max_failures * totals.read
    if totals.failed <= limit + 1e-9:  # 0.29 * 100 is a little less than 29
        return None
    permanent = all(is_permanent(reason, retry) for reason in totals.reasons)
    reasons = ", ".join(f"{count} {reason}" for reason, count in totals.reasons.most_common())
    return FailuresError(
        f"{totals.failed} of {totals.read} items failed ({reasons}); max_failures allows {limit:g}. "
        f"{_advice(totals.reasons, permanent)} in {folder_uri}",
        permanent=permanent,
    )


def _advice(reasons: Collection[str], permanent: bool) -> str:
    """Say what can be done about failed items; the name of their folder follows."""
    if not permanent:
        return "A retry sends only these again; or replay the dead letters"
    if NEVER_SENT.issuperset(reasons):
        return (
            "None of them can be made a request, so a retry would change nothing: mend the rows, or the transform, "
            "and clear the task. They are listed"
        )
    return (
        "All were refused for good, so a retry would change nothing: mend the rows and clear the task, or let the API "
        "take them and replay the dead letters"
    )
