"""Keys that come more than once in a window: counted, in memory that does not grow with it. No I/O."""

from collections.abc import Sequence
from operator import attrgetter

from airflow_async_rest.core.models import Item

# Of the chunks after those. To look at all would make rows that go in batches 10 % slower.
_EVERY = 16
_identity = attrgetter("identity")


class RepeatedKeys:
    """Counts rows whose key a row before them has.

    Of a window of up to 32,768 different keys all rows are looked at. After these, every sixteenth chunk is, and its
    rows are compared with the first ones and with each other: then there are at least as many as are counted.

    :param most: hashes that are kept; the default are 2.5 MB.
    :ivar count: of the rows since :meth:`begin`.
    """

    def __init__(self, most: int = 32_768) -> None:
        self._most = most
        self.begin()

    def begin(self) -> None:
        """Forget what came so far: the rows are read from the first one."""
        self.count = 0
        self._seen: set[int] = set()
        self._chunks_after = 0

    def add(self, items: Sequence[Item]) -> None:
        """Count the items of a chunk."""
        hashes = map(hash, map(_identity, items))
        if len(self._seen) < self._most:
            before = len(self._seen)
            self._seen.update(hashes)
            self.count += len(items) - (len(self._seen) - before)
            return
        self._chunks_after += 1
        if self._chunks_after % _EVERY == 0:
            self.count += len(items) - len(set(hashes) - self._seen)
