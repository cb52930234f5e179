"""When a batch that was refused whole is halved, and how far."""

import asyncio
import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

# A refusal of what is in the body: nothing of it is stored, and another batch may pass.
_OF_THE_BODY = frozenset({400, 413, 422})


@dataclass(slots=True)
class Probe:
    """What halving may cost where it is not sure to help: the rest is given up together.

    :param requests: that may still be sent.
    :param attempts: of each half; None: as many as of any request.
    """

    requests: int
    attempts: int | None = None

    @classmethod
    def of(cls, items: int, attempts: int | None = None) -> "Probe":
        """Allow for what it takes to find one culprit among so many items."""
        return cls(math.floor(2 * math.log2(items) + 2), attempts)

    def take(self) -> bool:
        """Take one request. :return: False when there are none left."""
        self.requests -= 1
        return self.requests >= 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is known of a batch that was refused whole.

    :param status: of the answer, which ``Batch.split_on`` names.
    :param lost: whether an attempt of this batch may have been acted on, and its answer was lost.
    :param uncertain: whether one of an earlier try may have been.
    """

    status: int
    items: int
    lost: bool
    uncertain: bool

    @property
    def may_split(self) -> bool:
        """Return whether halves may be sent at all: they have other idempotency keys than what may be stored."""
        return not self.lost and (not self.uncertain or self.status in _OF_THE_BODY)

    @property
    def needs_acceptance(self) -> bool:
        """Return whether the fault may be of no row, but of a wrong path, say, so that all batches are refused."""
        return self.status not in _OF_THE_BODY

    def probe(self, *, accepted: bool) -> Probe | None:
        """Bound the halving of a batch that may be split; None: as far as it takes.

        :param accepted: whether the API has accepted a batch in this try.
        """
        if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Probe.of(self.items, attempts=1)
        return None if accepted or not self.needs_acceptance else Probe.of(self.items)


class Acceptance:
    """Whether the API takes batches at all: known when it takes one, or when it has refused all that are under way.

    :param workers: that there are: while one of them has none, another batch may come, until there are no more. 0: that
        is not known, and nobody waits for it.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._accepted = False
        self._active = 0
        self._waiting: list[asyncio.Future[bool]] = []

    @contextlib.contextmanager
    def delivering(self) -> Iterator[None]:
        """Note that a batch is under way while the block runs."""
        self._active += 1
        try:
            yield
        finally:
            self._active -= 1
            self._decide()

    def end(self) -> None:
        """Note that no more batches come."""
        self._workers = 0
        self._decide()

    def note(self) -> None:
        """Note that the API has taken one."""
        self._accepted = True
        self._decide()

    async def known(self) -> bool:
        """Return whether it takes batches, as soon as that is known; called for a batch that is under way."""
        if self._accepted:
            return True
        known: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(known)
        self._decide()
        try:
            return await known
        finally:
            if known in self._waiting:
                self._waiting.remove(known)

    def _decide(self) -> None:
        if self._accepted or len(self._waiting) >= max(self._active, self._workers):
            waiting, self._waiting = self._waiting, []
            for known in waiting:
                if not known.done():
                    known.set_result(self._accepted)
