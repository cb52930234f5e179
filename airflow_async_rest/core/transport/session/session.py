"""aiohttp's session: sends what our own connections do not: by proxies, with cookies, and where GETs are redirected."""

import asyncio
import inspect
import io
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from airflow_async_rest.core.errors import SendError
from airflow_async_rest.core.models import SUCCESSES, Request, Response
from airflow_async_rest.core.requests.proxies import Proxy
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.content_encoding import decoded, too_large
from airflow_async_rest.core.transport.link import PIECE_BYTES
from airflow_async_rest.core.transport.redirects import is_page, redirect_target
from airflow_async_rest.core.transport.send_errors import connect_timeout
from airflow_async_rest.core.transport.session.errors import had_connection, session_error
from airflow_async_rest.core.transport.session.watched import CertificateReader, WatchedConnector, watched
from airflow_async_rest.core.transport.transport import USER_AGENT, WITHOUT_BODY, announces_body, has_no_end

_MAX_REDIRECTS = 5
# aiohttp's own bounds are 8,190 bytes a header, and 128 of them where its version bounds their number at all.
_BOUNDS = {"max_line_size": 65_536, "max_field_size": 65_536, "max_headers": 1_024}
_HEADER_BOUNDS: dict[str, Any] = {
    name: bound for name, bound in _BOUNDS.items() if name in inspect.signature(aiohttp.ClientSession).parameters
}
_LOGS = tuple(map(logging.getLogger, ("aiohttp.client", "aiohttp.internal")))


def _is_replaced() -> bool:
    """Return whether somebody else sends what a session is to send, as aioresponses: maybe before this is imported."""
    sends = getattr(aiohttp.ClientSession._request, "__code__", None)  # noqa: SLF001
    return sends is None or sends.co_filename != aiohttp.ClientSession.close.__code__.co_filename


@dataclass(slots=True)
class _Attempt:
    """How far one request has come: what is known of it when it ends in an error.

    :param sent: whether a part of it may have been written: it had a connection, or somebody else sends it, and tells
        nothing of connections.
    :param status: of the answer, and ``headers`` those of it, once they have come.
    """

    sent: bool
    status: int | None = None
    headers: Mapping[str, str] | None = None


class _EndedError(Exception):
    """What ended a connection, kept from aiohttp, which would send the request a second time by itself."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


async def _send_once(request: aiohttp.ClientRequest, handler: "aiohttp.ClientHandlerType") -> aiohttp.ClientResponse:
    # That request would pass the rate limiter unseen; ours repeats it, counted.
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _EndedError(error) from None


class Session:
    """One of aiohttp's sessions, closed by its owner. Made inside the running event loop.

    :param connections: open at most.
    :param tls: of connections to https; True stands for the defaults.
    :param proxy: that requests go through.
    :param headers_of: gives all headers of a request that are the caller's to say.
    """

    def __init__(
        self,
        settings: ClientSettings,
        connections: int,
        tls: ssl.SSLContext | bool,
        proxy: Proxy | None,
        headers_of: Callable[[Request], CIMultiDict[str]],
    ) -> None:
        self._settings = settings
        self._address = settings.address
        self._headers_of = headers_of
        self._proxy = proxy
        self._for_proxy = proxy.headers_of_request(URL(self._address.origin).scheme) if proxy else {}
        self._connector = WatchedConnector(limit=connections, ssl=tls)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            # With all that is waited for before there is a connection: a place in the pool, the name server, TLS.
            timeout=aiohttp.ClientTimeout(connect=settings.connect_timeout_seconds),
            # unsafe: of a host that is an IP address, too
            cookie_jar=aiohttp.CookieJar(unsafe=True) if settings.cookies else aiohttp.DummyCookieJar(),
            proxy=proxy.url if proxy else None,
            # The environment is looked at once, before. aiohttp would read ~/.netrc for every request, and refuse
            # to send one when the file knows the host and the connection has credentials too.
            trust_env=False,
            auto_decompress=False,
            headers={"User-Agent": USER_AGENT},
            middlewares=(_send_once,),
            **_HEADER_BOUNDS,
        )
        for log in _LOGS:
            log.addFilter(self._without_secrets)

    async def close(self) -> None:
        """Close its connections."""
        await self._session.close()
        for log in _LOGS:
            log.removeFilter(self._without_secrets)

    def _without_secrets(self, record: logging.LogRecord) -> bool:
        """Take secrets out of what aiohttp logs: it quotes cookies that it cannot read."""
        record.msg, record.args = self._settings.redact(record.getMessage()), ()
        return True

    @property
    def is_watched(self) -> bool:
        """Whether somebody wants to see the requests that a session sends."""
        return _is_replaced() or bool(self._session.trace_configs)

    async def send(self, request: Request) -> Response:
        """Send one request and read its answer completely.

        :raises SendError: when there is no answer, or none that can be read; says how far it has come.
        :raises ValueError: of what is no request.
        """
        return await self._ask(self._address.url(request.path, request.query), request)

    async def follow(self, request: Request, answer: Response, before: Callable[[], Awaitable[None]]) -> Response:
        """Send a GET again where its answer redirects to, within the same host.

        :param before: awaited before each further request.
        :return: the last answer; of a request that ends on a page for people, the redirect that led there.
        """
        first = url = self._address.url(request.path, request.query)
        redirect: Response | None = None
        for _ in range(_MAX_REDIRECTS):
            target = redirect_target(url, answer.status, answer.headers)
            if target is None:
                break
            url, redirect = self._address.with_key(target), answer
            await before()
            answer = await self._ask(url, request)
        if redirect is not None and answer.status in SUCCESSES:
            body, accepted = (
                decoded(answer, self._settings.max_response_bytes),
                self._headers_of(request).get("Accept", ""),
            )
            if is_page(first, url, answer.headers, body, accepted):
                return redirect
        return answer

    async def _ask(self, url: URL, request: Request) -> Response:
        attempt = _Attempt(_is_replaced())
        watched.set(None)
        try:
            return await self._exchange(url, request, attempt)
        except _EndedError as ended:
            failure: Exception = ended.error
        except SendError as error:  # of what was read
            error.sent, error.status, error.headers = True, attempt.status, attempt.headers
            raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = error
        raise self._failed(failure, attempt) from failure

    def _failed(self, failure: Exception, attempt: _Attempt) -> SendError:
        is_stale = False
        if (watch := watched.get()) is None:
            self._connector.clear_dns_cache()  # whoever had that name may have moved
            if type(failure) is TimeoutError and not attempt.sent:  # its time is shorter than the connection's
                return connect_timeout(self._settings, "request_timeout_seconds")
        else:
            attempt.sent, attempt.status = True, attempt.status or watch.status
            is_end = isinstance(failure, aiohttp.ClientConnectionError)
            is_stale = is_end and watch.uses > 1 and not watch.begins
        error = session_error(failure, self._settings, self._proxy, answered=attempt.status is not None)
        error.sent, error.stale = attempt.sent and had_connection(failure), is_stale
        error.status, error.headers = attempt.status, attempt.headers
        return error

    async def _exchange(self, url: URL, request: Request, attempt: _Attempt) -> Response:
        headers = self._headers_of(request)
        headers.update(self._for_proxy)
        # Of a large one aiohttp would write all at once.
        body = io.BytesIO(request.body) if request.body and len(request.body) > PIECE_BYTES else request.body
        async with (
            asyncio.timeout(self._settings.request_timeout_seconds),
            self._session.request(request.method, url, data=body, headers=headers, allow_redirects=False) as came,
        ):
            attempt.status, attempt.headers = came.status, came.headers
            read = await _read_within(self._settings.max_response_bytes, came.content)
        if (watch := watched.get()) is None:  # somebody else answers
            return Response(came.status, came.headers, read)
        watch.is_idle = True
        if came.status in WITHOUT_BODY and announces_body(came.headers):
            watch.abort()
        if not has_no_end(came.status, came.headers):
            return Response(came.status, came.headers, read)
        if watch.cause:
            raise aiohttp.ClientConnectionError(watch.cause)
        return Response(came.status, came.headers, read, may_be_cut=True)

    async def read_certificate(self) -> bytes | None:
        """Return the certificate of a server that is not trusted, as DER: no request is sent to it.

        :return: None where it cannot be had.
        """
        try:
            async with self._session.request(
                "GET", self._address.url(), ssl=CertificateReader(), allow_redirects=False
            ):
                return None
        except aiohttp.ServerFingerprintMismatch as read:
            return read.got
        except (aiohttp.ClientError, OSError, ValueError):
            return None


async def _read_within(bound: int, content: aiohttp.StreamReader) -> bytes:
    """Read an answer's body. :raises AnswerUnreadableError: when it has more bytes than the bound."""
    pieces = bytearray()
    while len(pieces) <= bound and (piece := await content.readany()):
        pieces += piece
    if len(pieces) > bound:
        raise too_large(bound)
    return bytes(pieces)
