"""The fields of a connection -> what gets its tokens: its endpoint, or what its tasks share in a store."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from airflow_async_rest.compat import names
from airflow_async_rest.connections.auth_types import REFRESH_TOKEN
from airflow_async_rest.connections.connection import RestConnection
from airflow_async_rest.connections.extra import parsed
from airflow_async_rest.connections.limits.store import store_address, store_id
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.signing.oauth2 import TokenEndpoint, TokenSource
from airflow_async_rest.core.signing.shared_tokens import SharedTokens, Sharing
from airflow_async_rest.core.stores.postgres_tokens import PostgresTokens
from airflow_async_rest.core.stores.redis_tokens import RedisTokens
from airflow_async_rest.core.stores.tokens import TokenStore

_TOKEN_STORES: Mapping[str, Callable[..., TokenStore]] = {"redis": RedisTokens, "postgres": PostgresTokens}
# Who has other ones gets other tokens. A new secret of the client goes on with the same refresh token.
_OF_REFRESH = ("token_url", "refresh_token")
_OF_TOKEN = ("auth_type", "token_url", "scope", "audience", "client_auth", "private_key", "key_id")
_OF_TOKEN_AS_JSON = ("token_params", "jwt_claims")
_ROUNDS = 100_000  # so that nobody who sees the store finds out a short secret by trying: about 30 ms


def token_source(hook: RestConnection, endpoint: TokenEndpoint, on_secret: Callable[[str], None]) -> TokenSource:
    """Return what gets a connection's tokens: its endpoint, or what its tasks share where there is a place for it.

    :param on_secret: called with each refresh token.
    :raises ConfigurationError: when they have to share and cannot; says what to write.
    """
    refresh_token, conn_id = refresh_token_of(hook), store_id(hook)
    fernet = _fernet() if conn_id else None
    if conn_id is None or fernet is None:
        if refresh_token:
            raise _unshared(conn_id)
        return endpoint
    address = store_address(conn_id)
    sharing = Sharing(
        store=_TOKEN_STORES[address.kind](address),
        key=_key_of(hook, refresh_token, endpoint),
        asked_for=_asked_for(hook, endpoint),
        encrypt=fernet.encrypt,
        decrypt=lambda data: _decrypted(fernet.decrypt, data),
    )
    say = logging.getLogger(__name__).warning
    return SharedTokens(endpoint, sharing, refresh_token=refresh_token, on_secret=on_secret, say=say)


def _unshared(conn_id: str | None) -> ConfigurationError:
    """Say why a refresh token cannot be kept."""
    if conn_id is None:
        return ConfigurationError(
            f"auth_type={REFRESH_TOKEN!r} needs rate_limit_conn_id: a refresh token may be used up with each use, so "
            "all tasks find the next one in one place: write the id of a connection of type postgres or redis."
        )
    return ConfigurationError(
        f"auth_type={REFRESH_TOKEN!r} needs a fernet_key in [core] of airflow.cfg, the same for all workers: the "
        "next refresh token is kept encrypted."
    )


def _fernet() -> Any:
    """Return what Airflow encrypts passwords with; None where it has no key, or no valid one, or this elsewhere."""
    try:
        fernet = names.get_fernet()
    except (AttributeError, names.AirflowException):
        return None
    return fernet if fernet.is_encrypted else None


def refresh_token_of(hook: RestConnection) -> str:
    """Return the connection's own refresh token; empty where it signs in by something else.

    :raises ConfigurationError: when there is none, and should be.
    """
    if hook.auth_type() != REFRESH_TOKEN:
        return ""
    token = hook.text_option("refresh_token")
    if not token:
        raise ConfigurationError(
            f"auth_type={REFRESH_TOKEN!r} needs refresh_token: sign in once, as the API's pages say, and write the "
            "refresh token that you get."
        )
    return token


def _key_of(hook: RestConnection, refresh_token: str, endpoint: TokenEndpoint) -> str:
    """Return a hash of what tokens are given for: the same for all connections with the same credentials.

    It is made of what the endpoint is told, which has no spaces around it as a field may have. An access token may be
    bound to the client's certificate (RFC 8705); another certificate goes on with the same refresh token.
    """
    connection = hook.connection
    login, password = ((text or "").strip() for text in (connection.login, connection.password))
    fields: list[Any] = [hook.text_option(name) for name in (_OF_REFRESH if refresh_token else _OF_TOKEN)]
    if not refresh_token:
        fields += [parsed(hook.options().get(name)) for name in _OF_TOKEN_AS_JSON]
        fields.append(endpoint.settings.client_certificate)
    told = json.dumps([fields, login, None if refresh_token else password], sort_keys=True)
    return hashlib.pbkdf2_hmac("sha256", told.encode(), b"async_rest", _ROUNDS).hex()


def _asked_for(hook: RestConnection, endpoint: TokenEndpoint) -> str:
    """Return a hash of what one refresh token may be asked for: others get another access token by it."""
    further = parsed(hook.options().get("token_params")) or {}
    certificate = endpoint.settings.client_certificate
    told = json.dumps([hook.text_option("scope"), hook.text_option("audience"), further, certificate], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _decrypted(decrypt: Callable[[bytes], bytes], data: bytes) -> bytes:
    from cryptography.fernet import InvalidToken  # noqa: PLC0415  (when it is used)

    try:
        return decrypt(data)
    except InvalidToken as error:
        raise ValueError from error
