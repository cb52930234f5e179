"""The answer to a bulk request -> what became of each item. Pure."""

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from airflow_async_rest.core.encoding import encode_anything
from airflow_async_rest.core.errors import ResultsError
from airflow_async_rest.core.models import DELIVERED, Item, ItemResult, Response, Verdict
from airflow_async_rest.core.response import classify_status
from airflow_async_rest.core.retry import RequestRetry

ResultsReader = Callable[[Response, Sequence[Item]], list[ItemResult] | None]

_SHOWN_CHARACTERS = 400
_Read = Callable[[Response, Sequence[Item], RequestRetry], list[ItemResult] | None]
_MULTI_STATUS = 207
_REASONS = {Verdict.DELIVERED: "", Verdict.REFUSED: "refused", Verdict.RETRY: "not_stored"}
_LIST_NAMES = ("results", "items", "responses", "records", "data", "value")
_STATUS_NAMES = ("status", "statuscode", "httpstatus", "httpstatuscode")
_SUCCESS_NAMES = ("success", "ok", "succeeded")
_ERROR_NAMES = ("error", "errors")
# What APIs write where others have a number.
_GOOD_WORDS = frozenset(
    {"ok", "success", "succeeded", "successful", "created", "updated", "deleted", "accepted", "stored", "noop"}
)
_BAD_WORDS = frozenset({"error", "failed", "failure", "rejected", "invalid", "refused"})
_STATUS_TEXT = re.compile(r"(?:HTTP/\S+\s+)?([1-5]\d\d)\b.*", re.DOTALL)  # "422", "HTTP/1.1 422 Unprocessable"


def results_reader(name: str | Callable[..., Any] | None, retry: RequestRetry) -> ResultsReader:
    """Give the reader that :class:`~airflow_async_rest.core.batch.Batch` names. It raises :class:`ResultsError`."""
    if name is None:
        return lambda _, __: None
    if callable(name):
        read: _Read = _ByFunction(name)
    else:
        read = {"elasticsearch": _read_elasticsearch, "multi_status": _read_multi_status, "list": _read_list}[name]
    return lambda response, items: _read_or_judge(read, response, items, retry)


def result_of_status(status: int, retry: RequestRetry, detail: str = "") -> ItemResult:
    """Judge an item by an HTTP status."""
    verdict = classify_status(status, retry)
    return DELIVERED if verdict is Verdict.DELIVERED else ItemResult(verdict, f"http_{status}", detail, status)


def _read_or_judge(
    read: "_Read", response: Response, items: Sequence[Item], retry: RequestRetry
) -> list[ItemResult] | None:
    """Read an answer that should tell about each item; a refusal of all need not, and is judged by its status."""
    try:
        return read(response, items, retry)
    except ResultsError:
        if _is_success(response):
            raise
        return None


def _is_success(response: Response) -> bool:
    return 200 <= response.status <= 299  # noqa: PLR2004


def _parse(response: Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise ResultsError(f"the answer is not JSON: {_short(response.text)}") from None


def _read_elasticsearch(response: Response, items: Sequence[Item], retry: RequestRetry) -> list[ItemResult]:
    answer = _parse(response)
    entries = answer.get("items") if isinstance(answer, Mapping) else None
    if not isinstance(entries, list):
        raise ResultsError("the answer has no list 'items'")
    _check_count(entries, items)
    return [_read_action(entry, item, retry) for entry, item in zip(entries, items, strict=True)]


def _read_action(entry: Any, item: Item, retry: RequestRetry) -> ItemResult:
    """Read ``{"index": {"_id": "7", "status": 201}}``."""
    about = next(iter(entry.values())) if isinstance(entry, Mapping) and len(entry) == 1 else None
    if not isinstance(about, Mapping) or not isinstance(about.get("status"), int):
        raise ResultsError(f"an entry of 'items' has no status: {_short(entry)}")
    asked = item.payload.get("_id") if isinstance(item.payload, Mapping) else None
    if asked is not None and about.get("_id") is not None and str(about["_id"]) != str(asked):
        raise ResultsError(f"an entry of 'items' is about _id {about['_id']!r}, where {asked!r} was sent")
    return _judge(about["status"], about.get("error"), retry)


def _read_multi_status(response: Response, items: Sequence[Item], retry: RequestRetry) -> list[ItemResult] | None:
    try:
        return [_read_status(entry, retry) for entry in _entries(_parse(response), items)]
    except ResultsError:
        if response.status == _MULTI_STATUS:
            raise
        return None  # only a 207 must tell


def _read_status(entry: Any, retry: RequestRetry) -> ItemResult:
    plain = _plain(entry)
    status = _status(plain)
    if status is None:
        raise ResultsError(f"a result has no status: {_short(entry)}")
    return _judge(status, _error(plain), retry, entry)


def _read_list(response: Response, items: Sequence[Item], retry: RequestRetry) -> list[ItemResult]:
    entries = _entries(_parse(response), items)
    return [_read_entry(entry, retry, accepted=_is_success(response)) for entry in entries]


def _entries(answer: Any, items: Sequence[Item]) -> list[Any]:
    """Find the list with an entry for each item: the answer itself, or under a name."""
    if isinstance(answer, Mapping):
        lists = {name: value for name, value in answer.items() if isinstance(value, list)}
        named = next((lists[name] for name in _LIST_NAMES if name in lists), None)
        answer = named if named is not None else next(iter(lists.values())) if len(lists) == 1 else None
    if not isinstance(answer, list):
        raise ResultsError("the answer has no list of results")
    _check_count(answer, items)
    return answer


def _check_count(entries: Sequence[Any], items: Sequence[Item]) -> None:
    if len(entries) != len(items):
        raise ResultsError(f"the answer has {len(entries)} results for {len(items)} items")


def _plain(entry: Any) -> dict[str, Any]:
    """Give an entry with its names in one spelling: ``statusCode`` and ``status_code`` become ``statuscode``."""
    if not isinstance(entry, Mapping):
        raise ResultsError(f"a result is no object: {_short(entry)}")
    return {str(name).lower().replace("_", ""): value for name, value in entry.items()}


def _status(entry: Mapping[str, Any]) -> int | None:
    for name in _STATUS_NAMES:
        value = entry.get(name)
        if isinstance(value, bool) or not isinstance(value, int | str):
            continue
        if match := _STATUS_TEXT.fullmatch(str(value)):
            return int(match[1])
    return None


def _error(entry: Mapping[str, Any]) -> Any:
    return next((entry[name] for name in _ERROR_NAMES if entry.get(name)), None)


def _read_entry(entry: Any, retry: RequestRetry, *, accepted: bool) -> ItemResult:
    """Read one entry.

    :param accepted: whether the answer as a whole is a success. Where it is not, an entry without an error may
        only mean that the item was not at fault: it was not delivered for that, and is sent again without the others.
    """
    plain = _plain(entry)
    error, status = _error(plain), _status(plain)
    if status is not None:
        return _judge(status, error, retry, entry)
    word = next((plain[name].lower() for name in ("status", "result") if isinstance(plain.get(name), str)), "")
    success = next((plain[name] for name in _SUCCESS_NAMES if isinstance(plain.get(name), bool)), None)
    if error is not None or success is False or word in _BAD_WORDS:
        return ItemResult(Verdict.REFUSED, "refused", _short(entry))
    if success or word in _GOOD_WORDS:
        return DELIVERED
    if not word and any(name in plain for name in _ERROR_NAMES):
        return DELIVERED if accepted else ItemResult(Verdict.RETRY, _REASONS[Verdict.RETRY], _short(entry))
    raise ResultsError(f"a result has no status or error that could be read: {_short(entry)}")


def _judge(status: int, error: Any, retry: RequestRetry, entry: Any = None) -> ItemResult:
    """Judge by the status of an item; an error beside a status of success counts for more."""
    detail = _short(error if entry is None or isinstance(error, str) else entry)
    result = result_of_status(status, retry, detail)
    if result.verdict is Verdict.DELIVERED and error:
        return ItemResult(Verdict.REFUSED, "refused", detail, status)
    return result


class _ByFunction:
    """The author's function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, response: Response, items: Sequence[Item], retry: RequestRetry) -> list[ItemResult] | None:
        try:
            found = self._function(response, [item.payload for item in items])
        except Exception as error:
            raise ResultsError(f"the function given as results raised {type(error).__name__}: {error}") from error
        if found is None:
            return None
        if isinstance(found, Coroutine):
            found.close()
        if not isinstance(found, list | tuple):
            raise ResultsError(
                f"the function given as results returned a {type(found).__name__}: return a list or None"
            )
        _check_count(found, items)
        return [self._result(entry, retry) for entry in found]

    def _result(self, entry: Any, retry: RequestRetry) -> ItemResult:
        said, detail = entry if isinstance(entry, tuple) and len(entry) == 2 else (entry, "")  # noqa: PLR2004
        if isinstance(said, Verdict):
            return ItemResult(said, _REASONS[said], str(detail))
        if isinstance(said, bool):
            return ItemResult(Verdict.REFUSED, "refused", str(detail)) if not said else DELIVERED
        if isinstance(said, int) and 100 <= said <= 599:  # noqa: PLR2004
            return result_of_status(said, retry, str(detail))
        raise ResultsError(
            f"the function given as results said {entry!r} of an item: say True, False, a Verdict, an HTTP status, "
            "or a pair of one of these and a text"
        )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else encode_anything(value).decode()
    return text[:_SHOWN_CHARACTERS]
