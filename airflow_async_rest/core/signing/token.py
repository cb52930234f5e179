"""The answer of an OAuth2 token endpoint -> a token, or why there is none. Pure."""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from airflow_async_rest.core.models import Response

_TOKEN = re.compile(r"[\x21-\x7e]+")  # RFC 6750, section 2.1, and what others have besides
# What an endpoint's word means (RFC 6749, section 5.2; RFC 8707, section 2), and which fields to look at.
_MEANING = {
    "invalid_client": "it does not know the client, or another secret: check login (the client id), password (its "
    "secret, or the private key), and client_auth, which is basic or body",
    "invalid_grant": "it does not take the assertion: check login, the private key, key_id and jwt_claims, and the "
    "clocks of both machines",
    "invalid_request": "a parameter is missing, or there is one too many: check scope, audience, token_params and "
    "client_auth",
    "invalid_scope": "there is no such scope, or the client may not have it: check scope",
    "invalid_target": "there is no such API: check audience, or the parameter resource of token_params",
    "unauthorized_client": "the client may not sign in in this way: have that allowed where it is registered, or write "
    "another auth_type",
    "unsupported_grant_type": "it does not have this way to sign in: write another auth_type, or check token_url",
    "access_denied": "the client may not have a token for this: check scope and audience",
}
# It may be another time (RFC 6749, section 4.1.2.1; RFC 8628, section 3.5).
_FOR_NOW = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
_MOST_SKEW_SECONDS = 30.0


@dataclass(frozen=True)
class Token:
    """What the API is to see.

    :param lifetime_seconds: from the request for it; None where the endpoint does not say.
    :param asked_at: when that was, by the clock that its end is told by.
    :param scope: what it may do, as the endpoint says; empty where it does not.
    :param skew_seconds: by which the endpoint's clock is ahead of this machine's; None where it does not say.
    :param refresh_token: by which the next one is had; empty where the endpoint gives none.
    """

    value: str = field(repr=False)
    lifetime_seconds: float | None
    asked_at: float
    scope: str = ""
    skew_seconds: float | None = None
    refresh_token: str = field(default="", repr=False)

    @property
    def ends_at(self) -> float:
        """When it ends; infinity where that is not known."""
        return float("inf") if self.lifetime_seconds is None else self.asked_at + self.lifetime_seconds


class NoToken(NamedTuple):
    """Why there is no token.

    :param text: for people, without secrets.
    :param is_for_good: whether asking again would change nothing.
    """

    text: str
    is_for_good: bool


def parse_token(
    response: Response, asked_at: float, now: datetime | None = None, invalid_grant: str = ""
) -> Token | NoToken:
    """Read what a token endpoint answers.

    :param now: of this machine.
    :param invalid_grant: what this word of its means, where it was not asked with an assertion.
    """
    said, skew = _said(response), skew_of(response, now or datetime.now(UTC))
    value = said.get("access_token")
    if not (200 <= response.status <= 299) or value is None or said.get("error"):  # noqa: PLR2004
        return _refusal(response, said, skew, invalid_grant)
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        return NoToken("its access_token is empty, or is no text that a header can have", is_for_good=True)
    kind = str(said.get("token_type") or "bearer")
    if kind.lower() != "bearer":
        return NoToken(f"its token is one of type {response.excerpt(kind)!r}, and only bearer can be sent", True)
    refresh_token = said.get("refresh_token")
    return Token(
        value,
        _lifetime(said.get("expires_in")),
        asked_at,
        _scope(said.get("scope")),
        skew,
        refresh_token if isinstance(refresh_token, str) else "",
    )


def skew_of(response: Response, now: datetime) -> float | None:
    """Return by how many seconds an answer's clock is ahead; None where it does not say."""
    try:
        return (parsedate_to_datetime(response.headers["Date"]) - now).total_seconds()
    except (KeyError, TypeError, ValueError):
        return None


def describe_skew(seconds: float | None) -> str:
    """Say that two clocks differ, where it is more than an answer's way explains; else nothing."""
    if seconds is None or abs(seconds) < _MOST_SKEW_SECONDS:
        return ""
    return f"its clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} this machine's"


def describe_token(token: Token) -> str:
    """Say what a token may do, and when it ends, without it."""
    scope = f"it may do: {token.scope}" if token.scope else "what it may do is not said"
    seconds = token.lifetime_seconds
    ends = "when it ends is not said" if seconds is None else f"it ends in {seconds:.0f} s"
    return "; ".join(filter(None, (scope, ends, describe_skew(token.skew_seconds))))


def _said(response: Response) -> dict[str, Any]:
    try:
        said = json.loads(response.body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _lifetime(value: Any) -> float | None:
    """Read a number of seconds, which some write as text; others write 0 for a token without an end."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < float("inf") else None


def _scope(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _refusal(response: Response, said: dict[str, Any], skew: float | None, invalid_grant: str) -> NoToken:
    error, status = said.get("error"), response.status
    word = str(error.get("code") or error.get("status") or "") if isinstance(error, dict) else str(error or "")
    told = said.get("error_description") or (error.get("message") if isinstance(error, dict) else "")
    is_for_now = word in _FOR_NOW or status >= 500 or status in {408, 425, 429} or response.broken is not None  # noqa: PLR2004
    parts = [f"it answers {status}{f' {response.excerpt(word)}' if word else ''}"]
    if told:
        parts.append(f"it says: {response.excerpt(told)!r}")
    elif not word and response.body:
        parts.append(f"which is no token: {response.excerpt(response.text)!r}")
    if meaning := (word == "invalid_grant" and invalid_grant) or _MEANING.get(word):
        parts.append(meaning)
    elif 300 <= status <= 399:  # noqa: PLR2004
        parts.append("a request for a token is not redirected: write the URL that it points to as token_url")
    elif status in {404, 405}:
        parts.append("check token_url")
    elif not is_for_now and not word:
        parts.append("check token_url, login, password and client_auth")
    if word in {"invalid_grant", "invalid_client"} and (about := describe_skew(skew)):
        parts.append(about)
    return NoToken("; ".join(parts), not is_for_now)
