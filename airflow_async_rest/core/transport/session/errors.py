"""What aiohttp raises -> this package's errors."""

import re
from http import HTTPStatus

import aiohttp

from airflow_async_rest.core.errors import ConnectionFailedError, RequestTimeoutError, SendError
from airflow_async_rest.core.redaction import Redaction
from airflow_async_rest.core.requests.proxies import Proxy
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.send_errors import (
    broken_off,
    connect_timeout,
    no_answer,
    no_connection,
    no_http,
    proxy_credentials_error,
    request_timeout,
    said_by,
    send_error,
    tls_part,
    unreadable,
)
from airflow_async_rest.core.transport.tls import tls_error

# As aiohttp quotes what it cannot read; the words after "Bad status line" are all that it says before 3.14.
_NO_STATUS_LINE = re.compile(r"""(?:Bad status line|Expected HTTP/).*? b(['"])(.*?)\1""")
# It does not say how long a handshake may take: the event loop does, and then ends it with an error of its own.
_LATE_HANDSHAKE = re.compile(r"SSL handshake is taking longer than ([\d.]+) seconds")
_WITHOUT_CONNECTION = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)


def session_error(
    error: BaseException, settings: ClientSettings, proxy: Proxy | None, *, answered: bool = False
) -> SendError:
    """Say what one attempt failed of, and its cause.

    :param error: what was raised.
    :param proxy: that requests go through.
    :param answered: whether the status of an answer has come.
    """
    if isinstance(error, TimeoutError):
        is_connecting = isinstance(error, aiohttp.ConnectionTimeoutError)
        return connect_timeout(settings) if is_connecting else request_timeout(settings)
    if answered and (detail := _unreadable(error, settings.redaction)):
        return unreadable(detail)
    if (tls := tls_part(error)) is not None:
        return tls_error(tls)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _proxy_error(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _connector_error(error, proxy)
    return _broken_answer(error)


def had_connection(error: BaseException) -> bool:
    """Return whether there was a connection to the API before the error, so that it may have got something."""
    return not isinstance(error, _WITHOUT_CONNECTION)


def _proxy_error(error: aiohttp.ClientHttpProxyError) -> SendError:
    if error.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return proxy_credentials_error()
    return ConnectionFailedError(f"the proxy answers {error.status} {error.message}", "proxy")


def _connector_error(error: aiohttp.ClientConnectorError, proxy: Proxy | None) -> SendError:
    reason = error.os_error
    if late := _LATE_HANDSHAKE.match(str(reason)):
        seconds, bound = float(late[1]), "the event loop's own time for a TLS handshake"
        return RequestTimeoutError(f"no connection within {seconds:g} s ({bound})", "connect_timeout")
    of_proxy = proxy is not None and (error.host, error.port) == (proxy.url.host, proxy.url.port)
    not_found = isinstance(error, aiohttp.ClientConnectorDNSError)
    return no_connection(reason, error.host, error.port, not_found=not_found, of_proxy=of_proxy)


def _unreadable(error: BaseException, redaction: Redaction) -> str:
    """Say what of an answer that has begun could not be read; empty when it just ended."""
    if isinstance(error, aiohttp.ClientResponseError) and not isinstance(error, aiohttp.ClientHttpProxyError):
        text = error.message
    elif isinstance(error, aiohttp.ClientPayloadError) and "not completed" not in str(error):
        text = str(error)
    else:
        return ""
    return " ".join(redaction.excerpt(text).split()) or type(error).__name__


def _broken_answer(error: BaseException) -> SendError:
    """Say what came where an answer should have, or that the connection ended first."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return no_answer()
    if isinstance(error, aiohttp.ClientPayloadError):
        return broken_off("the answer is not complete")
    if isinstance(error, aiohttp.ClientConnectionError):
        return broken_off(said_by(error))
    if found := _NO_STATUS_LINE.search(said_by(error)):
        return no_http(found[2])
    return send_error(error)
