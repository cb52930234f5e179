"""The fields of a connection -> what signs its requests, where they are not all signed with the same header."""

import inspect
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

from airflow_async_rest.compat.secrets_masker import mask_in_logs
from airflow_async_rest.connections.auth_types import OWN_AUTH, REFRESH_TOKEN, TOKENS
from airflow_async_rest.connections.connection import RestConnection, find_connection, proxy_for
from airflow_async_rest.connections.extra import parsed
from airflow_async_rest.connections.secrets import secrets_in_parameters, secrets_in_query
from airflow_async_rest.connections.shared_tokens import token_source
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.sending.auth import Auth
from airflow_async_rest.core.signing.assertion import LONGEST_SECONDS, Assertion, PrivateKey
from airflow_async_rest.core.signing.bearer import Bearer
from airflow_async_rest.core.signing.hmac_signature import Hmac, HmacFields
from airflow_async_rest.core.signing.oauth2 import CLIENT_AUTHS, Client, TokenEndpoint, token_settings
from airflow_async_rest.core.signing.sigv4 import SigV4

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"  # RFC 7523, section 2.1
_OF_GRANT = ("grant_type", "assertion", "client_secret", "refresh_token")
_NEEDS_LOGIN = (
    "it does not take the refresh token: it has ended, was taken back or used elsewhere, or a task was killed between "
    "the endpoint's answer and keeping the next one: sign in again, and write the new refresh token into refresh_token"
)
_OF_SCOPE = re.compile(r"[a-z0-9-]+")
_EXAMPLE_OF_PARAMS = '{"resource": "https://api.example.com"}'


def signer_of(hook: RestConnection, settings: ClientSettings, headers: Mapping[str, str]) -> Auth | None:
    """Return what signs each request; None where the connection's headers, or its query, say all.

    :param settings: of the job.
    :param headers: that all of its requests have.
    :raises ConfigurationError: when a field is wrong; names it.
    """
    kind = hook.auth_type()
    try:
        match kind:
            case _ if kind in TOKENS:
                return Bearer(token_source(hook, token_endpoint(hook, settings), _mask), on_token=_mask)
            case "hmac":
                return _hmac(hook, settings, headers)
            case "aws_sigv4":
                return _sigv4(hook, settings, headers)
            case _:
                return _own(hook, settings) if kind == OWN_AUTH else None
    except ConfigurationError as error:
        prefix = f"connection {hook.http_conn_id!r}: "
        text = str(error)
        raise ConfigurationError(text if text.startswith(prefix) else f"{prefix}{text}") from None


def token_endpoint(hook: RestConnection, settings: ClientSettings) -> TokenEndpoint:
    """Return what gets tokens for a connection whose requests have a token.

    :raises ConfigurationError: when a field is wrong; names it.
    """
    options, login = hook.options(), (hook.connection.login or "").strip()
    url = hook.text_option("token_url")
    if not url:
        raise ConfigurationError(
            f"auth_type={hook.auth_type()!r} needs token_url: write the URL that gives tokens, such as "
            "https://login.example.com/oauth2/token."
        )
    further = _token_params(hook.auth_type(), options)
    settings = replace(
        settings,
        secrets=settings.secrets | secrets_in_parameters(further) | secrets_in_query(url),
        proxy=proxy_for(url, options.get("proxy")),
    )
    asked = {"scope": hook.text_option("scope"), "audience": hook.text_option("audience")}
    if hook.auth_type() == "oauth2_jwt":
        assertion = _assertion(hook, login, url)
        grant = lambda: {"grant_type": _JWT_BEARER, "assertion": assertion.make(), "scope": asked["scope"], **further}  # noqa: E731
        return TokenEndpoint(settings=token_settings(settings, url, Client("")), grant=grant, hidden=("assertion",))
    client = _client(hook, login)
    refreshes = hook.auth_type() == REFRESH_TOKEN
    grant_type = "refresh_token" if refreshes else "client_credentials"
    parameters = {"grant_type": grant_type, **asked, **client.parameters(), **further}
    return TokenEndpoint(
        settings=token_settings(settings, url, client),
        grant=lambda: parameters,
        invalid_grant=_NEEDS_LOGIN if refreshes else "",
    )


def _token_params(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    further = _mapping(options, "token_params", _EXAMPLE_OF_PARAMS)
    said = [name for name in _OF_GRANT if (kind, name) != ("oauth2_jwt", "client_secret")]  # its password is the key
    if wrong := next((name for name in said if name in further), None):
        raise ConfigurationError(f"token_params has {wrong!r}, which auth_type and password say: leave it out.")
    return {name: _parameter(name, value) for name, value in further.items() if value is not None}


def _parameter(name: str, value: Any) -> Any:
    """Return what a parameter is in a form: several of one name are a list."""
    if isinstance(value, list) and not any(each is None or isinstance(each, list) for each in value):
        return [_parameter(name, each) for each in value]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise ConfigurationError(
        f"token_params: {name} is a {type(value).__name__}: write a text, a number, true or false, or a list of these."
    )


def _client(hook: RestConnection, login: str) -> Client:
    auth, secret = hook.text_option("client_auth") or "basic", (hook.connection.password or "").strip()
    if auth not in CLIENT_AUTHS:
        raise ConfigurationError(f"client_auth={auth!r}: write one of {', '.join(CLIENT_AUTHS)}.")
    if not login:
        raise ConfigurationError(f"auth_type={hook.auth_type()!r} takes the client id from the login: fill in Login.")
    if not secret and hook.auth_type() != REFRESH_TOKEN:  # public clients have refresh tokens, and no secret
        raise ConfigurationError(
            f"auth_type={hook.auth_type()!r} takes the client secret from the password: fill in Password."
        )
    return Client(login, secret, auth)


def _assertion(hook: RestConnection, login: str, url: str) -> Assertion:
    options = hook.options()
    claims = _mapping(options, "jwt_claims", '{"sub": "user@example.com"}')
    said = {"iss": login, "sub": login, "aud": hook.text_option("audience") or url, "scope": hook.text_option("scope")}
    claims = {name: value for name, value in {**said, **claims}.items() if value not in (None, "")}
    if "iss" not in claims:
        raise ConfigurationError(
            "auth_type='oauth2_jwt' takes who signs in (the claim iss) from the login: fill it in."
        )
    _check_claims(claims)
    return Assertion(key=PrivateKey(hook.private_key()), claims=claims, key_id=hook.text_option("key_id"))


def _check_claims(claims: Mapping[str, Any]) -> None:
    for name in ("iss", "sub", "aud"):
        value = claims.get(name, "")
        several = value if name == "aud" and isinstance(value, list) and value else [value]
        if not all(isinstance(each, str) for each in several):
            raise ConfigurationError(f"jwt_claims: {name}={value!r}: write a text.")
    if of_each := next((name for name in ("iat", "jti") if name in claims), None):
        raise ConfigurationError(f"jwt_claims has {of_each!r}, which is another one in each assertion: leave it out.")
    lifetime = claims.get("exp", 1)
    if isinstance(lifetime, bool) or not isinstance(lifetime, int) or not 1 <= lifetime <= LONGEST_SECONDS:
        raise ConfigurationError(
            f"jwt_claims: exp={lifetime!r}: write for how many seconds an assertion holds, from 1 to {LONGEST_SECONDS}."
        )


def _hmac(hook: RestConnection, settings: ClientSettings, headers: Mapping[str, str]) -> Hmac:
    key = (hook.connection.password or "").strip("\r\n")
    if not key:
        raise ConfigurationError("auth_type='hmac' takes its secret from the password: fill in Password.")
    fields = HmacFields.of(_mapping(hook.options(), "hmac", '{"headers": {"X-Signature": "{signature}"}}'))
    return Hmac(fields, key, hook.connection.login or "", settings.address, headers=headers)


def _sigv4(hook: RestConnection, settings: ClientSettings, headers: Mapping[str, str]) -> SigV4:
    service, region, conn_id = map(hook.text_option, ("aws_service", "aws_region", "aws_conn_id"))
    if not service:
        raise ConfigurationError(
            "auth_type='aws_sigv4' needs aws_service: write the service's name in signatures, such as execute-api, es, "
            "aoss or lambda."
        )
    if not region:
        raise ConfigurationError("auth_type='aws_sigv4' needs aws_region: write the API's region, such as eu-west-1.")
    for name, value, example in (("aws_service", service, "execute-api"), ("aws_region", region, "eu-west-1")):
        if not _OF_SCOPE.fullmatch(value):
            raise ConfigurationError(f"{name}={value!r}: write it as it stands in signatures, such as {example}.")
    find = _credentials_of_airflow(conn_id, region) if conn_id else _credentials_of_machine
    return SigV4(region=region, service=service, find_credentials=find, address=settings.address, headers=headers)


def _credentials_of_airflow(conn_id: str, region: str) -> Callable[[], Any]:
    if (kind := find_connection("aws_conn_id", conn_id).conn_type) != "aws":  # the provider would take the machine's
        raise ConfigurationError(f"aws_conn_id={conn_id!r} is a connection of type {kind!r}: use one of type 'aws'.")
    try:
        hooks = import_module("airflow.providers.amazon.aws.hooks.base_aws")
    except ImportError:
        raise ConfigurationError(
            f"aws_conn_id={conn_id!r} needs apache-airflow-providers-amazon: install it, or leave aws_conn_id out and "
            "use the credentials of the machine."
        ) from None
    # Made here: a connection is asked for before the event loop runs.
    hook = hooks.AwsGenericHook(aws_conn_id=conn_id, client_type="sts")
    _ = hook.conn_config

    return lambda: hook.get_session(region_name=region).get_credentials()


def _credentials_of_machine() -> Any:
    session: Any = import_module("botocore.session").Session()
    return session.get_credentials()


def _own(hook: RestConnection, settings: ClientSettings) -> Auth:
    """Make the author's own class. :raises ConfigurationError: when it cannot be one; says why."""
    options, name = hook.options(), hook.text_option("auth")
    module, colon, attribute = name.partition(":")
    advice = "write module:Class, such as my_company.signing:Kerberos, of a module that the workers can import"
    if not (colon and attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise ConfigurationError(f"auth={name!r}: {advice}.")
    try:
        made_of = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"auth={name!r} cannot be imported ({error}): {advice}.") from error
    is_class = inspect.isclass(made_of)
    missing = [each for each in ("sign", "refused") if not inspect.iscoroutinefunction(getattr(made_of, each, None))]
    if not is_class or missing:  # before it is called: it may be anything
        raise ConfigurationError(
            f"auth={name!r} is no class with 'async def {(missing or ['sign'])[0]}': write the functions of "
            "airflow_async_rest.Auth."
        )
    parameters = _mapping(options, "auth_params", '{"realm": "EXAMPLE.COM"}')
    redact = replace(settings, secrets=settings.secrets | secrets_in_parameters(parameters)).redact
    try:
        auth: Auth = made_of(hook.connection, **parameters)
    except (TypeError, ValueError, LookupError, AttributeError) as error:  # others may pass by themselves
        raise ConfigurationError(
            f"auth={name!r} cannot be made ({redact(str(error))}): it is called with the connection, and with "
            "auth_params by their names: check both."
        ) from None
    return auth


def _mapping(options: Mapping[str, Any], name: str, example: str) -> Mapping[str, Any]:
    value = parsed(options.get(name, {}))
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is a {type(value).__name__}: write a JSON object such as {example}.")
    return value


def _mask(token: str) -> None:
    """Have Airflow mask a token: on a thread of its own, for Airflow tells its supervisor, and may wait for that."""
    threading.Thread(target=mask_in_logs, args=([token],), name="async-rest-mask", daemon=True).start()
