"""Tokens that tasks share: one of them asks the token endpoint, and the others take what it has kept."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.errors import ConfigurationError, CredentialsError, StoppedError
from airflow_async_rest.core.signing.bearer import renewal_time
from airflow_async_rest.core.signing.oauth2 import TokenEndpoint
from airflow_async_rest.core.signing.token import Token
from airflow_async_rest.core.stores.address import StoreAwayError
from airflow_async_rest.core.stores.tokens import Kept, TokenStore

# A client of Redis may swallow one cancellation; long enough to unlock meanwhile.
_CANCELLED_AGAIN_SECONDS = 1.0
# A token that does not say when it ends is removed after so long; who wants it then asks for another one.
_ENDLESS_SECONDS = 30 * 86_400.0
_LEAST_SECONDS = 1.0  # of one that has ended by now
_OVERTAKEN = (
    "Another task has renewed the refresh token while this one did, which was held up for longer than its lock lasts: "
    "the other's is kept, and what this task was given is used until it ends. If the next renewal is refused, sign in "
    "again, and write the new refresh token into refresh_token."
)


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Where tasks share a token, and how it is kept there.

    :param key: of all who have the same credentials; nobody can tell them from it.
    :param asked_for: what they ask for with these: another one's access token is not taken.
    :param decrypt: :raises ValueError: when it was encrypted with another key.
    """

    store: TokenStore
    key: str
    encrypt: Callable[[bytes], bytes]
    decrypt: Callable[[bytes], bytes]
    asked_for: str = ""


class SharedTokens:
    """Gets tokens that tasks share; a :class:`~airflow_async_rest.core.signing.oauth2.TokenSource`.

    The order is: lock, read the newest, ask the endpoint, write, unlock. It runs on a thread of its own, with a loop of
    its own, for which the end of this one waits a moment: an answer that is not written down is lost, and with it,
    where refresh tokens are used up, the way to sign in.

    :param refresh_token: of the connection, where the store has no later one; empty where tokens are only shared, and
        each task may ask for itself.
    :param on_secret: called with each refresh token before it is used.
    :param say: logs what somebody should know: once that nothing is shared, and why.
    """

    def __init__(
        self,
        endpoint: TokenEndpoint,
        sharing: Sharing,
        *,
        refresh_token: str = "",
        on_secret: Callable[[str], None] = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
        bounds: Bounds = USUAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint, self._sharing, self._refresh_token = endpoint, sharing, refresh_token
        self._on_secret, self._say, self._bounds, self._clock = on_secret, say, bounds, clock
        self._used = ""
        self._renewing: asyncio.Task[Token] | None = None
        self._own: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self._is_stopped = self._is_asking = self._has_said = False

    async def fetch(self) -> Token:
        """Get another token than the last one: the newest that is kept while it is good, else a new one."""
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew_aside())
            # Nobody may be waiting any longer; then the loop need not report its error.
            self._renewing.add_done_callback(lambda done: done.cancelled() or done.exception())
        token = await asyncio.shield(self._renewing)
        self._used = token.value
        return token

    async def _renew_aside(self) -> Token:
        try:
            return await asyncio.to_thread(lambda: asyncio.run(self._renew()))
        except asyncio.CancelledError:
            self._is_stopped = True
            if self._own is not None:
                with contextlib.suppress(RuntimeError):  # it has ended
                    self._own[0].call_soon_threadsafe(self._stop)
            raise

    def _stop(self) -> None:
        """End what waits for others at once, and what waits for the endpoint in a moment."""
        if self._own is not None:
            loop, renewing = self._own
            seconds = self._bounds.grace_seconds + self._bounds.after_stop_seconds
            loop.call_later(seconds if self._is_asking else 0.0, self._cancel, loop, renewing)

    def _cancel(self, loop: asyncio.AbstractEventLoop, renewing: asyncio.Task[Any]) -> None:
        if not renewing.done():
            renewing.cancel()
            loop.call_later(_CANCELLED_AGAIN_SECONDS, self._cancel, loop, renewing)

    async def _renew(self) -> Token:
        running = asyncio.current_task()
        self._own, self._is_asking = (asyncio.get_running_loop(), running) if running else None, False
        if self._is_stopped:  # before there was anything that could be cancelled
            raise asyncio.CancelledError
        try:
            async with self._sharing.store.locked(self._sharing.key) as kept:
                return await self._newest(kept)
        except (StoreAwayError, ConfigurationError) as error:
            if not self._refresh_token:
                self._say_once(error)
                return await self._endpoint.fetch()
            if isinstance(error, ConfigurationError):
                raise
            raise StoppedError(
                "the refresh token is not used, for its store is away, or another task has been renewing it for too "
                f"long: {error}. A retry goes on"
            ) from None

    def _say_once(self, error: Exception) -> None:
        if not self._has_said:
            self._has_said = True
            self._say(f"This task has a token of its own, for those that tasks share cannot be had: {error}")

    async def _newest(self, kept: Kept) -> Token:
        """Return the token that is kept where it is another one and good, else ask for the next one, and keep that."""
        said = self._said_by(kept)
        if said and said.get("asked_for", "") == self._sharing.asked_for:
            token = self._token_of(said, kept.age_seconds)
            if token.value != self._used and self._clock() < renewal_time(token, 1.0):
                return token
        if self._is_stopped:
            raise asyncio.CancelledError
        self._is_asking = True
        refresh_token = said.get("refresh_token") or self._refresh_token
        found = await self._endpoint_for(refresh_token).fetch()
        found = replace(found, refresh_token=found.refresh_token or refresh_token)
        await self._keep(found, kept.version)
        return found

    def _endpoint_for(self, refresh_token: str) -> TokenEndpoint:
        if not refresh_token:
            return self._endpoint
        self._on_secret(refresh_token)
        grant = self._endpoint.grant
        return replace(
            self._endpoint, grant=lambda: {**grant(), "refresh_token": refresh_token}, hidden=("refresh_token",)
        )

    def _said_by(self, kept: Kept) -> dict[str, Any]:
        """Read what is kept. :raises ConfigurationError: when it cannot be, and cannot be done without."""
        if not kept.text:
            return {}
        try:
            said: dict[str, Any] = json.loads(self._sharing.decrypt(kept.text.encode()))
        except ValueError:
            if not self._refresh_token:
                return {}
            raise ConfigurationError(
                "the refresh token in the store was encrypted with another key: give all workers the same fernet_key "
                "([core] of airflow.cfg), or sign in again, and write the new refresh token into refresh_token."
            ) from None
        return said

    def _token_of(self, said: dict[str, Any], age_seconds: float) -> Token:
        left, lifetime = said["left_seconds"], said["lifetime_seconds"]
        spent = 0.0 if left is None else lifetime - left + age_seconds
        asked_at = self._clock() - spent
        return Token(said["value"], lifetime, asked_at, said["scope"], refresh_token=said["refresh_token"])

    async def _keep(self, token: Token, version: int) -> None:
        """Write a token down: for good where it is the only one, else while it holds, as far as that goes."""
        left = None if token.lifetime_seconds is None else token.ends_at - self._clock()
        said = {
            "value": token.value,
            "lifetime_seconds": token.lifetime_seconds,
            "left_seconds": left,
            "scope": token.scope,
            "refresh_token": token.refresh_token,
            "asked_for": self._sharing.asked_for,
        }
        text = self._sharing.encrypt(json.dumps(said).encode()).decode()
        lasts = None if self._refresh_token else _ENDLESS_SECONDS if left is None else max(left, _LEAST_SECONDS)
        until = self._clock() + (self._bounds.token_write_seconds if self._refresh_token else 0.0)
        while True:
            try:
                is_kept = await self._sharing.store.write(self._sharing.key, text, version, lasts)
            except (StoreAwayError, ConfigurationError) as error:
                if not self._refresh_token:
                    return
                if self._clock() >= until:
                    raise CredentialsError(
                        f"the next refresh token could not be kept, and the one before is used up: {error}: sign in "
                        "again, and write the new refresh token into refresh_token"
                    ) from None
                await asyncio.sleep(self._bounds.store_retry_seconds)
            else:
                if not is_kept and self._refresh_token:
                    # Nothing is lost yet: the access token is good, and the other's refresh token may be, too.
                    self._say(_OVERTAKEN)
                return
