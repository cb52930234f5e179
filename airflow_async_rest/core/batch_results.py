"""The answer to a bulk request -> what became of each item. Pure."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from airflow_async_rest.core.batch_entries import (
    REASONS,
    check_count,
    find_entries,
    in_order,
    judge_status,
    read_entry,
    short,
)
from airflow_async_rest.core.errors import ResultsError
from airflow_async_rest.core.models import DELIVERED, Item, ItemResult, Response, Verdict
from airflow_async_rest.core.retry import RequestRetry

ResultsReader = Callable[[Response, Sequence[Item]], list[ItemResult] | None]

_MULTI_STATUS = 207


def results_reader(
    name: str | Callable[..., Any] | None, retry: RequestRetry, key: tuple[str, ...] = ()
) -> ResultsReader:
    """Give the reader that :class:`~airflow_async_rest.core.batch.Batch` names.

    It gives None where the answer speaks for all items alike, and raises :class:`ResultsError` for a success that
    should tell about each, and cannot be matched to them.

    :param key: the columns that identify an item; where results have it, too, they are matched by it.
    """
    if name is None:
        return lambda _, __: None
    one_key = key[0] if len(key) == 1 else None

    def read(response: Response, items: Sequence[Item]) -> list[ItemResult] | None:
        try:
            if callable(name):
                return _read_by_function(name, response, items, retry)
            if name == "elasticsearch":
                return _read_elasticsearch(response, items, retry)
            if name == "multi_status" and response.status != _MULTI_STATUS and _is_success(response):
                return _read_plain_success(response, items, retry, one_key)
            return _read_list(response, items, retry, one_key)
        except ResultsError:
            if _is_success(response):
                raise
            return None  # a refusal of all: its status says why

    return read


def _is_success(response: Response) -> bool:
    return 200 <= response.status <= 299  # noqa: PLR2004


def _parse(response: Response) -> Any:
    try:
        return response.json()
    except ValueError:
        what = f"not JSON: {short(response.text)}" if response.body else "empty"
        raise ResultsError(f"the answer is {what}") from None


def _read_elasticsearch(response: Response, items: Sequence[Item], retry: RequestRetry) -> list[ItemResult]:
    answer = _parse(response)
    entries = answer.get("items") if isinstance(answer, Mapping) else None
    if not isinstance(entries, list):
        raise ResultsError("the answer has no list 'items'")
    check_count(entries, items)
    return [_read_action(entry, item, retry) for entry, item in zip(entries, items, strict=True)]


def _read_action(entry: Any, item: Item, retry: RequestRetry) -> ItemResult:
    """Read ``{"index": {"_id": "7", "status": 201}}``."""
    about = next(iter(entry.values())) if isinstance(entry, Mapping) and len(entry) == 1 else None
    if not isinstance(about, Mapping) or not isinstance(about.get("status"), int):
        raise ResultsError(f"an entry of 'items' has no status: {short(entry)}")
    asked = item.payload.get("_id") if isinstance(item.payload, Mapping) else None
    if asked is not None and about.get("_id") is not None and str(about["_id"]) != str(asked):
        raise ResultsError(f"an entry of 'items' is about _id {about['_id']!r}, where {asked!r} was sent")
    error = about.get("error")
    return judge_status(about["status"], retry, error, short(error))


def _read_list(response: Response, items: Sequence[Item], retry: RequestRetry, key: str | None) -> list[ItemResult]:
    entries = find_entries(_parse(response))
    if entries is None:
        raise ResultsError("the answer has no list of results")
    return [read_entry(entry, retry, accepted=_is_success(response)) for entry in in_order(entries, items, key)]


def _read_plain_success(
    response: Response, items: Sequence[Item], retry: RequestRetry, key: str | None
) -> list[ItemResult] | None:
    """Read a success that is no 207: it is for all, unless it tells about each after all, or of errors."""
    try:
        answer = _parse(response)
    except ResultsError:
        return None
    if isinstance(answer, Mapping) and (answer.get("errors") or answer.get("error")):
        raise ResultsError(f"the answer is a success, and tells of errors: {short(answer)}")
    entries = find_entries(answer, usual_names_only=True)
    if entries is None:
        return None
    check_count(entries, items)
    try:
        return _read_list(response, items, retry, key)
    except ResultsError:
        return None  # what was stored, perhaps, one for each


def _read_by_function(
    function: Callable[..., Any], response: Response, items: Sequence[Item], retry: RequestRetry
) -> list[ItemResult] | None:
    try:
        found = function(response, [item.payload for item in items])
    except Exception as error:
        raise ResultsError(f"the function given as results raised {type(error).__name__}: {error}") from error
    if found is None:
        return None
    if isinstance(found, Coroutine):
        found.close()
    if not isinstance(found, list | tuple):
        raise ResultsError(f"the function given as results returned a {type(found).__name__}: return a list or None")
    check_count(found, items)
    return [_read_said(entry, retry) for entry in found]


def _read_said(entry: Any, retry: RequestRetry) -> ItemResult:
    said, detail = entry if isinstance(entry, tuple) and len(entry) == 2 else (entry, "")  # noqa: PLR2004
    if isinstance(said, bool):
        said = Verdict.DELIVERED if said else Verdict.REFUSED
    if said is Verdict.DELIVERED:
        return DELIVERED
    if isinstance(said, Verdict):
        return ItemResult(said, REASONS[said], str(detail))
    if isinstance(said, int) and 100 <= said <= 599:  # noqa: PLR2004
        return judge_status(said, retry, detail=str(detail))
    raise ResultsError(
        f"the function given as results said {entry!r} of an item: say True, False, a Verdict, an HTTP status, "
        "or a pair of one of these and a text"
    )
