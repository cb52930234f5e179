"""What goes wrong on the way -> this package's errors."""

import errno
import re
import ssl
from http import HTTPStatus

from airflow_async_rest.core.errors import (
    AnswerUnreadableError,
    ConnectionFailedError,
    ProxyCredentialsError,
    RequestTimeoutError,
    SendError,
    TlsError,
)
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.tls import tls_error

_TLS_ALERT = re.compile(r"\\+x15\\+x03")  # of a server that speaks TLS only
_REFUSED = f"[Errno {errno.ECONNREFUSED}]"  # of one address of several, of which aiohappyeyeballs tells in a text
_USER_IN_URL = re.compile(r"//[^/\s]*@")


def send_error(error: BaseException) -> SendError:
    """Say what one attempt failed of, and its cause: what was raised, by a socket or before there was one."""
    if isinstance(error, SendError):
        return error
    if (tls := tls_part(error)) is not None:
        return tls_error(tls)
    if isinstance(error, ConnectionError):
        return broken_off(said_by(error))
    return ConnectionFailedError(f"{type(error).__name__}: {said_by(error)}")


def tls_part(error: BaseException) -> ssl.SSLError | None:
    """Return the error of TLS that is behind another one; None where there is none."""
    # An alert may also come with the first read: in TLS 1.3 the client's handshake is over before the server's.
    parts = (getattr(error, "os_error", None), error.__cause__, error)
    return next((part for part in parts if isinstance(part, ssl.SSLError)), None)


def said_by(error: BaseException) -> str:
    """Return an error's text in one line, without who asks a proxy."""
    return " ".join(_USER_IN_URL.sub("//***@", str(error)).split())


def proxy_credentials_error() -> ProxyCredentialsError:
    """Return the error of a proxy that answers 407, to a request or to the wish for a tunnel."""
    status = HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
    return ProxyCredentialsError(f"the proxy answers {status} {status.phrase}", "proxy_credentials")


def is_handshake(failure: SendError) -> bool:
    """Return whether the two have not come to an understanding by TLS, so that no request was read."""
    return isinstance(failure, TlsError) and failure.cause != "tls"  # other alerts come at any time


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
