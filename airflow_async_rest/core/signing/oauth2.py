"""Tokens from an OAuth2 token endpoint: asked for with what a client has, a few times where it may help."""

import asyncio
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import quote_plus, urlencode, urlsplit

from airflow_async_rest.core.errors import (
    ConfigurationError,
    CredentialsError,
    ProxyCredentialsError,
    SendError,
    StoppedError,
)
from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.verdict import pause_of
from airflow_async_rest.core.signing.token import NoToken, Token, parse_token
from airflow_async_rest.core.transport.client import RestClient
from airflow_async_rest.core.transport.transport import OpenTransport

CLIENT_AUTHS = ("basic", "body")
_FORM = "application/x-www-form-urlencoded"
# A worker waits for it, and all others for that one: in all about 15 s where nothing answers well.
_RETRY = RequestRetry(max_attempts=4, backoff_base_seconds=1.0, max_retry_after_seconds=30.0)

Grant = Callable[[], Mapping[str, Any]]


class TokenSource(Protocol):
    """Where tokens come from."""

    async def fetch(self) -> Token:
        """Get a new token.

        :raises CredentialsError: when it is refused, and would be again.
        :raises StoppedError: when there is none for now.
        """


@dataclass(frozen=True)
class Client:
    """Who asks for a token (RFC 6749, section 2.3).

    :param name: the client id.
    :param auth: ``basic`` or ``body``: where id and secret stand; a client without a secret has its id in the body.
    """

    name: str
    secret: str = field(default="", repr=False)
    auth: str = "basic"

    def headers(self) -> dict[str, str]:
        """Return what proves who asks, where that is a header: both parts are encoded, as the standard has it."""
        if not self.secret or self.auth != "basic":
            return {}
        pair = f"{quote_plus(self.name)}:{quote_plus(self.secret)}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}

    def parameters(self) -> dict[str, str]:
        """Return what proves it in the body."""
        if self.headers() or not self.name:
            return {}
        return {"client_id": self.name, **({"client_secret": self.secret} if self.secret else {})}


def token_settings(settings: ClientSettings, token_url: str, client: Client) -> ClientSettings:
    """Return how a token endpoint is reached: as the API is, and with nothing of what it gets.

    :raises ConfigurationError: when the URL cannot be used; names the field.
    """
    basic = client.headers().get("Authorization", "").removeprefix("Basic ")
    secrets = {client.secret, quote_plus(client.secret), basic} - {""}
    try:
        return replace(
            settings,
            base_url=token_url,
            headers={"Accept": "application/json", **client.headers()},
            query_key=None,
            idempotency_header=None,
            cookies=False,
            secrets=settings.secrets | secrets,
        )
    except ConfigurationError:  # names other fields
        raise ConfigurationError(
            "the connection's token_url cannot be read: write the whole URL, such as https://login.example.com/token."
        ) from None


@dataclass(frozen=True, kw_only=True)
class TokenEndpoint:
    """Gets tokens from a token endpoint.

    :param settings: how it is reached; see :func:`token_settings`.
    :param grant: makes the parameters of a request, new ones each time: an assertion has a time in it.
    :param hidden: names of those that are secret.
    :param invalid_grant: what it means that it answers so; empty for an assertion.
    """

    settings: ClientSettings
    grant: Grant
    hidden: tuple[str, ...] = ()
    invalid_grant: str = ""
    transport: OpenTransport = RestClient
    retry: RequestRetry = _RETRY
    clock: Callable[[], float] = time.monotonic

    async def fetch(self) -> Token:
        """Get a new token; see :class:`TokenSource`."""
        async with self.transport(self.settings, 1, None) as transport:
            for attempt in range(1, self.retry.max_attempts + 1):
                asked_at = self.clock()
                try:
                    response = await transport.send(self._request())
                except SendError as error:
                    why, pause = self._no_answer(error), None
                else:
                    found = parse_token(response, asked_at, invalid_grant=self.invalid_grant)
                    if isinstance(found, Token):
                        return found
                    why, pause = found, self._pause(response)
                if why.is_for_good:
                    raise CredentialsError(f"the token endpoint of {self._host} gives no token: {why.text}")
                if attempt < self.retry.max_attempts:
                    await asyncio.sleep(pause or self.retry.backoff_seconds(attempt))
        asked = f"asked {self.retry.max_attempts} times"
        raise StoppedError(f"the token endpoint of {self._host} gives no token for now, {asked}: {why.text}")

    @property
    def _host(self) -> str:
        """Where it is, for people to read; Airflow masks the whole URL, for the field's name sounds like a secret."""
        return urlsplit(self.settings.base_url).netloc

    def _request(self) -> Request:
        parameters = self.grant()
        for name in self.hidden:
            self.settings.redaction.learn([str(parameters[name])])
        body = urlencode({name: value for name, value in parameters.items() if value not in (None, "")}, doseq=True)
        return Request("POST", "", "", body.encode(), "", content_type=_FORM, verbatim=True)

    def _no_answer(self, error: SendError) -> NoToken:
        is_for_good = isinstance(error, ProxyCredentialsError)
        return NoToken(self.settings.redact(f"{error.reason}: {error}"), is_for_good)

    def _pause(self, response: Response) -> float | None:
        return min(pause_of(response) or 0.0, self.retry.max_retry_after_seconds)
