"""What of a connection, and of a task's arguments, is secret, and must be in no log, report, dead letter or error."""

import os
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, unquote_to_bytes

from airflow_async_rest.compat.secrets_masker import is_name_of_secret, known_secrets, mask_in_logs
from airflow_async_rest.core.redaction import Redaction
from airflow_async_rest.core.requests.headers import CREDENTIAL_HEADER
from airflow_async_rest.core.requests.proxies import credentials_in
from airflow_async_rest.core.requests.settings import ClientSettings

# What anybody may know: masking "application/json" would blank it out of every text.
_PUBLIC_HEADERS = frozenset(
    {
        "accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection",
        "content-disposition", "content-encoding", "content-language", "content-type", "date", "expect", "host",
        "if-match", "if-modified-since", "if-none-match", "if-unmodified-since", "keep-alive", "origin",
        "pragma", "prefer", "range", "referer", "te", "user-agent", "x-http-method-override",
        "x-requested-with",
    }
)  # fmt: skip
_PUBLIC_PARAMETERS = frozenset(
    {"audience", "client_assertion_type", "realm", "requested_token_type", "resource", "scope", "subject_token_type"}
)
_CREDENTIAL = re.compile(r"key|token|secret|sig|password|auth|code", re.IGNORECASE)
# As "search-platform-v2": each of its words says something elsewhere.
_OF_WORDS = re.compile(r"(?:[A-Za-z]+\d{0,4}|\d{1,4})(?:[^A-Za-z0-9]+(?:[A-Za-z]+\d{0,4}|\d{1,4}))*[^A-Za-z0-9]*")
# Below this a "secret" such as "on" would blank out half of every text.
_SHORTEST_SECRET = 4
_SHORTEST_VALUE = 8  # of what may be no secret; shorter ones are versions and the like
_BEFORE_QUERY = re.compile(r"[^\s?]*\?")  # of an endpoint, and not of SQL
_PROXY_VARIABLES = frozenset({"http_proxy", "https_proxy", "all_proxy"})


class HeaderSecrets(NamedTuple):
    """What is secret in headers.

    :param credentials: what a header's name says it is.
    :param others: what may be one: any other value.
    :param words: of these, what is made of words, and is looked for as a whole.
    """

    credentials: frozenset[str]
    others: frozenset[str]
    words: frozenset[str]


def secrets_in_headers(headers: Mapping[str, str]) -> HeaderSecrets:
    """Find what is secret in headers: any may be, but for a few whose values anybody may know."""
    private = {name: value for name, value in headers.items() if name.lower() not in _PUBLIC_HEADERS}
    named = {name: value for name, value in private.items() if CREDENTIAL_HEADER.search(name)}
    credentials = {secret for name, value in named.items() for secret in _credentials_of(name, value)}
    others = {value for value in private.values() if len(value) >= _SHORTEST_VALUE} - credentials
    words = {value for value in others if value in named.values() or _OF_WORDS.fullmatch(value)}
    return HeaderSecrets(_long_enough(credentials), frozenset(others - words), frozenset(words))


def secrets_in_parameters(parameters: Mapping[str, Any]) -> frozenset[str]:
    """Find what is secret in parameters of signing in: any may be, but for a few whose values anybody may know."""
    texts = {
        (name, str(value))
        for name, values in parameters.items()
        if name.lower() not in _PUBLIC_PARAMETERS
        for value in (values if isinstance(values, list) else [values])
    }
    shortest = {name: _SHORTEST_SECRET if _CREDENTIAL.search(name) else _SHORTEST_VALUE for name in parameters}
    return frozenset(text for name, text in texts if len(text) >= shortest[name] and text not in {"true", "false"})


def _credentials_of(name: str, value: str) -> Iterator[str]:
    """Yield the credentials in a header: ``abc`` of ``Bearer abc``, ``b`` and ``d`` of a cookie ``a=b; c=d``."""
    if name.lower() == "cookie":
        yield from (pair.partition("=")[2].strip() for pair in value.split(";"))
        return
    scheme, _, token = value.partition(" ")
    yield token.strip() or value
    if scheme.lower() == "basic":
        with suppress(ValueError):
            yield b64decode(token).decode(errors="replace").partition(":")[2]


def collect_secrets(
    headers: Mapping[str, str], proxies: Iterable[Any], base_url: str, others: Iterable[str]
) -> frozenset[str]:
    """Collect the credentials of a connection, and have Airflow mask them in its logs.

    :param proxies: their URLs.
    :param others: the password, and what is made of it.
    """
    of_proxies = {secret for url in proxies for secret in _secrets_in_proxy(url)}
    of_headers = secrets_in_headers(headers)
    secrets = _long_enough({*of_headers.credentials, *of_proxies, *secrets_in_query(base_url), *others})
    mask_in_logs(secrets)
    return secrets | of_headers.others


def proxies_of_environment() -> list[str]:
    """List the proxies that the environment names; their URLs may have a password."""
    return [value for name, value in os.environ.items() if name.lower() in _PROXY_VARIABLES]


def settings_of_job(
    settings: ClientSettings,
    headers: Mapping[str, str],
    endpoint: Any = None,
    query: Any = None,
    *,
    body: Any = None,
    source: Any = (),
) -> ClientSettings:
    """Add what is secret in a task's arguments, and what Airflow knows of, to what is secret in its connection.

    :param endpoint: rendered, as ``query`` and ``body`` are: a template may have put a password into them.
    :param source: the SQL and its parameters, of which databases quote some characters.
    """
    of_headers = secrets_in_headers(headers)
    named = _long_enough({*of_headers.credentials, *_secrets_in_parameters(endpoint, query, body)})
    mask_in_logs(named)
    in_parameters = " ".join(map(str, (str(endpoint).partition("?")[2], query, body)))
    sent = _known_in(f"{endpoint} {in_parameters} {' '.join(headers.values())} {source}", _SHORTEST_VALUE)
    return replace(
        settings,
        # Of what others use, whole texts are looked for; what API and database get to see, they may take apart.
        secrets=settings.secrets | named | of_headers.others | sent | _known_in(in_parameters, _SHORTEST_SECRET),
        private_values=settings.private_values | of_headers.words,
        later_values=known_secrets,  # the author's code may ask for a connection while the task runs
    )


def without_known_secrets(text: str) -> str:
    """Take out of a text what Airflow knows to be secret, in whatever spelling: its own masker knows one."""
    return Redaction(values=known_secrets()).redact(text)


def excerpt_of_argument(value: Any) -> str:
    """Return the beginning of an argument's representation, for an error: a template may have put anything into it."""
    return Redaction(values=known_secrets()).excerpt(repr(value))


def _known_in(text: str, shortest: int) -> frozenset[str]:
    return frozenset(secret for secret in known_secrets(shortest) if Redaction(values=[secret]).find(text))


def mask_in_rendered(text: str) -> None:
    """Have Airflow mask what a template has put into an argument, as it is spelled there: it keeps rendered ones."""
    spelled = {text[start:stop] for start, stop in Redaction(values=known_secrets(_SHORTEST_SECRET)).find(text)}
    mask_in_logs(_long_enough({*spelled, *(_secrets_in_parameters(text) if _BEFORE_QUERY.match(text) else ())}))


def secrets_in_target(settings: ClientSettings, target: str) -> tuple[str, ...]:
    """Find what is secret in path and query of an endpoint. :return: as it is spelled there, one after the other.

    :param target: without what stands for a row's values.

    A word of a path is no secret because it happens to be a short password somewhere.
    """
    path, mark, query = target.partition("?")
    known = Redaction(values=known_secrets(_SHORTEST_SECRET) or settings.secrets)
    found = [path[start:stop] for start, stop in known.find(path) if stop - start >= _SHORTEST_VALUE]
    return (*found, *(query[start:stop] for start, stop in known.find(query))) if mark else tuple(found)


def _secrets_in_parameters(endpoint: str, *given: Any) -> set[str]:
    """Return values of parameters whose name says that they are secret, where they stand in no row."""
    pairs = parse_qsl(endpoint.partition("?")[2] if isinstance(endpoint, str) else "")
    pairs += [pair for one in given for pair in _texts_in(one)]
    return {
        value for name, value in pairs if len(value) >= _SHORTEST_VALUE and "{" not in value and is_name_of_secret(name)
    }


def _texts_in(given: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield texts with the names that they stand behind, at any depth."""
    if isinstance(given, str):
        yield name, given
    elif isinstance(given, Mapping):
        for key, value in given.items():
            yield from _texts_in(value, str(key))
    elif isinstance(given, list | tuple):
        for value in given:
            yield from _texts_in(value, name)


def _secrets_in_proxy(url: Any) -> set[str]:
    credentials = credentials_in(url) if isinstance(url, str) else ""
    login, _, password = credentials.partition(":")
    # Where there is hardly a password, the login is the key.
    key = login if len(password) < _SHORTEST_SECRET and len(login) >= _SHORTEST_VALUE else ""
    sent = b64encode(unquote_to_bytes(credentials)).decode()
    return {password, unquote(password), key, unquote(key), sent} if password or key else set()


def secrets_in_query(url: str) -> set[str]:
    """Return what a URL's query identifies with, such as ``?code=...``: as it is written, and decoded."""
    pairs = [pair.partition("=") for pair in url.partition("?")[2].split("&")]
    values = {value for name, _, value in pairs if _CREDENTIAL.search(unquote(name))}
    return {form for value in values for form in (value, unquote(value)) if len(form) >= _SHORTEST_VALUE}


def _long_enough(secrets: Iterable[str]) -> frozenset[str]:
    return frozenset(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET)
