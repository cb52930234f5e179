"""Items -> batches, cut by the order of the source alone."""

import contextlib
from collections.abc import Generator

from airflow_async_rest.core.account.checkpoint import Resume
from airflow_async_rest.core.batches.form import BatchForm, ItemBatch
from airflow_async_rest.core.batches.gathering import Gathering
from airflow_async_rest.core.models import Item
from airflow_async_rest.core.reading.source import OnDigest, Source


class BatchSource:
    """The items of another source, in batches.

    On a retry, what was unfinished in one request goes in one again, so that it has the same idempotency key, and so
    does a request of which all is dead. What else is sent again has batches of its own, and new rows begin a new one.

    :param by_key: whether items of one key stay in their order.
    """

    def __init__(self, source: Source[Item], form: BatchForm, *, by_key: bool = False) -> None:
        self._source = source
        self._form = form
        self._by_key = by_key

    def cancel(self) -> None:
        """Make a read that is under way raise, soon."""
        self._source.cancel()

    def open(self, resume: Resume | None, on_digest: OnDigest) -> Generator[list[ItemBatch] | None, None, None]:
        """Yield a list of batches for each list of items: a :class:`~airflow_async_rest.core.reading.source.Source`."""
        position = resume.checkpoint.position if resume else 0
        most = self._form.batch.max_items  # that of the author now: smaller, perhaps, because the API asks for it
        earlier = tuple(batch for batch in resume.batches if len(batch) <= most) if resume else ()
        gathering, new_rows = Gathering(earlier, by_key=self._by_key), False
        with contextlib.closing(self._source.open(resume, on_digest)) as lists:
            for items in lists:
                if items is None:
                    yield gathering.rest()
                    yield None
                    continue
                self._form.prepare(items)
                made: list[ItemBatch] = []
                # What was sent before comes first, and together: rows are in the order of their index.
                old = [item for item in items if item.index < position] if items and items[0].index < position else []
                for item in old:
                    made += gathering.add(item, self._form, item.index)
                if len(old) < len(items):
                    if not new_rows:
                        new_rows = True
                        made += gathering.rest()
                    made += gathering.add_new(items[len(old) :], self._form)
                yield made + gathering.settled(self._form)
        yield gathering.rest()
