"""Rows that an earlier try has read, as they come by once more: passed over, or sent again, if they are the same."""

from collections.abc import Callable, Iterable

from airflow_async_rest.core.checkpoint import Resume, SourceDigest
from airflow_async_rest.core.errors import AsyncRestError, FailuresError, SourceChangedError
from airflow_async_rest.core.models import Item


class PassedRows:
    """What comes of the rows before a checkpoint.

    :param on_digest: called with the digest of all of them, once they are known to be the same.
    :param reads_again: whether a query gives its rows more than once. If not, those that come in their place are new:
        none is sent for an old one, and the old ones that are not delivered must not be forgotten.
    """

    def __init__(self, resume: Resume, on_digest: Callable[[SourceDigest], None], *, reads_again: bool) -> None:
        self._resume = resume
        self._on_digest = on_digest
        self._reads_again = reads_again
        self._digest = SourceDigest()
        self._wanted: list[Item] = []

    def to_send(self, index: int, items: list[Item]) -> list[Item]:
        """Return what is sent of the next items: those that are missing, and those after the checkpoint.

        :param index: of the first of them.
        :raises SourceChangedError: when they are no longer the same.
        :raises FailuresError: when they are not, and starting over would forget some.
        """
        position = self._resume.checkpoint.position
        if index >= position:
            return items
        known = items[: position - index]
        self._digest.add(*[item.content for item in known])
        is_last = index + len(known) == position
        if is_last:
            if self._digest.hexdigest() != self._resume.checkpoint.digest:
                raise self._changed("the rows read before, or their order, are no longer the same")
            self._on_digest(self._digest)
        self._wanted += self._find_wanted(known)
        if not (is_last or self._reads_again):
            return []
        wanted, self._wanted = self._wanted, []
        return wanted + items[len(known) :]

    def check_end(self, count: int) -> None:
        """Check that there were as many rows as before.

        :raises SourceChangedError: when not; see :meth:`to_send`.
        """
        position = self._resume.checkpoint.position
        if count < position:
            raise self._changed(f"the query now returns {count} rows, and {position} had been read before")

    def _find_wanted(self, items: Iterable[Item]) -> list[Item]:
        wanted = [item for item in items if self._resume.wants(item.index)]
        for item in wanted:
            item.uncertain = item.index in self._resume.uncertain
        return wanted

    def _changed(self, text: str) -> AsyncRestError:
        failed, unfinished = len(self._resume.dead), len(self._resume.checkpoint.unfinished)
        if self._reads_again or not (failed or unfinished):
            return SourceChangedError(text)
        return FailuresError(
            f"{text}: with read_only=False an earlier try has changed them, so that they cannot be read again. Of its "
            f"rows {failed} failed and {unfinished} were unfinished. What failed is in the dead letters: replay them, "
            "then clear the task.",
            permanent=True,
        )
