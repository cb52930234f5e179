"""Signing requests: the seam for what each request is signed with, where that is not the same header for all."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol
from urllib.parse import parse_qsl

from airflow_async_rest.core.errors import SendError
from airflow_async_rest.core.limits.limiter import Limiter
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.redaction import Redaction
from airflow_async_rest.core.requests.headers import CREDENTIAL_HEADER, check_headers

_WHAT_SIGNS = "what signs a request"  # as errors name it
_FORBIDDEN = 403
# The statuses of refusals that may be about what a request identifies with: some APIs answer 403 to an old token.
REFUSALS = frozenset({401, _FORBIDDEN})
# A request that is signed for longer than this has missed its turn: the next one would come too soon after it.
_LONG_SECONDS = 0.01
# Between the parts of a header that has several, and what a signature among them is made of.
_SEVERAL = re.compile(r"[\s,;\"]")
_SCHEME = re.compile(r"[A-Za-z0-9-]{1,20} +(?=\S)")
_PART = re.compile(r"[A-Za-z0-9+/_.~%-]+=*")
_SHORTEST = 4  # below this a "secret" would blank out half of every text
# Characters that a signature has at least, and dates and names of headers have not.
_LONG = 21
# Ends what AWS says a signature is for, and what its errors name.
_SCOPE = "/aws4_request"


class Auth(Protocol):
    """Signs each request as it is sent. Its functions are never called while one of them still runs.

    What they raise ends the run, but for :class:`~airflow_async_rest.core.errors.SendError`: that is a failed attempt.
    What ``sign`` adds is taken out of texts, for an API may echo it: of each header and new parameter all parts of more
    than 20 characters, and the longest one where the header's name sounds like a credential (``Authorization``, ...).
    """

    async def sign(self, request: Request) -> Request:
        """Return the request with its signature or token, in its ``headers`` or its query.

        :param request: stays as it is: it may be sent again, and is kept where it fails. Its path is relative;
            :meth:`~airflow_async_rest.core.requests.address.Address.target` is what stands in the first line.
        """

    async def refused(self, response: Response) -> bool:
        """Renew the token or key that requests are signed with, where that is why one was answered 401 or 403.

        :param response: its ``request`` is the one that was answered, as ``sign`` has returned it.
        :return: whether the request is to be signed and sent once more; if not, the answer is judged as it is.
        """


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

    async def send(self, request: Request, attempt: int, reason: str) -> Response:
        """Send a request with what identifies it, and once more when it was refused for that, and that is renewed."""
        signed, renewals = await self._sign(request)
        try:
            response = await self._send(signed, attempt, reason)
        finally:
            if signed.headers != self._known or signed.query != request.query:
                self._learn(request, signed)
        if response.status not in REFUSALS or not await self._renews(replace(response, request=signed), renewals):
            return response
        signed, renewals = await self._sign(request)
        try:
            again = await self._send(signed, attempt + 1, f"http_{response.status}")
        finally:
            self._learn(request, signed)
        if is_of_token(response) and is_of_token(again):
            self._in_vain_at = renewals
        return again

    def _learn(self, request: Request, signed: Request) -> None:
        """Keep out of texts what a request was signed with, right before anybody says what came of it."""
        self._redaction.learn(secrets_of(request, signed))
        self._known = dict(signed.headers or {})

    async def _sign(self, request: Request) -> tuple[Request, int]:
        """Return a request that is to be sent now, signed, and with which renewal.

        What was granted while one waits for a token is given up: all of them would go out at once.
        """
        while True:
            if self._is_asking:
                await self._until_answered()
            await self._limiter.acquire()
            if not self._is_asking:
                break
        granted_at = self._clock()
        self._is_asking = True
        try:
            signed = await self._auth.sign(request)
        except SendError as error:
            error.sent = error.stale = False  # what was, if anything, is a request for a token
            raise
        finally:
            self._is_asking = False
            self._answered.set()
        renewals = self._renewals
        if self._clock() - granted_at > _LONG_SECONDS:
            await self._limiter.acquire()
        if signed.headers != self._known:  # those of a token are the same for all requests
            check_headers(signed.headers or {}, _WHAT_SIGNS)
        return signed, renewals

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
    signed = await auth.sign(request)
    check_headers(signed.headers or {}, _WHAT_SIGNS)
    redaction.learn(secrets_of(request, signed))
    return signed


def is_of_token(response: Response) -> bool:
    """Return whether a 403 says that it is about the token (RFC 6750, section 3.1).

    Some APIs say so of rows that the token may not see: where a new one is refused in the same way, it is about these.
    """
    return response.status == _FORBIDDEN and "invalid_token" in response.headers.get("WWW-Authenticate", "")


def secrets_of(request: Request, signed: Request) -> set[str]:
    """Find what is secret of what a request was signed with."""
    before = request.headers or {}
    new = [(name, value) for name, value in (signed.headers or {}).items() if before.get(name) != value]
    if signed.query != request.query:
        known = parse_qsl(request.query, keep_blank_values=True)
        new += [("key", value) for name, value in parse_qsl(signed.query) if (name, value) not in known]
    return {secret for name, value in new for secret in _secrets_in(name, value)}


def _secrets_in(name: str, value: str) -> set[str]:
    scheme = _SCHEME.match(value)
    said = value[scheme.end() :] if scheme else value
    parts = [said]
    if _SEVERAL.search(said):
        parts = [part for part in _PART.findall(said) if not part.endswith(_SCOPE)]
    longest = {max(parts, key=len, default="")} if CREDENTIAL_HEADER.search(name) else set()
    return {part for part in {*longest, *(part for part in parts if len(part) >= _LONG)} if len(part) >= _SHORTEST}
