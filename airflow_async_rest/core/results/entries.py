"""What an entry of the answer to a bulk request says of its item. Pure."""

from typing import Any

from airflow_async_rest.core.encoding.entry_paths import compile_first, compile_path, present
from airflow_async_rest.core.encoding.json_encoder import encode_anything
from airflow_async_rest.core.encoding.paths import MISSING
from airflow_async_rest.core.models import DELIVERED, ItemResult, Verdict
from airflow_async_rest.core.results.results import Results
from airflow_async_rest.core.results.sent_ids import id_text
from airflow_async_rest.core.results.usual_names import Said, http_status, is_true, say_by_usual_names
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.verdict import classify_status

REASONS = {Verdict.DELIVERED: "", Verdict.REFUSED: "refused", Verdict.RETRY: "not_stored"}
NOT_STORED = ItemResult(
    Verdict.RETRY, REASONS[Verdict.RETRY], "the answer does not name it among what failed, and it is not stored"
)
_LONGEST = 8_000  # of which a few hundred characters are shown


class EntryReader:
    """Reads single entries.

    :param retry: tells what an HTTP status means.
    """

    def __init__(self, results: Results, retry: RequestRetry) -> None:
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
                if value is not MISSING and value:
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


def judge_status(status: int, retry: RequestRetry, *, failed: bool = False, detail: str = "") -> ItemResult:
    """Judge an item by its own HTTP status; where it ``failed`` all the same, a success is a refusal."""
    verdict = classify_status(status, retry)
    if verdict is not Verdict.DELIVERED:
        return ItemResult(verdict, f"http_{status}", detail, status)
    return ItemResult(Verdict.REFUSED, REASONS[Verdict.REFUSED], detail, status) if failed else DELIVERED


def short(value: Any) -> str:
    """Write down what an answer says; its beginning is shown, without secrets, in a dead letter."""
    text = value if isinstance(value, str) else encode_anything(None if value is MISSING else value).decode()
    return text[:_LONGEST]
