"""One item -> its rows: a request for each page, until the last one."""

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from airflow_async_rest.core.account.bookmarks import Bookmark
from airflow_async_rest.core.answers.reader import Answer, AnswerReader
from airflow_async_rest.core.answers.tally import Tally
from airflow_async_rest.core.encoding.json_encoder import stable_bytes
from airflow_async_rest.core.errors import AnswerError, BookmarkRefusedError, ConfigurationError, ItemError, let_go
from airflow_async_rest.core.fetching.pages_ahead import PagesAhead, room_ahead
from airflow_async_rest.core.fetching.request import FetchRequestBuilder
from airflow_async_rest.core.keeping.loading import MOST_ROWS_OF_AN_ITEM
from airflow_async_rest.core.limits.adaptive import Places
from airflow_async_rest.core.models import Delivered, Item, Outcome, Request, Skipped, Verdict
from airflow_async_rest.core.pages import Page, Pages
from airflow_async_rest.core.sending.attempts import Exchange, Settled
from airflow_async_rest.core.sending.verdict import UNAUTHORIZED

_NOT_FOUND = 404
# What APIs answer to a page after the last one.
_PAST_THE_END = frozenset({400, 404, 410, 416, 422})

Rows = list[dict[str, Any]]
Keep = Callable[[Rows, Bookmark], Awaitable[None]]


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

    def tally(self, **parts: Any) -> Tally:
        """Return what counts the keys and paths of the answers that lead nowhere.

        :param parts: what :class:`Tally` takes beside the paths.
        """
        return Tally(self.reader.asked, filter(None, [self.pages.next_path]), **parts)


class Fetched(NamedTuple):
    """How an item ended.

    :param rows: those of its last page, and of all pages that nobody has kept; none when a page failed.
    :param first: number of the first of them among the item's rows.
    :param pages: how many were read.
    """

    outcome: Outcome
    rows: Rows
    first: int = 0
    pages: int = 0


class Fetching:
    """Fetches items one at a time; any number of workers share it.

    :param places: of requests in flight, for pages that are asked for side by side.
    :param tally: counts what of the answers leads nowhere.
    """

    def __init__(self, plan: FetchPlan, exchange: Exchange, places: Places, tally: Tally) -> None:
        self._tally = tally
        self._plan = plan
        self._exchange = exchange
        self._places = places
        self._room = room_ahead(places)

    async def fetch(self, item: Item, bookmark: Bookmark | None = None, keep: Keep | None = None) -> Fetched:
        """Fetch the pages of one item.

        :param bookmark: where to go on.
        :param keep: takes the rows of each page but the last, and where it leads; None: all are wanted at the end.
        :raises BookmarkRefusedError: when the API refuses to go on there.
        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        if item.settled is not None:
            return Fetched(item.settled, [])
        if not self._plan.pages.concurrent:
            return await self._walk(item, bookmark, keep, None)
        ahead = PagesAhead(self._exchange.settle, self._places, self._room)
        try:
            return await self._walk(item, bookmark, keep, ahead)
        finally:
            ahead.close()

    async def _walk(
        self, item: Item, bookmark: Bookmark | None, keep: Keep | None, ahead: PagesAhead | None
    ) -> Fetched:
        walk = _Walk(self._plan, item, bookmark)
        attempts = 0
        settle = ahead.settle if ahead is not None else self._exchange.settle
        try:
            walk.begin()
            while (request := walk.request) is not None:
                settled = await settle(request)
                attempts += settled.attempts
                if settled.delivered:
                    assert settled.response is not None  # noqa: S101  (delivered: there was one)
                    answer = self._plan.reader.read(settled.response, item.row, self._tally)
                    if self._tally.unfound_next.counts and isinstance(answer.payload, Mapping):
                        self._tally.unfound_next.look_at(answer.payload)
                    expected = walk.take(answer)
                    if ahead is not None and ahead.wants_more:
                        ahead.expect(expected)
                elif self._is_end(walk, settled):
                    break
                elif walk.is_at(bookmark) and _is_refused(settled):
                    raise BookmarkRefusedError(settled.judgment.reason)
                else:
                    where = self._place_of(walk, settled)
                    letter = self._exchange.dead_letter(
                        item, request, settled, where=where, attempts=attempts, fetch=True
                    )
                    return Fetched(letter, [], pages=walk.count)
                if keep is not None and walk.request is not None:
                    await keep(walk.take_rows(), walk.bookmark)
        except ItemError as error:
            let_go(error)
            letter = self._exchange.unsent(
                item, error.reason, str(error), attempts=attempts, request=walk.request, fetch=True
            )
            return Fetched(letter, [], pages=walk.count)
        outcome = Delivered(item.index, attempts) if walk.count else Skipped(item.index)
        return Fetched(outcome, walk.rows, walk.first, walk.count)

    def _place_of(self, walk: "_Walk", settled: Settled) -> str:
        """Say which page failed, where others came before it, and what that may mean."""
        if walk.count == 0:
            return ""
        status, verdict = settled.response.status if settled.response else 0, settled.judgment.verdict
        if verdict is not Verdict.REFUSED or status not in _PAST_THE_END or self._plan.pages.knows_end:
            return f"page {walk.count + 1}: "
        return (
            f"page {walk.count + 1} (where the API ends its pages so, write end_statuses=({status},) into paginate): "
        )

    def _is_end(self, walk: "_Walk", settled: Settled) -> bool:
        """Tell a failure that says that there are no rows, or no more of them."""
        status = settled.response.status if settled.response is not None else None
        if walk.count == 0:
            return self._plan.missing_ok and status == _NOT_FOUND
        return status in self._plan.pages.end_statuses and not self._plan.pages.knows_end


def _is_refused(settled: Settled) -> bool:
    """Return whether the API refuses the page, and not the credentials, its own or a proxy's."""
    if settled.response is None or settled.response.status == UNAUTHORIZED:
        return False
    return settled.judgment.verdict is Verdict.REFUSED


class _Walk:
    """An item's way from page to page.

    :param bookmark: where it begins; None: with the first page.
    :ivar request: for the page that it has come to; None at the end.
    :ivar count: pages that were read.
    :ivar rows: theirs, but for those that were taken.
    :ivar first: how many were.
    """

    def __init__(self, plan: FetchPlan, item: Item, bookmark: Bookmark | None) -> None:
        self._plan = plan
        self._item = item
        self._asked: set[str] = set()
        self._start = bookmark or Bookmark(plan.pages.begin(), "", pages=0, rows=0, given="")
        self._page, self._given = self._start.page, self._start.given
        self._repeats, self._opening = self._start.repeats, self._start.opening
        self.request: Request | None = None
        self.count, self.first = self._start.pages, self._start.rows
        self.rows: Rows = []

    def begin(self) -> None:
        """Build the first request. :raises ItemError: when the item does not fill it."""
        self.request = self._plan.builder.build(self._item, self._page, self._start.after)
        self._asked.add(self.request.idempotency_key)

    def is_at(self, bookmark: Bookmark | None) -> bool:
        """Return whether it has not got on from a bookmark."""
        return bookmark is not None and self.count == bookmark.pages

    def take_rows(self) -> Rows:
        """Take the rows that nobody took yet."""
        rows, self.rows = self.rows, []
        self.first += len(rows)
        return rows

    @property
    def bookmark(self) -> Bookmark:
        """Where it has come to; its rows are those that were taken."""
        assert self.request is not None  # noqa: S101  (at the end there is no next page)
        page, after = self._page, self.request.path
        if page.link is not None:  # as it is asked for, without what of it is the connection's own
            page = Page(page.parameters, page.into, f"?{self.request.query}")
        return Bookmark(page, after, self.count, self.first, self._given, self._repeats, self._opening)

    def take(self, answer: Answer) -> Iterator[Request]:
        """Take the rows of a page, and go on to the next one.

        :return: what is likely to be asked for next, as far as the answer tells.
        :raises AnswerError: when the pages do not get on, or never end.
        """
        self.count += 1
        answered, here = self._page, self.request
        page, path = self._plan.pages.after(answered, answer), here.path if here else ""
        request = None if page is None else self._plan.builder.build(self._item, page, path)
        leads_here = here is not None and request is not None and request.idempotency_key == here.idempotency_key
        given = _digest(answer.given) if request is not None or self.count > 1 else ""
        self._opening = self._opening or given
        if self._is_end(answer, given, leads_here=leads_here):
            self.request = None
            return iter(())
        self._given, self._repeats = given, leads_here
        self.rows += answer.rows
        if (rows := self.first + len(self.rows)) > MOST_ROWS_OF_AN_ITEM:
            raise AnswerError(f"the answers for one item have {rows:,} rows; {MOST_ROWS_OF_AN_ITEM:,} is the most")
        if request is not None and not leads_here:
            self._check_new(request)
        if request is not None and self.count >= self._plan.max_pages:
            raise AnswerError(
                f"the pages do not end: {self.count:,} have come, and there is a next one; "
                f"max_pages={self._plan.max_pages} is the most that an item may have"
            )
        self._page, self.request = page or self._page, request
        is_concurrent = request is not None and self._plan.pages.concurrent
        return self._ahead(answered, answer, path) if is_concurrent else iter(())

    def _ahead(self, page: Page, answer: Answer, path: str) -> Iterator[Request]:
        numbered = zip(range(self.count, self._plan.max_pages), self._plan.pages.ahead(page, answer), strict=False)
        return (self._plan.builder.build(self._item, following, path) for _, following in numbered)

    def _is_end(self, answer: Answer, given: str, *, leads_here: bool) -> bool:
        """Tell a page that is none: it has no new rows, and nothing else that is new.

        :param given: digest of what the API gave with it.
        :param leads_here: whether its cursor, or link, is its own.
        :raises AnswerError: when the API gives the first page, whatever it is asked for.
        """
        pages = self._plan.pages
        if leads_here and answer.count == 0:
            return True
        if not (leads_here or pages.goes_by_rows) or self.count == 1 or answer.count == 0:
            return False
        if given != self._given:
            self._check_goes_on(given, leads_here=leads_here)
            return False
        if self.count == 2 and not self._repeats:  # noqa: PLR2004  (the second page, asked for in another way)
            raise AnswerError(
                "the second page has the rows of the first one: does the API know the parameters of paginate?"
            )
        return leads_here or not pages.knows_end

    def _check_goes_on(self, given: str, *, leads_here: bool) -> None:
        """Check that the pages do not begin again. :raises AnswerError: when they do, and nothing tells the end."""
        if given == self._opening and not leads_here and not self._plan.pages.knows_end:
            raise AnswerError(
                f"page {self.count} has the rows of the first one, as where an API begins again past its last page: "
                "tell paginate where the API says how many there are (pages=, total=) or that there are more (more=); "
                "or write until='short'"
            )

    def _check_new(self, request: Request) -> None:
        if request.idempotency_key in self._asked:
            raise AnswerError(f"the pages do not end: {request.path}?{request.query} comes a second time")
        self._asked.add(request.idempotency_key)


def _digest(given: Any) -> str:
    return hashlib.blake2b(stable_bytes(given), digest_size=16).hexdigest()
