"""The seam to the network: what sends a request, whatever is below it; and what the ways to send have in common."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from typing import Protocol

from multidict import CIMultiDict, CIMultiDictProxy, istr

from airflow_async_rest import __version__
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.requests.headers import joined
from airflow_async_rest.core.requests.settings import ClientSettings

USER_AGENT = f"airflow-async-rest/{__version__}"
WITHOUT_BODY = frozenset({204, 304})


class Transport(Protocol):
    """Sends requests, any number at a time, each of them once: limits, signatures and retries are the caller's.

    :ivar before_redirect: awaited before each request that a redirect leads to: for whoever limits requests it is one
        more.
    """

    before_redirect: Callable[[], Awaitable[None]] | None

    async def send(self, request: Request) -> Response:
        """Send one request and read its answer.

        :return: the answer; when nothing but its status could be read, it says why in ``broken``.
        :raises SendError: when there is no answer; ``sent`` says whether the API may have got the request.
        """


# Settings, connections at most, and the job's headers -> the transport of one run; opened inside its event loop.
OpenTransport = Callable[[ClientSettings, int, Mapping[str, str] | None], AbstractAsyncContextManager[Transport]]


def headers_of(lines: list[tuple[bytes, bytes]]) -> CIMultiDictProxy[str]:
    """Make the headers of an answer, which nobody can change: other answers may have the same.

    It takes a tenth of all that a request takes.

    :param lines: name and value of each, as they came.
    """
    return CIMultiDictProxy(
        CIMultiDict([(_name(name), value.decode("utf-8", "surrogateescape")) for name, value in lines])
    )


@lru_cache(maxsize=256)  # an API has few
def _name(name: bytes) -> istr:
    return istr(name.decode("utf-8", "surrogateescape"))


def has_no_end(status: int, headers: Mapping[str, str]) -> bool:
    """Return whether an answer does not say where its body ends, so that only the end of its connection does."""
    return (
        status not in WITHOUT_BODY
        and "Content-Length" not in headers
        and joined(headers, "Transfer-Encoding").rpartition(",")[2].strip().lower() != "chunked"
    )


def announces_body(headers: Mapping[str, str]) -> bool:
    """Return whether an answer that has no body says that one follows, which may come before the next answer."""
    return headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers
