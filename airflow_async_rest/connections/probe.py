"""One GET to the base URL, sent as a task would send it: what the connection test looks at."""

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import astuple, dataclass, replace

from airflow_async_rest.core.errors import ConfigurationError, RequestTimeoutError, SendError, StoppedError
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.sending.auth import Auth, sign_alone
from airflow_async_rest.core.transport.client import RestClient

_REQUEST = Request(method="GET", path="", query="", body=None, idempotency_key="connection-test")


@dataclass(frozen=True)
class Patience:
    """How long somebody who looks at the form waits: the timeouts of a task may be longer than a web server's.

    :param request_seconds: for one answer.
    :param certificate_seconds: for the certificate of a server that is not trusted.
    :param margin_seconds: for what comes on top, such as redirects.
    :param signing_seconds: for what the request is signed with, such as a token, before it is sent.
    """

    request_seconds: float = 30.0
    certificate_seconds: float = 5.0
    margin_seconds: float = 2.0
    signing_seconds: float = 15.0


@dataclass(frozen=True)
class Finding:
    """The outcome of one request.

    :param certificate: of a server that is not trusted, as DER.
    """

    outcome: Response | SendError
    certificate: bytes | None = None


def probe(settings: ClientSettings, patience: Patience = Patience(), auth: Auth | None = None) -> Finding:
    """Send one GET to the base URL; block until its answer is there, for at most 52 seconds.

    It runs on a thread and an event loop of its own, so that it may be called from a coroutine too, and ends in
    time even when a name server keeps the loop's own threads, or what signs the loop itself.

    :param auth: signs it.
    :raises ConfigurationError: when the connection's certificate files cannot be read, or what signs it is no header.
    :raises StoppedError: when there is nothing to sign it with, or not in time.
    """
    signed: Future[Request] = Future()
    found: Future[Finding] = Future()
    asking = _ask(settings, patience, auth, signed, found)
    threading.Thread(target=asyncio.run, args=(asking,), name="connection-test", daemon=True).start()
    longest = sum(astuple(patience))
    try:
        return found.result(longest)
    except TimeoutError:
        if not signed.done():
            raise _unsigned(longest) from None
        return Finding(_too_late(patience))


async def _ask(
    settings: ClientSettings,
    patience: Patience,
    auth: Auth | None,
    signed: "Future[Request]",
    found: "Future[Finding]",
) -> None:
    try:  # what it leaves on threads may run on for long: the loop's end waits for that, and nobody else
        signed.set_result(await _signed(settings, patience, auth))
        found.set_result(await _look(settings, patience, signed.result()))
    except BaseException as error:  # noqa: BLE001  (raised again where it is awaited)
        found.set_exception(error)


async def _look(settings: ClientSettings, patience: Patience, request: Request) -> Finding:
    bounded = replace(
        settings,
        connect_timeout_seconds=min(settings.connect_timeout_seconds, patience.request_seconds),
        request_timeout_seconds=min(settings.request_timeout_seconds, patience.request_seconds),
    )
    async with RestClient(bounded, 1) as client:
        try:
            async with asyncio.timeout(patience.request_seconds + patience.margin_seconds):  # of all redirects together
                return Finding(await client.send(request))
        except TimeoutError:
            return Finding(_too_late(patience))
        except SendError as error:
            return Finding(error, await _certificate(client, error, patience.certificate_seconds))


async def _signed(settings: ClientSettings, patience: Patience, auth: Auth | None) -> Request:
    try:
        async with asyncio.timeout(patience.signing_seconds) as limit:
            return await sign_alone(_REQUEST, auth, settings.redaction)
    except (ConfigurationError, StoppedError):
        raise
    except Exception as error:  # whose text may hold anything: only its kind is told
        if not limit.expired():
            raise StoppedError(
                f"the API was not asked, for what signs requests has ended with {type(error).__name__}: if that is a "
                "class of your own, check its function 'sign'"
            ) from error
        raise _unsigned(patience.signing_seconds) from None


def _unsigned(seconds: float) -> StoppedError:
    return StoppedError(
        f"there is nothing to sign requests with within {seconds:g} s, and the API was not asked: what auth_type or "
        "auth names is slow (the token endpoint of token_url, the credentials of AWS, the store of rate_limit_conn_id, "
        "or a class of your own)"
    )


async def _certificate(client: RestClient, error: SendError, longest_seconds: float) -> bytes | None:
    if not error.cause.startswith("certificate"):
        return None
    try:
        async with asyncio.timeout(longest_seconds):
            return await client.read_certificate()
    except TimeoutError:
        return None


def _too_late(patience: Patience) -> RequestTimeoutError:
    return RequestTimeoutError(f"no complete answer within {patience.request_seconds:g} s", "request_timeout")
