"""One item -> its rows: a request for each page, until the last one."""

from dataclasses import dataclass, replace
from typing import Any

from airflow_async_rest.core.answer import Answer, AnswerReader
from airflow_async_rest.core.errors import AnswerError, ConfigurationError, ItemError, let_go
from airflow_async_rest.core.exchange import Exchange
from airflow_async_rest.core.fetch_request import FetchRequestBuilder
from airflow_async_rest.core.loading import MOST_ROWS_OF_AN_ITEM
from airflow_async_rest.core.models import Delivered, Item, Outcome, Request, Response, Skipped
from airflow_async_rest.core.pages import Page, Pages

_NOT_FOUND = 404

Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class FetchPlan:
    """What is asked for, and how its answers are read.

    :param missing_ok: whether a 404 says that there are no rows.
    :raises ConfigurationError: when the pages cannot be asked for in this way.
    """

    builder: FetchRequestBuilder
    pages: Pages
    reader: AnswerReader
    missing_ok: bool = False

    def __post_init__(self) -> None:
        if self.builder.method == "GET" and self.pages.begin().into == "body":
            raise ConfigurationError("paginate with into='body': a GET has none; write method='POST', or into='query'.")


class Fetching:
    """Fetches items one at a time; any number of workers share it."""

    def __init__(self, plan: FetchPlan, exchange: Exchange) -> None:
        self._plan = plan
        self._exchange = exchange

    async def fetch(self, item: Item) -> tuple[Outcome, Rows]:
        """Fetch all pages of one item. :return: its outcome and its rows; none of them when one page fails.

        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        if item.settled is not None:
            return item.settled, []
        rows: Rows = []
        attempts = 0
        page: Page | None = self._plan.pages.begin()
        asked: set[tuple[Any, ...]] = set()
        request: Request | None = None
        before: Response | None = None
        try:
            while page is not None:
                request = self._build(item, page, request, asked)
                settled = await self._exchange.settle(request)
                attempts += settled.attempts
                if not settled.delivered:
                    response = settled.response
                    if self._plan.missing_ok and response is not None and response.status == _NOT_FOUND:
                        break  # none; or, of an API that says so of the page after the last, no more
                    settled = replace(settled, attempts=attempts)
                    return self._exchange.dead_letter(item, request, settled, fetch=True), []
                assert settled.response is not None  # noqa: S101  (delivered: there was one)
                answer: Answer = self._plan.reader.read(settled.response, item.row)
                _check_progress(before, answer, len(rows) + len(answer.rows))
                before = answer.response
                rows += answer.rows
                page = self._plan.pages.after(page, answer)
        except ItemError as error:
            let_go(error)
            letter = self._exchange.unsent(
                item, error.reason, str(error), attempts=attempts, request=request, fetch=True
            )
            return letter, []
        if page is not None and len(asked) == 1:
            return Skipped(item.index), []
        return Delivered(item.index, attempts), rows

    def _build(self, item: Item, page: Page, after: Request | None, asked: set[tuple[Any, ...]]) -> Request:
        request = self._plan.builder.build(item, page, after)
        place = (request.path, request.query, request.body)
        if place in asked:
            raise AnswerError(f"the pages do not end: {request.path}?{request.query} comes a second time")
        asked.add(place)
        return request


def _check_progress(before: Response | None, answer: Answer, count: int) -> None:
    """Look for pages that would never end. :raises AnswerError: then."""
    if before is not None and answer.count and answer.response.body == before.body:
        raise AnswerError(
            "a page is, to the last byte, the one before it: does the API know the parameters of paginate?"
        )
    if count > MOST_ROWS_OF_AN_ITEM:
        raise AnswerError(f"the answers for one item have {count:,} rows; {MOST_ROWS_OF_AN_ITEM:,} is the most")
