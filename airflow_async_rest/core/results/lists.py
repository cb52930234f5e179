"""Where the entries are in the answer to a bulk request, and what each names. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_async_rest.core.answers.formats import json_text, parse_json
from airflow_async_rest.core.encoding.entry_paths import compile_path, present
from airflow_async_rest.core.encoding.paths import MISSING, Names
from airflow_async_rest.core.errors import ResultsError
from airflow_async_rest.core.models import Response
from airflow_async_rest.core.results.entries import short
from airflow_async_rest.core.results.results import Results
from airflow_async_rest.core.results.sent_ids import known_id

_LONGEST_INDEX = 9  # digits
_LIST_NAMES = ("results", "items", "responses", "records", "data", "value")
ERROR_NAMES = ("errors", "error")
_FAILURE_LISTS = ("errors", "failures", "failed", "rejected", "error", "")


def is_success(response: Response) -> bool:
    """Return whether an answer as a whole is a success."""
    return 200 <= response.status <= 299  # noqa: PLR2004


def parse_answer(response: Response, *, lines: bool = False) -> Any:
    """Parse an answer. :raises ResultsError: when it is not JSON, or says nothing."""
    try:
        text = json_text(response)
        if lines:
            return [parse_json(line) for line in text.splitlines() if line.strip()]
        answer = parse_json(text)
    except (ValueError, LookupError, RecursionError):
        what = f"not JSON: {short(response.text)}" if response.body else "empty"
        raise ResultsError(f"the answer is {what}") from None
    if answer is None:
        raise ResultsError("the answer is null")
    return answer


class EntryList:
    """Finds the entries of an answer.

    :param at: where a failure names its item.
    """

    def __init__(self, results: Results, at: "Places") -> None:
        self._failures = results.lists == "failures"
        paths = results.paths("entries") or (_FAILURE_LISTS if self._failures else ())
        self._finds = [(path, compile_path(path)) for path in paths]
        self._at = at
        self.names = frozenset(path.partition(".")[0] for path in results.paths("entries"))

    def find(self, answer: Any, *, usual_names_only: bool = False) -> list[Any] | None:
        """Find the entries; None: there is no such list.

        :param usual_names_only: without a path, the only list of an answer will not do.
        :raises ResultsError: when something else stands in its place.
        """
        if not self._finds:
            return _usual_list(answer, only=not usual_names_only)
        for path, find in self._finds:
            found = find(answer)
            if "*" in path:
                if any(value is not MISSING for value in found) or not found:
                    return present(found) if self._failures else found
            elif isinstance(found[0], list):
                entries: list[Any] = found[0]
                return entries
            elif self._failures and (failures := self._one_failure(path, found[0])) is not None:
                return failures
        return None

    def _one_failure(self, path: str, value: Any) -> list[Any] | None:
        """Read a value that is not a list as one: of nothing, or of the answer when that is itself a failure."""
        if value is MISSING:
            return None
        if path == "":
            return [value] if isinstance(value, Mapping) and self._at.named_by(value) else None
        if value:
            raise ResultsError(f"{path!r} of the answer is not a list: {short(value)}")
        return []


def _usual_list(answer: Any, *, only: bool) -> list[Any] | None:
    """Find the list of results: the answer itself, or under a usual name, or the only list in it."""
    if isinstance(answer, Mapping):
        lists = {name: value for name, value in answer.items() if isinstance(value, list) and name not in ERROR_NAMES}
        named = next((lists[name] for name in _LIST_NAMES if name in lists), None)
        answer = next(iter(lists.values())) if named is None and only and len(lists) == 1 else named
    return answer if isinstance(answer, list) else None


class Places:
    """What entries name their items by.

    :param paths: of the index or id in an entry; the first that is there counts.
    :param first_index: see :class:`~airflow_async_rest.core.results.results.Results`.
    """

    def __init__(self, paths: Sequence[str | Names], first_index: int) -> None:
        self._finds = list(enumerate(map(compile_path, paths)))
        self._first_index = first_index

    def named_by(self, entry: Any) -> tuple[int, list[Any]] | None:
        """Return what an entry names, and by which path; None: nothing."""
        for number, find in self._finds:
            if named := present(find(entry)):
                return number, named
        return None

    def id_of(self, entry: Any) -> str | None:
        """Return the id that an entry has; None: it has none."""
        for _, find in self._finds:
            for value in find(entry):
                if type(value) is str and value:
                    return value
                if (text := known_id(value)) is not None:
                    return text
        return None

    def indices_of(self, entry: Any, count: int) -> list[int]:
        """Return the places of the items that an entry names. :raises ResultsError: when it names none of them."""
        named = self.named_by(entry)
        if named is None:
            raise ResultsError(f"an entry names no item: {short(entry)}")
        indices = [_index(value) for value in named[1]]
        places = [index - self._first_index for index in indices if index is not None]
        if len(places) < len(indices) or not all(0 <= place < count for place in places):
            raise ResultsError(
                f"an entry is about an item that is not one of the {count} that were sent: {short(entry)}"
            )
        return places


def _index(value: Any) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) <= _LONGEST_INDEX else None
    return value if type(value) is int else None
