"""RestClient.send(Request) -> Response: aiohttp's session, and the shorter way past it."""

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Self

import aiohttp
from multidict import CIMultiDict

from airflow_async_rest.core.errors import ConnectionFailedError, SendError
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.content_encoding import ACCEPTED, EndsTooEarlyError, decode_body
from airflow_async_rest.core.transport.redirects import STATUSES, is_page, redirect_target
from airflow_async_rest.core.transport.send_errors import proxy_credentials_error, send_error, was_sent
from airflow_async_rest.core.transport.time_limit import TimeLimit
from airflow_async_rest.core.transport.tls import tls_context
from airflow_async_rest.core.transport.wire import (
    HEADER_BOUNDS,
    Answer,
    Attempt,
    Wire,
    connector_of,
    ends_by_close,
    is_possible,
    read_within,
    status_seen,
)

_MAX_REDIRECTS = 5
# What those replace who want to see the requests of a test, such as aioresponses.
_REQUEST = aiohttp.ClientSession._request  # noqa: SLF001
_LOGS = tuple(map(logging.getLogger, ("aiohttp.client", "aiohttp.internal")))


class RestClient:
    """One session of one task; an asynchronous context manager, made inside the running event loop.

    :param connections: sockets open at most.
    :param headers: of this job, added to the connection's; where both name one, the job's is sent.
    """

    def __init__(self, settings: ClientSettings, connections: int, headers: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._address = settings.address
        self._headers = CIMultiDict(settings.headers)
        self._headers.update(headers or {})
        self._connections = connections
        self._proxy = settings.find_proxy(os.environ)
        self._session: aiohttp.ClientSession | None = None
        self._wire: Wire | None = None

    async def __aenter__(self) -> Self:
        settings = self._settings
        connector = connector_of(self._connections, tls_context(settings))
        self._session = aiohttp.ClientSession(
            connector=connector,
            # The request's time is the limit's. No sum of waiting and sending: the connector has a socket for
            # every worker, so that the time starts when the request is really being sent.
            timeout=aiohttp.ClientTimeout(sock_connect=settings.connect_timeout_seconds),
            # unsafe: of a host that is an IP address, too
            cookie_jar=aiohttp.CookieJar(unsafe=True) if settings.cookies else aiohttp.DummyCookieJar(),
            proxy=self._proxy.url if self._proxy else None,
            # The environment is looked at once, before. aiohttp would read ~/.netrc for every request, and refuse
            # to send one when the file knows the host and the connection has credentials too.
            trust_env=False,
            auto_decompress=False,
            **HEADER_BOUNDS,
        )
        # aiohttp sends an idempotent request a second time by itself when a kept-alive connection turns out
        # to be closed. That request would pass the rate limiter unseen; ours repeats it, counted.
        self._session._retry_connection = False  # noqa: SLF001
        self._limit = TimeLimit(settings.request_timeout_seconds)
        if not self._needs_session(self._session):
            self._wire = Wire(connector, settings, self._headers_of)
        for log in _LOGS:
            log.addFilter(self._without_secrets)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            self._limit.close()
            await self._session.close()
            for log in _LOGS:
                log.removeFilter(self._without_secrets)

    def _without_secrets(self, record: logging.LogRecord) -> bool:
        """Take secrets out of what aiohttp logs: it quotes cookies that it cannot read."""
        record.msg, record.args = self._settings.redact(record.getMessage()), ()
        return True

    def _needs_session(self, session: aiohttp.ClientSession) -> bool:
        """Tell whether a session does something to requests that has to be done."""
        return bool(
            not is_possible()
            or self._settings.cookies
            or self._proxy
            or "Expect" in self._headers
            or session.trace_configs
            or aiohttp.ClientSession._request is not _REQUEST  # noqa: SLF001
        )

    def _headers_of(self, request: Request) -> CIMultiDict[str]:
        headers = self._headers.copy()
        if request.body is not None:
            if request.verbatim:
                headers["Content-Type"] = request.content_type
            headers.setdefault("Content-Type", request.content_type)
        headers.setdefault("Accept-Encoding", ACCEPTED)
        if self._settings.idempotency_header:
            headers[self._settings.idempotency_header] = request.idempotency_key
        return headers

    async def send(self, request: Request) -> Response:
        """Send one request and read its answer.

        A redirect is an answer like any other; only a GET follows it, within the same host.

        :return: the answer; when nothing but its status could be read, it says why in ``broken``.
        :raises SendError: when there is no answer.
        """
        if self._session is None:
            raise RuntimeError("RestClient is used outside its 'async with' block")
        late, attempt = False, Attempt()
        started = time.perf_counter()
        task = self._limit.begin(started)
        try:
            try:
                if self._wire is not None and (head := self._wire.head(request)) is not None:
                    answer = await self._wire.send(head, request.body, attempt)
                    if request.method == "GET" and answer.status in STATUSES:
                        answer = await self._follow(self._session, request, attempt, answer)
                else:
                    answer = await self._follow(self._session, request, attempt)
                if answer.body and "Content-Encoding" in answer.headers:
                    answer = self._decoded(answer)
            finally:
                late = self._limit.end(task)
        except (asyncio.CancelledError, aiohttp.ClientError, OSError, ValueError, SendError) as error:
            if isinstance(error, asyncio.CancelledError) and not late:
                raise
            return self._broken(attempt, error, time.perf_counter() - started)
        if self._proxy is not None and self._is_of_proxy(answer.status):
            raise proxy_credentials_error()
        seconds, settings = time.perf_counter() - started, self._settings
        may_be_cut = answer.ends_by_close and not settings.trust_close
        return Response(answer.status, answer.headers, answer.body, seconds, None, settings.redaction, may_be_cut)

    @property
    def _is_tunnelled(self) -> bool:
        """Whether a proxy only passes on what it cannot read."""
        return self._address.origin.startswith("https:")

    def _is_of_proxy(self, status: int | None) -> bool:
        """Tell whether it is the proxy that wants to know who asks: in a tunnel it would be the API."""
        return status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and self._proxy is not None and not self._is_tunnelled

    def _decoded(self, answer: Answer) -> Answer:
        """Undo the encoding of an answer's body. :raises SendError: when it cannot be done."""
        encoding = answer.headers.get("Content-Encoding", "")
        try:
            return answer._replace(body=decode_body(encoding, answer.body, self._settings.max_response_bytes))
        except EndsTooEarlyError as error:
            if answer.ends_by_close:
                raise ConnectionFailedError(f"the connection was closed too early: {error}", "disconnected") from error
            raise

    def _broken(self, attempt: Attempt, error: BaseException, seconds: float) -> Response:
        """Make what there is of an answer that an error has ended.

        :raises SendError: when there is nothing.
        """
        # What begins before there is a tunnel is the proxy's answer, not the API's.
        status = attempt.status or (None if self._proxy and self._is_tunnelled else status_seen(error))
        if self._is_of_proxy(status):
            raise proxy_credentials_error() from error
        failure = send_error(error, self._settings, self._proxy, answered=status is not None)
        if status is None:
            failure.sent = attempt.sent and was_sent(error, failure)
            raise failure from error
        return Response(status, attempt.headers or {}, b"", seconds, failure, self._settings.redaction)

    async def _follow(
        self, session: aiohttp.ClientSession, request: Request, attempt: Attempt, answer: Answer | None = None
    ) -> Answer:
        """Send a request by the session, and a GET again where it is redirected to.

        :param answer: to it, if it was sent already.
        :return: the last answer; of a GET that ends on a page for people, the redirect that led there.
        """
        url = first = self._address.url(request.path, request.query)
        headers = self._headers_of(request)
        redirect: Answer | None = None
        for _ in range(_MAX_REDIRECTS):
            if answer is not None:
                target = redirect_target(url, answer.status, answer.headers) if request.method == "GET" else None
                if target is None:
                    break
                url, redirect = self._address.with_key(target), answer
            attempt.sent, attempt.status = True, None
            async with session.request(
                request.method, url, data=request.body, headers=headers, allow_redirects=False
            ) as came:
                attempt.status, attempt.headers = came.status, came.headers
                body = await read_within(self._settings.max_response_bytes, came.content)
                answer = Answer(came.status, came.headers, body, ends_by_close(came.content, came.headers))
        assert answer is not None  # noqa: S101  (for the type checker)
        if redirect is not None and 200 <= answer.status <= 299:  # noqa: PLR2004
            answer = self._decoded(answer)
            if is_page(first, url, answer.headers, answer.body, headers.get("Accept", "")):
                return redirect
        return answer

    async def read_certificate(self) -> bytes | None:
        """Return the certificate of a server that is not trusted, as DER: no request is sent to it.

        :return: None where it cannot be had.
        """
        if self._session is None:
            raise RuntimeError("RestClient is used outside its 'async with' block")
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
