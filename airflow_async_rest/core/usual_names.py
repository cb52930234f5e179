"""What the fields of an object mean that have names as most APIs give them. Pure."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

_STATUS_NAMES = ("status", "statuscode", "httpstatus", "httpstatuscode")
_SUCCESS_NAMES = ("success", "ok", "succeeded")
_ERROR_NAMES = ("error", "errors")
# What APIs write where others have a number.
_GOOD_WORDS = frozenset(
    "ok success succeeded successful created updated deleted accepted delivered stored noop".split()  # noqa: SIM905
)
_BAD_WORDS = frozenset({"error", "failed", "failure", "rejected", "invalid", "refused"})
_NO_WORDS = _BAD_WORDS | {"", "false", "no", "0", "none", "null"}
_STATUS_TEXT = re.compile(r"(?:HTTP/\S+\s+)?([1-5]\d\d)\b.*", re.DOTALL)  # "422", "HTTP/1.1 422 Unprocessable"
_OF_FAILURE = re.compile(r"error|fail|reject|invalid|exception", re.IGNORECASE)


class Said(NamedTuple):
    """What an entry says.

    :param status: an HTTP status; None: there is none that could be read.
    :param success: None: it does not say.
    :param error: None: it does not say; what is empty says that there was none.
    :param unknown: whether there is a status, or a word in its place, that could not be read.
    """

    status: int | None = None
    success: bool | None = None
    error: Any = None
    unknown: bool = False


def tells_of_failure(value: Any, known: frozenset[str] = frozenset()) -> bool:
    """Tell whether an object has something under a name that tells of failure, but for the names that are ``known``."""
    return isinstance(value, Mapping) and any(
        (inner and _OF_FAILURE.search(name)) or (inner is False and _plain(name) in _SUCCESS_NAMES)
        for name, inner in value.items()
        if name not in known
    )


def say_by_usual_names(entry: Any, *, status_is_verdict: bool) -> Said:
    """Read an entry.

    :param status_is_verdict: False: a field ``status`` is the object's own.
    """
    if not isinstance(entry, Mapping):
        return Said()
    plain = {_plain(name): value for name, value in entry.items()}
    if not status_is_verdict:
        plain.pop("status", None)
    errors = [plain[name] for name in _ERROR_NAMES if name in plain]
    states = [plain[name] for name in _STATUS_NAMES if plain.get(name) is not None]
    status = next((status for state in states if (status := http_status(state)) is not None), None)
    flags = [is_true(plain[name]) for name in _SUCCESS_NAMES if plain.get(name) is not None]
    word, unknown = plain.get("result"), False
    for state in (*states, *([word] if isinstance(word, str) else [])):
        flag = _flag(state)
        if flag is not None:
            flags.append(flag)
        elif http_status(state) is None:
            unknown = True
    success = False if False in flags else True if flags else None
    return Said(status, success, next(filter(None, errors), "") if errors else None, unknown)


def _flag(state: Any) -> bool | None:
    """Read a word in the place of a status."""
    if isinstance(state, bool):
        return state
    word = state.lower() if isinstance(state, str) else ""
    return True if word in _GOOD_WORDS else False if word in _BAD_WORDS else None


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def is_true(value: Any) -> bool:
    """Tell whether a flag is set, in whatever words."""
    return value.strip().lower() not in _NO_WORDS if isinstance(value, str) else bool(value)


def http_status(value: Any) -> int | None:
    """Read an HTTP status: a number, or a text that begins with one."""
    if type(value) is int:
        return value if 100 <= value <= 599 else None  # noqa: PLR2004
    match = _STATUS_TEXT.fullmatch(value) if isinstance(value, str) else None
    return int(match[1]) if match else None
