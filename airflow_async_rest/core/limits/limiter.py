"""The seam to whoever says when a request may go out: one task's own limit, or one that several share."""

from collections.abc import Callable
from typing import Protocol


class Limiter(Protocol):
    """Grants requests one by one, to any number of workers."""

    async def acquire(self) -> None:
        """Return when one more request may be sent, now."""

    def pause(self, seconds: float) -> bool:
        """Hold back everybody for this long from now; a longer pause under way stays as it is.

        :return: whether there was none under way.
        """

    def share_used(self) -> float | None:
        """Return how much of the limit has been used, 0 to 1; None without a limit, or where it is not known."""


# (requests, period in seconds), or None for no limit -> the limiter of one run; made inside its event loop.
MakeLimiter = Callable[[tuple[int, float] | None], Limiter]
