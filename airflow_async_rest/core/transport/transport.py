"""The seam to the network: what sends a request, whatever is below it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.requests.settings import ClientSettings


class Transport(Protocol):
    """Sends requests, any number at a time, each of them once: limits, signatures and retries are the caller's."""

    async def send(self, request: Request) -> Response:
        """Send one request and read its answer.

        :return: the answer; when nothing but its status could be read, it says why in ``broken``.
        :raises SendError: when there is no answer; ``sent`` says whether the API may have got the request.
        """


# Settings, connections at most, and the job's headers -> the transport of one run; opened inside its event loop.
OpenTransport = Callable[[ClientSettings, int, Mapping[str, str] | None], AbstractAsyncContextManager[Transport]]
