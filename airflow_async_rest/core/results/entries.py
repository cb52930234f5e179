"""Where the entries are in the answer to a bulk request, and what each says of its item. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_async_rest.core.answers.formats import json_text, parse_json
from airflow_async_rest.core.answers.usual_names import Said, http_status, is_error, is_true, say_by_usual_names
from airflow_async_rest.core.encoding.paths import ANY, MISSING, Names, compile_first, compile_path, present
from airflow_async_rest.core.errors import ResultsError
from airflow_async_rest.core.models import DELIVERED, ItemResult, Response, Verdict
from airflow_async_rest.core.results.matching import Places, id_text, short
from airflow_async_rest.core.results.results import Results
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.verdict import classify_status

REASONS = {Verdict.DELIVERED: "", Verdict.REFUSED: "refused", Verdict.RETRY: "not_stored"}
NOT_STORED = ItemResult(
    Verdict.RETRY, REASONS[Verdict.RETRY], "the answer does not name it among what failed, and it is not stored"
)
ERROR_NAMES = ("errors", "error")
_LIST_NAMES = ("results", "items", "responses", "records", "data", "value")
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


class EntryReader:
    """Finds the entries of an answer, and reads them.

    :param retry: tells what an HTTP status means.
    :param keys: paths, in an entry, of the ids that were sent.
    :ivar at: where an entry names its item.
    :ivar names: the keys of an answer in which entries may be, where an author says so.
    """

    def __init__(self, results: Results, retry: RequestRetry, keys: tuple[Names, ...] = ()) -> None:
        self.at = Places(results.paths("at") or keys, results.first_index)
        self.names = frozenset(path.partition(".")[0] for path in results.paths("entries"))
        self._lines = results.lines
        self._failures = results.lists == "failures"
        lists = results.paths("entries") or (_FAILURE_LISTS if self._failures else ())
        self._lists = [(path, compile_path(path)) for path in lists]
        # Those that may lead to an object whose names tell which item each of its values is about.
        self._objects = [
            compile_path(names[:-1])
            for names in (tuple(path.split(".")) for path in lists)
            if names[-1] == ANY and ANY not in names[:-1]
        ]
        self._retry = retry
        self._by_usual_names = results.by_usual_names
        self._status = compile_first(results.paths("status"))
        self._success = compile_first(results.paths("success")) if results.success else None
        values = results.success_values
        self._success_values = None if values is None else frozenset(map(id_text, values))
        self._errors = [compile_path(path) for path in results.paths("error")]
        self._texts = [compile_path(path) for path in results.paths("text")]
        self._code = compile_first(results.paths("code"))
        self._retry_codes = frozenset(map(id_text, results.retry_codes))

    def find(self, answer: Any, *, usual_names_only: bool = False) -> list[Any] | None:
        """Find the entries; None: there is no such list.

        :param usual_names_only: without a path, the only list of an answer will not do.
        :raises ResultsError: when something else stands in its place.
        """
        if self._lines or not self._lists:
            return _usual_list(answer, only=not usual_names_only)
        for path, find in self._lists:
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

    def names_of(self, entries: Sequence[Any], answer: Any) -> list[str]:
        """Return the names under which entries stand in an object of the answer; none where they are in a list."""
        for find in self._objects:
            [found] = find(answer)
            if isinstance(found, Mapping) and [*map(id, found.values())] == [*map(id, entries)]:
                return [*map(str, found)]
        return []

    def _one_failure(self, path: str, value: Any) -> list[Any] | None:
        """Read a value that is not a list as one: of nothing, or of the answer when that is itself a failure."""
        if value is MISSING:
            return None
        if path == "":
            return [value] if isinstance(value, Mapping) and self.at.named_by(value) else None
        if value:
            raise ResultsError(f"{path!r} of the answer is not a list: {short(value)}")
        return []

    def read(self, entry: Any, *, accepted: bool, status_is_verdict: bool = True) -> ItemResult | None:
        """Read what an entry says of its item; None: nothing that could be understood.

        :param accepted: whether the answer as a whole is a success. Where it is not, an entry without an error may
            only mean that the item was not at fault: it was not delivered for that, and is sent again without the
            others.
        :param status_is_verdict: False: a field ``status`` is the object's own, where no path says otherwise.
        """
        said = (
            say_by_usual_names(entry, status_is_verdict=status_is_verdict) if self._by_usual_names else self._say(entry)
        )
        status = said.status
        if said.error or said.success is False:
            return self._failure(entry, said.error, status)
        if status is not None:
            success = classify_status(status, self._retry) is Verdict.DELIVERED
            return DELIVERED if success else self._failure(entry, None, status)
        if said.success:
            return DELIVERED
        if said.error is None or said.unknown:
            return None
        return DELIVERED if accepted else ItemResult(Verdict.RETRY, REASONS[Verdict.RETRY], short(entry))

    def read_failure(self, entry: Any) -> ItemResult:
        """Read an entry of a list of failures."""
        said = self._say(entry)
        return self._failure(entry, said.error, said.status)

    def may_go_again(self, value: Any) -> bool:
        """Return whether all codes in an entry, or in an answer without entries, are of those that may pass."""
        codes = present(self._code(value)) if self._retry_codes else []
        return bool(codes) and self._retry_codes.issuperset(map(id_text, codes))

    def _say(self, entry: Any) -> Said:
        found = self._status(entry)
        status = http_status(found[0]) if found and (len(found) == 1 or found.count(found[0]) == len(found)) else None
        unknown = status is None and bool(present(found))
        return Said(status, self._find_success(entry), self._find_error(entry), unknown)

    def _find_success(self, entry: Any) -> bool | None:
        if self._success is None:
            return None
        flags = [None if value is MISSING else self.says_success(value) for value in self._success(entry)]
        return False if False in flags else True if flags and None not in flags else None

    def says_success(self, value: Any) -> bool:
        """Return whether what stands at the path of success says that all is well."""
        return is_true(value) if self._success_values is None else id_text(value) in self._success_values

    def _find_error(self, entry: Any) -> Any:
        """Find an error: None where nothing says whether there was one, else empty where there was none."""
        none = None
        for find in self._errors:
            found = find(entry)
            for value in found:
                if value is not MISSING and is_error(value):
                    return value
            if found and MISSING not in found:
                none = ""
        return none

    def _failure(self, entry: Any, error: Any, status: int | None) -> ItemResult:
        texts = [short(text) for find in self._texts for text in present(find(entry)) if text]
        detail = "; ".join(texts) or short(error or entry)
        if self.may_go_again(entry):
            return ItemResult(Verdict.RETRY, REASONS[Verdict.RETRY], detail, status)
        if status is None:
            return ItemResult(Verdict.REFUSED, REASONS[Verdict.REFUSED], detail)
        return judge_status(status, self._retry, failed=True, detail=detail)


def _usual_list(answer: Any, *, only: bool) -> list[Any] | None:
    """Find the list of results: the answer itself, or under a usual name, or the only list in it."""
    if isinstance(answer, Mapping):
        lists = {name: value for name, value in answer.items() if isinstance(value, list) and name not in ERROR_NAMES}
        named = next((lists[name] for name in _LIST_NAMES if name in lists), None)
        answer = next(iter(lists.values())) if named is None and only and len(lists) == 1 else named
    return answer if isinstance(answer, list) else None


def judge_status(status: int, retry: RequestRetry, *, failed: bool = False, detail: str = "") -> ItemResult:
    """Judge an item by its own HTTP status; where it ``failed`` all the same, a success is a refusal."""
    verdict = classify_status(status, retry)
    if verdict is not Verdict.DELIVERED:
        return ItemResult(verdict, f"http_{status}", detail, status)
    return ItemResult(Verdict.REFUSED, REASONS[Verdict.REFUSED], detail, status) if failed else DELIVERED
