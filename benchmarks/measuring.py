"""What all measures share: the cores, the rounds, and the figures they come to."""

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from rich.table import Table

Result = TypeVar("Result")

_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
CLIENT_CORE = _CORES[0] if _CORES else None
SERVER_CORE = _CORES[-1] if _CORES else None


def pin(*cores: int | None) -> None:
    """Keep this process, and those it starts from now on, on these cores, where the system can do that."""
    if known := {core for core in cores if core is not None}:
        os.sched_setaffinity(0, known)


@contextmanager
def pinned(*cores: int | None) -> Iterator[None]:
    """Do the same for what the block starts."""
    before = os.sched_getaffinity(0) if set(cores) != {None} else set()
    pin(*cores)
    try:
        yield
    finally:
        if before:
            os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    :param rounds: baseline and ours, in turns, so many times.
    :param smoke: everything tiny: it shows that the benchmarks run, its figures say nothing.
    """

    rounds: int = 3
    smoke: bool = False


def in_turns(rounds: int, *contestants: Callable[[], Result]) -> list[tuple[Result, ...]]:
    """Run A B C A B C ...: what disturbs the machine for a while disturbs all. :return: their results, by round."""
    return [tuple(_undisturbed(run) for run in contestants) for _ in range(rounds)]


def _undisturbed(run: Callable[[], Result]) -> Result:
    gc.collect()  # else one pays for another's garbage
    return run()


@dataclass(frozen=True)
class Spread:
    """The rounds of one quantity."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        median, low, high = (_readable(value) for value in (self.median, self.low, self.high))
        return median if low == high else f"{median} ({low}..{high})"


def _readable(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


@dataclass(frozen=True)
class Figure:
    """One line of the table. The ratio is taken round by round, then its median.

    :param case: what was measured, and the unit.
    :param against: what the baseline is.
    :param met: whether the target is met; None without a target.
    """

    measure: str
    case: str
    ours: Spread
    against: str
    baseline: Spread
    ratio: Spread
    target: str = ""
    met: bool | None = None


def figure(
    measure: str,
    case: str,
    pairs: Iterable[tuple[float, float]],
    against: str,
    *,
    target: str = "",
    meets: Callable[[Figure], bool] | None = None,
) -> Figure:
    """Make a figure of (baseline, ours) pairs.

    :param meets: decides whether the figure meets the target.
    """
    baseline, ours = zip(*pairs, strict=True)
    ratio = [own / base for base, own in zip(baseline, ours, strict=True)]
    found = Figure(measure, case, Spread.of(ours), against, Spread.of(baseline), Spread.of(ratio), target)
    return Figure(**{**vars(found), "met": meets(found)}) if meets else found


@dataclass(frozen=True)
class Rival:
    """What we are compared with.

    :param run: gives its result, of which more is better.
    :param at_least: how many times as good we want to be.
    """

    name: str
    run: Callable[[], float]
    at_least: float | None = None


def compare(
    measure: str, case: str, rounds: int, ours: Callable[[], float], rivals: Sequence[Rival]
) -> Iterator[Figure]:
    """Measure us and the rivals in turns. :return: a figure for each rival."""
    found = in_turns(rounds, ours, *(rival.run for rival in rivals))
    for place, rival in enumerate(rivals, 1):
        least = rival.at_least
        yield figure(
            measure,
            case,
            [(results[place], results[0]) for results in found],
            rival.name,
            target=f">= {least:g}" if least else "",
            meets=(lambda line, least=least: line.ratio.median >= least) if least else None,
        )


def per_second(send: Callable[[], int]) -> float:
    """Time what gives how many rows it has sent."""
    started = time.perf_counter()
    sent = send()
    return sent / (time.perf_counter() - started)


def table(figures: Iterable[Figure], api: str) -> Table:
    """Lay the figures out for people.

    :param api: the server that answers at once.
    """
    laid = Table(
        title="median (min..max) over the rounds",
        caption=f"what answers at once: {api}; with a latency, and for the rate: the bundled server",
    )
    for heading in ("measure", "case", "ours", "baseline", "ratio", "target"):
        laid.add_column(heading)
    verdicts = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}
    for line in figures:
        laid.add_row(
            line.measure,
            line.case,
            str(line.ours),
            f"{line.baseline} {line.against}",
            str(line.ratio),
            f"{line.target} {verdicts[line.met]}".strip(),
        )
    return laid


def say(text: str) -> None:
    """Tell the reader what is going on; apart from the table, which goes to stdout."""
    print(text, file=sys.stderr, flush=True)
