"""Lines of parts in an order that is not theirs, with a bounded number of bytes in memory."""

from collections import deque
from collections.abc import Iterator, Sequence

from airflow_async_rest.core.letters.part_files import PartFiles, PartId

Place = tuple[PartId, int]


class SortedLines:
    """Reads lines in the order in which somebody wants them.

    Each part is read when its first line is wanted, several ahead; of its lines those are held that are wanted later.
    Where they become too many, the part whose next line is wanted last is let go, and read again then.

    :param places: part and line of each, in the order wanted.
    :param most_bytes: of lines that are held; those of one part may be more.
    """

    def __init__(self, files: PartFiles, places: Sequence[Place], most_bytes: int) -> None:
        self._files = files
        self._places = places
        self._most_bytes = most_bytes
        self._turns: dict[PartId, deque[int]] = {}
        for turn, (part, _) in enumerate(places):
            self._turns.setdefault(part, deque()).append(turn)
        self._held: dict[PartId, dict[int, bytes]] = {}
        self._bytes = 0

    def __iter__(self) -> Iterator[tuple[PartId, bytes | Exception]]:
        """Yield the lines with their parts; or why a part cannot be read, which is the end."""
        unread = dict.fromkeys(self._turns)
        first_reads = self._files.read(list(unread))
        for part, number in self._places:
            if part not in self._held:
                data = next(first_reads) if part in unread else next(self._files.read([part]))
                unread.pop(part, None)
                if isinstance(data, Exception):
                    yield part, data
                    return
                self._hold(part, data)
            yield part, self._take(part, number)

    def _hold(self, part: PartId, data: bytes) -> None:
        wanted = {self._places[turn][1] for turn in self._turns[part]}
        lines = {number: line for number, line in enumerate(data.splitlines()) if number in wanted}
        self._held[part] = lines
        self._bytes += sum(map(len, lines.values()))
        while self._bytes > self._most_bytes and len(self._held) > 1:
            last = max(self._held, key=lambda held: self._turns[held][0])
            self._bytes -= sum(map(len, self._held.pop(last).values()))

    def _take(self, part: PartId, number: int) -> bytes:
        line = self._held[part].pop(number)
        self._bytes -= len(line)
        self._turns[part].popleft()
        if not self._turns[part]:
            del self._held[part], self._turns[part]
        return line
