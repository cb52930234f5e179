"""Keys that come more than once in a window: counted, in memory that does not grow with it. No I/O."""

from collections.abc import Sequence

# Hashes that are kept: 1.5 MB. With four times as many, rows that go in batches would cost 4 % more.
_MOST = 16_384


class RepeatedKeys:
    """Counts rows whose key a row before them has.

    Every key is looked at while there are at most 16,384 different ones. Of more, those are whose hash ends with two
    zero bits, then with four, and so on: what is counted then is the least that there are.

    :ivar count: of the rows since :meth:`begin`.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what came so far: the rows are read from the first one."""
        self.count = 0
        self._seen: set[int] = set()
        self._ignored_bits = 0

    def add(self, keys: Sequence[bytes]) -> None:
        """Count the rows of a chunk, by what identifies each."""
        ignored = self._ignored_bits
        hashes = [hash(key) for key in keys if not hash(key) & ignored] if ignored else list(map(hash, keys))
        before = len(self._seen)
        self._seen.update(hashes)
        self.count += len(hashes) - (len(self._seen) - before)
        while len(self._seen) > _MOST:
            self._ignored_bits = self._ignored_bits << 2 | 3
            self._seen = {number for number in self._seen if not number & self._ignored_bits}
