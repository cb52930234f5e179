"""RestClient.send(Request) -> Response: the only file that talks aiohttp."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from airflow_async_rest.core.errors import ResponseTooLargeError
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.send_errors import send_error
from airflow_async_rest.core.settings import ClientSettings, check_proxy
from airflow_async_rest.core.tls import tls_context

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


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
        self._proxy = settings.proxy or (_proxy_of_environment(settings.base_url) if settings.trust_env else None)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        settings = self._settings
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=tls_context(settings)),
            # No sum of waiting and sending: the connector has a socket for every worker, so that
            # the request's time starts when it is really being sent.
            timeout=aiohttp.ClientTimeout(
                total=settings.request_timeout_seconds, sock_connect=settings.connect_timeout_seconds
            ),
            headers=settings.headers,
            # unsafe: of a host that is an IP address, too
            cookie_jar=aiohttp.CookieJar(unsafe=True) if settings.cookies else aiohttp.DummyCookieJar(),
            proxy=self._proxy,
            # The environment is looked at once, before. aiohttp would read ~/.netrc for every request, and refuse
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
            sent.setdefault("Content-Type", request.content_type)
        if self._settings.idempotency_header:
            sent[self._settings.idempotency_header] = request.idempotency_key
        url = self._url(request)
        started = time.perf_counter()
        with self._translated_errors():
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

    async def read_certificate(self) -> bytes | None:
        """Give the certificate of a server that is not trusted, as DER: no request is sent to it.

        :return: None where it cannot be had.
        """
        if self._session is None:
            raise RuntimeError("RestClient is used outside its 'async with' block")
        try:
            async with self._session.request("GET", self._base, ssl=_CertificateReader(), allow_redirects=False):
                return None
        except aiohttp.ServerFingerprintMismatch as read:
            return read.got
        except (aiohttp.ClientError, OSError, ValueError):
            return None

    def _url(self, request: Request) -> URL:
        # Building a URL costs about 5 us; where the endpoint has no placeholder it is always the same one.
        place = (request.path, request.query)
        url = self._urls.get(place)
        if url is None:
            url = URL(self._base + request.path + ("?" + request.query if request.query else ""), encoded=True)
            if not self._urls:
                self._urls[place] = url
        return url

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Turn what aiohttp and the sockets raise into this package's errors, once, at the edge."""
        try:
            yield
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise send_error(error, self._settings, self._proxy) from error


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


def _proxy_of_environment(base_url: str) -> str | None:
    parts = urlsplit(base_url)
    proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
    if not proxy or not proxy.startswith(("http://", "https://")):
        return None
    check_proxy(proxy, f"the environment's {parts.scheme.upper()}_PROXY")
    return proxy


def _redirect_target(url: URL, response: Response) -> URL | None:
    location = response.headers.get("Location")
    if response.status not in _REDIRECTS or not location:
        return None
    target = url.join(URL(location))
    return target if (target.scheme, target.host, target.port) == (url.scheme, url.host, url.port) else None
