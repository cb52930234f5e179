"""The answer of an OAuth2 token endpoint -> a token, or why there is none. Pure."""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from airflow_async_rest.core.models import SUCCESSES, Response
from airflow_async_rest.core.requests.headers import parse_content_type

# RFC 6750, section 2.1, and what others have besides; no server takes a header of more.
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
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
# What a word for an error looks like; a token has digits or capital letters in it.
_WORD = re.compile(r"[a-z]{1,24}(_[a-z]{1,24}){0,5}")
# What takes more than to send the token. Other types are names for bearer tokens: Apigee's BearerToken, eBay's
# Application Access Token, Slack's bot.
_OTHER_TYPES = frozenset({"dpop", "mac", "n_a", "pop"})
# It may be another time (RFC 6749, section 4.1.2.1; RFC 8628, section 3.5).
_FOR_NOW = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
_MOST_SKEW_SECONDS = 30.0
_LONGEST_SECONDS = 1e9  # what is more is a date, or no end; a 401 says when it has come
_FORM = "application/x-www-form-urlencoded"


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
    if response.broken is not None:
        why = _shown(response.excerpt(response.broken))
        return NoToken(f"it answers {response.status}, and the rest cannot be read: {why}", is_for_good=False)
    said, skew = _said(response), skew_of(response, now or datetime.now(UTC))
    value = said.get("access_token")
    if response.status not in SUCCESSES or value is None or said.get("error"):
        return _refusal(response, said, skew, invalid_grant)
    if not isinstance(value, str) or not _TOKEN.fullmatch(value := value.strip()):
        return NoToken("its access_token is empty, or is no text that a header can have", is_for_good=True)
    if (kind := str(said.get("token_type")).strip().lower()) in _OTHER_TYPES:
        return NoToken(f"its token_type is {kind!r}, and only bearer can be sent", is_for_good=True)
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
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def describe_skew(seconds: float | None) -> str:
    """Say that two clocks differ, where it is more than an answer's way explains; else nothing."""
    if seconds is None or abs(seconds) < _MOST_SKEW_SECONDS:
        return ""
    return f"its clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} this machine's"


def describe_token(token: Token) -> str:
    """Say what a token may do, and when it ends, without it."""
    scope = f"it may do: {_shown(token.scope)}" if token.scope else "what it may do is not said"
    seconds = token.lifetime_seconds
    ends = "when it ends is not said" if seconds is None else f"it ends in {seconds:.0f} s"
    return "; ".join(filter(None, (scope, ends, describe_skew(token.skew_seconds))))


def _said(response: Response) -> dict[str, Any]:
    """Return what it says: in JSON, as the standard has it, or as a form, as some older ones write it.

    A form does not show that it is cut.
    """
    if parse_content_type(response.headers.get("Content-Type", ""))[0] == _FORM and not response.may_be_cut:
        return dict(parse_qsl(response.text))
    try:
        said = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _lifetime(value: Any) -> float | None:
    """Read a number of seconds, which some write as text; others write 0 for a token without an end."""
    try:
        seconds = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < _LONGEST_SECONDS else None


def _scope(value: Any) -> str:
    parts = value if isinstance(value, list) else [value]
    return " ".join(part for part in parts if isinstance(part, str))


def _shown(text: str) -> str:
    """Return a text of somebody else's as it may stand in a log: in one line, and of characters that can be written."""
    return text if text.isprintable() else repr(text)


def _refusal(response: Response, said: dict[str, Any], skew: float | None, invalid_grant: str) -> NoToken:
    status, word = response.status, _word(response, said)
    is_cut = response.may_be_cut and not said
    is_for_now = word in _FOR_NOW or status >= 500 or status in {408, 425, 429} or is_cut  # noqa: PLR2004
    parts = [f"it answers {status}{f' {_shown(response.excerpt(word))}' if word else ''}", _told(response, said, word)]
    if meaning := (word == "invalid_grant" and invalid_grant) or _MEANING.get(word):
        parts.append(meaning)
    elif 300 <= status <= 399:  # noqa: PLR2004
        parts.append("a request for a token is not redirected: write the URL that it points to as token_url")
    elif status in {404, 405}:
        parts.append("check token_url")
    elif not is_for_now and not word:
        parts.append("check token_url, login, password and client_auth")
    if word in {"invalid_grant", "invalid_client"}:
        parts.append(describe_skew(skew))
    return NoToken("; ".join(filter(None, parts)), not is_for_now)


def _word(response: Response, said: dict[str, Any]) -> str:
    """Return the endpoint's word for what is wrong; of a success only what can be nothing else."""
    error = said.get("error")
    if isinstance(error, dict):
        error = error.get("code") or error.get("status")
    word = str(error) if isinstance(error, str | int) and error else ""
    return word if _WORD.fullmatch(word) or response.status not in SUCCESSES else ""


def _told(response: Response, said: dict[str, Any], word: str) -> str:
    """Return what else it says. Where a token may be in that, in whatever field, only the names of its fields."""
    error, text = said.get("error"), response.text
    told = said.get("error_description") or (error.get("message") if isinstance(error, dict) else "")
    may_have_token = response.status in SUCCESSES or "access_token" in said
    if told and isinstance(told, str) and not may_have_token:
        return f"it says: {response.excerpt(told)!r}"
    if word or not text:
        return ""
    if not may_have_token and "token" not in text.lower():
        return f"which is no token: {response.excerpt(text)!r}"
    if said:
        return f"which has no access_token, but the fields {response.excerpt(', '.join(said))!r}"
    return f"which is no JSON object, but {response.excerpt(response.headers.get('Content-Type', 'of no type'))!r}"
