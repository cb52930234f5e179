"""One item -> its rows: a request for each page, until the last one; they go on to be staged page by page."""

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from airflow_async_rest.core.account.bookmarks import Bookmark
from airflow_async_rest.core.account.judgment import give_up_on_credentials
from airflow_async_rest.core.account.recorder import Recorder
from airflow_async_rest.core.answers.reader import Answer
from airflow_async_rest.core.answers.tally import MOST_LOOKS, Tally
from airflow_async_rest.core.batches.form import ItemBatch
from airflow_async_rest.core.encoding.json_encoder import stable_bytes
from airflow_async_rest.core.errors import AnswerError, BookmarkRefusedError, ItemError, let_go
from airflow_async_rest.core.fetching.pages_ahead import PagesAhead, room_ahead
from airflow_async_rest.core.fetching.plan import FetchPlan
from airflow_async_rest.core.keeping.row_sink import MOST_ROWS_OF_AN_ITEM, RowBuffer
from airflow_async_rest.core.limits.adaptive import Places
from airflow_async_rest.core.models import DeadLetter, Delivered, Item, Outcome, Request, Response, Skipped, Verdict
from airflow_async_rest.core.pages import Page
from airflow_async_rest.core.pages.custom import OwnStyle
from airflow_async_rest.core.pages.signs import sign_of_more
from airflow_async_rest.core.sending.attempts import Exchange, Settled
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.core.watching.log import JobLog

_NOT_FOUND = 404
# What APIs answer to a page after the last one.
_PAST_THE_END = frozenset({400, 404, 410, 416, 422})

Rows = list[dict[str, Any]]


@dataclass(eq=False, kw_only=True)
class Fetching:
    """Fetches items, and settles them; any number of workers share it.

    :param places: of requests in flight, for pages that are asked for side by side.
    :param settle: takes outcomes, but for those of items whose rows have to be kept first.
    :param buffer: takes rows.
    :param keeps_pages: whether pages go on as they come; else an item's rows are held until its last one has come.
    :param conn_id: of the API's connection.
    """

    plan: FetchPlan
    exchange: Exchange
    places: Places
    recorder: Recorder
    settle: Callable[[Outcome], None]
    buffer: RowBuffer
    log: JobLog
    keeps_pages: bool
    conn_id: str

    def __post_init__(self) -> None:
        self._room = room_ahead(self.places)
        self._is_concurrent = self.plan.pages is not None and self.plan.pages.concurrent
        self._keep = self._keep_page if self.keeps_pages else None

    async def fetch(self, item: Item | ItemBatch) -> None:
        """Fetch an item, and settle it.

        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        assert isinstance(item, Item)  # noqa: S101  (answers to bulk requests are of no one's)
        self.recorder.take(item)
        bookmarks = self.recorder.open_items.bookmarks
        walk = self._walk(item, bookmarks.get(item.index))
        try:
            outcome = await self._to_end(walk)
        except BookmarkRefusedError as why:
            self.log.begins_again(item.key, why)
            self._remove_pages(item.index)
            walk = self._walk(item)
            outcome = await self._to_end(walk)
        await self.buffer.room()
        # In one step: a snapshot that counts the item has its rows, or none of them.
        if isinstance(outcome, DeadLetter):
            self.recorder.totals.broken_off += walk.count > 0
            if item.index in bookmarks:
                give_up_on_credentials(outcome, self.conn_id)  # it has not failed: a retry goes on at its page
            self._remove_pages(item.index)
        else:
            self.buffer.add(item.index, walk.rows, walk.size, walk.first)
            bookmarks.pop(item.index, None)
        if isinstance(outcome, Delivered):
            self.recorder.fetched(item.index)
        else:
            self.settle(outcome)

    def _walk(self, item: Item, bookmark: Bookmark | None = None) -> "Walk":
        return Walk(self.plan, self.exchange, self.recorder.totals.tally, item, bookmark)

    async def _to_end(self, walk: "Walk") -> Outcome:
        if not self._is_concurrent:
            return await walk.to_end(keep=self._keep)
        ahead = PagesAhead(self.exchange.settle, self.places, self._room)
        try:
            return await walk.to_end(ahead, self._keep)
        finally:
            ahead.close()

    async def _keep_page(self, walk: "Walk") -> None:
        await self.buffer.room()
        # In one step: a snapshot that has the rows goes on after them.
        self.buffer.add(walk.item.index, walk.rows, walk.size, walk.first)
        walk.let_rows_go()
        self.recorder.open_items.bookmarks[walk.item.index] = walk.bookmark

    def _remove_pages(self, index: int) -> None:
        if index in self.recorder.open_items.bookmarks:
            self.buffer.drop(index)
            self.recorder.open_items.remove(index)


class Walk:
    """An item's way from page to page.

    :param tally: counts what of the answers leads nowhere.
    :param bookmark: where it begins; None: with the first page.
    :ivar count: pages that were read.
    :ivar rows: theirs, but for those that were let go; none when a page failed.
    :ivar size: bytes of the answers that these were in.
    :ivar first: how many rows were let go.
    """

    def __init__(
        self, plan: FetchPlan, exchange: Exchange, tally: Tally, item: Item, bookmark: Bookmark | None = None
    ) -> None:
        self._plan, self._pages = plan, plan.pages
        self._knows_end = plan.pages is not None and plan.pages.knows_end
        self._exchange = exchange
        self._tally = tally
        self.item = item
        self._asked: set[str] = set()
        self._begun_at = bookmark
        start = bookmark or Bookmark(plan.pages.begin() if plan.pages else Page(), "", pages=0, rows=0, given="")
        self._page, self._after, self._given = start.page, start.after, start.given
        self._repeats, self._opening = start.repeats, start.opening
        self._request: Request | None = None  # for the page that it has come to; None at the end
        self._attempts = 0
        self.count, self.first = start.pages, start.rows
        self.rows: Rows = []
        self.size = 0

    async def to_end(
        self, ahead: PagesAhead | None = None, keep: Callable[["Walk"], Awaitable[None]] | None = None
    ) -> Outcome:
        """Fetch the pages of the item.

        :param ahead: asks for some side by side; None: they are asked for one by one.
        :param keep: takes the rows of each page but the last, and where it leads; None: all are wanted at the end.
        :raises BookmarkRefusedError: when the API refuses to go on where it begins.
        :raises QuotaExhaustedError: when the API asks for a longer pause than we honour.
        """
        if self.item.settled is not None:
            return self.item.settled
        settle = ahead.settle if ahead is not None else self._exchange.settle
        try:
            self._request = self._plan.builder.build(self.item, self._page, self._after)
            self._asked.add(self._request.idempotency_key)
            while (request := self._request) is not None:
                settled = await settle(request)
                self._attempts += settled.attempts
                if not settled.delivered:
                    if self._says_end(settled):
                        break
                    return self._failed(request, settled)
                assert settled.response is not None  # noqa: S101  (delivered: there was one)
                page, answer = self._page, self._read(settled.response)
                self._take(request, answer)
                if ahead is not None and ahead.wants_more and self._request is not None:
                    ahead.expect(self._ahead(page, answer, request.path))
                if keep is not None and self._request is not None:
                    await keep(self)
        except ItemError as error:
            let_go(error)
            self.rows = []
            return self._exchange.unread(self.item, error, self._request, self._attempts)
        return Delivered(self.item.index, self._attempts) if self.count else Skipped(self.item.index)

    def let_rows_go(self) -> None:
        """Hold the rows that have come no longer."""
        self.first += len(self.rows)
        self.rows, self.size = [], 0

    @property
    def bookmark(self) -> Bookmark:
        """Where it has come to; its rows are those that were let go."""
        assert self._request is not None  # noqa: S101  (at the end there is no next page)
        page = self._page
        if page.link is not None:  # as it is asked for, without what of it is the connection's own
            page = Page(page.parameters, page.into, f"?{self._request.query}")
        return Bookmark(page, self._request.path, self.count, self.first, self._given, self._repeats, self._opening)

    def _says_end(self, settled: Settled) -> bool:
        """Return whether a failure only says that there are no rows, or no more of them."""
        status = settled.response.status if settled.response is not None else None
        if self.count == 0:
            return self._plan.missing_ok and status == _NOT_FOUND
        return self._pages is not None and status in self._pages.end_statuses and not self._knows_end

    def _failed(self, request: Request, settled: Settled) -> DeadLetter:
        """Make the dead letter. :raises BookmarkRefusedError: when it has not got on from where it began."""
        status, verdict = settled.response.status if settled.response else 0, settled.judgment.verdict
        is_refused = verdict is Verdict.REFUSED and status not in {
            0,
            HTTPStatus.UNAUTHORIZED,
        }  # the page, and not the credentials
        if self._begun_at is not None and self.count == self._begun_at.pages and is_refused:
            raise BookmarkRefusedError(settled.judgment.reason)
        where = "" if self.count == 0 else f"page {self.count + 1}: "
        if where and verdict is Verdict.REFUSED and status in _PAST_THE_END and not self._knows_end:
            where = (
                f"page {self.count + 1} (where the API ends its pages so, write end_statuses=({status},) into "
                "paginate): "
            )
        self.rows = []
        return self._exchange.dead_letter(self.item, request, settled, where=where, attempts=self._attempts, fetch=True)

    def _read(self, response: Response) -> Answer:
        answer = self._plan.reader.read(response, self.item.row, self._tally)
        if self._tally.unfound_next.counts and isinstance(answer.payload, Mapping):
            self._tally.unfound_next.look_at(answer.payload)
        return answer

    def _take(self, here: Request, answer: Answer) -> None:
        """Take the rows of a page, and go on to the next one.

        :raises AnswerError: when the pages do not get on, or never end.
        """
        self.count += 1
        page = self._pages.after(self._page, answer) if self._pages is not None else None
        request = None if page is None else self._plan.builder.build(self.item, page, here.path)
        leads_here = request is not None and request.idempotency_key == here.idempotency_key
        given = _digest(answer.given) if request is not None or self.count > 1 else ""
        self._opening = self._opening or given
        if self._is_none(answer, given, leads_here=leads_here):
            self._request = None
            return
        self._given, self._repeats = given, leads_here
        self.rows += answer.rows
        self.size += len(answer.response.body)
        if (rows := self.first + len(self.rows)) > MOST_ROWS_OF_AN_ITEM:
            raise AnswerError(
                f"the answers for one item have {counted(rows, 'row')}; {MOST_ROWS_OF_AN_ITEM:,} is the most"
            )
        if request is not None and not leads_here:
            self._check_new(request)
        if request is not None and self.count >= self._plan.max_pages:
            raise AnswerError(
                f"the pages do not end: {self.count:,} have come, and there is a next one; "
                f"max_pages={self._plan.max_pages} is the most that an item may have"
            )
        size = answer.count or 0
        if request is None and (size > self._tally.full_size or (size == self._tally.full_size and self._tally.looks)):
            self._look_for_more(answer, size)
        self._page, self._request = page or self._page, request

    def _look_for_more(self, answer: Answer, size: int) -> None:
        """Note where the last page says that there is another one, unless it is known in another way that it is not.

        An item of which pages are missing has a full page: who has seen some of these has seen all that the API says.
        """
        tally = self._tally
        if size > tally.full_size:
            tally.full_size, tally.looks = size, MOST_LOOKS
        tally.looks -= 1
        if self._knows_end or isinstance(self._pages, OwnStyle) or answer.count == 0 or tally.unasked is not None:
            return
        row = answer.given[0] if isinstance(answer.given, list) and len(answer.given) == 1 else None
        tally.unasked = sign_of_more(answer.payload, answer.response.headers, row)

    def _ahead(self, page: Page, answer: Answer, path: str) -> Iterator[Request]:
        """Yield what is likely to be asked for next, as far as an answer tells."""
        assert self._pages is not None  # noqa: S101  (there is a next page)
        numbered = zip(range(self.count, self._plan.max_pages), self._pages.ahead(page, answer), strict=False)
        return (self._plan.builder.build(self.item, following, path) for _, following in numbered)

    def _is_none(self, answer: Answer, given: str, *, leads_here: bool) -> bool:
        """Return whether a page does not count as one: it has no new rows, and nothing else that is new.

        :param given: digest of what the API gave with it.
        :param leads_here: whether its cursor, or link, is its own.
        :raises AnswerError: when the API gives the first page, whatever it is asked for, or says that there are more.
        """
        if leads_here and answer.count == 0:
            self._check_end()
            return True
        goes_by_rows = self._pages is not None and self._pages.goes_by_rows
        if not (leads_here or goes_by_rows) or self.count == 1 or answer.count == 0:
            return False
        if given != self._given:
            self._check_goes_on(given, leads_here=leads_here)
            return False
        if self.count == 2 and not self._repeats:  # noqa: PLR2004  (the second page, asked for in another way)
            raise AnswerError(
                "the second page has the rows of the first one: does the API know the parameters of paginate?"
            )
        if leads_here:
            self._check_end()
        return leads_here or not self._knows_end

    def _check_end(self) -> None:
        """Check that nothing speaks against it that a page is the last one. :raises AnswerError: when a flag does."""
        if self._knows_end:
            raise AnswerError(
                f"page {self.count} has no new rows and leads to itself, but the API says that there are more: is "
                "more= of paginate the flag for that?"
            )

    def _check_goes_on(self, given: str, *, leads_here: bool) -> None:
        """Check that the pages do not begin again. :raises AnswerError: when they do, and nothing tells the end."""
        if given == self._opening and not leads_here and not self._knows_end:
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
