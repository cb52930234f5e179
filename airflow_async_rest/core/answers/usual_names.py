"""What the fields of an object mean that have names as most APIs give them. Pure."""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

Nested: Final = Mapping | list

_STATUS_NAMES = ("status", "statuscode", "httpstatus", "httpstatuscode")
_SUCCESS_NAMES = ("success", "ok", "succeeded")
_ERROR_NAMES = ("error", "errors")
_EXPLANATIONS = ("message", "msg", "detail", "reason")
_MESSAGE_NAMES = ("errormessage", "errormsg", "exception", "faultstring")
_VERDICT_NAMES = frozenset({*_STATUS_NAMES, *_SUCCESS_NAMES, *_ERROR_NAMES, "result"})
# What APIs write where others have a number.
_GOOD_WORDS = frozenset(
    "ok success succeeded successful created updated deleted accepted delivered stored noop true yes y 1".split()  # noqa: SIM905
)
_BAD_WORDS = frozenset(
    "error fail failed failure rejected invalid refused denied aborted unsuccessful ko nok".split()  # noqa: SIM905
)
_NO_WORDS = _BAD_WORDS | {"", "false", "no", "n", "0", "none", "null", "off", "f"}
# Those that may also be what was asked for: jobs that failed, and there are none.
_FILTERS = frozenset({"failed", "rejected", "invalid", "refused", "denied", "aborted", "unsuccessful"})
# In the place of an error, or of how many there are: that there was none.
_NO_ERROR = frozenset({"", "0", "false", "none", "null"})
_FIRST_FAILURE = 400
# Names, as plain_name() writes them, of how many failed: failed_count, FailedRecordCount. (An item may have several
# errors.)
_COUNT = re.compile(
    r"(num|number|numberof|total|count)?(record|row|item|event|document)?s?"
    r"(failed|failure|failures|rejected|invalid)(record|row|item|event|document|put)?s?(count|total)?"
)
_STATUS_TEXT = re.compile(r"(?:HTTP/\S+\s+)?([1-5]\d\d)\b.*", re.DOTALL)  # "422", "HTTP/1.1 422 Unprocessable"
_OF_FAILURE = re.compile(r"error|fail|reject|invalid|exception|unprocessed|faultstring", re.IGNORECASE)


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


def tells_of_failure(value: Any, *, status_counts: bool = True, levels: int = 1, into: Any = Nested) -> bool:
    """Return whether an object says, in the usual words, that something failed.

    :param status_counts: whether a status is a verdict, and not the object's own.
    :param levels: of what is nested to look into.
    :param into: the types that are looked into; lists are most often of stored objects, which have names of their own.
    """
    look = partial(tells_of_failure, status_counts=status_counts, into=into)
    if isinstance(value, list):
        return levels > 0 and any(look(one, levels=levels) for one in value)
    if not isinstance(value, Mapping) or levels == 0:
        return value is False
    return any(
        _is_of_failure(name, inner, status_counts=status_counts)
        or (isinstance(inner, into) and look(inner, levels=levels - 1))
        for name, inner in value.items()
    )


def is_error(value: Any) -> bool:
    """Return whether something stands in the place of an error that is one."""
    return value.strip().lower() not in _NO_ERROR if isinstance(value, str) else bool(value)


def failures_counted(answer: Mapping[str, Any]) -> float:
    """Return how many failures an answer counts, under usual names; 0 where it does not."""
    counts = [value for name, value in answer.items() if _COUNT.fullmatch(plain_name(name))]
    numbers = [float(value) for value in counts if _is_count(value)]
    return max(numbers, default=0)


def _is_count(value: Any) -> bool:
    return type(value) is int or (isinstance(value, str) and value.isascii() and value.isdigit())


def has_elsewhere(value: Any, names: Collection[str], levels: int) -> bool:
    """Return whether something that is not empty has one of some names, however it is written, in nested objects.

    :param names: as :func:`plain_name` writes them.
    """
    return isinstance(value, Mapping) and any(
        (isinstance(inner, Mapping | list) and bool(inner) and plain_name(name) in names)
        or (levels > 1 and has_elsewhere(inner, names, levels - 1))
        for name, inner in value.items()
    )


def _is_of_failure(name: str, value: Any, *, status_counts: bool) -> bool:
    plain = plain_name(name)
    if plain in _SUCCESS_NAMES:
        return value is not None and not is_true(value)
    if plain in _STATUS_NAMES or plain == "result":
        return status_counts and (_flag(value) is False or (http_status(value) or 0) >= _FIRST_FAILURE)
    return is_error(value) and _OF_FAILURE.search(name) is not None


def says_it_failed(answer: Mapping[str, Any]) -> bool:
    """Return whether an answer in which nothing is found says in the usual words that it is a failure.

    More of it may be innocent than of an answer to a bulk request: it may tell what was asked.

    :param answer: of JSON, or what an author's function has made, whose names may be anything.
    """
    plain = {plain_name(name): value for name, value in answer.items() if isinstance(name, str)}
    flags = [plain[name] for name in _SUCCESS_NAMES if plain.get(name) is not None]
    states = [plain[name] for name in _STATUS_NAMES if name in plain]
    bad_words = _BAD_WORDS if any(map(plain.get, _EXPLANATIONS)) else _BAD_WORDS - _FILTERS
    texts = [plain[name] for name in _MESSAGE_NAMES if isinstance(plain.get(name), str)]
    return (
        not all(map(is_true, flags))
        or any(_is_bad(state, bad_words) or (http_status(state) or 0) >= _FIRST_FAILURE for state in states)
        or any(is_error(text) and _flag(text) is not True for text in texts)
    )


def _is_bad(state: Any, bad_words: Collection[str]) -> bool:
    return state is False or (isinstance(state, str) and state.strip().lower() in bad_words)


def say_by_usual_names(entry: Any, *, status_is_verdict: bool) -> Said:
    """Read an entry.

    :param status_is_verdict: False: a field ``status`` is the object's own.
    """
    if not isinstance(entry, Mapping):
        return Said()
    plain = {plain_name(name): value for name, value in entry.items()}
    if not status_is_verdict:
        plain.pop("status", None)
    errors = [plain[name] for name in _ERROR_NAMES if name in plain]
    states = [plain[name] for name in _STATUS_NAMES if plain.get(name) is not None]
    statuses = {status for state in states if (status := http_status(state)) is not None}
    words = [*states, *([plain["result"]] if isinstance(plain.get("result"), str) else [])]
    flags = [
        *[_flag(plain[name]) for name in _SUCCESS_NAMES if plain.get(name) is not None],
        *[None if type(word) is int else _flag(word) for word in words if http_status(word) is None],
    ]
    known = [flag for flag in flags if flag is not None]
    success = False if False in known else True if known else None
    has_failed = success is False or max(statuses, default=0) >= _FIRST_FAILURE
    if len(statuses) > 1 or (not (errors or has_failed) and tells_of_failure(_without_verdicts(plain))):
        return Said()  # it contradicts itself, or may
    error = next(filter(is_error, errors), "") if errors else None
    return Said(next(iter(statuses), None), success, error, unknown=None in flags)


def _without_verdicts(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in plain.items()
        if name not in _VERDICT_NAMES and not isinstance(value, Mapping | list)
    }


def _flag(state: Any) -> bool | None:
    """Read a flag, or a word in the place of a status; None for what is neither."""
    if isinstance(state, bool | int):
        return bool(state) if state in {0, 1} else None
    word = state.strip().lower() if isinstance(state, str) else None
    return True if word in _GOOD_WORDS else False if word in _NO_WORDS else None


@lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """Write a name so that it compares, however its words are told apart."""
    return name.lower().replace("_", "")


def is_true(value: Any) -> bool:
    """Return whether a flag is set, however that is written."""
    return value.strip().lower() not in _NO_WORDS if isinstance(value, str) else bool(value)


def http_status(value: Any) -> int | None:
    """Read an HTTP status: a number, or a text that begins with one."""
    if type(value) is int:
        return value if 100 <= value <= 599 else None  # noqa: PLR2004
    match = _STATUS_TEXT.fullmatch(value) if isinstance(value, str) else None
    return int(match[1]) if match else None
