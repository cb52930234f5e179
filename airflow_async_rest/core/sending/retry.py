"""Which requests are sent again, and after how long. Pure decisions, no clock of their own."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow_async_rest.core.errors import ConfigurationError, SendError
from airflow_async_rest.core.models import IDEMPOTENT

_MOST_SECONDS = 1e9  # thirty years
_RETRIABLE_4XX = frozenset({408, 425, 429})


@dataclass(frozen=True)
class RequestRetry:
    """How often and when one request is sent again.

    The delay before attempt *n* is drawn evenly between 0 and
    ``min(backoff_max_seconds, backoff_base_seconds * 2 ** (n - 2))`` ("full jitter"), so that requests that
    failed together do not come back together. A pause that the API asks for replaces it.

    :param max_attempts: requests for one item, the first one included. Five with this backoff ride out
        about 7 seconds; Vector's and google-api-core's default.
    :param backoff_base_seconds: bound of the first delay.
    :param backoff_max_seconds: bound of any delay.
    :param statuses: HTTP statuses to retry; default: 408, 425, 429 and every 5xx but 501
        (as Vector and Scrapy do).
    :param max_retry_after_seconds: the longest pause we wait when the API asks for one (``Retry-After``, or
        alike). When it asks for more, its quota is gone: the task stops, and a retry of the task goes on later. So it
        does when pauses in a row, between which nothing was taken, are longer than this and than 5 minutes.
    """

    max_attempts: int = 5
    backoff_base_seconds: float = 0.5
    backoff_max_seconds: float = 60.0
    statuses: frozenset[int] | None = None
    max_retry_after_seconds: float = 300.0

    def __post_init__(self) -> None:
        if isinstance(self.max_attempts, bool) or not isinstance(self.max_attempts, int) or self.max_attempts < 1:
            raise ConfigurationError(
                f"RequestRetry(max_attempts={self.max_attempts!r}): write a whole number from 1 (no retry) up."
            )
        for name in ("backoff_base_seconds", "backoff_max_seconds", "max_retry_after_seconds"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_SECONDS:
                raise ConfigurationError(f"RequestRetry({name}={value!r}): write seconds, 0 or more.")
        if self.statuses is not None:
            object.__setattr__(self, "statuses", _parse_statuses(self.statuses))

    def is_retriable(self, status: int) -> bool:
        """Return whether an answer with this status is worth another attempt."""
        if self.statuses is not None:
            return status in self.statuses
        return status in _RETRIABLE_4XX or (500 <= status <= 599 and status != 501)  # noqa: PLR2004

    def repeats(self, error: SendError, method: str) -> bool:
        """Return whether a request goes again at once, as no attempt: a connection kept for it turned out to be closed.

        Where there is one attempt, nothing that might be done twice is to be sent twice, whatever key it has.
        """
        return error.stale and (self.max_attempts > 1 or method in IDEMPOTENT)

    def backoff_seconds(self, attempts: int) -> float:
        """Draw the delay after ``attempts`` requests (1 after the first failure)."""
        bound = min(self.backoff_max_seconds, self.backoff_base_seconds * 2.0 ** min(attempts - 1, 60))
        return random.uniform(0.0, bound)  # noqa: S311  (jitter, not a secret)


def _parse_statuses(statuses: Iterable[int]) -> frozenset[int]:
    is_list = isinstance(statuses, Iterable) and not isinstance(statuses, str | bytes | bytearray | Mapping)
    try:
        numbers = frozenset(int(each) if isinstance(each, int | str) else 0 for each in (statuses if is_list else [0]))
    except ValueError:
        numbers = frozenset({0})
    if not all(100 <= number <= 599 for number in numbers):  # noqa: PLR2004
        raise ConfigurationError(f"RequestRetry(statuses={statuses!r}): write HTTP statuses, such as {{429, 503}}.")
    return numbers
