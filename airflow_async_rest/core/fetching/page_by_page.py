"""An item that is fetched: its rows go on to be staged page by page, and its outcome with the last of them."""

from collections.abc import Callable

from airflow_async_rest.core.account.bookmarks import Bookmark
from airflow_async_rest.core.account.judgment import give_up_on_credentials
from airflow_async_rest.core.account.recorder import Recorder
from airflow_async_rest.core.batches.form import ItemBatch
from airflow_async_rest.core.errors import BookmarkRefusedError
from airflow_async_rest.core.fetching.fetching import Fetched, Fetching, Rows
from airflow_async_rest.core.keeping.loading import RowBuffer
from airflow_async_rest.core.models import DeadLetter, Delivered, Item, Outcome
from airflow_async_rest.core.watching.log import JobLog


class PageByPage:
    """Fetches items, and settles them; any number of workers share it.

    :param settle: takes outcomes, but for those of items whose rows have to be kept first.
    :param buffer: takes rows.
    :param keeps_pages: whether pages go on as they come; else an item's rows are held until its last one has come.
    :param conn_id: of the API's connection.
    """

    def __init__(
        self,
        fetching: Fetching,
        recorder: Recorder,
        settle: Callable[[Outcome], None],
        buffer: RowBuffer,
        log: JobLog,
        *,
        keeps_pages: bool,
        conn_id: str,
    ) -> None:
        self._fetching = fetching
        self._recorder = recorder
        self._settle = settle
        self._buffer = buffer
        self._log = log
        self._keeps_pages = keeps_pages
        self._conn_id = conn_id

    async def fetch(self, item: Item | ItemBatch) -> None:
        """Fetch an item, and settle it."""
        assert isinstance(item, Item)  # noqa: S101  (answers to bulk requests are of no one's)
        self._recorder.take(item)
        try:
            fetched = await self._pages(item, self._recorder.open_items.bookmark(item.index))
        except BookmarkRefusedError as why:
            self._log.begins_again(item.key, why)
            self._remove_pages(item.index)
            fetched = await self._pages(item, None)
        await self._buffer.room()
        # In one step: a snapshot that counts the item has its rows, or none of them.
        if isinstance(fetched.outcome, DeadLetter):
            self._recorder.totals.broken_off += fetched.pages > 0
            if self._recorder.open_items.bookmark(item.index) is not None:
                give_up_on_credentials(fetched.outcome, self._conn_id)  # it has not failed: a retry goes on at its page
            self._remove_pages(item.index)
        else:
            self._buffer.add(item.index, fetched.rows, fetched.first)
            self._recorder.open_items.end(item.index)
        if isinstance(fetched.outcome, Delivered):
            self._recorder.fetched(item.index)
        else:
            self._settle(fetched.outcome)

    def _remove_pages(self, index: int) -> None:
        if self._recorder.open_items.bookmark(index) is not None:
            self._buffer.drop(index)
            self._recorder.open_items.remove(index)

    async def _pages(self, item: Item, bookmark: Bookmark | None) -> Fetched:
        async def keep(rows: Rows, bookmark: Bookmark) -> None:
            await self._buffer.room()
            # In one step: a snapshot that has the rows goes on after them.
            self._buffer.add(item.index, rows, bookmark.rows - len(rows))
            self._recorder.open_items.turn(item.index, bookmark)

        return await self._fetching.fetch(item, bookmark, keep if self._keeps_pages else None)
