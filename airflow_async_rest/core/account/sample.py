"""The failed items, and refused rows, that XCom shows."""

import json

from airflow_async_rest.core.letters.folder import Record
from airflow_async_rest.core.letters.shown import least_shown_bytes, shown_letter, shown_record
from airflow_async_rest.core.models import DeadLetter

_MOST_BYTES = 48_000
_NO_ROW = -1  # an item, not one of its rows


class Sample:
    """Keeps records as people see them, as many as there is room for; the later one of the same item, or row.

    :param payloads: whether they show payloads.
    """

    def __init__(self, *, payloads: bool) -> None:
        self._payloads = payloads
        self._shown: dict[tuple[int, int], Record] = {}  # by item, and number of the row or -1
        self._bytes = 2

    def __len__(self) -> int:
        return len(self._shown)

    def records(self) -> list[Record]:
        """Return what is shown, by position, within 48 KB."""
        return [self._shown[place] for place in sorted(self._shown)]

    def add_letter(self, letter: DeadLetter) -> None:
        """Add a dead letter, unless it is clear beforehand that there is no room for it."""
        self.remove(letter.index)
        if self._bytes + least_shown_bytes(letter, payloads=self._payloads) <= _MOST_BYTES:
            self._add((letter.index, _NO_ROW), shown_letter(letter, payloads=self._payloads))

    def add(self, record: Record) -> Record:
        """Add the record of an item, or of a row, where there is room. :return: it, as it is shown."""
        shown = shown_record(record, payloads=self._payloads)
        self._add((record["index"], record.get("row_number", _NO_ROW)), shown)
        return shown

    def remove(self, index: int, row: int = _NO_ROW) -> None:
        """Remove an item, or a row of it, if it is shown."""
        if (shown := self._shown.pop((index, row), None)) is not None:
            self._bytes -= _size(shown)

    def _add(self, place: tuple[int, int], record: Record) -> None:
        self.remove(*place)
        size = _size(record)
        if self._bytes + size <= _MOST_BYTES:
            self._shown[place] = record
            self._bytes += size


def _size(record: Record) -> int:
    return len(json.dumps(record)) + 2
