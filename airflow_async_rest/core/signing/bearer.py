"""Requests with a token that ends: renewed ahead of that, and where the API does not take it."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus

from airflow_async_rest.core.errors import StoppedError
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.sending.auth import HeaderAuth, is_of_token
from airflow_async_rest.core.signing.oauth2 import TokenSource
from airflow_async_rest.core.signing.token import Token

# How long before its end a token is renewed: what is on its way then still arrives in time.
_MARGIN_SHARE = 0.1
_LONGEST_MARGIN_SECONDS = 60.0
# So that tasks that have begun at once do not ask for their next tokens at once.
_JITTER = 0.5
# Servers that count whole seconds end a token up to one earlier than they say. That is more than the margin only where
# tokens are short-lived, so it is learnt when one is refused in its last second.
_WHOLE_SECOND = 1.0
# An endpoint whose tokens end at once, or before they are here, would be asked for each request.
_LEAST_SECONDS = 0.5
# What a token that is still good waits for the next one, and until it asks again.
_PATIENCE_SECONDS = 10.0


class Bearer(HeaderAuth):
    """Signs requests with a token.

    :param on_token: called with each token, before anything is sent with it.
    :param clock: by which tokens end.
    :ivar token: the one in use.
    """

    def __init__(
        self,
        source: TokenSource,
        *,
        on_token: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._on_token, self._clock = source, on_token, clock
        self.token: Token | None = None
        self._headers: Mapping[str, str] = {}
        self._renew_at, self._earlier = float("-inf"), 0.0
        self._failure: StoppedError | None = None

    def headers_now(self) -> Mapping[str, str] | None:
        """Return the token's header; None where it is to be renewed."""
        return self._headers if self._clock() < self._renew_at else None

    async def sign(self, request: Request) -> Request:
        """Return the request with the token.

        :raises StoppedError: when there is none; a :class:`CredentialsError` when it is refused.
        """
        if self._clock() >= self._renew_at:
            await self._renew_ahead()
        return request.with_headers(self._headers)

    async def refused(self, response: Response) -> bool:
        """Renew the token, unless that has happened since the request was signed, or it is not what was refused."""
        sent = response.request.headers if response.request else None
        if sent and self._headers and sent.get("Authorization") != self._headers["Authorization"]:
            return True
        if response.status != HTTPStatus.UNAUTHORIZED and not is_of_token(response):
            return False
        before = self._headers
        if self.token and 0 < self.token.ends_at - self._clock() < _WHOLE_SECOND:
            self._earlier = _WHOLE_SECOND
        await self._renew()
        return before != self._headers

    async def _renew_ahead(self) -> None:
        """Renew a token while it is still good, as far as that does not hold the others up for long."""
        left = self.token.ends_at - self._clock() if self.token else 0.0
        if left > 0:
            try:
                async with asyncio.timeout(min(left, _PATIENCE_SECONDS)):
                    await self._renew(may_fail=True)
            except TimeoutError:
                self._renew_at = self._clock() + _PATIENCE_SECONDS
            if self.token and self._clock() < self.token.ends_at:
                self._renew_at = min(self._renew_at, self.token.ends_at)
                return
        await self._renew()

    async def _renew(self, *, may_fail: bool = False) -> None:
        """Get another token.

        :param may_fail: whether the one there is will do, where there is none for now.
        """
        if self._failure is not None:  # all who wait would ask once more
            raise self._failure
        try:
            token = await self._source.fetch()
        except StoppedError as error:
            if may_fail and type(error) is StoppedError:
                self._renew_at = self._clock() + _PATIENCE_SECONDS
                return
            self._failure = error
            raise
        self._on_token(token.value)
        if token.value != (self.token and self.token.value):
            self._headers = {"Authorization": f"Bearer {token.value}"}
        self.token = token
        renew_at = renewal_time(token, random.random(), self._earlier)  # noqa: S311  (no secret)
        self._renew_at = max(renew_at, self._clock() + _LEAST_SECONDS)


def renewal_time(token: Token, chance: float, earlier: float = 0.0) -> float:
    """Return when to renew a token, by the clock of its end.

    :param chance: 0 to 1, by which it is a little earlier.
    :param earlier: seconds by which tokens end before they should; at most half of their time.
    """
    if token.lifetime_seconds is None:
        return float("inf")
    margin = min(_LONGEST_MARGIN_SECONDS, _MARGIN_SHARE * token.lifetime_seconds)
    return token.ends_at - min(token.lifetime_seconds / 2, margin * (1 + _JITTER * chance) + earlier)
