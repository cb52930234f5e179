"""What outlives a try: dead-letter parts, checkpoint and progress, written while it runs and read by the next."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Protocol

from airflow_async_rest.core.account.bookmarks import Bookmark
from airflow_async_rest.core.account.checkpoint import Checkpoint, Resume, Try
from airflow_async_rest.core.account.recorder import Recorder, Snapshot
from airflow_async_rest.core.account.report import Commit
from airflow_async_rest.core.errors import ConfigurationError, DeadLetterStoreError, LoadError, StoppedError
from airflow_async_rest.core.letters.folder import RESET, UNREADABLE, DeadLetterFolder, Record
from airflow_async_rest.core.letters.lines import whole_batches
from airflow_async_rest.core.letters.part_files import PartId
from airflow_async_rest.core.models import DeadLetter
from airflow_async_rest.core.replay import Replay
from airflow_async_rest.core.watching.log import Journal
from airflow_async_rest.core.worker_thread import WorkerThread

# Of a state store, in all, before a first try sends, and a later one: what that would send again costs more.
_LOAD_SECONDS = 10.0
PATIENT_LOAD_SECONDS = 60.0
_WRITING_CHECKPOINT = "write the checkpoint, so a retry may send again more than it must"
# Dead letters shown in XCom before they are sent again; more would not fit there.
_SAMPLE = 200


class StateStore(Protocol):
    """What survives a retry: Airflow's ``context["task_state_store"]``, or a dict in tests. Calls block."""

    def get(self, key: str) -> Any:
        """Return a JSON value, or None."""

    def set(self, key: str, value: Any) -> None:
        """Keep a JSON value."""

    def delete(self, key: str) -> None:
        """Forget a key."""


class Keeper:
    """Writes and reads what outlives a try. A state store that fails or hangs never holds the delivery up.

    :param store: None when there is none.
    :param fingerprint: tells whether a checkpoint is this job's; None for a job that cannot resume.
    :param this_try: None where a try cannot be told from others.
    :param replays: whether the window's own dead letters are sent again, and nothing else.
    """

    def __init__(
        self,
        folder: DeadLetterFolder | Replay,
        store: StateStore | None,
        fingerprint: str | None,
        journal: Journal,
        *,
        this_try: Try | None = None,
        replays: bool = False,
    ) -> None:
        self._folder = folder
        self._store = store
        self._fingerprint = fingerprint
        self._journal = journal
        self._try = this_try
        self._replays = replays
        # A state store that hangs must cost neither files nor XCom.
        self._store_thread = WorkerThread("async-rest-state")
        self._xcom_thread = WorkerThread("async-rest-xcom")
        self._files = WorkerThread("async-rest-files")
        self._parts: list[PartId] = []
        self._stored: list[asyncio.Future[None]] = []
        self._turn = asyncio.Lock()
        self._begun = False  # until it has, what an earlier try left stays as it is

    @property
    def _is_first(self) -> bool:
        return self._try is None or self._try.number == 1

    @property
    def has_begun(self) -> bool:
        """Whether there is an account to be written: before that, an earlier one stays as it is."""
        return self._begun

    async def load(self) -> tuple[Resume | None, str]:
        """Find out where to go on. :return: that, and how to say it."""
        if self._replays:
            return await self._load_for_replay()
        try:
            resume = await self._load()
        except (ValueError, DeadLetterStoreError) as error:
            return None, f"starting over from the first row: {getattr(error, 'fact', error)}"
        except Exception as error:  # noqa: BLE001  (a state store that fails costs resumability, not the delivery)
            return None, f"from the first row, because the state store does not answer ({str(error) or repr(error)})"
        if resume is None:
            return None, "from the start"
        before = resume.checkpoint
        in_the_middle = sum(bookmark is not None for bookmark in resume.bookmarks.values())
        if resume.report is not None:
            return resume, "an earlier try has done everything, which Airflow did not get to know, so nothing is sent"
        return resume, (
            f"resumed at row {before.position}, sending again {len(before.unfinished)} unfinished and "
            f"{len(resume.dead)} failed ones before it"
            + (f"; {in_the_middle} of them at the page that it had come to" if in_the_middle else "")
            + (f", and not the {len(resume.left)} whose answers could not be read" if resume.left else "")
        )

    async def _load_for_replay(self) -> tuple[Resume, str]:
        """Find the account that a replay goes on with.

        :raises ConfigurationError: when there is none, so that nothing could be counted right.
        :raises StoppedError: when the state store does not answer.
        """
        try:
            resume = await self._load()
        except (ValueError, DeadLetterStoreError) as error:
            raise self._without_account(str(error)) from error
        except Exception as error:
            raise StoppedError(f"the state store does not answer: {str(error) or repr(error)}") from error
        if resume is None:
            raise self._without_account("the state store has no account of it")
        return resume, "sending again what was asked for in Airflow's UI, and nothing else"

    @staticmethod
    def _without_account(why: str) -> ConfigurationError:
        return ConfigurationError(
            f"the dead letters of this window cannot be replayed in their task: {why}. Clear the task, and it delivers "
            "the window; or send them with ReplayDeadLettersOperator."
        )

    async def _read_checkpoint(self) -> Checkpoint | None:
        """Return what the last try left, or None; a replay goes on with that of a try that succeeded, too.

        :raises TimeoutError: when the state store takes too long.
        """
        if self._store is None or self._fingerprint is None:
            return None
        async with asyncio.timeout(_LOAD_SECONDS if self._is_first else PATIENT_LOAD_SECONDS):
            found = await self._read("checkpoint")
            if self._replays:
                return found or await self._read("settled")
            if found is None or found.is_done_for(self._try):
                return found
            # With a report, all is done, and a person wants it done once more.
            is_void = found.report is not None or await self._has_succeeded_since(found)
            return None if is_void else found

    async def _has_succeeded_since(self, found: Checkpoint) -> bool:
        """Tell whether a checkpoint is that of a try that lived on beside one that has succeeded."""
        if found.is_of_series(self._try):
            return False
        with contextlib.suppress(ValueError):  # of another version: it says nothing
            success = await self._read("settled")
            return success is not None and found.is_void_after(success)
        return False

    async def _read(self, key: str) -> Checkpoint | None:
        assert self._store is not None  # noqa: S101  (asked before)
        value = await self._store_thread.call(self._store.get, key)
        return None if value is None else Checkpoint.from_json(value)

    async def _load(self) -> Resume | None:
        folder = self._folder
        checkpoint = None if isinstance(folder, Replay) else await self._read_checkpoint()
        if checkpoint is None or isinstance(folder, Replay):
            return None
        if self._replays:  # of the requests as they were, whatever the arguments are now
            self._fingerprint = checkpoint.fingerprint
        if checkpoint.fingerprint != self._fingerprint:
            raise ValueError("the SQL, its binds, the window or another argument is not what it was")
        if checkpoint.is_done_for(self._try):
            return await self._resume_done(folder, checkpoint)
        letters = await self._files.call(folder.read, checkpoint.parts)
        self._check_not_void(checkpoint, await self._files.call(folder.live_parts))
        latest = await self._files.call(folder.read_latest)
        # In a part that counts, whatever a replay has said since.
        unsaid = checkpoint.resolved & (letters.keys() | latest.keys())
        if not self._replays:
            # Delivered, by this account, and dead to a try that sent it again: it knew of no account, and left none.
            passed = frozenset(index for index in latest if index < checkpoint.position)
            unsaid |= passed - letters.keys() - checkpoint.unfinished
        for index in unsaid:
            letters.pop(index, None)
            latest.pop(index, None)
        # One that was being sent again when the checkpoint was written counts as unfinished there, not as failed.
        counted = {index: reason for index, reason in letters.items() if index not in checkpoint.unfinished}
        known = {index: letter.reason for index, letter in latest.items()}
        if (
            self._replays
            and checkpoint.totals.get("complete")
            and known.keys() - letters.keys() - checkpoint.unfinished
        ):
            raise ValueError("there are dead letters of a later try, which left no account")
        # Being sent when the try before ended, and dead all the same: what nobody chose now stays dead, and what cannot
        # be read again.
        is_kept = self._replays or checkpoint.commit in {Commit.BEGUN, Commit.DONE}
        again = checkpoint.unfinished & letters.keys() & known.keys() if is_kept else frozenset[int]()
        checkpoint = checkpoint.with_dead(letters[index] for index in again).without(again)
        counted |= {index: letters[index] for index in again}
        left = frozenset() if self._replays else self._left_alone(counted.keys() & known.keys(), known)
        delivered = checkpoint.unfinished & (letters.keys() - known.keys())
        return Resume(
            checkpoint.without(delivered),
            delivered=delivered,
            dead={index: reason for index, reason in counted.items() if index in known and index not in left},
            left=left,
            resolved={index: reason for index, reason in counted.items() if index not in known},
            known_dead=frozenset(known),
            dead_batches=whole_batches(latest),
            sample=await self._files.call(lambda: tuple(islice(folder.iter_records(), _SAMPLE))),
            uncertain=checkpoint.unfinished.union(index for index, letter in latest.items() if letter.uncertain),
            unsaid=unsaid,
        )

    async def _resume_done(self, folder: DeadLetterFolder, checkpoint: Checkpoint) -> Resume:
        """Return the account of a try that succeeded; its dead letters are only shown, so they need not be readable.

        :raises ValueError: when they are void.
        """
        sample: tuple[Record, ...] = ()
        live: list[PartId] = []
        with self._journal.complaining("show the dead letters"):
            live = await self._files.call(folder.live_parts)
            sample = await self._files.call(lambda: tuple(islice(folder.iter_records(), _SAMPLE)))
        self._check_not_void(checkpoint, live)
        dead = frozenset(record["index"] for record in sample)
        return Resume(checkpoint, left=dead, sample=sample, report=checkpoint.report)

    @staticmethod
    def _check_not_void(checkpoint: Checkpoint, live: Sequence[PartId]) -> None:
        if checkpoint.parts and live and live[0] > checkpoint.parts[-1]:
            raise ValueError("a later try has started over, and left no checkpoint")

    @staticmethod
    def _left_alone(indexes: Collection[int], reasons: Mapping[int, str]) -> frozenset[int]:
        """Find the dead letters that no retry sends again: the API took them, and may act on them twice.

        :param reasons: the latest ones, which may be those of a replay.
        """
        return frozenset(index for index in indexes if reasons[index] == UNREADABLE)

    async def begin(self, resume: Resume | None) -> None:
        """Begin where ``resume`` ends; without it, earlier dead letters of the folder become void.

        :raises DeadLetterStoreError: when the folder cannot be read or written.
        """
        self._parts = list(resume.checkpoint.parts) if resume else []
        if resume is None and len(await self._files.call(self._folder.parts)) > 0:
            self._parts.append(await self._files.call(self._folder.write, [RESET]))
        if resume is None and self._store is not None and self._fingerprint is not None and not self._is_first:
            deleted = self._store_thread.submit(self._store.delete, "settled")
            deleted.add_done_callback(self._stored_or_not("delete the account of the window's last success"))
        self._begun = True

    async def write(
        self,
        recorder: Recorder,
        progress: Mapping[str, Any] | None,
        *,
        last: bool = False,
        report: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a snapshot: first the dead letters, then the checkpoint that counts them, then the progress.

        It does not wait for the state store; a store that is still busy with the write before is left alone,
        but for the last one.

        :param report: of a try that succeeds with this.
        :raises DeadLetterStoreError: when the dead letters cannot be written; the recorder keeps them, and the
            checkpoint does not count them.
        """
        if not self._begun:
            return
        async with self._turn:  # a part that is being written comes before the checkpoint that counts it
            await self._write(recorder, progress, last=last, report=report)

    async def _write(
        self,
        recorder: Recorder,
        progress: Mapping[str, Any] | None,
        *,
        last: bool,
        report: Mapping[str, Any] | None = None,
    ) -> None:
        snapshot = recorder.snapshot(letters=last or recorder.is_due)
        failure = await self._write_part(snapshot.records)
        checkpoint = self._checkpoint(snapshot, snapshot.totals)
        if failure is not None:
            checkpoint = checkpoint.before(snapshot.records)
            recorder.give_back(snapshot)
        elif report is not None:  # else the next try would take it for done
            failure = await self._find_missing_parts()
        state: dict[str, Any] = {}
        if self._fingerprint is not None:
            state["checkpoint"] = replace(checkpoint, report=report if failure is None else None).to_json()
            if report is not None and failure is None:
                state["settled"] = state["checkpoint"]
        if progress is not None:
            state["progress"] = progress
        self._store_soon(state, last=last)
        if failure is not None:
            raise failure

    async def _write_part(self, records: Collection[DeadLetter | Record]) -> DeadLetterStoreError | None:
        """Write a part, unless there is nothing to write. :return: why it could not be written."""
        try:
            if records:
                self._parts.append(await self._files.call(self._folder.write, records))
        except DeadLetterStoreError as failure:
            return failure
        return None

    async def _find_missing_parts(self) -> DeadLetterStoreError | None:
        """Look whether all parts that count are still there. :return: which are not."""
        try:
            await self._files.call(self._folder.check, self._parts)
        except DeadLetterStoreError as failure:
            return failure
        return None

    def _checkpoint(self, snapshot: Snapshot, totals: Mapping[str, Any]) -> Checkpoint:
        checkpoint = Checkpoint(
            self._fingerprint or "",
            snapshot.position,
            snapshot.digest,
            snapshot.unfinished,
            totals,
            tuple(self._parts),
            snapshot.batches,
            bookmarks={index: self._kept(bookmark) for index, bookmark in snapshot.bookmarks.items()},
            written_by=self._try,
        )
        return checkpoint.before(snapshot.held) if snapshot.held else checkpoint

    def _kept(self, bookmark: Bookmark) -> Bookmark | None:
        """Return a bookmark that may be written: without a secret, which an API may have put into a link."""
        text = json.dumps(bookmark.to_json())
        return bookmark if self._journal.redact(text) == text else None

    def _store_soon(self, state: Mapping[str, Any], *, last: bool) -> None:
        """Have the state store keep something; nobody waits for it, and one that is still busy is left alone.

        What the last write finds in the queue is older than it, and gives way.
        """
        if self._store is None or (not last and not all(stored.done() for stored in self._stored)):
            return
        for stored in self._stored:
            stored.cancel()
        self._stored = [self._store_thread.submit(self._store.set, key, value) for key, value in state.items()]
        complain = self._stored_or_not(_WRITING_CHECKPOINT)
        for stored in self._stored:
            stored.add_done_callback(complain)

    def _stored_or_not(self, doing: str) -> "Callable[[asyncio.Future[None]], None]":
        def complain(stored: "asyncio.Future[None]") -> None:
            if not stored.cancelled() and (error := stored.exception()) is not None:
                self._journal.complain(doing, error)

        return complain

    async def write_last(
        self, recorder: Recorder, progress: Mapping[str, Any], *, report: Mapping[str, Any] | None, until: float
    ) -> Exception | None:
        """Write the last snapshot, and wait for it.

        :param report: when all is done; the checkpoint says so, until Airflow knows of the success.
        :param until: the loop's time at which waiting ends.
        :return: why dead letters could not be written; the state store's failures are only logged.
        """
        lost: Exception | None = None
        try:
            async with asyncio.timeout_at(until):
                await self.write(recorder, progress, last=True, report=report)
                lost = await self._find_missing_parts() if self._begun else None
        except (LoadError, ConfigurationError) as failure:
            self._journal.complain("stage the last rows; a retry fetches them again", failure)
        except (DeadLetterStoreError, TimeoutError) as failure:
            lost = failure
        if self._stored:
            left = until - asyncio.get_running_loop().time()
            _, waiting = await asyncio.wait(self._stored, timeout=max(0.0, left))
            for stored in waiting:  # Airflow's own calls would wait for those that have not begun
                stored.cancel()
            if waiting:
                self._journal.complain(_WRITING_CHECKPOINT, TimeoutError("the state store takes too long"))
        return lost

    async def publish(self, call: Callable[[], None], until: float) -> None:
        """Run a call of Airflow's, such as pushing XCom; its failure is only logged."""
        with self._journal.complaining("publish the report"):
            async with asyncio.timeout_at(until):
                await self._xcom_thread.call(call)

    def close(self) -> None:
        """End the threads, after what is queued."""
        self._store_thread.close()
        self._xcom_thread.close()
        self._files.close()
