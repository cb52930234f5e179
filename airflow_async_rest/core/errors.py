"""Every error of the package, grouped by what the caller must do.

::

    AsyncRestError
    ├── ConfigurationError (ValueError)   an argument, connection or SQL is wrong: fix it, no retry helps
    │   ├── AuthenticationError           the API answers 401, or a proxy 407, and nothing was ever accepted
    │   └── EmptyWindowError              a window's rows would be deleted, and none loaded
    ├── ItemError                         one item cannot be sent: it becomes a dead letter, the others go on
    │   ├── EncodeError                   its payload has no JSON form
    │   ├── EndpointError                 its values do not fill the endpoint
    │   ├── SchemaError                   its payload breaks the author's schema
    │   └── AnswerError                   no rows can be made of what the API answers
    ├── BookmarkRefusedError              the API does not go on at the page where an earlier try ended: start over
    ├── ResultsError                      an answer should tell about each item of a batch, and does not
    ├── SendError                         one attempt got no answer: retried
    │   ├── ConnectionFailedError         refused, reset, name not found
    │   ├── ProxyCredentialsError         the proxy wants other credentials (407): not the API's answer
    │   ├── RequestTimeoutError           no answer in time
    │   ├── TlsError                      the server's certificate is not trusted, or it speaks no TLS
    │   └── AnswerUnreadableError         it begins with a status, and its rest cannot be read: so would the next one
    ├── StoppedError                      the run ended early, with rows left: a retry of the task goes on
    │   ├── KilledError                   from outside
    │   ├── DeadlineError                 the task's own deadline
    │   ├── QuotaExhaustedError           the API asks for a longer pause than we honour
    │   ├── QuotaWaitError                and it is waited for: the task starts again by itself
    │   ├── AbandonedError                nobody wants to know any more what this try does: it writes nothing
    │   │   ├── ReplacedError             a later start of the task has taken over
    │   │   └── OrphanedError             the process of Airflow that started it is gone
    │   ├── LimitStoreError               the store of a shared limit has been away for too long
    │   ├── CredentialsError              the API answers 401, or a proxy 407
    │   ├── LoadError                     the database does not take the rows
    │   └── MostlyFailingError            nearly everything fails: going on would only make dead letters
    ├── FailuresError                 all was tried, and more failed than max_failures allows
    ├── SourceChangedError                the query no longer returns what an earlier try read: start over
    ├── RowsTakenError                    they are gone: an earlier try has committed what reading them changed
    └── DeadLetterStoreError              the dead-letter folder cannot be written or read
        └── DeadLettersGoneError          parts of it were removed: what they had is nowhere else
"""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class AsyncRestError(Exception):
    """The root of this package's errors."""


def let_go(error: BaseException) -> None:
    """Let the frames go that an error came through, once it is written down.

    An error that one of their variables names, as in ``jsonschema.validate``, holds them, and the row in them, until
    the garbage collector comes by.
    """
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and one.__traceback__ is not None:
            one.__traceback__ = None
            left += [one.__cause__, one.__context__]


class ConfigurationError(AsyncRestError, ValueError):
    """An argument, a connection or the SQL is wrong; the text names it and says what to write instead."""


class AuthenticationError(ConfigurationError):
    """The API refuses the credentials (401), or a proxy does (407), and no item of the window was ever accepted."""


class EmptyWindowError(ConfigurationError):
    """A window's rows would be deleted, and none loaded, which ``allow_empty_window`` does not allow."""


class ItemError(AsyncRestError):
    """One item cannot be sent. ``reason`` is the word that reports and dead letters carry."""

    reason = "item"


class EncodeError(ItemError):
    """The payload has no JSON form (NaN, an unknown type)."""

    reason = "encode"


class EndpointError(ItemError):
    """The row's values do not make a path (NULL, empty, ``..``)."""

    reason = "endpoint"


class SchemaError(ItemError):
    """The payload breaks the author's schema."""

    reason = "schema"


class AnswerError(ItemError):
    """No rows can be made of an answer: it is not JSON, has no such path, or its pages do not end."""

    reason = "unreadable_answer"


class BookmarkRefusedError(AsyncRestError):
    """The API refuses the page at which an earlier try has left an item; its first page may still be had."""


class ResultsError(AsyncRestError):
    """The answer to a bulk request should tell about each of its items, and cannot be matched to them."""


class SendError(AsyncRestError):
    """One attempt got no answer. ``reason`` is the word that reports and dead letters carry.

    :param cause: a word for what exactly it was, where that is known: the connection test advises by it.
    :ivar sent: whether a part of the request was written, so that the API may have acted on it.
    :ivar stale: whether it is only that a connection kept from an earlier request had ended meanwhile, and the request
        is one that may be sent again: no attempt at it was used up.
    :ivar status: of the answer that had begun, 200 to 999; None where none had.
    :ivar headers: of that answer, where all of them had come.
    """

    reason = "send"

    def __init__(self, text: str, cause: str = "") -> None:
        super().__init__(text)
        self.cause = cause
        self.sent = self.stale = False
        self.status: int | None = None
        self.headers: Mapping[str, str] | None = None


class ConnectionFailedError(SendError):
    """The connection was refused, reset or could not be made."""

    reason = "connection"


class ProxyCredentialsError(SendError):
    """The proxy wants other credentials (407): no request reached the API."""

    reason = "proxy"


class RequestTimeoutError(SendError):
    """No complete answer within the connection's timeouts."""

    reason = "timeout"


class TlsError(SendError):
    """The server's certificate is not trusted, or there is no TLS with it."""

    reason = "tls"


class AnswerUnreadableError(SendError):
    """The answer has a status, and a rest that cannot be read: headers, encoding or size. So would the next one."""

    reason = "answer_unreadable"


class StoppedError(AsyncRestError):
    """The run ended early with rows left. A retry of the task goes on where it ended."""


class KilledError(StoppedError):
    """The task was killed or cleared from outside."""


class DeadlineError(StoppedError):
    """The task's own deadline, a little before Airflow's ``execution_timeout``, has come."""


class QuotaExhaustedError(StoppedError):
    """The API asks for longer pauses than ``RequestRetry.max_retry_after_seconds``, and takes nothing meanwhile.

    :param seconds: until it takes requests again, as far as it says.
    :param summary: what a person wants to know first, where the text begins with something else.
    """

    def __init__(self, text: str, seconds: float = math.inf, *, summary: str = "") -> None:
        super().__init__(text)
        self.seconds = seconds
        self.summary = summary

    @property
    def why(self) -> str:
        """What the API asks for, where it is said already that the quota is gone."""
        return str(self).partition(": its quota is gone")[0]


class QuotaWaitError(StoppedError):
    """The quota is gone, and the task ends to be started again by itself.

    :param until: when.
    """

    def __init__(self, text: str, until: "datetime") -> None:
        super().__init__(text)
        self.until = until


class AbandonedError(StoppedError):
    """Nobody wants to know any more what this try does: it sends nothing more, and writes nothing more."""


class ReplacedError(AbandonedError):
    """A later try of the task, or a later start of this one, has taken over."""


class OrphanedError(AbandonedError):
    """The process of Airflow that started the task is gone: a retry may run already, or soon will."""


class LimitStoreError(StoppedError):
    """Where the limit is kept that tasks share, nobody has answered for 10 minutes: nothing is sent without it."""


class CredentialsError(StoppedError):
    """The credentials are refused by the API (401), a proxy (407) or a token endpoint, or AWS's are not found."""


class LoadError(StoppedError):
    """The database does not take the rows: it is away, or another try of the same task loads them now."""


class MostlyFailingError(StoppedError):
    """At least 90 % of the last 200 outcomes failed, or no request was answered well for 5 minutes."""


class FailuresError(AsyncRestError):
    """Everything was tried, and more items failed than ``max_failures`` allows.

    :param permanent: whether all of them were refused for good, so that a retry would change nothing.
    :param summary: what a person wants to know first, where the text begins with something else.
    """

    def __init__(self, text: str, *, permanent: bool, summary: str = "") -> None:
        super().__init__(text)
        self.permanent = permanent
        self.summary = summary


class SourceChangedError(AsyncRestError):
    """The rows before the checkpoint are no longer those an earlier try read."""


class RowsTakenError(AsyncRestError):
    """The rows before the checkpoint cannot be read again: an earlier try has committed what reading them changed.

    All of them are settled.
    """


class DeadLetterStoreError(AsyncRestError):
    """The dead-letter folder cannot be written, or a part of it cannot be read.

    :param fact: what is wrong.
    :param advice: what can be done, where the rows are not read again anyway.
    """

    def __init__(self, fact: str, advice: str = "") -> None:
        super().__init__(f"{fact}. {advice}" if advice else fact)
        self.fact = fact


class DeadLettersGoneError(DeadLetterStoreError):
    """Parts of the dead-letter folder are missing, or all of it."""
