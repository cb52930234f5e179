"""Response -> Verdict. Pure."""

from collections.abc import Callable, Coroutine
from typing import Any

from airflow_async_rest.core.models import Response, Verdict
from airflow_async_rest.core.retry import RequestRetry

ResponseCheck = Callable[[Response], "bool | Verdict | None"]


def classify_status(status: int, retry: RequestRetry) -> Verdict:
    """Decide by the status alone: 2xx is delivered, the rest is retried or refused for good."""
    if 200 <= status <= 299:  # noqa: PLR2004
        return Verdict.DELIVERED
    return Verdict.RETRY if retry.is_retriable(status) else Verdict.REFUSED


def classify_response(
    response: Response, retry: RequestRetry, check: ResponseCheck | None = None
) -> tuple[Verdict, str, str]:
    """Decide what an answer means.

    :param check: the author's ``response_check``. True is delivered, a :class:`Verdict` is taken as it is,
        None leaves the decision to the status. False, or an exception, means not delivered: a retriable
        status is retried, any other answer is refused for good.
    :return: verdict, reason (``http_422``, ``response_check``; empty when delivered), detail (for people).
    """
    verdict = classify_status(response.status, retry)
    reason, detail = f"http_{response.status}", ""
    if check is not None:
        try:
            answer = _ask(check, response)
        except Exception as error:  # noqa: BLE001  (the author's code may raise anything)
            answer, detail = False, f"response_check raised {type(error).__name__}: {error}"
        if isinstance(answer, Verdict):
            verdict, reason = answer, _reason(verdict, answer, reason)
        elif answer:
            verdict = Verdict.DELIVERED
        elif answer is not None and verdict is Verdict.DELIVERED:
            verdict, reason = Verdict.REFUSED, "response_check"
    return verdict, "" if verdict is Verdict.DELIVERED else reason, detail


def _ask(check: ResponseCheck, response: Response) -> Any:
    answer: Any = check(response)
    if isinstance(answer, Coroutine):  # it would count as True
        answer.close()
        raise TypeError("it is an async function; write a plain one")
    return answer


def _reason(by_status: Verdict, by_check: Verdict, reason: str) -> str:
    return reason if by_status is by_check else "response_check"


# Reasons of items that cannot be made a request.
NEVER_SENT = frozenset({"encode", "endpoint"})
# The answer to a bulk request should tell about each item, and does not: another try would get no other one.
UNMATCHED = "unmatched_results"
# Refused in the answer to a bulk request, by the author's check, or by the database, without a status of its own.
_REFUSED = frozenset({"response_check", "refused", "row_refused", UNMATCHED})


def is_permanent(reason: str, retry: RequestRetry) -> bool:
    """Tell whether sending an item that failed for this reason again would change nothing."""
    if reason.startswith("http_"):
        status = int(reason.removeprefix("http_"))
        return 400 <= status <= 499 and not retry.is_retriable(status)  # noqa: PLR2004
    return reason in NEVER_SENT or reason in _REFUSED
