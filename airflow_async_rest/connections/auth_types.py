"""How connections sign in: the kinds there are, and which one the fields of a connection say. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.provider_info import FIELDS_OF_SIGNING

# What a header says, or the query, the same for all requests.
STATIC = ("none", "basic", "bearer", "api_key", "api_key_query")
# What changes: with each request, or from time to time.
REFRESH_TOKEN = "oauth2_refresh_token"  # noqa: S105  (a kind of signing in)
TOKENS = ("oauth2_client_credentials", "oauth2_jwt", REFRESH_TOKEN)
_SIGNED = (*TOKENS, "aws_sigv4", "hmac")
_KINDS = ", ".join((*STATIC, *_SIGNED))
OWN_AUTH = "auth"  # an author's class, which the field of this name names
_OWN_CLASS = re.compile(r"\s*[\w.]+:\w+\s*")
# As some name them in a connection of type http, where Airflow's hook is given a class.
_HTTP_BASIC = frozenset({"requests.auth.HTTPBasicAuth", "aiohttp.BasicAuth", "aiohttp.helpers.BasicAuth"})
# Which kinds have a field of signing in; none of these has the parameters of an author's class.
_BELONGS_TO: Mapping[str, tuple[str, ...]] = {
    "token_url": TOKENS,
    "scope": TOKENS,
    "audience": TOKENS,
    "token_params": TOKENS,
    "client_auth": TOKENS,
    "private_key": ("oauth2_jwt",),
    "key_id": ("oauth2_jwt",),
    "jwt_claims": ("oauth2_jwt",),
    "refresh_token": (REFRESH_TOKEN,),
    "aws_service": ("aws_sigv4",),
    "aws_region": ("aws_sigv4",),
    "aws_conn_id": ("aws_sigv4",),
    "hmac": ("hmac",),
    "auth_params": (),
}
_PEM = re.compile(r"-----BEGIN [^-]*PRIVATE KEY-----(.*?)-----END [^-]*-----", re.DOTALL)


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
    if kind is None:
        kind = "basic" if has_login else "none"
    if is_http and isinstance(kind, str) and kind in _HTTP_BASIC:
        return "basic"
    if kind not in (*STATIC, *_SIGNED):
        raise wrong("auth_type", kind, f"write one of {_KINDS}, or a class of your own into auth")
    if not is_http:
        _check_belonging(kind, options, wrong)
    return str(kind)


def _check_belonging(
    kind: str, options: Mapping[str, Any], wrong: Callable[[str, Any, str], ConfigurationError]
) -> None:
    """Refuse fields of another kind: the password would be sent to the API as what it is not."""
    for name, kinds in _BELONGS_TO.items():
        if name in options and kind not in kinds:
            means = f"auth_type={' or '.join(map(repr, kinds))}" if kinds else "auth"
            raise wrong(
                name, "***", f"it belongs to {means}, and authentication here is {kind}: write that, or leave it out"
            )


def is_header(name: str, extra: Mapping[str, Any]) -> bool:
    """Return whether what stands in the extra of an ``http`` connection is a header, as it always was there."""
    names_class = bool(_OWN_CLASS.fullmatch(str(extra.get(OWN_AUTH))))
    return name in FIELDS_OF_SIGNING and not names_class and (name == OWN_AUTH or extra.get("auth_type") not in _SIGNED)


def key_text(password: str) -> str:
    """Return what is secret of a password: of a key in PEM the lines between those that anybody knows."""
    found = _PEM.search(password)
    return "".join(found[1].replace("\\n", "").replace("\\r", "").split()) if found else password
