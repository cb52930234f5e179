"""Entries of the answer to a bulk request: which item one is about, and what it says. Pure."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from airflow_async_rest.core.encoding import encode_anything
from airflow_async_rest.core.errors import ResultsError
from airflow_async_rest.core.models import DELIVERED, Item, ItemResult, Verdict
from airflow_async_rest.core.response import classify_status
from airflow_async_rest.core.retry import RequestRetry

REASONS = {Verdict.DELIVERED: "", Verdict.REFUSED: "refused", Verdict.RETRY: "not_stored"}
_SHOWN_CHARACTERS = 400
_LIST_NAMES = ("results", "items", "responses", "records", "data", "value")
_STATUS_NAMES = ("status", "statuscode", "httpstatus", "httpstatuscode")
_SUCCESS_NAMES = ("success", "ok", "succeeded")
_ERROR_NAMES = ("error", "errors")
# What APIs write where others have a number.
_GOOD_WORDS = frozenset(
    "ok success succeeded successful created updated deleted accepted delivered stored noop".split()  # noqa: SIM905
)
_BAD_WORDS = frozenset({"error", "failed", "failure", "rejected", "invalid", "refused"})
_STATUS_TEXT = re.compile(r"(?:HTTP/\S+\s+)?([1-5]\d\d)\b.*", re.DOTALL)  # "422", "HTTP/1.1 422 Unprocessable"


def find_entries(answer: Any, *, usual_names_only: bool = False) -> list[Any] | None:
    """Find the list of results: the answer itself, or under a usual name, or the only list in it."""
    if isinstance(answer, Mapping):
        lists = {name: value for name, value in answer.items() if isinstance(value, list) and name not in _ERROR_NAMES}
        named = next((lists[name] for name in _LIST_NAMES if name in lists), None)
        only = next(iter(lists.values())) if len(lists) == 1 and not usual_names_only else None
        answer = only if named is None else named
    return answer if isinstance(answer, list) else None


def check_count(entries: Sequence[Any], items: Sequence[Item]) -> None:
    """Check that there is an entry for each item. :raises ResultsError: when not."""
    if len(entries) != len(items):
        raise ResultsError(f"the answer has {len(entries)} results for {len(items)} items")


def in_order(entries: list[Any], items: Sequence[Item], key: str | None) -> list[Any]:
    """Give the entries in the order of their items.

    That is how APIs give them, unless the entries have the items' key and it says otherwise.

    :param key: the name under which to look for it; None: there is none.
    :raises ResultsError: when there is no entry for each item, or some are about others.
    """
    check_count(entries, items)
    names = [entry.get(key) if isinstance(entry, Mapping) else None for entry in entries]
    said = [None if name is None else _text(name) for name in names]  # null: of one that was refused, and got no id
    if not any(said):
        return entries
    keys = [_text(item.key) for item in items]
    if all(text in (None, own) for text, own in zip(said, keys, strict=True)):
        return entries
    of_key = dict(zip(said, entries, strict=True))
    if of_key.keys() == set(keys) and len(of_key) == len(items):
        return [of_key[own] for own in keys]
    if set(keys).isdisjoint(said):  # an id that the API has made up
        return entries
    raise ResultsError(f"the results are not in the order of the items, and {key!r} does not tell which is about which")


def _text(value: Any) -> str:
    """Write a key so that it compares: 7 and "7", 1.50 and 1.5 are the same."""
    if isinstance(value, Decimal | float):
        value = format(Decimal(str(value)).normalize(), "f")
    return value if isinstance(value, str) else encode_anything(value).decode().strip('"')


def judge_status(status: int, retry: RequestRetry, error: Any = None, detail: str = "") -> ItemResult:
    """Judge an item by an HTTP status of its own; an error beside a status of success counts for more."""
    verdict = classify_status(status, retry)
    if verdict is not Verdict.DELIVERED:
        return ItemResult(verdict, f"http_{status}", detail, status)
    return ItemResult(Verdict.REFUSED, REASONS[Verdict.REFUSED], detail, status) if error else DELIVERED


def read_entry(entry: Any, retry: RequestRetry, *, accepted: bool) -> ItemResult:
    """Read one entry.

    :param accepted: whether the answer as a whole is a success. Where it is not, an entry without an error may
        only mean that the item was not at fault: it was not delivered for that, and is sent again without the others.
    :raises ResultsError: when it says nothing that could be read.
    """
    if not isinstance(entry, Mapping):
        raise ResultsError(f"a result is no object: {short(entry)}")
    plain = {str(name).lower().replace("_", ""): value for name, value in entry.items()}
    error = next((plain[name] for name in _ERROR_NAMES if plain.get(name)), None)
    status = _status(plain)
    if status is not None:
        return judge_status(status, retry, error, short(error if isinstance(error, str) else entry))
    word = next((plain[name].lower() for name in ("status", "result") if isinstance(plain.get(name), str)), "")
    success = next((plain[name] for name in _SUCCESS_NAMES if isinstance(plain.get(name), bool)), None)
    if error is not None or success is False or word in _BAD_WORDS:
        return ItemResult(Verdict.REFUSED, REASONS[Verdict.REFUSED], short(entry))
    if success or word in _GOOD_WORDS:
        return DELIVERED
    if not word and any(name in plain for name in _ERROR_NAMES):
        return DELIVERED if accepted else ItemResult(Verdict.RETRY, REASONS[Verdict.RETRY], short(entry))
    raise ResultsError(f"a result has no status or error that could be read: {short(entry)}")


def _status(entry: Mapping[str, Any]) -> int | None:
    """Find an HTTP status in an entry whose names are in lower case, without underscores."""
    for name in _STATUS_NAMES:
        value = entry.get(name)
        if isinstance(value, int | str) and not isinstance(value, bool):
            match = _STATUS_TEXT.fullmatch(str(value))
            if match:
                return int(match[1])
    return None


def short(value: Any) -> str:
    """Write down what an answer says, for people."""
    text = value if isinstance(value, str) else encode_anything(value).decode()
    return text[:_SHOWN_CHARACTERS]
