"""An author's function that reads the answer to a bulk request -> what became of each item."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from airflow_async_rest.core.errors import ResultsError
from airflow_async_rest.core.models import DELIVERED, Item, ItemResult, Response, Verdict
from airflow_async_rest.core.results.entries import REASONS, judge_status
from airflow_async_rest.core.results.matching import check_count
from airflow_async_rest.core.sending.retry import RequestRetry


class FunctionReader:
    """Reads answers by an author's function."""

    def __init__(self, function: Callable[..., Any], retry: RequestRetry) -> None:
        self._function = function
        self._retry = retry

    def read(self, response: Response, items: Sequence[Item]) -> list[ItemResult] | None:
        """Read what became of each item; see :class:`~airflow_async_rest.core.results.reader.ResultsReader`."""
        try:
            payloads = [dict(item.payload) if isinstance(item.payload, dict) else item.payload for item in items]
            found = self._function(response, payloads)
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
        check_count(found, len(items))
        return [self._read_said(entry) for entry in found]

    def _read_said(self, entry: Any) -> ItemResult:
        said, detail = entry if isinstance(entry, tuple) and len(entry) == 2 else (entry, "")  # noqa: PLR2004
        if isinstance(said, bool):
            said = Verdict.DELIVERED if said else Verdict.REFUSED
        if said is Verdict.DELIVERED:
            return DELIVERED
        if isinstance(said, Verdict):
            return ItemResult(said, REASONS[said], str(detail))
        if isinstance(said, int) and 100 <= said <= 599:  # noqa: PLR2004
            return judge_status(said, self._retry, detail=str(detail))
        raise ResultsError(
            f"the function given as results returned {entry!r} for an item: return True, False, a Verdict, an HTTP "
            "status, or a pair of one of these and a text"
        )
