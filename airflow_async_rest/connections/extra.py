"""The extra of a connection: what a field of JSON says, and the fields of Airflow's type ``http``. Pure."""

import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from airflow_async_rest.connections.auth_types import is_header
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.provider_info import CONNECTION_FIELDS

# Options under the names that they have there; whatever else is no field of this package's is a header.
_NAMES = {"timeout": "request_timeout_seconds", "verify_ssl": "verify", "proxies": "proxy"}
_IGNORED = frozenset({"stream", "allow_redirects", "max_redirects", "check_response"})
# What would change where requests go, or what signs them, and with what to write instead.
_REFUSED = {
    "auth_kwargs": "it is for a class of requests, none of which signs here: write what identifies into login and "
    "password, and auth_type; what a class of your own takes, into auth_params",
    "srv_lookup": "servers are not looked up by SRV records here: write the server's own name into host, and leave "
    "this out",
}
_FLAGS = {"true": True, "yes": True, "false": False, "no": False}


def fields_of_http(
    extra: Mapping[str, Any], wrong: Callable[[str, Any, str], ConfigurationError]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields of a connection of type ``http`` by this package's names, and its headers.

    :param wrong: makes the error of a field, its value and what to write instead.
    :raises ConfigurationError: when a field means what is not done here.
    """
    fields: dict[str, Any] = {}
    headers: dict[str, Any] = {}
    for name, value in extra.items():
        known = _NAMES.get(name, name)
        if name in _REFUSED:
            if plain_flag(parsed(value)):
                raise wrong(name, "***", _REFUSED[name])
        elif known in CONNECTION_FIELDS and not is_header(known, extra):
            fields[known] = value
        elif name not in _IGNORED:
            headers[name] = value
    return fields, headers


def parsed(value: Any) -> Any:
    """Return what a field of JSON says that is a text, and any other value as it is.

    The forms of Airflow before 3.2 store such texts, and so do connections made of a URI.
    """
    if isinstance(value, str):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def plain_flag(value: Any) -> Any:
    """Return what a flag says that is a text, as connections made of a URI have it, and any other value as it is."""
    return _FLAGS.get(value.strip().lower(), value) if isinstance(value, str) else value
