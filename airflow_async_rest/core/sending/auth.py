"""Signing requests: the seam for what each request is signed with, where that is not the same header for all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from airflow_async_rest.core.errors import SendError
from airflow_async_rest.core.limits.limiter import Limiter
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.requests.headers import check_headers

# The statuses of refusals that may be about what a request identifies with: some APIs answer 403 to an old token.
REFUSALS = frozenset({401, 403})
# A request that is signed for longer than this has missed its turn: the next one would come too soon after it.
_LONG_SECONDS = 0.01


class Auth(Protocol):
    """Signs each request as it is sent. Its functions are never called while one of them still runs.

    What they raise ends the run, but for :class:`~airflow_async_rest.core.errors.SendError`: that is a failed attempt.
    An API may echo a signature or a token: ``ClientSettings.later_values`` must know it, to keep it out of texts.
    """

    async def sign(self, request: Request) -> Request:
        """Return the request with its signature or token, in its ``headers`` or its query.

        :param request: stays as it is: it may be sent again, and is kept where it fails. Its path is relative;
            :meth:`~airflow_async_rest.core.requests.address.Address.target` is what stands in the first line.
        """

    async def refused(self, response: Response) -> bool:
        """Renew the token or key that requests are signed with, where that is why one was answered 401 or 403.

        :return: whether the request is to be signed and sent once more; if not, the answer is judged as it is.
        """


class Signing:
    """Signs the requests of one run; any number of workers share it. Made inside the running event loop.

    :param send: sends a request as it is, given the number of its attempt, and why the one before failed.
    """

    def __init__(self, auth: Auth, limiter: Limiter, send: Callable[[Request, int, str], Awaitable[Response]]) -> None:
        self._auth = auth
        self._limiter = limiter
        self._send = send
        self._turn = asyncio.Lock()
        self._one = asyncio.Lock()
        self._renewals = 0

    async def send(self, request: Request, attempt: int, reason: str) -> Response:
        """Send a request with what identifies it, and once more when it was refused for that, and that is renewed."""
        signed, renewals = await self._sign(request)
        response = await self._send(signed, attempt, reason)
        if response.status in REFUSALS and await self._renews(response, renewals):
            signed, _ = await self._sign(request)
            return await self._send(signed, attempt + 1, f"http_{response.status}")
        return response

    async def _sign(self, request: Request) -> tuple[Request, int]:
        """Return a request that is to be sent now, signed, and with which renewal.

        Requests are granted one after the other: those that were granted while one waits for a token would go out all
        at once.
        """
        clock = asyncio.get_running_loop().time
        async with self._turn:
            await self._limiter.acquire()
            granted_at = clock()
            async with self._asking():
                signed, renewals = await self._auth.sign(request), self._renewals
            if clock() - granted_at > _LONG_SECONDS:
                await self._limiter.acquire()
        check_headers(signed.headers or {}, "what signs a request")
        return signed, renewals

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        async with self._one:
            try:
                yield
            except SendError as error:
                error.sent = False  # what was, if anything, is a request for a token
                raise

    async def _renews(self, response: Response, renewals: int) -> bool:
        """Return whether a request that was refused is worth sending again, with what is new since it was signed.

        :param renewals: with which it was signed: of many that are refused at once, the first one renews.
        """
        async with self._asking():
            if renewals == self._renewals:
                if not await self._auth.refused(response):
                    return False
                self._renewals += 1
            return True
