"""An answer that tells only of the items that failed -> what became of each. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_async_rest.core.answers.usual_names import (
    Nested,
    failures_counted,
    has_elsewhere,
    plain_name,
    tells_of_failure,
)
from airflow_async_rest.core.encoding.paths import ANY, MISSING, Names, compile_first, present
from airflow_async_rest.core.errors import ResultsError
from airflow_async_rest.core.models import DELIVERED, MULTI_STATUS, Item, ItemResult, Response
from airflow_async_rest.core.results.entries import ERROR_NAMES, NOT_STORED, EntryReader, is_success, parse_answer
from airflow_async_rest.core.results.matching import folded, id_text, short
from airflow_async_rest.core.results.results import Results
from airflow_async_rest.core.sending.retry import RequestRetry

_NO_CONTENT = frozenset({204, 205})
# Of an answer in which no list of failures is found, so many are searched for one.
_LEVELS = 4
_Failures = dict[int, ItemResult]


class FailuresReader:
    """Reads answers that list only what failed.

    :param retry: tells what an HTTP status means.
    :param keys: see :func:`~airflow_async_rest.core.results.reader.sent_keys`.
    """

    def __init__(self, results: Results, retry: RequestRetry, keys: tuple[Names, ...]) -> None:
        self._results = results
        self._entries = EntryReader(results, retry, keys)
        self._stored = compile_first(results.paths("stored"))
        self._success = compile_first(results.paths("success"))
        names = [[name for name in path.split(".") if name != ANY] for path in results.paths("entries")]
        self._last_names = {plain_name(some[-1]) for some in names if some}

    def read(self, response: Response, items: Sequence[Item]) -> list[ItemResult] | None:
        """Read what became of each item; see :func:`~airflow_async_rest.core.results.reader.results_reader`."""
        accepted = is_success(response)
        if response.status in _NO_CONTENT:
            return [DELIVERED] * len(items)
        answer = parse_answer(response, lines=self._results.lines)
        found = self._entries.find(answer)
        if not found and self._entries.may_go_again(answer):
            return [NOT_STORED] * len(items)
        if not found and not accepted:
            return None
        failures = self._place(found or [], items)
        if accepted:
            self._check_success(response, answer, found, len(items) - len(failures))
            self._check_count(answer, max(len(failures), len(found or [])))
        first = min(failures, default=len(items))
        return [
            failures.get(place) or (DELIVERED if self._is_stored(place, first, accepted=accepted) else NOT_STORED)
            for place in range(len(items))
        ]

    def _is_stored(self, place: int, first: int, *, accepted: bool) -> bool:
        """Return whether an item that is not named is stored.

        :param first: the first that failed.
        """
        return place < first if self._results.stops else accepted

    def _place(self, entries: Sequence[Any], items: Sequence[Item]) -> _Failures:
        """Read the entries, and find the items that they name."""
        failures: _Failures = {}
        by_index = self._results.match == "index"
        find = self._by_index if by_index else self._by_id
        for place, result in find(entries, items):
            if place in failures and failures[place].verdict is not result.verdict:
                raise ResultsError(f"two entries contradict each other: {failures[place].detail}; {result.detail}")
            failures.setdefault(place, result)
        return failures

    def _by_index(self, entries: Sequence[Any], items: Sequence[Item]) -> list[tuple[int, ItemResult]]:
        return [
            (place, result)
            for entry in entries
            for result in [self._entries.read_failure(entry)]
            for place in self._entries.at.indices_of(entry, len(items))
        ]

    def _by_id(self, entries: Sequence[Any], items: Sequence[Item]) -> list[tuple[int, ItemResult]]:
        of_id = defaultdict[tuple[int, str | None], list[int]](list)
        for place, item in enumerate(items):
            for number, own in enumerate(item.sent):
                of_id[number, own].append(place)
        named = defaultdict[tuple[int, str], list[ItemResult]](list)
        for entry in entries:
            if (found := self._entries.at.named_by(entry)) is None:
                raise ResultsError(f"an entry names no item: {short(entry)}")
            result = self._entries.read_failure(entry)
            for value in found[1]:
                number = found[0] if items and len(items[0].sent) > 1 else 0  # one key may stand at several places
                named[number, id_text(value)].append(result)
        pairs = []
        spelled = _spelled(of_id) if named.keys() - of_id.keys() else {}
        for of_one, results in named.items():
            places = of_id.get(of_one) or spelled.get((of_one[0], folded(of_one[1])), [])
            # Of items that were sent with one id, only as many results as there are items tell which failed.
            if not places or (len(places) > 1 and len(results) != len(places)):
                known = (
                    f"was sent {len(places)} times"
                    if places
                    else "no item was sent with: does key= name the field as sent?"
                )
                raise ResultsError(f"an entry is about {of_one[1]!r}, which {known}")
            if len(places) > 1 and len({result.verdict for result in results}) > 1:
                raise ResultsError(f"the entries about {of_one[1]!r} differ, and it was sent {len(places)} times")
            pairs += [(place, result) for place in places for result in (results if len(places) == 1 else results[:1])]
        return pairs

    def _check_success(self, response: Response, answer: Any, found: list[Any] | None, stored: int) -> None:
        """Check that nothing else in a success tells of failures. :raises ResultsError: when something does."""
        if found is None and (response.status == MULTI_STATUS or not isinstance(answer, Mapping)):
            raise ResultsError(f"the answer has no list of what failed: {short(answer)}")
        if not isinstance(answer, Mapping):
            return
        others = {
            name: value for name, value in answer.items() if value is not found and name not in self._entries.names
        }
        told = {name: value for name, value in others.items() if tells_of_failure({name: value})}
        lists = [name for name, value in told.items() if name in ERROR_NAMES or isinstance(value, Mapping | list)]
        into: Any = Mapping if self._entries.names else Nested
        deep = not found and tells_of_failure(others, levels=_LEVELS, into=into)
        deep |= found is None and has_elsewhere(answer, self._last_names, _LEVELS)
        said = present(self._success(answer))
        if lists or (told and not found) or deep or not all(map(self._entries.says_success, said)):
            raise ResultsError(f"the answer is a success that tells of failures, not of which: {short(answer)}")
        if self._results.success and not (said or found):
            raise ResultsError(f"the answer does not say that all went well: {short(answer)}")
        counts = [_number(count) for count in self._stored(answer) if count is not MISSING]
        if self._results.stored and min(counts, default=0) < stored:
            raise ResultsError(f"the answer counts fewer stored items than the {stored} that did not fail")

    def _check_count(self, answer: Any, named: int) -> None:
        """Check that all failures are named: some APIs name the first ten. :raises ResultsError: when not."""
        counted = failures_counted(answer) if isinstance(answer, Mapping) else 0
        if counted > named:
            raise ResultsError(f"the answer counts {counted:.0f} failures, and names {named}: {short(answer)}")


def _spelled(of_id: Mapping[tuple[int, str | None], list[int]]) -> dict[tuple[int, str | None], list[int]]:
    """Return the places of items by their ids, as others may spell them; none of what could be two."""
    found = defaultdict[tuple[int, str | None], list[list[int]]](list)
    for (number, own), places in of_id.items():
        found[number, folded(own)].append(places)
    return {spelled: some[0] for spelled, some in found.items() if len(some) == 1}


def _number(count: Any) -> float:
    """Return how many there are; of what is no count, none."""
    if isinstance(count, list):
        return len(count)
    try:
        return float(count)
    except (TypeError, ValueError):
        return -1
