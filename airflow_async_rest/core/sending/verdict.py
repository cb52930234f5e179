"""Response -> Verdict. Pure."""

import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, NamedTuple

from airflow_async_rest.core.errors import AnswerUnreadableError, ProxyCredentialsError, SendError, let_go
from airflow_async_rest.core.limits.pauses import requested_pause
from airflow_async_rest.core.limits.quotas import COMMON, QuotaHeaders
from airflow_async_rest.core.models import MULTI_STATUS, SUCCESSES, Request, Response, Verdict
from airflow_async_rest.core.sending.retry import RequestRetry

ResponseCheck = Callable[[Response], "bool | Verdict | None"]

# What the author's check refuses.
CHECK = "response_check"
# Refusals that no pause ends: of credentials, the API's and a proxy's, and of a body's size.
_FOR_GOOD = frozenset(
    {HTTPStatus.UNAUTHORIZED, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
)
# A gateway's, of a server behind it that may have done what was asked; the last two are Cloudflare's.
_FATE_UNKNOWN = frozenset({502, 504, 520, 524})
_OF_KEY, _MOST_READ_BYTES = re.compile(rb"idempot", re.IGNORECASE), 4_096


# {}: the part of the answer that would show whether it was cut, and does not.
MAY_BE_CUT = (
    "the answer has no length, and ended when the server closed the connection: it may have been cut off, which {} "
    "does not show. Where this API always ends its answers so, set trust_close of the connection to true"
)


class Judgment(NamedTuple):
    """A verdict on an answer, and why.

    :param reason: the word for reports (``http_422``, ``response_check``); empty when delivered.
    :param detail: for people.
    """

    verdict: Verdict
    reason: str = ""
    detail: str = ""


def classify_status(status: int, retry: RequestRetry) -> Verdict:
    """Decide by the status alone: 2xx is delivered, the rest is retried or refused for good."""
    if status in SUCCESSES:
        return Verdict.DELIVERED
    return Verdict.RETRY if retry.is_retriable(status) else Verdict.REFUSED


_DELIVERED = Judgment(Verdict.DELIVERED)
_UNREAD = "{} tells about each of several things in its body, which nobody reads: give a response_check"


def classify_response(
    response: Response,
    retry: RequestRetry,
    check: ResponseCheck | None = None,
    *,
    needs_body: bool = False,
    families: tuple[QuotaHeaders, ...] = COMMON,
) -> Judgment:
    """Decide what an answer means.

    :param check: the author's ``response_check``. True is delivered, a :class:`Verdict` is taken as it is,
        None leaves the decision to the status. False, an exception, or anything else it returns means not delivered: a
        retriable status is retried, any other answer is refused for good.
    :param needs_body: whether somebody else reads the body; else the status of an answer that is broken says it all.
    :param families: of headers in which the API tells of its limit: what it refuses for that is refused for now.
    """
    by_status = _by_status(response, retry, families, needs_body=needs_body)
    if response.broken is None:
        return by_status if check is None else _by_check(check, response, by_status)
    # Of what is not delivered, the status says why. A success that nobody can read is not one yet, if it matters.
    if by_status.verdict is not Verdict.DELIVERED or (check is None and not needs_body):
        return by_status
    verdict = Verdict.REFUSED if isinstance(response.broken, AnswerUnreadableError) else Verdict.RETRY
    return Judgment(verdict, response.broken.reason, f"the API answers {response.status}")


def _by_status(
    response: Response, retry: RequestRetry, families: tuple[QuotaHeaders, ...], *, needs_body: bool
) -> Judgment:
    status = response.status
    if status in SUCCESSES:
        # Most answers do not begin as a part does, which is seen at once.
        if status == MULTI_STATUS or (not needs_body and b"--" in response.body[:4] and is_multipart(response)):
            what = "a 207" if status == MULTI_STATUS else "an answer in parts (multipart/mixed)"
            return Judgment(Verdict.REFUSED, f"http_{status}", _UNREAD.format(what))
        return _DELIVERED
    verdict = classify_status(status, retry)
    if verdict is Verdict.REFUSED and retry.statuses is None and _asks_to_come_back(response, families):
        verdict = Verdict.RETRY
    return Judgment(verdict, f"http_{status}")


def is_multipart(response: Response) -> bool:
    """Return whether an answer has a part for each of several requests, as to a batch of OData's, or Google's."""
    kind = str(response.headers.get("Content-Type", "")).lower()
    return kind.startswith("multipart/mixed") and response.body.lstrip().startswith(b"--")


def _asks_to_come_back(response: Response, families: tuple[QuotaHeaders, ...]) -> bool:
    """Return whether a refusal is only for now, as GitHub's 403 and others' 409 are with a ``Retry-After``."""
    may_pass = 400 <= response.status <= 499 and response.status not in _FOR_GOOD  # noqa: PLR2004
    return may_pass and (_is_in_progress(response) or bool(pause_of(response, families)))


def _is_in_progress(response: Response) -> bool:
    """Return whether an earlier attempt, whose answer was lost, is still being acted on.

    So says a 409 that tells of the idempotency key (draft-ietf-httpapi-idempotency-key-header, section 2.6; Stripe):
    once that attempt has ended, its own answer comes.
    """
    return response.status == HTTPStatus.CONFLICT and _OF_KEY.search(response.body, 0, _MOST_READ_BYTES) is not None


def pause_of(response: Response, families: tuple[QuotaHeaders, ...] = COMMON) -> float | None:
    """Find out for how many seconds an answer asks us to wait; None when it does not.

    :param families: see :func:`~airflow_async_rest.core.limits.pauses.requested_pause`.
    """
    return requested_pause(response.status, response.headers, response.body, datetime.now(UTC), families)


def _by_check(check: ResponseCheck, response: Response, by_status: Judgment) -> Judgment:
    try:
        answer: Any = check(response)
        wrong = _wrong_return(answer, response)
    except Exception as error:  # noqa: BLE001  (the author's code may raise anything)
        wrong = f"raised {type(error).__name__}: {response.excerpt(error)}"
        let_go(error)
    if wrong:
        answer = False
    if answer is True or answer is Verdict.DELIVERED:
        return _DELIVERED
    if answer is None:
        return by_status
    says_success = response.status in SUCCESSES
    if answer is False:
        answer = Verdict.REFUSED if says_success else by_status.verdict
    agrees = answer is by_status.verdict and not says_success
    return Judgment(answer, by_status.reason if agrees else CHECK, f"response_check {wrong}" if wrong else "")


def _wrong_return(answer: Any, response: Response) -> str:
    """Say why what an author's check returned is no decision; empty when it is one."""
    if isinstance(answer, Coroutine):
        answer.close()
        return "is an async function; write a plain one"
    if answer is None or isinstance(answer, bool | Verdict):
        return ""
    return f"returned {response.excerpt(repr(answer))}: it must return True, False, a Verdict or None"


def judge_error(error: SendError) -> Judgment:
    """Decide what it means that there is no answer."""
    verdict = Verdict.REFUSED if isinstance(error, ProxyCredentialsError) else Verdict.RETRY
    return Judgment(verdict, error.reason, str(error))


def is_fate_unknown(response: Response) -> bool:
    """Return whether a request with this answer, which counts as not delivered, may still have been acted on."""
    return response.status in _FATE_UNKNOWN or (response.broken is not None and response.status in SUCCESSES)


def is_there_already(request: Request, status: int, *, creates_only: bool) -> bool:
    """Return whether a refusal says that what was asked for is done: by an earlier attempt, if there was one.

    :param creates_only: whether requests carry ``If-None-Match: *`` (RFC 9110, section 13.1.2).
    """
    match status:
        case 404 | 410:
            return request.method == "DELETE"
        case 412:
            return creates_only
        case 409:  # Elasticsearch's and OpenSearch's address for documents that must not be there yet
            return "_create" in request.path.split("/") or "op_type=create" in request.query.split("&")
    return False


# Reasons of items that cannot be made a request.
NEVER_SENT = frozenset({"encode", "endpoint", "value", "schema"})
# The answer to a bulk request should tell about each item, and does not: another try would get no other one.
UNMATCHED = "unmatched_results"
# Refused in the answer to a bulk request, by the author's check, or by the database, without a status of its own.
_REFUSED = frozenset({CHECK, "refused", "row_refused", UNMATCHED, AnswerUnreadableError.reason})


def is_permanent(reason: str, retry: RequestRetry) -> bool:
    """Return whether sending an item that failed for this reason again would change nothing."""
    if reason.startswith("http_"):
        status = int(reason.removeprefix("http_"))
        return status <= 499 and not retry.is_retriable(status)  # noqa: PLR2004
    return reason in NEVER_SENT or reason in _REFUSED
