"""How far a window has come, and whether the source is still the same."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_async_rest.core.dead_letters import Record
from airflow_async_rest.core.encoding import stable_bytes
from airflow_async_rest.core.part_files import PartId, from_runs, to_runs

_VERSION = 2


@dataclass(frozen=True)
class Checkpoint:
    """Where a retry goes on.

    :param fingerprint: of the job: rendered SQL, binds, window, method, endpoint, key.
    :param position: rows handed to the workers so far; each is settled, dead, or in ``unfinished``.
    :param digest: of the identities of rows 0..position.
    :param unfinished: rows below the position that have no outcome yet.
    :param totals: see :class:`~airflow_async_rest.core.report.Totals`.
    :param parts: the dead-letter parts that belong to these totals.
    :param batches: of the unfinished rows, those that were in one request, each batch in its order.
    """

    fingerprint: str
    position: int
    digest: str
    unfinished: frozenset[int]
    totals: Mapping[str, Any]
    parts: tuple[PartId, ...]
    batches: tuple[tuple[int, ...], ...] = ()

    def without(self, indexes: frozenset[int]) -> "Checkpoint":
        """Give it with these rows finished."""
        batches = (tuple(index for index in batch if index not in indexes) for batch in self.batches)
        return replace(self, unfinished=self.unfinished - indexes, batches=tuple(batch for batch in batches if batch))

    def with_dead(self, reasons: Iterable[str]) -> "Checkpoint":
        """Give it with more dead letters counted, of rows that were unfinished."""
        counted = Counter(self.totals.get("reasons", {})) + Counter(reasons)
        return replace(self, totals={**self.totals, "reasons": dict(counted)})

    def to_json(self) -> dict[str, Any]:
        """Give it as the state store keeps it."""
        in_batches = {index for batch in self.batches for index in batch}
        return {
            "version": _VERSION,
            "fingerprint": self.fingerprint,
            "position": self.position,
            "digest": self.digest,
            "unfinished": sorted(self.unfinished - in_batches),
            "batches": [_runs(batch) for batch in self.batches],
            "totals": dict(self.totals),
            "parts": to_runs(self.parts),
        }

    @classmethod
    def from_json(cls, value: Any) -> "Checkpoint":
        """Read it back. :raises ValueError: when it is not one of this version."""
        if not isinstance(value, dict) or value.get("version") != _VERSION:
            raise ValueError("not a checkpoint of this version")
        try:
            batches = tuple(_numbers(runs) for runs in value["batches"])
            return cls(
                fingerprint=str(value["fingerprint"]),
                position=int(value["position"]),
                digest=str(value["digest"]),
                unfinished=frozenset(int(index) for index in value["unfinished"]).union(*batches),
                totals=dict(value["totals"]),
                parts=tuple(from_runs(value["parts"])),
                batches=batches,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a checkpoint: {error!r}") from None


def _runs(numbers: Sequence[int]) -> str:
    """Write ascending numbers as the first one, how many follow on each other, the gap after them, and so on.

    The state store takes 64 KB, and a batch of which every other item is unfinished has 250 runs.
    """
    runs, last = [numbers[0], 0], numbers[0] - 1
    for number in numbers:
        if number > last + 1:
            runs += [number - last - 1, 0]
        runs[-1] += 1
        last = number
    return " ".join(map(str, runs))


def _numbers(runs: str) -> tuple[int, ...]:
    numbers: list[int] = []
    end = 0
    for gap, count in zip(*[map(int, runs.split())] * 2, strict=True):
        numbers += range(end + gap, end + gap + count)
        end += gap + count
    return tuple(numbers)


@dataclass(frozen=True)
class Resume:
    """What a retry knows of the tries before.

    :param dead: index -> reason of the dead letters that the totals count and that are sent again.
    :param left: those that the totals count, and that stay dead: the API took them, and its answer cannot be read.
    :param resolved: index -> reason of those that the totals count and a replay has delivered since.
    :param delivered: those that were being sent again, and that a replay has delivered since.
    :param known_dead: all indexes that some part calls dead; a delivery is noted for each.
    :param sample: records of dead letters, to be shown while they are not sent again yet.
    :param dead_batches: of the dead ones, those that were in one request.
    :param uncertain: rows that the API may have acted on, because the answer to a request was lost.
    """

    checkpoint: Checkpoint
    dead: Mapping[int, str] = field(default_factory=dict)
    left: frozenset[int] = frozenset()
    resolved: Mapping[int, str] = field(default_factory=dict)
    delivered: frozenset[int] = frozenset()
    known_dead: frozenset[int] = frozenset()
    sample: tuple[Record, ...] = ()
    dead_batches: tuple[tuple[int, ...], ...] = ()
    uncertain: frozenset[int] = frozenset()

    @property
    def counted(self) -> frozenset[int]:
        """Rows that are dead letters, and count as that."""
        return self.left.union(self.dead)

    @property
    def batches(self) -> tuple[tuple[int, ...], ...]:
        """What goes in one request again, so that it has the same idempotency key."""
        dead = (batch for batch in self.dead_batches if all(index in self.dead for index in batch))
        return (*self.checkpoint.batches, *dead)

    def wants(self, index: int) -> bool:
        """Tell whether a row below the position is sent again."""
        return index in self.dead or index in self.checkpoint.unfinished


def fingerprint(*parts: Any) -> str:
    """Give a digest of what makes a job this job and no other."""
    return hashlib.blake2b(stable_bytes(list(parts)), digest_size=16).hexdigest()


class SourceDigest:
    """A running digest of row identities, which are JSON: there is no zero byte in them."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, *identities: bytes) -> None:
        """Take in the identities of the next rows."""
        self._hash.update(b"\0".join((*identities, b"")))

    def hexdigest(self) -> str:
        """Give the digest of the rows so far."""
        return self._hash.hexdigest()
