"""One item -> its rows: a request for each page, until the last one."""

from dataclasses import dataclass, replace
from typing import Any

from airflow_async_rest.core.answer import Answer, AnswerReader
from airflow_async_rest.core.errors import AnswerError, ConfigurationError, ItemError, let_go
from airflow_async_rest.core.exchange import Exchange, Settled
from airflow_async_rest.core.fetch_request import FetchRequestBuilder
from airflow_async_rest.core.loading import MOST_ROWS_OF_AN_ITEM
from airflow_async_rest.core.models import Delivered, Item, Outcome, Request, Skipped
from airflow_async_rest.core.pages import Pages

_NOT_FOUND = 404

Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class FetchPlan:
    """What is asked for, and how its answers are read.

    :param missing_ok: whether a 404 to an item's first request says that there are no rows.
    :param max_pages: the most pages of an item; more of them fail it.
    :raises ConfigurationError: when the pages cannot be asked for in this way.
    """

    builder: FetchRequestBuilder
    pages: Pages
    reader: AnswerReader
    missing_ok: bool = False
    max_pages: int = 10_000

    def __post_init__(self) -> None:
        if not isinstance(self.missing_ok, bool):
            raise ConfigurationError(f"missing_ok={self.missing_ok!r}: write True or False.")
        if type(self.max_pages) is not int or self.max_pages < 1:
            raise ConfigurationError(f"max_pages={self.max_pages!r}: write a whole number from 1 up.")
        if self.builder.method == "GET" and self.pages.begin().into == "body":
            raise ConfigurationError("paginate with into='body': a GET has none; write method='POST', or into='query'.")
        if self.pages.counts_rows and not self.reader.counts:
            raise ConfigurationError(
                f"paginate={type(self.pages).__name__}(...) goes by how many rows the API gives, and rows= may make "
                "more or fewer of them: say with page_rows='data.items' at which path of the answer the API's are."
            )


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
        walk = _Walk(self._plan, item)
        attempts = 0
        try:
            walk.begin()
            while (request := walk.request) is not None:
                settled = await self._exchange.settle(request)
                attempts += settled.attempts
                if settled.delivered:
                    assert settled.response is not None  # noqa: S101  (delivered: there was one)
                    walk.take(self._plan.reader.read(settled.response, item.row))
                elif self._is_end(walk, settled):
                    break
                else:
                    settled = replace(settled, attempts=attempts)
                    return self._exchange.dead_letter(item, request, settled, fetch=True), []
        except ItemError as error:
            let_go(error)
            letter = self._exchange.unsent(
                item, error.reason, str(error), attempts=attempts, request=walk.request, fetch=True
            )
            return letter, []
        return (Delivered(item.index, attempts) if walk.count else Skipped(item.index)), walk.rows

    def _is_end(self, walk: "_Walk", settled: Settled) -> bool:
        """Tell a failure that says that there are no rows, or no more of them."""
        status = settled.response.status if settled.response is not None else None
        if walk.count == 0:
            return self._plan.missing_ok and status == _NOT_FOUND
        return status in self._plan.pages.end_statuses and not self._plan.pages.knows_end


class _Walk:
    """An item's way from page to page.

    :ivar request: for the page that it has come to; None at the end.
    :ivar count: pages that were read.
    :ivar rows: theirs.
    """

    def __init__(self, plan: FetchPlan, item: Item) -> None:
        self._plan = plan
        self._item = item
        self._page = plan.pages.begin()
        self._asked: set[tuple[Any, ...]] = set()
        self._before: Answer | None = None
        self.request: Request | None = None
        self.count = 0
        self.rows: Rows = []

    def begin(self) -> None:
        """Build the first request. :raises ItemError: when the item does not fill it."""
        self.request = self._plan.builder.build(self._item, self._page)
        self._asked.add(_place(self.request))

    def take(self, answer: Answer) -> None:
        """Take the rows of a page, and go on to the next one.

        :raises AnswerError: when the pages do not get on, or never end.
        """
        self.count += 1
        page, here = self._plan.pages.after(self._page, answer), self.request
        request = None if page is None else self._plan.builder.build(self._item, page, here)
        leads_here = here is not None and request is not None and _place(request) == _place(here)
        if self._is_end(answer, leads_here=leads_here):
            self.request = None
            return
        self._before = answer
        self.rows += answer.rows
        if len(self.rows) > MOST_ROWS_OF_AN_ITEM:
            raise AnswerError(
                f"the answers for one item have {len(self.rows):,} rows; {MOST_ROWS_OF_AN_ITEM:,} is the most"
            )
        if request is not None and not leads_here:
            self._check_new(request)
        if request is not None and self.count >= self._plan.max_pages:
            raise AnswerError(
                f"the pages do not end: {self.count:,} have come, and there is a next one; max_pages={self.count} is "
                "the most that an item may have"
            )
        self._page, self.request = page or self._page, request

    def _is_end(self, answer: Answer, *, leads_here: bool) -> bool:
        """Tell a page that is none: it has no new rows, and nothing else that is new.

        :param leads_here: whether its cursor, or link, is its own.
        :raises AnswerError: when the API gives the first page, whatever it is asked for.
        """
        pages = self._plan.pages
        if leads_here and answer.count == 0:
            return True
        if not (leads_here or pages.goes_by_rows) or self._before is None or answer.count == 0:
            return False
        if answer.given != self._before.given:
            return False
        if self.count == 2 and len(self._asked) == 2:  # noqa: PLR2004  (the second page, asked for in another way)
            raise AnswerError(
                "the second page has the rows of the first one: does the API know the parameters of paginate?"
            )
        return leads_here or not pages.knows_end

    def _check_new(self, request: Request) -> None:
        if (place := _place(request)) in self._asked:
            raise AnswerError(f"the pages do not end: {request.path}?{request.query} comes a second time")
        self._asked.add(place)


def _place(request: Request) -> tuple[Any, ...]:
    return request.path, request.query, request.body
