"""RestClient.send(Request) -> Response: over aiohttp's connections, in one of two ways."""

import asyncio
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
from airflow_async_rest.core.transport.protocol import Answer, Attempt, connector_of, status_seen
from airflow_async_rest.core.transport.redirects import STATUSES
from airflow_async_rest.core.transport.send_errors import proxy_credentials_error, send_error, was_sent
from airflow_async_rest.core.transport.session import Session
from airflow_async_rest.core.transport.time_limit import TimeLimit
from airflow_async_rest.core.transport.tls import tls_context
from airflow_async_rest.core.transport.wire import Wire, is_possible


class RestClient:
    """The transport of one task; an asynchronous context manager, made inside the running event loop.

    It bounds a request's time, says what went wrong, and follows redirects. What sends is a session of aiohttp's, or
    where that would do nothing more the shorter way past it: both say ``send(Request, Attempt) -> Answer``.

    :param connections: sockets open at most.
    :param headers: of this job, added to the connection's; where both name one, the job's is sent.
    """

    def __init__(self, settings: ClientSettings, connections: int, headers: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._headers = CIMultiDict(settings.headers)
        self._headers.update(headers or {})
        self._connections = connections
        self._proxy = settings.find_proxy(os.environ)
        self._session: Session | None = None

    async def __aenter__(self) -> Self:
        settings = self._settings
        connector = connector_of(self._connections, tls_context(settings))
        self._session = session = Session(connector, settings, self._proxy, self._headers_of)
        self._limit = TimeLimit(settings.request_timeout_seconds)
        self._way = session if self._needs_session(session) else Wire(connector, settings, self._headers_of, session)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            self._limit.close()
            await self._session.close()

    def _needs_session(self, session: Session) -> bool:
        """Return whether a session does something to requests that has to be done."""
        return bool(
            not is_possible()
            or self._settings.cookies
            or self._proxy
            or "Expect" in self._headers
            or session.is_watched
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
        headers.update(request.headers or {})
        return headers

    async def send(self, request: Request) -> Response:
        """Send one request and read its answer.

        A redirect is an answer like any other; only a GET follows it, within the same host.

        :return: the answer; when nothing but its status could be read, it says why in ``broken``.
        :raises SendError: when there is no answer.
        """
        if (session := self._session) is None:
            raise RuntimeError("RestClient is used outside its 'async with' block")
        late, attempt = False, Attempt()
        started = time.perf_counter()
        task = self._limit.begin(started)
        try:
            try:
                answer = await self._way.send(request, attempt)
                if request.method == "GET" and answer.status in STATUSES:
                    answer = await session.follow(request, attempt, answer)
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
        return self._settings.address.origin.startswith("https:")

    def _is_of_proxy(self, status: int | None) -> bool:
        """Return whether it is the proxy that wants to know who asks: in a tunnel it would be the API."""
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

    async def read_certificate(self) -> bytes | None:
        """Return the certificate of a server that is not trusted, as DER: no request is sent to it.

        :return: None where it cannot be had.
        """
        if self._session is None:
            raise RuntimeError("RestClient is used outside its 'async with' block")
        return await self._session.read_certificate()
