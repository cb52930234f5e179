"""The seam to where tasks share a token: a text for each key, which one of them at a time may replace."""

from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol


class Kept(NamedTuple):
    """What is kept under a key.

    :param version: counts on with each write; 0 where nothing is kept.
    :param age_seconds: since it was written, by the store's clock.
    """

    text: str = ""
    version: int = 0
    age_seconds: float = 0.0


class TokenStore(Protocol):
    """Keeps texts, which it cannot read. Errors are :class:`StoreAwayError` and :class:`ConfigurationError`."""

    def locked(self, key: str) -> AbstractAsyncContextManager[Kept]:
        """Hold a key alone, and return what is kept under it. It gets free also where the process is killed.

        :raises StoreAwayError: when the store does not answer, or somebody else holds the key for too long.
        """

    async def write(self, key: str, text: str, version: int, lasts_seconds: float | None = None) -> bool:
        """Replace what is kept; the same text a second time changes nothing.

        :param version: of what is replaced.
        :param lasts_seconds: after which it may be removed; None: it is kept for good. The same for all of a key.
        :return: False where another one is kept by now: whoever held the key has lost it.
        :raises StoreAwayError: when the store does not answer: it may be written, or not.
        """
