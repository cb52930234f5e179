"""When an API has stood still for too long: it answers nothing well, or only asks for pauses. No clock of its own."""

import math

from airflow_async_rest.core.sending.retry import RequestRetry

# What one request may take with the defaults: five attempts of 60 s each, so that a row that hangs for itself has
# become a dead letter before. Also the longest pause that is honoured, unless the author honours longer ones.
MOST_SECONDS = 300.0
_FEWEST_FAILURES = 5


class Standstill:
    """Watches for progress: an answer that settles something, whatever it says.

    Failures count only when they are more than a single item can have: one row that hangs is no reason to stop.

    :param retry: tells how often one request fails, and how long a pause may be.
    :ivar failures: attempts in a row that failed, without asking for a pause.
    :ivar seconds: how long there was nothing but these.
    """

    def __init__(self, retry: RequestRetry) -> None:
        self._fewest_failures = max(_FEWEST_FAILURES, retry.max_attempts + 1)
        self._most_paused = max(MOST_SECONDS, retry.max_retry_after_seconds)
        self._progressed_at = self._failing_since = -math.inf
        self._paused_at: float | None = None
        self._pausing_since = -math.inf
        self.failures = 0
        self.seconds = 0.0

    def progressed(self, now: float, sent_at: float) -> None:
        """Note that the API has settled something.

        :param sent_at: when it was asked: what was in flight when a pause began says nothing about its end.
        """
        self._progressed_at = now
        self.failures, self.seconds = 0, 0.0
        if self._paused_at is not None and sent_at > self._paused_at:
            self._paused_at = None

    def failed(self, now: float, sent_at: float) -> None:
        """Note that an attempt has failed, and may be made again: no answer, or one that settles nothing."""
        if not self.failures:
            self._failing_since = max(sent_at, self._progressed_at)
        self.failures += 1
        self.seconds = now - self._failing_since

    @property
    def is_too_long(self) -> bool:
        """Whether nothing more should be sent."""
        return self.failures >= self._fewest_failures and self.seconds >= MOST_SECONDS

    def paused(self, now: float, sent_at: float, seconds: float) -> float:
        """Note that the API asks for a pause.

        :param sent_at: when the request was sent that it answers so.
        :return: seconds without progress before it, if with this pause they are too many; else 0.
        """
        if self._paused_at is None:
            self._paused_at, self._pausing_since = now, max(sent_at, self._progressed_at)
        waited = sent_at - self._pausing_since if sent_at > self._paused_at else 0.0
        return waited if waited + seconds > self._most_paused else 0.0
