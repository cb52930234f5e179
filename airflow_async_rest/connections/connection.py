"""An Airflow connection -> what the REST client needs."""

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from airflow_async_rest.compat.names import BaseHook
from airflow_async_rest.compat.secrets_masker import is_name_of_secret
from airflow_async_rest.connections.auth_types import STATIC, auth_type_of, key_text
from airflow_async_rest.connections.base_url import build_base_url
from airflow_async_rest.connections.extra import fields_of_http, parsed, plain_flag
from airflow_async_rest.connections.secrets import collect_secrets, proxies_of_environment, secrets_in_headers
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.requests.headers import SURROGATE
from airflow_async_rest.core.requests.settings import TRANSPORTS, ClientSettings
from airflow_async_rest.provider_info import CONNECTION_FIELDS

CONNECTION_TYPES = ("async_rest", "http")
_BEARER = re.compile(r"(?:authorization:\s*)?bearer(?:\s+|$)", re.IGNORECASE)  # as some write it before their token
_SHORTEST_PASSWORD = 4
# Of what an id may have. A URI, or a connection as JSON, has its password in it, or a token.
_ID = re.compile(r"(?!.*://)[\w#!()\-.:/\\ ]*")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]+")


class RestConnection(BaseHook):
    """An Airflow connection, read as the settings of a REST client.

    :param http_conn_id: a connection of type ``async_rest`` or ``http``.
    """

    def __init__(self, http_conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.http_conn_id = http_conn_id
        self._connection: Any = None

    @property
    def connection(self) -> Any:
        """The Airflow connection, asked for once.

        :raises ConfigurationError: when no connection has that name, or it is of another type.
        """
        if self._connection is None:
            connection = find_connection("http_conn_id", self.http_conn_id)
            if connection.conn_type not in CONNECTION_TYPES:
                raise ConfigurationError(
                    f"http_conn_id={self.http_conn_id!r} is a connection of type {connection.conn_type!r}: use one of "
                    f"type {' or '.join(CONNECTION_TYPES)} (in a URI the scheme is written async-rest://)."
                )
            self._connection = connection
        return self._connection

    def options(self) -> dict[str, Any]:
        """Return the connection's extra fields by this package's names; empty ones are left out.

        :raises ConfigurationError: when the extra is not JSON, or has a field that is not known.
        """
        fields, headers = self._extra(), dict[str, Any]()
        if self.connection.conn_type == "http":
            fields, headers = fields_of_http(fields, self._wrong)
        elif unknown := next((name for name in fields if name not in CONNECTION_FIELDS), None):
            raise ConfigurationError(
                f"the extra of connection {self.http_conn_id!r} has an unknown field {unknown!r}; known are: "
                f"{', '.join(CONNECTION_FIELDS)}."
            )
        options = {
            name: value
            for name, value in fields.items()
            if value is not None and (value != "" or name == "idempotency_header")
        }
        if headers:
            options["headers"] = {**headers, **self._mapping(options.get("headers") or {})}
        return options

    def _extra(self) -> dict[str, Any]:
        connection = self.connection
        try:
            extra = json.loads(connection.extra or "{}")
        except (ValueError, RecursionError):
            extra = None
        if not isinstance(extra, dict):
            raise ConfigurationError(f"the extra of connection {self.http_conn_id!r} must be a JSON object.")
        _ = connection.extra_dejson  # Airflow masks what is sensitive in it as it reads it
        named = {name: getattr(connection, name) for name in ("host", "schema", "login", "password")}
        for name, value in {**named, **extra}.items():
            if SURROGATE.search(json.dumps(parsed(value), ensure_ascii=False)):
                advice = "it has half a surrogate pair in it, which has no UTF-8 form: write the character itself"
                raise self._wrong(name, "***", advice)
        return extra

    def settings(self) -> ClientSettings:
        """Return what the client needs.

        :raises ConfigurationError: when the connection is wrong; names the field.
        """
        options = self.options()
        for field in ("verify", "cert"):
            if "-----BEGIN" in str(options.get(field)):  # a key, perhaps: it must be in no error
                raise self._wrong(field, "***", "write the path of the PEM file, not its text")
        headers = {str(name): str(value).strip() for name, value in self._mapping(options.get("headers", {})).items()}
        auth, query_key, secrets = self._authentication(options)
        base_url = self._base_url()
        proxy = proxy_for(base_url, options.get("proxy"))
        trust_env = self._flag(options, "trust_env", default=True)
        proxies = _proxies(options.get("proxy")) + (proxies_of_environment() if trust_env else [])
        return ClientSettings(
            base_url=base_url,
            headers=_with_auth(headers, auth),
            query_key=query_key,
            idempotency_header=_idempotency_header(options),
            connect_timeout_seconds=self._number(options, "connect_timeout_seconds", 10.0),
            request_timeout_seconds=self._number(options, "request_timeout_seconds", 60.0),
            max_response_bytes=int(self._number(options, "max_response_mb", 10.0, "megabytes") * 1_000_000),
            trust_close=self._flag(options, "trust_close", default=False),
            transport=self._transport(options.get("transport", "own")),
            verify=self._verify(options.get("verify", True)),
            client_certificate=self._certificate(options.get("cert")),
            trust_env=trust_env,
            proxy=proxy,
            cookies=self._flag(options, "cookies", default=False),
            secrets=collect_secrets(headers, proxies, base_url, {key_text(self.connection.password or ""), *secrets}),
            private_values=secrets_in_headers(headers).words,
        )

    def auth_type(self) -> str:
        """Return the kind of authentication. :raises ConfigurationError: when it is unknown."""
        connection = self.connection
        return auth_type_of(
            self.options(),
            is_http=connection.conn_type == "http",
            has_login=bool(connection.login),
            wrong=self._wrong,
        )

    def text_option(self, name: str) -> str:
        """Return a field of text; empty where it is not filled in. :raises ConfigurationError: when it is no text."""
        value = self.options().get(name, "")
        if not isinstance(value, str):
            raise self._wrong(name, "***" if is_name_of_secret(name) else value, "write a text")
        return value.strip()

    def private_key(self) -> str:
        """Return the text of the key that assertions are signed with."""
        return self.text_option("private_key") or str(self.connection.password or "")

    def api_key_header(self) -> str:
        """Return the name of the header that carries the key of authentication ``api_key``."""
        return str(self.options().get("api_key_header") or "X-API-Key")

    def api_key_param(self) -> str:
        """Return the name of the parameter that carries the key of authentication ``api_key_query``."""
        return str(self.options().get("api_key_param") or "api_key").strip()

    def naive_timezone(self) -> ZoneInfo | None:
        """Return the zone of times without an offset; None for UTC. :raises ConfigurationError: when unknown."""
        name = self.options().get("naive_timezone", "UTC")
        try:
            return None if name == "UTC" else ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):  # OSError: "Europe" is a folder of zones
            raise self._wrong("naive_timezone", name, "write a name such as 'Europe/Prague'") from None

    def _base_url(self) -> str:
        connection = self.connection
        default_scheme = "https" if connection.conn_type == "async_rest" else "http"
        return build_base_url(connection.host or "", connection.schema or "", connection.port, default_scheme)

    def _authentication(self, options: Mapping[str, Any]) -> tuple[dict[str, str], tuple[str, str] | None, set[str]]:
        """Return the headers, or name and value of the parameter, that identify the user, and what of it is secret."""
        login, password = self.connection.login or "", self.connection.password or ""
        kind = self.auth_type()
        if kind == "none":
            if password and not login and not options.get("auth_type"):
                raise self._wrong(
                    "password", "***", "say how it is meant: set auth_type to bearer, api_key or none, or give a login"
                )
            return {}, None, set()
        if kind not in STATIC:
            return {}, None, {key_text(self.text_option("private_key")), self.text_option("refresh_token")}
        if kind == "basic":
            login, password = login.strip("\r\n"), password.strip("\r\n")
            if not login:
                raise self._wrong("login", "", "authentication basic needs a login")
            if ":" in login:  # RFC 7617, section 2
                advice = "with authentication basic what follows a ':' is the password: write it there"
                raise self._wrong("login", "***", advice)
            token = base64.b64encode(f"{login}:{password}".encode()).decode()
            # Where there is hardly a password, the login is the key.
            key = login if len(password) < _SHORTEST_PASSWORD <= len(login) - _SHORTEST_PASSWORD else ""
            return {"Authorization": f"Basic {token}"}, None, {password, token, key}
        token = _BEARER.sub("", password.strip()) if kind == "bearer" else password.strip()
        if not token:
            what = "key" if kind == "api_key_query" else kind
            raise self._wrong("password", "", f"authentication {kind} takes its {what} from the password")
        if not _HEADER_VALUE.fullmatch(token):
            raise self._wrong(
                "password",
                "***",
                "Password has a line break, a control character or a letter outside Latin-1 in it, which no header can "
                "carry: paste the token alone",
            )
        if kind == "api_key_query":
            return {}, (self.api_key_param(), token), {token, quote(token, safe="")}
        header = {"Authorization": f"Bearer {token}"} if kind == "bearer" else {self.api_key_header(): token}
        return header, None, {token}

    def _mapping(self, value: Any) -> Mapping[str, Any]:
        value = parsed(value)
        if not isinstance(value, Mapping):
            raise self._wrong("headers", "***", 'write a JSON object such as {"Accept": "application/json"}')
        for name, text in value.items():
            if text is None or isinstance(text, dict | list):
                shown = {name: None if text is None else "***"}
                raise self._wrong("headers", shown, "write a text, or leave the header out")
        return value

    def _number(self, options: Mapping[str, Any], name: str, default: float, unit: str = "seconds") -> float:
        try:
            number = float(options.get(name, default))
        except (TypeError, ValueError):
            number = 0.0
        if not 0 < number < float("inf"):
            raise self._wrong(name, options.get(name), f"write a number of {unit} above 0")
        return number

    def _flag(self, options: Mapping[str, Any], name: str, *, default: bool) -> bool:
        value = plain_flag(options.get(name, default))
        if not isinstance(value, bool):
            raise self._wrong(name, value, "write true or false")
        return value

    def _transport(self, value: Any) -> str:
        if value not in TRANSPORTS:
            raise self._wrong("transport", value, f"write {' or '.join(TRANSPORTS)}")
        return str(value)

    def _verify(self, value: Any) -> bool | str:
        value = plain_flag(value)
        if not isinstance(value, bool | str) and value not in (0, 1):
            raise self._wrong("verify", value, "write true, false, or the path of a file or folder of CA certificates")
        return value if isinstance(value, str) else bool(value)

    def _certificate(self, value: Any) -> tuple[str, str | None] | None:
        if value is None:
            return None
        if isinstance(value, str):  # a comma may also be part of a name
            value = [value] if Path(value).exists() else [path.strip() for path in value.split(",")]
        paths = list(value) if isinstance(value, list | tuple) else [value]
        if not 1 <= len(paths) <= 2 or not all(isinstance(path, str) and path for path in paths):  # noqa: PLR2004
            raise self._wrong("cert", value, "write one path, or two with a comma between: certificate, key")
        return paths[0], paths[1] if len(paths) > 1 else None

    def _wrong(self, field: str, value: Any, advice: str) -> ConfigurationError:
        return ConfigurationError(f"connection {self.http_conn_id!r}: {field}={value!r}: {advice}.")


def find_connection(argument: str, conn_id: Any) -> Any:
    """Return an Airflow connection by its id.

    :raises ConfigurationError: when no connection has that name; names the argument.
    """
    if not isinstance(conn_id, str) or not conn_id:
        shown = repr(conn_id) if isinstance(conn_id, str | int | None) else f"a {type(conn_id).__name__}"
        raise ConfigurationError(f"{argument}={shown}: write the id of an Airflow connection.")
    try:
        return BaseHook.get_connection(conn_id)
    except Exception as error:
        if not _ID.fullmatch(conn_id):
            raise ConfigurationError(
                f"{argument}='***': write the id of an Airflow connection, and its URI into that connection."
            ) from None
        if "not found" not in str(error).lower() and "defined" not in str(error).lower():
            raise
        raise ConfigurationError(
            f"{argument}={conn_id!r}: there is no such connection; add it under Admin > Connections, with "
            f"'airflow connections add', or as AIRFLOW_CONN_{conn_id.upper()}."
        ) from error


def proxy_for(url: str, value: Any) -> Any:
    """Choose the proxy for a URL, where a connection has one for each scheme."""
    if not isinstance(value, Mapping):
        return value
    of_schemes = {str(scheme).lower().removesuffix("://"): proxy for scheme, proxy in value.items()}
    return of_schemes.get(url.partition("://")[0].lower()) or of_schemes.get("all")


def _proxies(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else [value]


def _idempotency_header(options: Mapping[str, Any]) -> str | None:
    """Return the header's name. "none" sends none: the form stores an emptied field like one never filled in."""
    name = options.get("idempotency_header", "Idempotency-Key")
    return None if str(name).strip().lower() in {"", "none"} else name


def _with_auth(headers: Mapping[str, str], auth: Mapping[str, str]) -> dict[str, str]:
    """Add the headers of authentication, instead of others of the same name, in whatever case."""
    names = {name.lower() for name in auth}
    return {name: value for name, value in headers.items() if name.lower() not in names} | dict(auth)
