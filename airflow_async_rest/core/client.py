"""RestClient.send(Request) -> Response: the only file that talks aiohttp."""

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from airflow_async_rest.core.errors import (
    ConfigurationError,
    ConnectionFailedError,
    RequestTimeoutError,
    ResponseTooLargeError,
    TlsError,
)
from airflow_async_rest.core.models import Request, Response

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True)
class ClientSettings:
    """Where and how to connect. Everything secret is also in ``secrets``, so that :meth:`redact` finds it.

    :param base_url: ``https://host:port/path``, without user name and password.
    :param headers: sent with every request, authentication included.
    :param idempotency_header: name of the header for the request's key; None sends none.
    :param verify: True, False (do not check the server's certificate), or the path of a CA file.
    :param client_certificate: (certificate file, key file or None).
    :param trust_env: take the proxy from ``HTTP_PROXY``, ``HTTPS_PROXY``, ``NO_PROXY`` and ``~/.netrc``.
    :param max_response_bytes: the largest answer to read.
    """

    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    idempotency_header: str | None = "Idempotency-Key"
    connect_timeout_seconds: float = 10.0
    request_timeout_seconds: float = 60.0
    verify: bool | str = True
    client_certificate: tuple[str, str | None] | None = None
    trust_env: bool = True
    proxy: str | None = None
    cookies: bool = False
    max_response_bytes: int = 10_000_000
    secrets: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(
                f"the connection's base URL is {self.base_url!r}: fill in Host, and http or https as Schema."
            )

    def redact(self, text: str) -> str:
        """Take the connection's secrets out of a text (an API may echo them)."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


class RestClient:
    """One session of one task; an asynchronous context manager, made inside the running event loop.

    :param connections: sockets open at most.
    """

    def __init__(self, settings: ClientSettings, connections: int) -> None:
        self._settings = settings
        self._base = settings.base_url.rstrip("/") + "/"
        self._urls: dict[tuple[str, str], URL] = {}
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        settings = self._settings
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=_tls(settings)),
            # No sum of waiting and sending: the connector has a socket for every worker, so that
            # the request's time starts when it is really being sent.
            timeout=aiohttp.ClientTimeout(
                total=settings.request_timeout_seconds, sock_connect=settings.connect_timeout_seconds
            ),
            headers=settings.headers,
            cookie_jar=aiohttp.CookieJar() if settings.cookies else aiohttp.DummyCookieJar(),
            trust_env=settings.trust_env and settings.proxy is None,
            proxy=settings.proxy,
            auto_decompress=True,
        )
        # aiohttp sends an idempotent request a second time by itself when a kept-alive connection turns out
        # to be closed. That request would pass the rate limiter unseen; ours repeats it, counted.
        self._session._retry_connection = False  # noqa: SLF001
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, request: Request, headers: Mapping[str, str] | None = None) -> Response:
        """Send one request and read its answer completely.

        A redirect is an answer like any other; only a GET follows it, within the same host.

        :param headers: of this job, added to the connection's.
        :raises SendError: when there is no complete answer.
        """
        sent = dict(headers or {})
        if request.body is not None:
            sent.setdefault("Content-Type", "application/json")
        if self._settings.idempotency_header:
            sent[self._settings.idempotency_header] = request.idempotency_key
        url = self._url(request)
        started = time.perf_counter()
        with _translated_errors():
            for _ in range(_MAX_REDIRECTS):
                response = await self._send_once(request, url, sent, started)
                target = _redirect_target(url, response) if request.method == "GET" else None
                if target is None:
                    break
                url = target
        return response

    async def _send_once(self, request: Request, url: URL, headers: dict[str, str], started: float) -> Response:
        if self._session is None:
            raise RuntimeError("RestClient is used outside its 'async with' block")
        async with self._session.request(
            request.method, url, data=request.body, headers=headers, allow_redirects=False
        ) as answer:
            body = await self._read(answer)
            return Response(answer.status, answer.headers, body, time.perf_counter() - started)

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        bound = self._settings.max_response_bytes
        if answer.content_length is not None and answer.content_length <= bound:
            return await answer.read()
        body = bytearray()
        async for piece in answer.content.iter_any():
            body += piece
            if len(body) > bound:
                answer.close()
                raise ResponseTooLargeError(f"the answer has more than {bound} bytes")
        return bytes(body)

    def _url(self, request: Request) -> URL:
        # Building a URL costs about 5 us; where the endpoint has no placeholder it is always the same one.
        place = (request.path, request.query)
        url = self._urls.get(place)
        if url is None:
            url = URL(self._base + request.path + ("?" + request.query if request.query else ""), encoded=True)
            if not self._urls:
                self._urls[place] = url
        return url


def _tls(settings: ClientSettings) -> ssl.SSLContext | bool:
    if settings.verify is True and settings.client_certificate is None:
        return True
    try:
        context = ssl.create_default_context(cafile=settings.verify if isinstance(settings.verify, str) else None)
        if settings.verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if settings.client_certificate is not None:
            context.load_cert_chain(*settings.client_certificate)
    except OSError as error:
        raise ConfigurationError(
            f"the connection's certificate files cannot be read ({error}): check the paths in its extra "
            "fields 'verify' and 'cert'."
        ) from error
    return context


def _redirect_target(url: URL, response: Response) -> URL | None:
    location = response.headers.get("Location")
    if response.status not in _REDIRECTS or not location:
        return None
    target = url.join(URL(location))
    return target if (target.scheme, target.host, target.port) == (url.scheme, url.host, url.port) else None


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Turn what aiohttp and the sockets raise into this package's errors, once, at the edge."""
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        raise TlsError(f"the server's certificate is not trusted: {error.certificate_error}") from error
    except aiohttp.ClientConnectorSSLError as error:
        raise TlsError(f"no TLS connection: {error}") from error
    except (TimeoutError, aiohttp.ServerTimeoutError) as error:
        raise RequestTimeoutError("no complete answer within the connection's timeouts") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ConnectionFailedError(f"{type(error).__name__}: {error}") from error
