"""The seam to whoever says when a request may go out: one task's own limit, or one that several share."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self


class Limiter(Protocol):
    """Grants requests one by one, to any number of workers, while it is open."""

    async def __aenter__(self) -> Self:
        """Open it. :raises ConfigurationError: when what it needs is not there; says what to do."""

    async def __aexit__(self, *error: object) -> None:
        """Close it; it may be opened again."""

    async def acquire(self) -> None:
        """Return when one more request may be sent, now.

        :raises StoppedError: when none may be for so long that a retry of the task is wiser.
        """

    def give_back(self) -> None:
        """Take back what :meth:`acquire` has granted: it was not used, and its time is over."""

    def pause(self, seconds: float) -> bool:
        """Hold back everybody for this long from now; a longer pause under way stays as it is.

        :return: whether there was none under way.
        """

    def slow_down(self, interval: float, seconds: float) -> bool:
        """Grant at most one request in ``interval`` seconds, for ``seconds`` from now; 0 takes that back.

        :return: whether nothing was slowed down before.
        """

    def share_used(self) -> float | None:
        """Return how much of the limit has been used, 0 to 1; None without a limit, or where it is not known."""

    def standing(self) -> Mapping[str, Any] | None:
        """Return how a limit stands that others keep to as well, as plain JSON; None where nobody does."""


# (requests, period in seconds), or None for no limit -> the limiter of one run; made inside its event loop.
MakeLimiter = Callable[[tuple[int, float] | None], Limiter]
