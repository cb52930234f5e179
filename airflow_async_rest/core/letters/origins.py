"""The folders that dead letters are sent again from: what becomes of each is written where it lies."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from airflow_async_rest.core.letters.folder import DeadLetterFolder, Record, to_record
from airflow_async_rest.core.letters.part_files import PartId
from airflow_async_rest.core.models import DeadLetter

_MARK = "replay"


class Origins:
    """Numbers the dead letters of one or several folders; of a single one, they have the numbers that they have there.

    So what is delivered is resolved in its folder, and a second replay, or a retry of a replay, sends only the rest.

    :param mark: of the try that sends them, which its records have: after a wait for its quota, it knows what failed
        in it. Empty where it is sent outside a task.
    :ivar folders: those that the dead letters are in.
    """

    history = None  # a replay needs none: its folders know what is resolved

    def __init__(self, folders: Iterable[DeadLetterFolder], mark: str = "") -> None:
        self.folders = list(folders)
        self._mark = {_MARK: mark} if mark else {}
        self._places: dict[int, tuple[DeadLetterFolder, int]] = {}
        self._delivered: dict[DeadLetterFolder, dict[int, bool]] = {}

    def number(self, folder: DeadLetterFolder, index: int) -> int:
        """Return the number of a dead letter among those of all folders.

        :param index: in its own folder.
        """
        number = index if len(self.folders) == 1 else len(self._places)
        self._places[number] = (folder, index)
        return number

    def has_tried(self, record: Mapping[str, Any]) -> bool:
        """Return whether a dead letter has failed in this very try, before it waited for its quota."""
        return bool(self._mark) and self._mark.items() <= record.items()

    def parts(self) -> list[PartId]:
        """Return no parts: a replay makes none void."""
        return []

    def check(self, parts: Collection[PartId] = ()) -> None:
        """Check that all parts are still there; see :meth:`DeadLetterFolder.check`."""
        del parts  # a replay counts none of its own
        for folder in self.folders:
            folder.check()

    def write(self, records: Collection[DeadLetter | Record]) -> PartId:
        """Write what became of the items, each where its dead letter lies."""
        of_folder: dict[DeadLetterFolder, list[DeadLetter | Record]] = {}
        for record in records:
            number = record.index if isinstance(record, DeadLetter) else record["index"]
            folder, index = self._places[number]
            plain = to_record(record) | self._mark if isinstance(record, DeadLetter) else record
            of_folder.setdefault(folder, []).append({**plain, "index": index})
            self._delivered.setdefault(folder, {})[index] = bool(plain.get("resolved"))
        for folder, its_records in of_folder.items():
            folder.write(its_records)
        return (0, 0)

    def add_replay(self, by: Mapping[str, Any]) -> None:
        """Note in each folder what became of its dead letters, for people to see who has sent them.

        :param by: what names the task instance, and its try.
        """
        for folder, delivered in self._delivered.items():
            done = sum(delivered.values())
            folder.add_replay(by, done, len(delivered) - done)
