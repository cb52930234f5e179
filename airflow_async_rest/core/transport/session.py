"""aiohttp's session: sends what the way past it cannot, and follows redirects."""

import asyncio
import logging
from collections.abc import Callable

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from airflow_async_rest.core.models import Request
from airflow_async_rest.core.requests.proxies import Proxy
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.content_encoding import decode_body
from airflow_async_rest.core.transport.redirects import is_page, redirect_target
from airflow_async_rest.core.transport.wire import HEADER_BOUNDS, Answer, Attempt, ends_by_close, read_within

_MAX_REDIRECTS = 5
# What those replace who want to see the requests of a test, such as aioresponses.
_REQUEST = aiohttp.ClientSession._request  # noqa: SLF001
_LOGS = tuple(map(logging.getLogger, ("aiohttp.client", "aiohttp.internal")))


class Session:
    """One of aiohttp's sessions, closed by its owner. Made inside the running event loop.

    :param proxy: that requests go through.
    :param headers_of: gives all headers of a request that are the caller's to say.
    """

    def __init__(
        self,
        connector: aiohttp.BaseConnector,
        settings: ClientSettings,
        proxy: Proxy | None,
        headers_of: Callable[[Request], CIMultiDict[str]],
    ) -> None:
        self._settings = settings
        self._address = settings.address
        self._headers_of = headers_of
        self._for_proxy = proxy.headers_of_request(URL(self._address.origin).scheme) if proxy else {}
        self._session = aiohttp.ClientSession(
            connector=connector,
            # The request's time is the limit's. No sum of waiting and sending: the connector has a socket for
            # every worker, so that the time starts when the request is really being sent.
            timeout=aiohttp.ClientTimeout(sock_connect=settings.connect_timeout_seconds),
            # unsafe: of a host that is an IP address, too
            cookie_jar=aiohttp.CookieJar(unsafe=True) if settings.cookies else aiohttp.DummyCookieJar(),
            proxy=proxy.url if proxy else None,
            # The environment is looked at once, before. aiohttp would read ~/.netrc for every request, and refuse
            # to send one when the file knows the host and the connection has credentials too.
            trust_env=False,
            auto_decompress=False,
            **HEADER_BOUNDS,
        )
        # aiohttp sends an idempotent request a second time by itself when a kept-alive connection turns out
        # to be closed. That request would pass the rate limiter unseen; ours repeats it, counted.
        self._session._retry_connection = False  # noqa: SLF001
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
        return bool(self._session.trace_configs or aiohttp.ClientSession._request is not _REQUEST)  # noqa: SLF001

    async def send(self, request: Request, attempt: Attempt) -> Answer:
        """Send one request and read its answer completely.

        :param attempt: is told how far it has come.
        :raises aiohttp.ClientError: or OSError, or ValueError of what is no request.
        """
        return await self._ask(self._address.url(request.path, request.query), request, attempt)

    async def follow(self, request: Request, attempt: Attempt, answer: Answer) -> Answer:
        """Send a GET again where its answer redirects to, within the same host.

        :return: the last answer; of a request that ends on a page for people, the redirect that led there.
        """
        first = url = self._address.url(request.path, request.query)
        redirect: Answer | None = None
        for _ in range(_MAX_REDIRECTS):
            target = redirect_target(url, answer.status, answer.headers)
            if target is None:
                break
            url, redirect = self._address.with_key(target), answer
            answer = await self._ask(url, request, attempt)
        if redirect is not None and 200 <= answer.status <= 299:  # noqa: PLR2004
            encoding, accepted = answer.headers.get("Content-Encoding", ""), self._headers_of(request).get("Accept", "")
            body = decode_body(encoding, answer.body, self._settings.max_response_bytes)
            if is_page(first, url, answer.headers, body, accepted):
                return redirect
        return answer

    async def _ask(self, url: URL, request: Request, attempt: Attempt) -> Answer:
        attempt.sent, attempt.status = True, None
        headers = self._headers_of(request)
        headers.update(self._for_proxy)
        async with self._session.request(
            request.method, url, data=request.body, headers=headers, allow_redirects=False
        ) as came:
            attempt.status, attempt.headers = came.status, came.headers
            body = await read_within(self._settings.max_response_bytes, came.content)
            return Answer(came.status, came.headers, body, ends_by_close(came.content, came.headers))

    async def read_certificate(self) -> bytes | None:
        """Return the certificate of a server that is not trusted, as DER: no request is sent to it.

        :return: None where it cannot be had.
        """
        try:
            async with self._session.request(
                "GET", self._address.url(), ssl=_CertificateReader(), allow_redirects=False
            ):
                return None
        except aiohttp.ServerFingerprintMismatch as read:
            return read.got
        except (aiohttp.ClientError, OSError, ValueError):
            return None


class _CertificateReader(aiohttp.Fingerprint):
    """Ends a connection right after its TLS handshake, with the certificate that the server showed."""

    def __init__(self) -> None:
        super().__init__(bytes(32))

    def check(self, transport: asyncio.Transport) -> None:
        """Raise the certificate: aiohttp then closes the connection before it sends anything."""
        tls = transport.get_extra_info("ssl_object")
        # Without a goodbye, which a server would have to answer before the connection is gone.
        asyncio.get_running_loop().call_soon(transport.abort)
        raise aiohttp.ServerFingerprintMismatch(b"", tls.getpeercert(binary_form=True) if tls else b"", "", 0)
