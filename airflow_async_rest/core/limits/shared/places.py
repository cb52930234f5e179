"""Places in time that a task has taken and not used yet, and how many more it takes before they are used up. Pure."""

from collections import deque
from dataclasses import dataclass

from airflow_async_rest.core.limits.shared.store import LAG_SECONDS

# Places are asked for before the last ones are used, by a bit more than an answer takes.
_EARLIER = 1.1
# How much of the limit a task gets at once that is far from its store, as a share of the way there and back.
_BLOCK = 1.25


@dataclass(slots=True)
class Block:
    """Places one after the other.

    :param left: how many are not used yet.
    :param at: when the first of these is.
    :param is_remembered: whether the store knows of them, as late as that has to be asked.
    """

    left: int
    at: float
    interval: float
    is_remembered: bool = False

    @property
    def ends(self) -> float:
        """When the last of them is over."""
        return self.at + self.left * self.interval


class Places:
    """The blocks that a task has, in their order."""

    def __init__(self) -> None:
        self._blocks: deque[Block] = deque()

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def __len__(self) -> int:
        return sum(block.left for block in self._blocks)

    def add(self, block: Block) -> None:
        """Have more of them."""
        if block.left:
            self._blocks.append(block)

    @property
    def ends(self) -> float:
        """When the last place is over."""
        return self._blocks[-1].ends if self._blocks else 0.0

    def take(self) -> tuple[float, Block]:
        """Use the next one. :return: when it is, and the block that it is of."""
        block = self._blocks[0]
        at, block.at, block.left = block.at, block.at + block.interval, block.left - 1
        if not block.left:
            self._blocks.popleft()
        return at, block


class Ahead:
    """How many places are asked for while there are some still. A store that is near is asked when none is left.

    Twice as many each time when there were too few, and nobody else wanted any; fewer by those that nobody used.
    """

    def __init__(self) -> None:
        self._places = self._lapsed = 0
        self._is_dry = False

    def ran_dry(self) -> None:
        """Note that requests wait, and there is no place."""
        self._is_dry = True

    def lapsed(self) -> None:
        """Note that the time of a place was over before a request came."""
        self._lapsed += 1

    def got(self, places: int, wait_seconds: float, way_seconds: float) -> None:
        """Note how many the store handed out, and when the first of them was, from then on."""
        if self._lapsed:
            self._places = max(self._places - self._lapsed, self._places // 2)
        elif self._is_dry:
            self._places = max(self._places, 2 * places if wait_seconds < 2 * way_seconds else places)
        self._lapsed, self._is_dry = 0, False

    def wanted(self, waiting: int, left: int, way_seconds: float) -> int:
        """Return how many to ask for.

        :param left: how many there are still.
        :param way_seconds: how long the store takes to answer.
        """
        return max(waiting - left, self._places if is_far(way_seconds) else 0)


def is_far(way_seconds: float) -> bool:
    """Return whether the store's own lag does not make up for the time that its answer takes."""
    return way_seconds > LAG_SECONDS


def is_time(now: float, ends: float, way_seconds: float) -> bool:
    """Return whether more has to be asked for now, so that it is there when the last place is over."""
    return is_far(way_seconds) and ends - now < way_seconds * _EARLIER


def block_seconds(way_seconds: float) -> float:
    """Return how much of the limit is asked for at once, at most, because the store is so far away."""
    return way_seconds * _BLOCK if is_far(way_seconds) else 0.0
