"""Rows that an earlier try has read, as they come by once more: passed over, or sent again, if they are the same."""

from collections.abc import Callable, Iterable

from airflow_async_rest.core.account.checkpoint import Resume
from airflow_async_rest.core.account.recorder import SourceDigest
from airflow_async_rest.core.account.report import Commit
from airflow_async_rest.core.errors import AsyncRestError, RowsTakenError, SourceChangedError
from airflow_async_rest.core.models import Item
from airflow_async_rest.core.spelling import counted


class PassedRows:
    """What comes of the rows before a checkpoint.

    :param on_digest: called with the digest of all of them, once they are known to be the same.
    :param reads_again: whether a query gives its rows more than once. If not, those that come in their place may be
        new: none is sent for an old one.
    :raises RowsTakenError: when an earlier try has committed what reading them changed.
    """

    def __init__(self, resume: Resume, on_digest: Callable[[SourceDigest], None], *, reads_again: bool) -> None:
        self._resume = resume
        self._on_digest = on_digest
        self._reads_again = reads_again
        self._digest = SourceDigest()
        self._wanted: list[Item] = []
        if resume.checkpoint.commit is Commit.DONE:
            raise self._changed("an earlier try has read them all")

    def to_send(self, index: int, items: list[Item]) -> list[Item]:
        """Return what is sent of the next items: those that are missing, and those after the checkpoint.

        :param index: of the first of them.
        :raises SourceChangedError: when they are no longer the same.
        :raises RowsTakenError: when they are not, because an earlier try has taken them.
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

        :raises AsyncRestError: when not; see :meth:`to_send`.
        """
        position = self._resume.checkpoint.position
        if count < position:
            raise self._changed(f"the query now returns {counted(count, 'row')}, and read before were {position:,}")

    def _find_wanted(self, items: Iterable[Item]) -> list[Item]:
        wanted = [item for item in items if self._resume.wants(item.index)]
        for item in wanted:
            item.uncertain = item.index in self._resume.uncertain
        return wanted

    def _changed(self, text: str) -> AsyncRestError:
        before = self._resume.checkpoint
        if before.commit is Commit.DONE or (before.commit is Commit.BEGUN and not before.unfinished):
            return RowsTakenError(f"{text}, and what that changed is committed")
        return SourceChangedError(text)
