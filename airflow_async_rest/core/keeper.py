"""What outlives a try: dead-letter parts, checkpoint and progress, written while it runs and read by the next."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from airflow_async_rest.core.checkpoint import Checkpoint, Resume
from airflow_async_rest.core.dead_letters import RESET, UNREADABLE, DeadLetterFolder, Record
from airflow_async_rest.core.errors import ConfigurationError, DeadLetterStoreError, LoadError, StoppedError
from airflow_async_rest.core.journal import Journal
from airflow_async_rest.core.letter_lines import whole_batches
from airflow_async_rest.core.models import DeadLetter
from airflow_async_rest.core.part_files import PartId
from airflow_async_rest.core.recorder import Recorder, Snapshot
from airflow_async_rest.core.replay import Replay
from airflow_async_rest.core.worker_thread import WorkerThread

_LOAD_SECONDS = 10.0
# Dead letters shown in XCom before they are sent again; more would not fit there.
_SAMPLE = 200


class StateStore(Protocol):
    """What survives a retry: Airflow's ``context["task_state_store"]``, or a dict in tests. Calls block."""

    def get(self, key: str) -> Any:
        """Give a JSON value, or None."""

    def set(self, key: str, value: Any) -> None:
        """Keep a JSON value."""

    def delete(self, key: str) -> None:
        """Forget a key."""


class Keeper:
    """Writes and reads what outlives a try. A state store that fails or hangs never holds the delivery up.

    :param store: None when there is none.
    :param fingerprint: tells whether a checkpoint is this job's; None for a job that cannot resume.
    :param replays: whether the window's own dead letters are sent again, and nothing else.
    """

    def __init__(
        self,
        folder: DeadLetterFolder | Replay,
        store: StateStore | None,
        fingerprint: str | None,
        journal: Journal,
        *,
        replays: bool = False,
    ) -> None:
        self._folder = folder
        self._store = store
        self._fingerprint = fingerprint
        self._journal = journal
        self._replays = replays
        self._account: Any = None  # the checkpoint that was written last
        # Every call of Airflow's runs on one thread. Files have their own: a store that hangs must not cost them.
        self._airflow = WorkerThread("async-rest-airflow")
        self._files = WorkerThread("async-rest-files")
        self._parts: list[PartId] = []
        self._stored: asyncio.Future[None] | None = None
        self._turn = asyncio.Lock()
        self._begun = False  # until it has, what an earlier try left stays as it is

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
            return None, f"starting over from the first row: {error}"
        except Exception as error:  # noqa: BLE001  (a state store that fails costs resumability, not the delivery)
            return None, f"from the first row, because the state store does not answer ({str(error) or repr(error)})"
        if resume is None:
            return None, "from the start"
        before = resume.checkpoint
        return resume, (
            f"resumed at row {before.position}, sending again {len(before.unfinished)} unfinished and "
            f"{len(resume.dead)} failed ones before it"
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

    async def _read_checkpoint(self) -> Any:
        """Give what the last try left, or None; a replay goes on with that of a try that succeeded, too."""
        if self._store is None or self._fingerprint is None:
            return None
        for key in ("checkpoint", "settled") if self._replays else ("checkpoint",):
            found = await self._airflow.call(self._store.get, key, timeout_seconds=_LOAD_SECONDS)
            if found is not None:
                return found
        return None

    async def _load(self) -> Resume | None:
        folder = self._folder
        value = None if isinstance(folder, Replay) else await self._read_checkpoint()
        if value is None or isinstance(folder, Replay):
            return None
        checkpoint = Checkpoint.from_json(value)
        if self._replays:  # of the requests as they were, whatever the arguments are now
            self._fingerprint = checkpoint.fingerprint
        if checkpoint.fingerprint != self._fingerprint:
            raise ValueError("the SQL, its binds, the window or another argument is not what it was")
        letters = await self._files.call(folder.read, checkpoint.parts)
        # One that was being sent again when the checkpoint was written counts as unfinished there, not as failed.
        counted = {index: reason for index, reason in letters.items() if index not in checkpoint.unfinished}
        live = await self._files.call(folder.live_parts)
        if checkpoint.parts and live[0] > checkpoint.parts[-1]:
            raise ValueError("a later try has started over, and left no checkpoint")
        latest = await self._files.call(folder.read_latest)
        known = {index: letter.reason for index, letter in latest.items()}
        if self._replays:
            if checkpoint.totals.get("complete") and known.keys() - letters.keys() - checkpoint.unfinished:
                raise ValueError("there are dead letters of a later try, which left no account")
            # Being sent when the try before ended, and dead all the same: what nobody chose now stays dead.
            again = checkpoint.unfinished & letters.keys() & known.keys()
            checkpoint = checkpoint.with_dead(letters[index] for index in again).without(again)
            counted |= {index: letters[index] for index in again}
        delivered = checkpoint.unfinished & (letters.keys() - known.keys())
        left = frozenset() if self._replays else self._left_alone(counted.keys() & known.keys(), counted)
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
        )

    @staticmethod
    def _left_alone(indexes: Collection[int], reasons: Mapping[int, str]) -> frozenset[int]:
        """Find the dead letters that no retry sends again: the API took them, and may act on them twice."""
        return frozenset(index for index in indexes if reasons[index] == UNREADABLE)

    async def begin(self, resume: Resume | None) -> None:
        """Begin where ``resume`` ends; without it, earlier dead letters of the folder become void.

        :raises DeadLetterStoreError: when the folder cannot be read or written.
        """
        self._parts = list(resume.checkpoint.parts) if resume else []
        if resume is None and len(await self._files.call(self._folder.parts)) > 0:
            self._parts.append(await self._files.call(self._folder.write, [RESET]))
        if resume is None and self._store is not None and self._fingerprint is not None:
            with self._journal.complaining("delete the account of the window's last success"):
                await self._airflow.call(self._store.delete, "settled", timeout_seconds=_LOAD_SECONDS)
        self._begun = True

    async def write(self, recorder: Recorder, progress: Mapping[str, Any] | None, *, last: bool = False) -> None:
        """Write a snapshot: first the dead letters, then the checkpoint that counts them, then the progress.

        It does not wait for the state store; a store that is still busy with the write before is left alone,
        but for the last one.

        :raises DeadLetterStoreError: when the dead letters cannot be written; the recorder keeps them.
        """
        if not self._begun:
            return
        async with self._turn:  # a part that is being written comes before the checkpoint that counts it
            await self._write(recorder, progress, last=last)

    async def _write(self, recorder: Recorder, progress: Mapping[str, Any] | None, *, last: bool) -> None:
        snapshot = recorder.snapshot(letters=last or recorder.is_due)
        try:
            await self._write_part(snapshot.records)
        except DeadLetterStoreError:
            recorder.give_back(snapshot)
            raise
        state: dict[str, Any] = {}
        if self._fingerprint is not None:
            state["checkpoint"] = self._account = self._checkpoint(snapshot, snapshot.totals)
        if progress is not None:
            state["progress"] = progress
        self._store_soon(state, last=last)

    async def _write_part(self, records: Sequence[DeadLetter | Record]) -> None:
        if records:
            self._parts.append(await self._files.call(self._folder.write, records))

    def _checkpoint(self, snapshot: Snapshot, totals: Mapping[str, Any]) -> dict[str, Any]:
        return Checkpoint(
            self._fingerprint or "",
            snapshot.position,
            snapshot.digest,
            snapshot.unfinished,
            totals,
            tuple(self._parts),
            snapshot.batches,
        ).to_json()

    def _store_soon(self, state: Mapping[str, Any], *, last: bool) -> None:
        """Have the state store keep something; nobody waits for it, and one that is still busy is left alone."""
        if self._store is None or (self._stored is not None and not self._stored.done() and not last):
            return
        self._stored = self._airflow.submit(_store_all, self._store, state)
        self._stored.add_done_callback(self._stored_or_not)

    def _stored_or_not(self, stored: "asyncio.Future[None]") -> None:
        if not stored.cancelled() and (error := stored.exception()) is not None:
            self._journal.complain("write the checkpoint, so a retry may send again more than it must", error)

    async def write_last(
        self, recorder: Recorder, progress: Mapping[str, Any], *, forget: bool, until: float
    ) -> Exception | None:
        """Write the last snapshot, and wait for it.

        :param forget: whether the checkpoint goes, because all is done.
        :param until: the loop's time at which waiting ends.
        :return: why dead letters could not be written; the state store's failures are only logged.
        """
        lost: Exception | None = None
        try:
            async with asyncio.timeout_at(until):
                await self.write(recorder, progress, last=True)
                if self._begun:
                    await self._files.call(self._folder.check, self._parts)
        except (LoadError, ConfigurationError) as failure:
            self._journal.complain("stage the last rows; a retry fetches them again", failure)
        except (DeadLetterStoreError, TimeoutError) as failure:
            lost = failure
        if self._stored is not None:
            with self._journal.complaining("write the checkpoint, so a retry may send again more than it must"):
                async with asyncio.timeout_at(until):
                    await asyncio.shield(self._stored)
        if forget and lost is None:
            with self._journal.complaining("delete the checkpoint, so clearing this task would resume it"):
                async with asyncio.timeout_at(until):
                    await self._forget()
        return lost

    async def _forget(self) -> None:
        """Let the next try begin anew, unless it replays what is dead: then it goes on with this account."""
        if self._store is not None and self._fingerprint is not None:
            with self._journal.complaining("keep the account, so the dead letters could not be replayed in the task"):
                await self._airflow.call(self._store.set, "settled", self._account)
            await self._airflow.call(self._store.delete, "checkpoint")

    async def publish(self, call: Callable[[], None], until: float) -> None:
        """Run a call of Airflow's, such as pushing XCom; its failure is only logged."""
        with self._journal.complaining("publish the report"):
            async with asyncio.timeout_at(until):
                await self._airflow.call(call)

    def close(self) -> None:
        """End the threads, after what is queued."""
        self._airflow.close()
        self._files.close()


def _store_all(store: StateStore, state: Mapping[str, Any]) -> None:
    for key, value in state.items():
        store.set(key, value)
