"""The answer to a bulk request -> what became of each item. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from airflow_async_rest.core.batch_entries import NOT_STORED, EntryReader, short
from airflow_async_rest.core.batch_failures import FailuresReader
from airflow_async_rest.core.batch_function import FunctionReader
from airflow_async_rest.core.batch_lists import ERROR_NAMES, EntryList, Places, is_success, parse_answer
from airflow_async_rest.core.batch_matching import check_count, check_positions, match_by_id, match_by_index
from airflow_async_rest.core.columns import Path
from airflow_async_rest.core.errors import ConfigurationError, ResultsError
from airflow_async_rest.core.models import DELIVERED, MULTI_STATUS, Item, ItemResult, Response
from airflow_async_rest.core.results import Results
from airflow_async_rest.core.retry import RequestRetry
from airflow_async_rest.core.usual_names import tells_of_failure

_CREATED = 201


class ResultsReader(Protocol):
    """Reads answers to bulk requests."""

    def read(self, response: Response, items: Sequence[Item]) -> list[ItemResult] | None:
        """Read what became of each item; None: the answer speaks for all of them alike.

        :raises ResultsError: when it cannot be understood, or not be matched to the items.
        """


def results_reader(results: Results | Callable[..., Any], retry: RequestRetry, keys: tuple[Path, ...]) -> ResultsReader:
    """Make the reader that an author chose.

    :param keys: see :func:`sent_keys`.
    """
    if not isinstance(results, Results):
        return FunctionReader(results, retry)
    entries, at = EntryReader(results, retry), Places(results.paths("at") or keys, results.first_index)
    if results.lists == "failures":
        return FailuresReader(results, entries, at)
    return EveryItemReader(results, entries, at, has_ids=bool(keys))


def sent_keys(results: Results | Callable[..., Any] | None, key: tuple[str, ...]) -> tuple[Path, ...]:
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

    :param entries: reads single ones.
    :param at: where an entry has its index or id.
    :param has_ids: whether items have ids to compare with.
    """

    def __init__(self, results: Results, entries: EntryReader, at: Places, *, has_ids: bool) -> None:
        self._results = results
        self._entries = entries
        self._at = at
        self._has_ids = has_ids
        self._list = EntryList(results, at)

    def read(self, response: Response, items: Sequence[Item]) -> list[ItemResult] | None:
        """Read what became of each item; see :class:`ResultsReader`."""
        accepted = is_success(response)
        may_be_objects = self._results.may_be_objects and accepted and response.status != MULTI_STATUS
        if may_be_objects and not _is_json(response):
            return None
        answer = parse_answer(response, lines=self._results.lines)
        found = answer if self._results.lines else self._list.find(answer, usual_names_only=may_be_objects)
        if found is None:
            return self._read_without_entries(answer, len(items), may_be_objects=may_be_objects)
        check_count(found, len(items))
        verdict = not (may_be_objects and response.status == _CREATED)
        results = [self._entries.read(entry, accepted=accepted, status_is_verdict=verdict) for entry in found]
        understood = [result for result in results if result is not None]
        if may_be_objects and not understood:
            _check_nothing_failed(answer, *found)
            return None
        if len(understood) < len(found):
            raise ResultsError(
                f"a result has no status or error that could be read: {short(found[results.index(None)])}"
            )
        if accepted and understood.count(DELIVERED) == len(items):
            _check_errors(answer)
        return self._in_order(found, items, understood)

    def _read_without_entries(self, answer: Any, count: int, *, may_be_objects: bool) -> list[ItemResult] | None:
        if self._entries.may_go_again(answer):
            return [NOT_STORED] * count
        if not may_be_objects:
            raise ResultsError(f"the answer has no list of results: {short(answer)}")
        _check_nothing_failed(answer)
        return None

    def _in_order(self, entries: Sequence[Any], items: Sequence[Item], results: list[ItemResult]) -> list[ItemResult]:
        match = self._results.match
        if match == "index":
            places = [place for entry in entries for place in self._at.indices_of(entry, len(items))]
            return match_by_index(places, results)
        if not self._has_ids:
            return results
        said, sent = [self._at.id_of(entry) for entry in entries], [item.sent[0] for item in items]
        if match == "position":
            check_positions(said, sent)
            return results
        return match_by_id(said, sent, results, order_counts=match is None)


def _is_json(response: Response) -> bool:
    try:
        parse_answer(response)
    except ResultsError:
        return response.body.strip() == b"null"
    return True


def _check_nothing_failed(*parts: Any) -> None:
    for part in parts:
        if tells_of_failure(part):
            raise ResultsError(f"the answer is a success, and tells of failures, not of which: {short(part)}")


def _check_errors(answer: Any) -> None:
    """Check that no error stands beside results that are all good; a flag or a count is none."""
    errors = [answer.get(name) for name in ERROR_NAMES] if isinstance(answer, Mapping) else []
    if any(error and isinstance(error, str | list | Mapping) for error in errors):
        raise ResultsError(f"the answer tells of errors, and no result does: {short(answer)}")
