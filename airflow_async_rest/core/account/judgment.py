"""When a run has failed: on its way, and at its end."""

from collections.abc import Collection
from http import HTTPStatus

from airflow_async_rest.core.account.checkpoint import Resume
from airflow_async_rest.core.account.recorder import Recorder
from airflow_async_rest.core.account.report import Commit, Totals
from airflow_async_rest.core.errors import (
    AuthenticationError,
    CredentialsError,
    FailuresError,
    MostlyFailingError,
    ProxyCredentialsError,
    SchemaError,
    StoppedError,
)
from airflow_async_rest.core.letters.folder import ROW_REFUSED, UNREADABLE
from airflow_async_rest.core.models import DeadLetter
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.verdict import NEVER_SENT, UNMATCHED, is_permanent
from airflow_async_rest.core.spelling import counted

# What may be wrong when an API answers nothing but this, and has accepted nothing.
QUESTIONS = {
    "http_403": "Is the connection's login, or its token, allowed to do that?",
    "http_404": "Is the path right: the endpoint, and the one in the connection's Host?",
    "http_405": "Is the method right, and the path?",
    "http_410": "Is the path right, and the version of the API in it?",
}

# Reasons of what never was a request: a replay has nothing to send.
NO_REQUESTS = NEVER_SENT | {"transform"}
# What a replay would meet again: it is wrong in the connection or the arguments.
_OF_THE_ADDRESS = frozenset({"http_301", "http_302", "http_303", "http_307", "http_308", "http_405"})


# What can be done when all failed for one of these reasons.
_ADVICE = {
    frozenset({SchemaError.reason}): (
        "Their payloads break schema=, and none was sent; a retry would change nothing: fix the rows, the transform or "
        "the schema, and clear the task that delivers them. They are listed"
    ),
    NEVER_SENT - {SchemaError.reason}: (
        "None of them can be made a request, so a retry would change nothing: fix the rows, or the transform, "
        "and clear the task that delivers them. They are listed"
    ),
    NEVER_SENT: (
        "None of them can be sent as it is, so a retry would change nothing: fix the rows, the transform or the "
        "schema, and clear the task that delivers them. They are listed"
    ),
    NO_REQUESTS: (
        "A retry makes requests of these once more; a replay cannot, for none of them is one. They are listed"
    ),
    frozenset({UNREADABLE}): (
        "The API took these requests, and its answers could not be read: look whether it has them, before a replay "
        f"with reasons=[{UNREADABLE!r}] sends them again; a retry does not. They are listed"
    ),
    frozenset({UNMATCHED}): (
        "The API took these requests, and what it answers cannot be matched to their items: correct "
        "Batch(results=...), look whether the API has them, and replay with that batch=. They are listed"
    ),
    _OF_THE_ADDRESS: (
        "A retry would change nothing: correct that, and clear the task that delivers them, which builds the requests "
        "again (a replay sends them where they went). They are listed"
    ),
}
_REFUSED_FOR_GOOD = (
    "All were refused for good, so a retry would change nothing: fix the rows and clear the task that delivers them, "
    "or let the API take them and replay the dead letters"
)


def give_up_when_hopeless(letter: DeadLetter, recorder: Recorder, conn_id: str, *, is_own: bool = False) -> None:
    """End the run when the failure of one item says that the others will fail, too.

    :param conn_id: of the API's connection.
    :param is_own: whether the status is that of the item, in an answer about many.
    :raises CredentialsError: when the API, or a proxy, refuses the credentials; see :func:`explain`.
    :raises StoppedError: when nearly everything fails, or no TLS connection can be made.
    """
    said = letter.response_excerpt[:200]
    if not is_own:
        give_up_on_credentials(letter, conn_id)
    if letter.reason == "tls" and recorder.delivered_now == 0:
        raise StoppedError(
            f"no TLS connection to the API could be made: check the connection's schema (http or https) and its "
            f"'verify'. {said}"
        )
    if recorder.mostly_failing:
        hint = _hint(recorder.totals.failures, recorder.accepted)
        raise MostlyFailingError(
            f"at least 90 % of the last 200 items failed, the last one with {letter.reason}: {said!r}"
            f"{f'. {hint}' if hint else ''}"
        )


def give_up_on_credentials(letter: DeadLetter, conn_id: str) -> None:
    """End the run when it is the credentials that an item failed for.

    :raises CredentialsError: then.
    """
    said = letter.response_excerpt[:200]
    if letter.status == HTTPStatus.UNAUTHORIZED:
        raise CredentialsError(
            f"the API answers 401: check login, password or token of connection {conn_id!r}, and its auth_type, or "
            f"renew what has run out. It says: {repr(said) if said else 'nothing'}"
        )
    if letter.reason == ProxyCredentialsError.reason:
        raise CredentialsError(
            f"{said}: check user name and password of the proxy that connection {conn_id!r} uses, its own or the "
            "environment's"
        )


def explain(error: BaseException, accepted: int) -> BaseException:
    """Decide, when all that was in flight has ended, what refused credentials mean: they were good once, or never.

    :param accepted: items that the API has accepted.
    """
    if not isinstance(error, CredentialsError):
        return error
    if accepted:
        return CredentialsError(
            f"{error}. {counted(accepted, 'item was', 'items were')} accepted before: a retry goes on where this try "
            "ended"
        )
    return AuthenticationError(f"{error}. Nothing was accepted yet")


def came_to_nothing(resume: Resume | None) -> bool:
    """Return whether an earlier try has asked for everything, and got no row: going on from there asks for nothing."""
    if resume is None:
        return False
    totals = resume.checkpoint.totals
    return bool(totals.get("complete")) and not any(totals.get("rows", {}).values())


def _hint(failures: Collection[str], accepted: int) -> str:
    """Say what may be wrong when all that was tried failed for one reason."""
    return "" if accepted or len(failures) != 1 else QUESTIONS.get(next(iter(failures)), "")


def judge(
    totals: Totals, max_failures: float, retry: RequestRetry, folder_uri: str | list[str], *, resumes: bool = True
) -> FailuresError | None:
    """Decide, when all is done, whether what failed is too much.

    :param max_failures: see :func:`~airflow_async_rest.core.requests.settings.parse_max_failures`.
    :param resumes: whether another try would go on where this one ended.
    """
    if _is_good(totals, max_failures):
        return None
    failures = totals.failures
    is_taken = totals.commit in {Commit.BEGUN, Commit.DONE} and totals.rows is None
    permanent = is_taken or all(is_permanent(reason, retry) for reason in failures)
    reasons = ", ".join(f"{count} {reason}" for reason, count in failures.most_common())
    refused = (
        f" and {counted(totals.rows.refused, 'row was', 'rows were')} refused"
        if totals.rows and totals.rows.refused
        else ""
    )
    if totals.rows is None:
        advice = _advice(failures, permanent)
    else:
        advice = _advice_of_fetch(failures, permanent, resumes=resumes)
    if is_taken:
        advice = _advice_when_taken(failures)
    elif totals.commit is Commit.UNDONE:
        advice = f"What the sql has changed is undone, so the same rows can be read again. {advice}"
    if hint := _hint(failures, totals.delivered + totals.broken_off):
        advice = f"{hint} {advice}"
    message = totals.last_messages.get(next(iter(failures))) if len(failures) == 1 else None
    quoted = f" The last one: {message[:300]!r}" if message else ""
    summary = f"{totals.failed} of {counted(totals.read, 'item')} failed{refused} ({reasons})"
    return FailuresError(
        f"{totals.failed} of {counted(totals.read, 'item')} failed{refused} ({reasons}); max_failures allows "
        f"{_limit(totals, max_failures):g}. {advice} in {folder_uri}{quoted and '.'}{quoted}",
        permanent=permanent,
        summary=f"{summary}: {message}" if message else summary,
    )


def keeps_changes(totals: Totals, max_failures: float, *, can_replay: bool, needs_rows: bool = False) -> bool:
    """Decide, when all rows are settled, whether what reading them has changed is kept.

    If more failed than is accepted, it is where the dead letters can bring what failed. Else it is undone, so that the
    rows are still there when the cause is fixed and the task is cleared.

    :param can_replay: whether all dead letters can be sent again.
    :param needs_rows: whether a load that gets no rows may be a failure, at its end.
    """
    if needs_rows and totals.rows is not None and not (totals.rows.staged or totals.rows.loaded):
        return totals.read == 0
    if _is_good(totals, max_failures):
        return True
    has_accepted = totals.rows is None and totals.delivered > 0
    return has_accepted and can_replay and _OF_THE_ADDRESS.isdisjoint(totals.failures)


def _is_good(totals: Totals, max_failures: float) -> bool:
    return is_whole(totals, max_failures) and totals.failures.total() <= _limit(totals, max_failures)


def is_whole(totals: Totals, max_failures: float) -> bool:
    """Return whether no more items failed than are accepted, whatever rows the database refused."""
    return totals.failed <= _limit(totals, max_failures)


def _limit(totals: Totals, max_failures: float) -> float:
    # 0.29 * 100 is a little less than 29
    return max_failures if isinstance(max_failures, int) else max_failures * totals.read + 1e-9


def _advice_of_fetch(reasons: Collection[str], permanent: bool, *, resumes: bool) -> str:
    """Say what can be done about items that were not fetched, and rows that were not loaded."""
    if not resumes:
        retry = "A retry would change nothing" if permanent else "A retry fetches all items again"
        return f"{retry}; the rows of all others were handed over. These are listed"
    if not permanent:
        return "A retry fetches only these again. They are listed"
    if ROW_REFUSED in reasons:
        return (
            "The database refuses rows: fix the table, or what makes the rows, and clear the task, which loads only "
            "these again. They are listed, with the database's words,"
        )
    return "A retry would change nothing: clear the task once the API has them; it fetches only these. They are listed"


def _advice_when_taken(reasons: Collection[str]) -> str:
    """Say what can be done about failed items that only the dead letters have."""
    if set(reasons) in ({UNREADABLE}, {UNMATCHED}):
        return _advice(reasons, permanent=True)
    return (
        "What the sql has changed is committed (read_only=False), so these rows cannot be read again, and a retry "
        "would not find them: replay the dead letters"
    )


def _advice(reasons: Collection[str], permanent: bool) -> str:
    """Say what can be done about failed items; the name of their folder follows."""
    if not permanent and not NO_REQUESTS.issuperset(reasons):
        return "A retry sends only these again; or replay the dead letters"
    return next((advice for some, advice in _ADVICE.items() if some.issuperset(reasons)), _REFUSED_FOR_GOOD)
