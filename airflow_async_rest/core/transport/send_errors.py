"""What goes wrong on the way -> this package's errors: what the sockets raise, and aiohttp."""

import errno
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
_REFUSED = f"[Errno {errno.ECONNREFUSED}]"  # of one address of several, of which aiohappyeyeballs tells in a text
_USER_IN_URL = re.compile(r"//[^/\s]*@")


def send_error(
    error: BaseException, settings: ClientSettings, proxy: Proxy | None, *, answered: bool = False
) -> SendError:
    """Say what one attempt failed of, and its cause.

    :param error: what was raised.
    :param proxy: that requests go through.
    :param answered: whether the status of an answer has come.
    """
    if isinstance(error, SendError):
        return error
    if isinstance(error, TimeoutError):
        return _timeout(error, settings)
    if answered and (detail := _unreadable(error, settings.redaction)):
        return unreadable(detail)
    if (tls := _tls_part(error)) is not None:
        return tls_error(tls)
    return _connection_error(error, proxy)


def _connection_error(error: BaseException, proxy: Proxy | None) -> SendError:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        if error.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return proxy_credentials_error()
        return ConnectionFailedError(f"the proxy answers {error.status} {error.message}", "proxy")
    if isinstance(error, aiohttp.ClientConnectorError):
        of_proxy = proxy is not None and (error.host, error.port) == (proxy.url.host, proxy.url.port)
        not_found = isinstance(error, aiohttp.ClientConnectorDNSError)
        return no_connection(error.os_error, error.host, error.port, not_found=not_found, of_proxy=of_proxy)
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
    is_handshake = isinstance(failure, TlsError) and failure.cause != "tls"  # other alerts come at any time
    return not isinstance(error, never) and not is_handshake


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
        return connect_timeout(settings)
    return request_timeout(settings)


def connect_timeout(settings: ClientSettings, bound: str = "connect_timeout_seconds") -> RequestTimeoutError:
    """Return the error of a connection that is not made in time.

    :param bound: the field that says the time.
    """
    return RequestTimeoutError(f"no connection within {getattr(settings, bound):g} s ({bound})", "connect_timeout")


def request_timeout(settings: ClientSettings) -> RequestTimeoutError:
    """Return the error of an answer that is not complete in time."""
    seconds = settings.request_timeout_seconds
    return RequestTimeoutError(f"no complete answer within {seconds:g} s (request_timeout_seconds)", "request_timeout")


def no_connection(
    reason: OSError, host: str, port: int | None, *, not_found: bool, of_proxy: bool = False
) -> ConnectionFailedError:
    """Say why there is no connection.

    :param not_found: whether it is the host's name that is not found.
    :param of_proxy: whether it is one to the proxy.
    """
    where = f"{'the proxy ' if of_proxy else ''}{host}:{port}"
    if not_found:
        text, cause = (
            f"the host name {host}{' of the proxy' if of_proxy else ''} is not found ({reason.strerror})",
            "name_not_found",
        )
    elif isinstance(reason, ConnectionRefusedError) or _REFUSED in str(reason):
        text, cause = f"{where} refuses the connection", "refused"
    elif isinstance(reason, ConnectionError):
        text, cause = f"{where} closes the connection", "disconnected"
    else:
        text, cause = (
            f"{where} cannot be reached ({reason.strerror or str(reason) or type(reason).__name__})",
            "unreachable",
        )
    return ConnectionFailedError(text, "proxy" if of_proxy else cause)


def no_answer() -> ConnectionFailedError:
    """Return the error of a connection that the server closes instead of an answer."""
    return ConnectionFailedError("the server closed the connection without an answer", "disconnected")


def broken_off(how: str) -> ConnectionFailedError:
    """Return the error of a connection that ends in the middle of something."""
    return ConnectionFailedError(f"the connection broke off ({how})", "disconnected")


def no_http(shown: str) -> ConnectionFailedError:
    """Return the error of something else than an answer.

    :param shown: how it begins, as Python writes bytes.
    """
    return ConnectionFailedError(f"what came is no HTTP: {shown}", "only_tls" if _TLS_ALERT.match(shown) else "no_http")


def unreadable(how: str) -> AnswerUnreadableError:
    """Return the error of an answer that has begun, and goes on as none can."""
    return AnswerUnreadableError(f"the answer cannot be read: {how}")


def _broken_answer(error: BaseException) -> ConnectionFailedError:
    """Say what came where an answer should have, or that the connection ended first."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return no_answer()
    if isinstance(error, aiohttp.ClientPayloadError):
        return broken_off("the answer is not complete")
    text = " ".join(_USER_IN_URL.sub("//***@", str(error)).split())  # of a proxy
    if isinstance(error, aiohttp.ClientConnectionError | ConnectionError):
        return broken_off(text)
    if found := _NO_STATUS_LINE.search(text):
        return no_http(found[2])
    return ConnectionFailedError(f"{type(error).__name__}: {text}")
