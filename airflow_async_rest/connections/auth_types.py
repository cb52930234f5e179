"""How connections sign in: the kinds there are, and which one the fields of a connection say. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.provider_info import FIELDS_OF_SIGNING

# What a header says, or the query, the same for all requests.
STATIC = ("none", "basic", "bearer", "api_key", "api_key_query")
# What is made anew, for each request or from time to time.
TOKENS = ("oauth2_client_credentials", "oauth2_jwt", "oauth2_refresh_token")
_SIGNED = (*TOKENS, "aws_sigv4", "hmac")
_KINDS = ", ".join((*STATIC, *_SIGNED))
OWN_AUTH = "auth"  # an author's class, which the field of this name names
_OWN_CLASS = re.compile(r"\s*[\w.]+:\w+\s*")
# As some name them in a connection of type http, where Airflow's hook is given a class.
_HTTP_BASIC = frozenset({"requests.auth.HTTPBasicAuth", "aiohttp.BasicAuth", "aiohttp.helpers.BasicAuth"})
_PEM = re.compile(r"-----BEGIN [^-]*-----(.*?)-----END [^-]*-----", re.DOTALL)


def auth_type_of(
    options: Mapping[str, Any], *, is_http: bool, has_login: bool, wrong: Callable[[str, Any, str], ConfigurationError]
) -> str:
    """Return the kind of authentication.

    :param is_http: whether the connection is of type ``http``.
    :param wrong: makes the error of a field, its value and what to write instead.
    :raises ConfigurationError: when it is unknown.
    """
    kind = options.get("auth_type")
    if options.get(OWN_AUTH):
        if kind:
            raise wrong("auth_type", kind, "leave it out where auth names a class of your own, or leave auth out")
        return OWN_AUTH
    kind = kind or ("basic" if has_login else "none")
    if is_http and kind in _HTTP_BASIC:
        return "basic"
    if kind not in (*STATIC, *_SIGNED):
        raise wrong("auth_type", kind, f"write one of {_KINDS}, or a class of your own into auth")
    return str(kind)


def is_header(name: str, extra: Mapping[str, Any]) -> bool:
    """Return whether what stands in the extra of an ``http`` connection is a header, as it always was there."""
    names_class = bool(_OWN_CLASS.fullmatch(str(extra.get(OWN_AUTH))))
    return name in FIELDS_OF_SIGNING and not names_class and (name == OWN_AUTH or not extra.get("auth_type"))


def key_text(password: str) -> str:
    """Return what is secret of a password: of a key in PEM the lines between those that anybody knows."""
    found = _PEM.search(password)
    return "".join(found[1].replace("\\n", "").split()) if found else password
