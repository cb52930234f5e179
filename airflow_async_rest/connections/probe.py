"""One GET to the base URL, sent as a task would send it: what the connection test looks at."""

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace

from airflow_async_rest.core.errors import RequestTimeoutError, SendError
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.client import RestClient

# A person waits for this test, and a web server: a task's own timeouts may be longer than they wait.
LONGEST_SECONDS = 30.0
_CERTIFICATE_SECONDS = 5.0
_MARGIN_SECONDS = 2.0
_REQUEST = Request(method="GET", path="", query="", body=None, idempotency_key="connection-test")


@dataclass(frozen=True)
class Finding:
    """The outcome of one request.

    :param certificate: of a server that is not trusted, as DER.
    """

    outcome: Response | SendError
    certificate: bytes | None = None


def probe(settings: ClientSettings) -> Finding:
    """Send one GET to the base URL; block until its answer is there, for at most about 40 seconds.

    It runs on a thread and an event loop of its own, so that it may be called from a coroutine too, and ends in
    time even when a name server keeps the loop's own threads.

    :raises ConfigurationError: when the connection's certificate files cannot be read.
    """
    found: Future[Finding] = Future()
    threading.Thread(target=_run, args=(settings, found), name="connection-test", daemon=True).start()
    try:
        return found.result(LONGEST_SECONDS + _CERTIFICATE_SECONDS + _MARGIN_SECONDS)
    except TimeoutError:
        return Finding(_too_late())


def _run(settings: ClientSettings, found: "Future[Finding]") -> None:
    async def main() -> None:
        found.set_result(await _look(settings))

    try:
        asyncio.run(main())
    except BaseException as error:  # noqa: BLE001  (raised again where it is awaited)
        if not found.done():
            found.set_exception(error)


async def _look(settings: ClientSettings) -> Finding:
    bounded = replace(
        settings,
        connect_timeout_seconds=min(settings.connect_timeout_seconds, LONGEST_SECONDS),
        request_timeout_seconds=min(settings.request_timeout_seconds, LONGEST_SECONDS),
    )
    async with RestClient(bounded, 1) as client:
        try:
            async with asyncio.timeout(LONGEST_SECONDS + _MARGIN_SECONDS):  # of all redirects together
                return Finding(await client.send(_REQUEST))
        except TimeoutError:
            return Finding(_too_late())
        except SendError as error:
            return Finding(error, await _certificate(client, error))


async def _certificate(client: RestClient, error: SendError) -> bytes | None:
    if not error.cause.startswith("certificate"):
        return None
    try:
        async with asyncio.timeout(_CERTIFICATE_SECONDS):
            return await client.read_certificate()
    except TimeoutError:
        return None


def _too_late() -> RequestTimeoutError:
    return RequestTimeoutError(f"no complete answer within {LONGEST_SECONDS:g} s", "request_timeout")
