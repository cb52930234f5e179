"""The answer to a bulk request -> what became of each item. Pure."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

from airflow_async_rest.core.answers.usual_names import tells_of_failure
from airflow_async_rest.core.encoding.paths import Names
from airflow_async_rest.core.errors import ConfigurationError, ResultsError
from airflow_async_rest.core.models import DELIVERED, MULTI_STATUS, Item, ItemResult, Response, Verdict
from airflow_async_rest.core.results.entries import (
    ERROR_NAMES,
    NOT_STORED,
    REASONS,
    EntryReader,
    is_success,
    judge_status,
    parse_answer,
)
from airflow_async_rest.core.results.failures import FailuresReader
from airflow_async_rest.core.results.matching import (
    check_count,
    check_positions,
    match_by_id,
    match_by_index,
    places_of,
    share_one,
    short,
)
from airflow_async_rest.core.results.results import Results
from airflow_async_rest.core.sending.retry import RequestRetry

Read = Callable[[Response, Sequence[Item]], list[ItemResult] | None]

_CREATED = 201
# Of an answer in which no list of results is found, so many are searched for a failure.
_LEVELS = 4


def results_reader(results: Results | Callable[..., Any], retry: RequestRetry, keys: tuple[Names, ...]) -> Read:
    """Make the function that reads answers as an author chose.

    It returns what became of each item; None: the answer speaks for all of them alike. It raises
    :class:`~airflow_async_rest.core.errors.ResultsError` when the answer cannot be understood, or not be matched to the
    items.

    :param keys: see :func:`sent_keys`.
    """
    if not isinstance(results, Results):
        return partial(_read_by_function, results, retry)
    if results.lists == "failures":
        return FailuresReader(results, retry, keys).read
    return EveryItemReader(results, retry, keys).read


def sent_keys(results: Results | Callable[..., Any] | None, key: tuple[str, ...]) -> tuple[Names, ...]:
    """Return the paths, in payloads, of the ids that a reader compares with those of the answer.

    :param key: the columns that identify an item.
    :raises ConfigurationError: when there is none, and it needs one.
    """
    if not isinstance(results, Results) or results.match == "index":
        return ()
    if results.match == "position" and results.at is None:
        return ()
    paths = tuple(tuple(path.split(".")) for path in results.paths("key")) or ((key,) if len(key) == 1 else ())
    if not paths and (results.match == "id" or results.lists == "failures"):
        raise ConfigurationError(
            "Results(match='id'): the payloads' id is not known: write key=..., its path in what transform returns, "
            "or give the operator a key of one column."
        )
    return paths


class EveryItemReader:
    """Reads answers that have an entry for each item.

    :param retry: tells what an HTTP status means, and which refusals are no item's fault.
    :param keys: see :func:`sent_keys`.
    """

    def __init__(self, results: Results, retry: RequestRetry, keys: tuple[Names, ...]) -> None:
        self._retry = retry
        self._results = results
        self._entries = EntryReader(results, retry, keys)
        self._has_ids = bool(keys)

    def read(self, response: Response, items: Sequence[Item]) -> list[ItemResult] | None:
        """Read what became of each item; see :func:`results_reader`."""
        accepted = is_success(response)
        may_be_objects = self._results.may_be_objects and accepted and response.status != MULTI_STATUS
        if may_be_objects and not _is_json(response):
            return None
        answer = parse_answer(response, lines=self._results.lines)
        found = self._entries.find(answer, usual_names_only=may_be_objects)
        if found is None:
            return self._read_without_entries(response, answer, len(items), may_be_objects=may_be_objects)
        check_count(found, len(items))
        verdict = not (may_be_objects and response.status == _CREATED)
        results = [self._entries.read(entry, accepted=accepted, status_is_verdict=verdict) for entry in found]
        understood = [result for result in results if result is not None]
        if may_be_objects and not understood:
            _check_nothing_failed(response, answer, *found)
            return None
        if len(understood) < len(found):
            raise ResultsError(
                f"a result has no status or error that could be read: {short(found[results.index(None)])}"
            )
        if not accepted and self._is_of_all(response) and any(result.status is None for result in understood):
            return None
        if accepted and understood.count(DELIVERED) == len(items):
            _check_whole(answer)
        return self._in_order(found, items, understood, self._entries.names_of(found, answer))

    def _read_without_entries(
        self, response: Response, answer: Any, count: int, *, may_be_objects: bool
    ) -> list[ItemResult] | None:
        if self._entries.may_go_again(answer):
            return [NOT_STORED] * count
        if not may_be_objects:
            raise ResultsError(f"the answer has no list of results: {short(answer)}")
        _check_nothing_failed(response, answer, levels=_LEVELS)
        return None

    def _is_of_all(self, response: Response) -> bool:
        """Return whether a refusal is no item's fault, so that what looks like a result may be about the whole."""
        return response.status == HTTPStatus.UNAUTHORIZED or self._retry.is_retriable(response.status)

    def _in_order(
        self, entries: Sequence[Any], items: Sequence[Item], results: list[ItemResult], names: list[str]
    ) -> list[ItemResult]:
        """Put results in the order of their items.

        :param names: under which the entries stand, where they are the values of an object.
        """
        match = self._results.match
        if match == "index":
            pairs = [
                (place, result)
                for entry, result in zip(entries, results, strict=True)
                for place in self._entries.at.indices_of(entry, len(items))
            ]
            return match_by_index(pairs, len(items))
        sent = [item.sent[0] for item in items] if self._has_ids else []
        are_ids = match == "id" or share_one(names, sent)
        if match is None and not are_ids and (places := places_of(names, self._results.first_index)):
            return match_by_index(list(zip(places, results, strict=True)), len(items))
        if not self._has_ids:
            return results
        said = names if names and are_ids else [self._entries.at.id_of(entry) for entry in entries]
        if match == "position":
            check_positions(said, sent)
            return results
        return match_by_id(said, sent, results, order_counts=match is None)


def _is_json(response: Response) -> bool:
    """Return whether an answer is JSON, or wants to be: cut off, or a line for each entry."""
    try:
        parse_answer(response)
    except ResultsError:
        return response.body.strip() == b"null" or response.body.lstrip()[:1] in {b"[", b"{"}
    return True


def _check_nothing_failed(response: Response, *parts: Any, levels: int = 1) -> None:
    for part in parts:
        if tells_of_failure(part, status_counts=response.status != _CREATED, levels=levels):
            raise ResultsError(f"the answer is a success that tells of failures, not of which: {short(part)}")


def _check_whole(answer: Any) -> None:
    """Check that nothing tells of failures beside results that are all good."""
    if isinstance(answer, Mapping) and tells_of_failure(_flat(answer)):
        raise ResultsError(f"the answer tells of errors, but no result does: {short(answer)}")


def _flat(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what has the results in it, and a mere flag of errors: _bulk has one."""
    return {
        name: value
        for name, value in answer.items()
        if (value is not True if name in ERROR_NAMES else not isinstance(value, Mapping | list))
    }


def _read_by_function(
    function: Callable[..., Any], retry: RequestRetry, response: Response, items: Sequence[Item]
) -> list[ItemResult] | None:
    try:
        payloads = [dict(item.payload) if isinstance(item.payload, dict) else item.payload for item in items]
        found = function(response, payloads)
    except Exception as error:
        raise ResultsError(f"the function given as results raised {type(error).__name__}: {error}") from error
    if found is None:
        return None
    if isinstance(found, Coroutine):
        found.close()
    if not isinstance(found, list | tuple):
        raise ResultsError(f"the function given as results returned a {type(found).__name__}: return a list or None")
    check_count(found, len(items))
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
        f"the function given as results returned {entry!r} for an item: return True, False, a Verdict, an HTTP "
        "status, or a pair of one of these and a text"
    )
