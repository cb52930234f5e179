"""RestClient.send(Request) -> Response: over connections of our own, or by aiohttp's session."""

import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, Self

from multidict import CIMultiDict

from airflow_async_rest.core.errors import SendError
from airflow_async_rest.core.models import IDEMPOTENT, Request, Response
from airflow_async_rest.core.requests.headers import check_headers
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.content_encoding import ACCEPTED, decoded
from airflow_async_rest.core.transport.direct import Direct
from airflow_async_rest.core.transport.redirects import STATUSES
from airflow_async_rest.core.transport.send_errors import is_handshake, proxy_credentials_error, send_error
from airflow_async_rest.core.transport.tls import tls_context
from airflow_async_rest.core.transport.transport import USER_AGENT

if TYPE_CHECKING:
    from airflow_async_rest.core.transport.session.session import Session

_OUTSIDE = "RestClient is used outside its 'async with' block"


class RestClient:
    """The transport of one task; an asynchronous context manager, made inside the running event loop.

    It says what went wrong, and follows redirects. What sends is :class:`Direct`, or a session
    of aiohttp's where that does something more, or where the connection wants it.

    :param connections: sockets open at most.
    :param headers: of this job, added to the connection's; where both name one, the job's is sent.
    :ivar before_redirect: awaited before each request that a redirect leads to: for whoever limits requests it is one
        more.
    """

    def __init__(self, settings: ClientSettings, connections: int, headers: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._connections = connections
        self._heads = Heads(settings, headers)
        self._proxy = settings.find_proxy(os.environ)
        # A proxy only passes on what it cannot read: in a tunnel, all that is said comes from the API.
        self._is_tunnelled = self._proxy is not None and settings.address.origin.startswith("https:")
        self._direct: Direct | None = None
        self._session: Session | None = None
        self._is_open = False
        self.before_redirect: Callable[[], Awaitable[None]] | None = None

    async def __aenter__(self) -> Self:
        self._tls = tls_context(self._settings)
        if not self._needs_session():
            self._direct = Direct(self._settings, self._connections, self._tls)
        self._is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False
        for opened in (self._direct, self._session):
            if opened is not None:
                await opened.close()

    def _needs_session(self) -> bool:
        """Return whether a session does something to requests that has to be done."""
        return bool(
            self._settings.transport == "aiohttp"
            or self._settings.cookies
            or self._proxy
            or "Expect" in self._heads.headers
            # Whoever wants to see what a session sends has imported aiohttp.
            or ("aiohttp" in sys.modules and self._opened_session().is_watched)
        )

    def _opened_session(self) -> "Session":
        """Open a session, unless there is one: aiohttp takes 60 ms to import, which most tasks need not wait for."""
        if self._session is None:
            from airflow_async_rest.core.transport.session.session import Session  # noqa: PLC0415

            self._session = Session(self._settings, self._connections, self._tls, self._proxy, self._heads.headers_of)
        return self._session

    async def send(self, request: Request) -> Response:
        """Send one request and read its answer.

        A redirect is an answer like any other; only a GET follows it, within the same host, and none that is signed:
        its signature is of the first address.

        :return: the answer; when nothing but its status could be read, it says why in ``broken``.
        :raises SendError: when there is no answer.
        """
        if not self._is_open:
            raise RuntimeError(_OUTSIDE)
        started = time.perf_counter()
        try:
            if self._direct is not None and (head := self._heads.written(request)) is not None:
                response = await self._direct.send(head, request.body)
            else:
                response = await self._opened_session().send(request)
            if request.method == "GET" and response.status in STATUSES:
                response, waited = await self._follow(request, response)
                started += waited
            if response.body and "Content-Encoding" in response.headers:
                response.body = decoded(response, self._settings.max_response_bytes)
        except (OSError, ValueError, SendError) as error:
            response = self._broken(request, error)
        if self._proxy is not None:
            self._check_proxy(response.status)
        response.elapsed_seconds = time.perf_counter() - started
        response.redaction = self._settings.redaction
        if response.may_be_cut and self._settings.trust_close:
            response.may_be_cut = False
        return response

    async def _follow(self, request: Request, response: Response) -> tuple[Response, float]:
        """Follow a redirect, as far as one is. :return: the last answer, and how long its requests were waited for."""
        if request.is_signed:
            response.request = request
            return response, 0.0
        waited = 0.0

        async def before() -> None:
            nonlocal waited
            if self.before_redirect is not None:
                began = time.perf_counter()
                await self.before_redirect()
                waited += time.perf_counter() - began

        try:
            response = await self._opened_session().follow(request, response, before)
        except (OSError, ValueError, SendError) as error:
            response = self._broken(request, error)
        return response, waited

    def _check_proxy(self, status: int | None, error: BaseException | None = None) -> None:
        """Raise the error of a proxy that wants to know who asks."""
        if self._proxy is not None and not self._is_tunnelled and status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raise proxy_credentials_error() from error

    def _broken(self, request: Request, error: BaseException) -> Response:
        """Make what there is of an answer that an error has ended.

        :raises SendError: when there is nothing.
        """
        failure = send_error(error)
        if failure is not error:
            failure.sent = isinstance(error, OSError)  # else nothing could be made of the request
        self._check_proxy(failure.status, error)
        if failure.status is None:
            failure.sent &= not is_handshake(failure)
            has_key = bool(self._settings.idempotency_header)
            failure.stale &= failure.sent and (has_key or request.method in IDEMPOTENT)
            raise failure from (failure.__cause__ if failure is error else error)
        return Response(failure.status, failure.headers or {}, b"", broken=failure)

    async def read_certificate(self) -> bytes | None:
        """Return the certificate of a server that is not trusted, as DER: no request is sent to it.

        :return: None where it cannot be had.
        """
        if not self._is_open:
            raise RuntimeError(_OUTSIDE)
        return await self._opened_session().read_certificate()


class _Frame(NamedTuple):
    """What stands before a request's target, and between it and what differs from request to request.

    :param key: name of the header for the request's key, and its colon; empty where none is sent.
    """

    start: str
    headers: str
    key: str


class Heads:
    """Writes what is sent before the bodies of requests. What is the same for all of a kind is written once.

    :param headers: of the job.
    """

    def __init__(self, settings: ClientSettings, headers: Mapping[str, str] | None) -> None:
        self.headers = CIMultiDict(settings.headers)
        self.headers.update(headers or {})
        self._address = settings.address
        self._folder = self._address.plain_folder
        self._host = self._address.host_header
        self._key_header = settings.idempotency_header
        self._frames: dict[tuple[object, ...], _Frame] = {}
        # Of the last request that had headers of its own, and these in them: a token is the same for many.
        self._own: Mapping[str, str] = {}
        self._own_frames: dict[tuple[object, ...], _Frame] = {}
        # What the last request was, but for its body and its key, and what is sent before these.
        self._last: tuple[object, ...] = ()
        self._begun: tuple[str, str] | None = None

    def written(self, request: Request) -> bytes | None:
        """Return what is sent before the body; None for a request that a session must look at."""
        body, key = request.body, request.idempotency_key
        content_type = "" if body is None else request.content_type
        kind = request.method, content_type, request.verbatim, request.path, request.query, request.headers
        if kind != self._last:
            self._begun = self._begin(request, content_type)
            # Of what its author may change, a copy.
            self._last = kind if request.headers is None else (*kind[:-1], dict(request.headers))
        if self._begun is None or not key.isprintable():
            return None  # it is no request
        head, key_name = self._begun
        length_line = "" if body is None and request.method == "GET" else f"Content-Length: {len(body or b'')}\r\n"
        key_line = f"{key_name}{key}\r\n" if key_name else ""
        return f"{head}{length_line}{key_line}\r\n".encode()

    def _begin(self, request: Request, content_type: str) -> tuple[str, str] | None:
        """Write what comes before the length, and the name of the key; None for what is no request."""
        kind: tuple[object, ...] = request.method, content_type, request.verbatim
        frames = self._frames
        if own := request.headers:
            if own != self._own:
                self._own, self._own_frames = dict(own), {}
            frames = self._own_frames
        frame = frames.get(kind)
        if frame is None:
            frame = frames[kind] = self._with_own(kind, request) if own else self._frame(request)
        path, query = request.path, request.query
        if self._folder and path and path[0] not in "./":  # as nearly all are
            target = f"{self._folder}{path}?{query}" if query else self._folder + path
        else:
            target = self._address.target(path, query)
        if "#" in target or not target.isprintable():
            return None
        return f"{frame.start}{target}{frame.headers}", frame.key

    def _with_own(self, kind: tuple[object, ...], request: Request) -> _Frame:
        """Write a request's own headers into the frame of all that have some of these names."""
        own = request.headers or {}
        kind += tuple(own)
        frame = self._frames.get(kind)
        if frame is None:
            frame = self._frames[kind] = self._frame(request)
        return _Frame(frame.start, frame.headers + _lines(own), frame.key)

    def _frame(self, request: Request) -> _Frame:
        """Write down what all requests of this kind have in common."""
        headers = CIMultiDict({"Host": self._host, "Accept": "*/*", "User-Agent": USER_AGENT})
        headers.update(self.headers_of(request))
        own = CIMultiDict(request.headers or {})
        for name in filter(None, (self._key_header, *own)):
            headers.popall(name, None)
        check_headers(headers, "the headers")
        key = f"{self._key_header}: " if self._key_header and self._key_header not in own else ""
        return _Frame(f"{request.method} ", f" HTTP/1.1\r\n{_lines(headers)}", key)

    def headers_of(self, request: Request) -> CIMultiDict[str]:
        """Return all headers of a request that are the caller's to say."""
        headers = self.headers.copy()
        if request.body is not None:
            if request.verbatim:
                headers["Content-Type"] = request.content_type
            headers.setdefault("Content-Type", request.content_type)
        headers.setdefault("Accept-Encoding", ACCEPTED)
        if self._key_header:
            headers[self._key_header] = request.idempotency_key
        headers.update(request.headers or {})
        return headers


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
