"""RestClient.send(Request) -> Response: the only file that talks aiohttp."""

import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from airflow_async_rest.core.errors import (
    ConfigurationError,
    ConnectionFailedError,
    RequestTimeoutError,
    ResponseTooLargeError,
    TlsError,
)
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.settings import ClientSettings

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_USER_IN_URL = re.compile(r"//[^/\s]*@")


class RestClient:
    """One session of one task; an asynchronous context manager, made inside the running event loop.

    :param connections: sockets open at most.
    """

    def __init__(self, settings: ClientSettings, connections: int) -> None:
        self._settings = settings
        self._base = str(URL(settings.base_url)).rstrip("/") + "/"
        self._has_content_type = "content-type" in {name.lower() for name in settings.headers}
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
            # unsafe: of a host that is an IP address, too
            cookie_jar=aiohttp.CookieJar(unsafe=True) if settings.cookies else aiohttp.DummyCookieJar(),
            proxy=settings.proxy or (_proxy_of_environment(settings.base_url) if settings.trust_env else None),
            # The environment is looked at once, above. aiohttp would read ~/.netrc for every request, and refuse
            # to send one when the file knows the host and the connection has credentials too.
            trust_env=False,
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

        :param headers: of this job, added to the connection's; where both name one, the job's is sent.
        :raises SendError: when there is no complete answer.
        """
        sent = CIMultiDict(headers or {})
        if request.body is not None and not self._has_content_type:
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

    async def _send_once(self, request: Request, url: URL, headers: Mapping[str, str], started: float) -> Response:
        if self._session is None:
            raise RuntimeError("RestClient is used outside its 'async with' block")
        async with self._session.request(
            request.method, url, data=request.body, headers=headers, allow_redirects=False
        ) as answer:
            body = await self._read(answer)
            return Response(answer.status, answer.headers, body, time.perf_counter() - started)

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        bound = self._settings.max_response_bytes
        # The length of a compressed answer says nothing about how long it gets.
        compressed = "Content-Encoding" in answer.headers
        if not compressed and answer.content_length is not None and answer.content_length <= bound:
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


def _proxy_of_environment(base_url: str) -> str | None:
    parts = urlsplit(base_url)
    proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
    return proxy if proxy and urlsplit(proxy).scheme in {"http", "https"} else None


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
        text = _USER_IN_URL.sub("//***@", str(error))  # of a proxy
        raise ConnectionFailedError(f"{type(error).__name__}: {text}") from error
