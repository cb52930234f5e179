"""The dead-letter parts of a try, and those of earlier tries that count."""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol, TypeVar

from airflow_async_rest.core.account.checkpoint import Resume
from airflow_async_rest.core.account.recorder import Snapshot
from airflow_async_rest.core.errors import DeadLetterStoreError
from airflow_async_rest.core.letters.folder import RESET, DeadLetterFolder, Record
from airflow_async_rest.core.letters.part_files import PartId
from airflow_async_rest.core.models import DeadLetter
from airflow_async_rest.core.worker_thread import WorkerThread

Result = TypeVar("Result")


class LetterSink(Protocol):
    """Where dead letters are written, and where it is noted which of them were delivered later. Calls block.

    :ivar history: what earlier tries of the same job have left; None where a job does not go on after those.
    """

    @property
    def history(self) -> DeadLetterFolder | None:
        """What earlier tries of the same job have left; None where a job does not go on after those."""
        ...

    def parts(self) -> list[PartId]:
        """List the parts that starting over makes void. :raises DeadLetterStoreError: when they cannot be read."""
        ...

    def check(self, parts: Collection[PartId] = ()) -> None:
        """Check that these parts, and what was written, are there. :raises DeadLetterStoreError: when one is not."""
        ...

    def write(self, records: Collection[DeadLetter | Record]) -> PartId:
        """Write a part, and return its number. :raises DeadLetterStoreError: when it cannot be written."""
        ...


class Parts:
    """Writes parts, on a thread of its own.

    :ivar counted: those that a checkpoint counts, in their order.
    """

    def __init__(self, letters: LetterSink) -> None:
        self._letters = letters
        self._thread = WorkerThread("async-rest-files")
        self.counted: list[PartId] = []

    async def begin(self, resume: Resume | None) -> None:
        """Begin where ``resume`` ends; what no part that counts has is void.

        :raises DeadLetterStoreError: when the folder cannot be read or written.
        """
        self.counted = list(resume.checkpoint.parts) if resume else []
        # Of letters that are lost, those that can still be read may be true or not.
        if resume.letters_are_lost if resume else await self._thread.call(self._letters.parts):
            self.counted.append(await self._thread.call(self._letters.write, [RESET]))

    async def write(self, records: Collection[DeadLetter | Record]) -> DeadLetterStoreError | None:
        """Write a part, unless there is nothing to write. :return: why it could not be written."""
        try:
            if records:
                self.counted.append(await self._thread.call(self._letters.write, records))
        except DeadLetterStoreError as failure:
            return failure
        return None

    async def find_missing(self) -> DeadLetterStoreError | None:
        """Look whether all parts that count are still there. :return: which are not."""
        try:
            await self._thread.call(self._letters.check, self.counted)
        except DeadLetterStoreError as failure:
            return failure
        return None

    async def resolve_strays(self, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot that says, too, which items are not dead that only a try beside this one calls dead."""
        if not (counted := list(self.counted)) and not snapshot.records:  # the report names no folder
            return snapshot
        try:
            strays = await self.read_history(lambda folder: folder.find_strays(counted)) or frozenset()
        except DeadLetterStoreError:  # whoever reads them next says so
            return snapshot
        dead = {one.index for one in (*snapshot.records, *snapshot.held) if isinstance(one, DeadLetter)}
        settled = sorted(index for index in strays - snapshot.unfinished - dead if index < snapshot.position)
        return replace(snapshot, records=[*snapshot.records, *({"index": i, "resolved": True} for i in settled)])

    async def read_history(self, read: Callable[[DeadLetterFolder], Result]) -> Result | None:
        """Read what earlier tries have left. :return: what ``read`` does; None where there is nothing.

        :raises DeadLetterStoreError: when it cannot be read.
        """
        history = self._letters.history
        return None if history is None else await self._thread.call(read, history)

    def close(self) -> None:
        """End the thread, after what is queued."""
        self._thread.close()
