"""Signing requests: the seam for what each request is signed with, where that is not the same header for all."""

import asyncio
import re
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Protocol

from airflow_async_rest.core.errors import SendError
from airflow_async_rest.core.limits.limiter import Limiter
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.redaction import Redaction
from airflow_async_rest.core.requests.headers import joined
from airflow_async_rest.core.sending.signed import check_signed, secrets_of

# The statuses of refusals that may be about what a request identifies with: some APIs answer 403 to an old token.
REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_BAD_REQUEST = 400
# Words of AWS for credentials that have ended, or for a time that is not now. S3, and services that speak JSON, answer
# 400 with them: there only the field of an error's code counts, for a row's own text may stand in another one.
_AWS_CODE = re.compile(
    r"""(?:^|<Code>|"(?:__type|[cC]ode)"\s*:\s*"(?:[^"\\]*#)?)"""
    r"(?:ExpiredToken|TokenRefreshRequired|RequestTimeTooSkewed|RequestExpired|InvalidSignature)"
)
_MOST_READ = 4_000
# A request that is signed for longer than this has missed its turn: the next one would come too soon after it. It is
# what a limit of requests a second leaves, where the place in a shared one was as late as it may be.
_LONG_SECONDS = 0.005


class Auth(Protocol):
    """Signs each request as it is sent. Its functions are never called while one of them still runs.

    What they raise ends the run, but for :class:`~airflow_async_rest.core.errors.SendError`: that is a failed attempt.
    What ``sign`` adds is taken out of texts, for an API may echo it: of each header and new parameter all parts of more
    than 20 characters, and the longest one where the header's name sounds like a credential (``Authorization``, ...).
    """

    async def sign(self, request: Request) -> Request:
        """Return the request with its signature or token, in its ``headers`` or its query.

        :param request: a copy, whose ``headers`` are there to be added to: without them it may be sent again, and is
            kept where it fails. Its path is relative;
            :meth:`~airflow_async_rest.core.requests.address.Address.target` is what stands in the first line.
        """

    async def refused(self, response: Response) -> bool:
        """Renew the token or key that requests are signed with, where that is why one was answered 401 or 403.

        AWS answers 400 as well, with ``ExpiredToken``.

        :param response: its ``request`` is the one that was answered, as ``sign`` has returned it.
        :return: whether the request is to be signed and sent once more; if not, the answer is judged as it is.
        """


class HeaderAuth(Auth):
    """Signs with headers that are the same for many requests: most of these need not wait for ``sign``.

    It is said by the base class alone: an author's own may have a function of this name for something else.
    """

    @abstractmethod
    def headers_now(self) -> Mapping[str, str] | None:
        """Return what requests are signed with, the same mapping until it is another one; None: ask ``sign``."""


class Signing:
    """Signs the requests of one run; any number of workers share it. Made inside the running event loop.

    :param send: sends a request as it is, given the number of its attempt, and why the one before failed.
    :param redaction: is told what is secret in signed requests.
    """

    def __init__(
        self,
        auth: Auth,
        limiter: Limiter,
        send: Callable[[Request, int, str], Awaitable[Response]],
        redaction: Redaction,
    ) -> None:
        self._auth, self._limiter, self._send, self._redaction = auth, limiter, send, redaction
        self._clock = asyncio.get_running_loop().time
        # Not a lock: it would be handed from one worker to the next by the event loop, and so would each request then.
        self._is_asking = False
        self._answered = asyncio.Event()
        self._renewals = 0
        self._in_vain_at = -1
        self._known: Mapping[str, str] | None = None
        self._headers_now = auth.headers_now if isinstance(auth, HeaderAuth) else _none

    async def send(self, request: Request, attempt: int, reason: str) -> Response:
        """Send a request with what identifies it, and once more when it was refused for that, and that is renewed."""
        if self._is_asking:
            await self._until_answered()
        await self._limiter.acquire()
        is_granted = self._is_usable()
        headers = self._headers_now() if is_granted else None
        if headers is None:
            response, signed, renewals = await self._send_signed(request, attempt, reason, is_granted=is_granted)
        else:
            signed, renewals = request.with_headers(headers), self._renewals
            if headers is not self._known:
                check_signed(signed)
                self._learn(request, signed, headers)
            response = await self._send(signed, attempt, reason)
        if response.status < _BAD_REQUEST:
            return response
        if not is_refusal(response) or not await self._renews(replace(response, request=signed), renewals):
            return response
        again, _, renewals = await self._send_signed(request, attempt + 1, f"http_{response.status}")
        if is_of_token(response) and is_of_token(again):
            self._in_vain_at = renewals
        return again

    async def _send_signed(
        self, request: Request, attempt: int, reason: str, *, is_granted: bool = False
    ) -> tuple[Response, Request, int]:
        """Sign a request, and send it. :return: the answer, the request as it was sent, and with which renewal."""
        signed, renewals = await self._sign(request, is_granted=is_granted)
        try:
            return await self._send(signed, attempt, reason), signed, renewals
        finally:
            if signed.headers != self._known or signed.query != request.query:
                self._learn(request, signed, dict(signed.headers or {}))

    def _learn(self, request: Request, signed: Request, headers: Mapping[str, str]) -> None:
        """Keep out of texts what a request was signed with, before anybody says what came of it."""
        self._redaction.learn(secrets_of(request, signed))
        self._known = headers

    async def _sign(self, request: Request, *, is_granted: bool) -> tuple[Request, int]:
        """Return a request that is to be sent now, signed, and with which renewal.

        :param is_granted: whether one may be sent now. What was granted while one waits for a token is given back: all
            of them would go out at once.
        """
        while not is_granted:
            await self._until_answered()
            await self._limiter.acquire()
            is_granted = self._is_usable()
        granted_at = self._clock()
        self._is_asking = True
        try:
            # Of its own: who writes into it what it is signed with would do so once more at each retry.
            signed = await self._auth.sign(request.with_headers({}))
            check_signed(signed, self._known)
            if type(signed.headers) is dict:  # into which its author may write the signature of the next one
                signed = signed.with_headers({})
        except BaseException as error:
            self._limiter.give_back()
            if isinstance(error, SendError):
                error.sent = error.stale = False  # what was, if anything, is a request for a token
            raise
        finally:
            self._is_asking = False
            self._answered.set()
        renewals = self._renewals
        if self._clock() - granted_at > _LONG_SECONDS:
            self._limiter.give_back()
            await self._limiter.acquire()
        return signed, renewals

    def _is_usable(self) -> bool:
        """Return whether what was granted can be used now; it is given back where somebody waits for a token."""
        if self._is_asking:
            self._limiter.give_back()
        return not self._is_asking

    async def _until_answered(self) -> None:
        while self._is_asking:
            self._answered.clear()
            await self._answered.wait()

    async def _renews(self, response: Response, renewals: int) -> bool:
        """Return whether a request that was refused is worth sending again, with what is new since it was signed.

        :param renewals: with which it was signed: of many that are refused at once, the first one renews.
        """
        await self._until_answered()
        if renewals == self._in_vain_at and is_of_token(response):
            return False
        if renewals != self._renewals:
            return True
        self._is_asking = True
        try:
            if not await self._auth.refused(response):
                if is_of_token(response):
                    self._in_vain_at = renewals
                return False
        except SendError as error:
            error.sent = error.stale = False
            raise
        finally:
            self._is_asking = False
            self._answered.set()
        self._renewals += 1
        return True


async def sign_alone(request: Request, auth: Auth | None, redaction: Redaction) -> Request:
    """Return a request that is sent outside of a run, signed as one in it.

    :raises ConfigurationError: when what signs it is no header.
    """
    if auth is None:
        return request
    signed = await auth.sign(request.with_headers({}))
    check_signed(signed)
    redaction.learn(secrets_of(request, signed))
    return signed


def _none() -> None:
    """Return None: nothing but ``sign`` says what a request is signed with."""


def is_refusal(response: Response) -> bool:
    """Return whether an answer may be about what the request identifies with."""
    if response.status != _BAD_REQUEST:
        return response.status in REFUSALS
    said = response.headers.get("x-amzn-ErrorType", ""), response.text[:_MOST_READ]
    return any(map(_AWS_CODE.search, said))


def is_of_token(response: Response) -> bool:
    """Return whether a 403 says that it is about the token (RFC 6750, section 3.1).

    Some APIs say so of rows that the token may not see: where a new one is refused in the same way, it is about these.
    """
    return response.status == HTTPStatus.FORBIDDEN and "invalid_token" in joined(response.headers, "WWW-Authenticate")
