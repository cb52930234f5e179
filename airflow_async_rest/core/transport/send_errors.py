"""What aiohttp and the sockets raise -> this package's errors."""

import asyncio
import re
import ssl
from http import HTTPStatus

import aiohttp

from airflow_async_rest.core.errors import (
    AnswerUnreadableError,
    ConnectionFailedError,
    ProxyCredentialsError,
    RequestTimeoutError,
    SendError,
    TlsError,
)
from airflow_async_rest.core.redaction import Redaction
from airflow_async_rest.core.requests.proxies import Proxy
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.tls import tls_error

# As aiohttp quotes what it cannot read; the words after "Bad status line" are all that it says before 3.14.
_NO_STATUS_LINE = re.compile(r"""(?:Bad status line|Expected HTTP/).*? b(['"])(.*?)\1""")
_TLS_ALERT = re.compile(r"\\+x15\\+x03")  # of a server that speaks TLS only
_USER_IN_URL = re.compile(r"//[^/\s]*@")


def send_error(
    error: BaseException, settings: ClientSettings, proxy: Proxy | None, *, answered: bool = False
) -> SendError:
    """Say what one attempt failed of, and its cause.

    :param error: what was raised; of a request that took too long, that it was cancelled.
    :param proxy: that requests go through.
    :param answered: whether the status of an answer has come.
    """
    if isinstance(error, SendError):
        return error
    if isinstance(error, TimeoutError | asyncio.CancelledError):
        return _timeout(error, settings)
    if answered and (detail := _unreadable(error, settings.redaction)):
        return AnswerUnreadableError(f"the answer cannot be read: {detail}")
    if (tls := _tls_part(error)) is not None:
        return tls_error(tls)
    return _connection_error(error, proxy)


def _connection_error(error: BaseException, proxy: Proxy | None) -> SendError:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        if error.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return proxy_credentials_error()
        return ConnectionFailedError(f"the proxy answers {error.status} {error.message}", "proxy")
    if isinstance(error, aiohttp.ClientConnectorError):
        return _no_connection(error, proxy)
    return _broken_answer(error)


def proxy_credentials_error() -> ProxyCredentialsError:
    """Return the error of a proxy that answers 407, to a request or to the wish for a tunnel."""
    status = HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
    return ProxyCredentialsError(f"the proxy answers {status} {status.phrase}", "proxy_credentials")


def was_sent(error: BaseException, failure: SendError) -> bool:
    """Return whether the API may have got a request that ended in an error once it was on its way.

    :param failure: what :func:`send_error` made of it.
    """
    never = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
    return not isinstance(error, never) and not isinstance(failure, TlsError)


def status_seen(error: BaseException | None) -> int | None:
    """Find the status of the answer that an error has ended."""
    while error is not None:
        if (status := getattr(error, "async_rest_status", None)) is not None:
            return int(status)
        error = error.__cause__
    return None


def _unreadable(error: BaseException, redaction: Redaction) -> str:
    """Say what of an answer that has begun could not be read; empty when it just ended."""
    if isinstance(error, aiohttp.ClientResponseError) and not isinstance(error, aiohttp.ClientHttpProxyError):
        text = error.message
    elif isinstance(error, aiohttp.ClientPayloadError) and "not completed" not in str(error):
        text = str(error)
    else:
        return ""
    return " ".join(redaction.excerpt(text).split()) or type(error).__name__


def _tls_part(error: BaseException) -> ssl.SSLError | None:
    # An alert may also come with the first read: in TLS 1.3 the client's handshake is over before the server's.
    parts = (getattr(error, "os_error", None), error.__cause__, error)
    return next((part for part in parts if isinstance(part, ssl.SSLError)), None)


def _timeout(error: BaseException, settings: ClientSettings) -> RequestTimeoutError:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        seconds = settings.connect_timeout_seconds
        return RequestTimeoutError(f"no connection within {seconds:g} s (connect_timeout_seconds)", "connect_timeout")
    seconds = settings.request_timeout_seconds
    return RequestTimeoutError(f"no complete answer within {seconds:g} s (request_timeout_seconds)", "request_timeout")


def _no_connection(error: aiohttp.ClientConnectorError, proxy: Proxy | None) -> ConnectionFailedError:
    """Say why there is no connection. With a proxy it is the proxy that was not reached."""
    reason = error.os_error
    of_proxy = proxy is not None and (error.host, error.port) == (proxy.url.host, proxy.url.port)
    where = f"{'the proxy ' if of_proxy else ''}{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        text, cause = (
            f"the host name {error.host}{' of the proxy' if of_proxy else ''} is not found ({reason.strerror})",
            "name_not_found",
        )
    elif isinstance(reason, ConnectionRefusedError):
        text, cause = f"{where} refuses the connection", "refused"
    elif isinstance(reason, ConnectionError):
        text, cause = f"{where} closes the connection", "disconnected"
    else:
        text, cause = f"{where} cannot be reached ({reason.strerror or type(reason).__name__})", "unreachable"
    return ConnectionFailedError(text, "proxy" if of_proxy else cause)


def _broken_answer(error: BaseException) -> ConnectionFailedError:
    """Say what came where an answer should have, or that the connection ended first."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return ConnectionFailedError("the server closed the connection without an answer", "disconnected")
    text = " ".join(_USER_IN_URL.sub("//***@", str(error)).split())  # of a proxy
    if isinstance(error, aiohttp.ClientConnectionError | ConnectionError):
        return ConnectionFailedError(f"the connection broke off ({text})", "disconnected")
    if found := _NO_STATUS_LINE.search(text):
        cause = "only_tls" if _TLS_ALERT.match(found[2]) else "no_http"
        return ConnectionFailedError(f"what came is no HTTP: {found[2]}", cause)
    return ConnectionFailedError(f"{type(error).__name__}: {text}")
