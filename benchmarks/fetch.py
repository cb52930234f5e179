"""A year of dates from an API that takes its time: fetched concurrently, and loaded into PostgreSQL."""

import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

from benchmarks.fetchers import create_table, fetch_into_nothing, fetch_into_postgres, get_bare
from benchmarks.measuring import Figure, Plan, figure, in_turns
from benchmarks.recipes import get_one_after_another
from benchmarks.senders import run
from benchmarks.surroundings import Ends, running_ends

_FIRST = date(2025, 1, 1)
_CONCURRENCY = 64
_ROWS_A_DATE = 20
_TIMES_FASTER = 45
_MOST = 1.05
_MOST_LOADING = 0.1
_MODES: dict[str, dict[str, str]] = {
    "append": {},
    "replace_window": {"load_mode": "replace_window", "window_column": "day"},
}


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare with one request after another, with a loop that only fetches, and with the engine that only fetches."""
    latency, dates, few = (0.01, 10, 2) if plan.smoke else (0.2, 365, 20)
    with running_ends(plan, latency, _ROWS_A_DATE) as ends:
        urls = [f"{ends.url}/{_FIRST + timedelta(days=number)}" for number in range(dates)]
        _fetch(fetch_into_postgres, 2, {}, ends)()  # Airflow's imports are not part of it
        for mode, arguments in _MODES.items():
            found = in_turns(
                plan.rounds,
                _seconds(lambda: get_one_after_another(urls[:few])),
                _seconds(lambda: run(get_bare(urls, _CONCURRENCY))),
                _fetch(fetch_into_nothing, dates, arguments, ends),
                _fetch(fetch_into_postgres, dates, arguments, ends),
            )
            # All of them would take more than a minute in each round.
            one_by_one = [(slow / few * dates, ours) for slow, _, _, ours in found]
            case = f"{dates} dates, {latency * 1000:g} ms each, {_CONCURRENCY} at once, {mode}"
            yield from _figures(case, f"extrapolated from {few}", one_by_one, [times[1:] for times in found])


def _figures(
    case: str, how: str, one_by_one: list[tuple[float, float]], found: list[tuple[float, ...]]
) -> Iterator[Figure]:
    """Make the figures of a mode.

    :param how: the time of one request after another was found.
    :param found: the times of the bare loop, of ours without loading, and of ours.
    """
    yield figure(
        "fetch",
        f"{case}: times as fast",
        [(1, slow / ours) for slow, ours in one_by_one],
        f"requests, one after another, nothing loaded, {how}",
        target=f">= {_TIMES_FASTER}",
        meets=lambda line: line.ratio.median >= _TIMES_FASTER,
    )
    yield figure(
        "fetch",
        f"{case}: s",
        [(bare, ours) for bare, _, ours in found],
        "bare aiohttp loop, nothing loaded",
        target=f"<= {_MOST}",
        meets=lambda line: line.ratio.median <= _MOST,
    )
    yield figure(
        "fetch",
        f"{case}: s for loading",
        [(ours, ours - nothing) for _, nothing, ours in found],
        "all of it",
        target=f"< {_MOST_LOADING}",
        meets=lambda line: line.ratio.median < _MOST_LOADING,
    )


def _fetch(
    fetch: Callable[..., dict[str, Any]], dates: int, arguments: dict[str, str], ends: Ends
) -> Callable[[], float]:
    """Make the function that empties the table, and then measures how long a run takes."""

    def whole() -> None:
        fetch(
            dates * _ROWS_A_DATE,
            endpoint="items/{date}",
            window_step=timedelta(days=1),
            window_start=_FIRST.isoformat(),
            window_end=(_FIRST + timedelta(days=dates)).isoformat(),
            columns={"day": "item.date", "id": "id", "name": "name", "value": "value", "measured_at": "measured_at"},
            concurrency=_CONCURRENCY,
            **arguments,
        )

    def measured() -> float:
        create_table(ends.postgres)
        return _seconds(whole)()

    return measured


def _seconds(do: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        started = time.perf_counter()
        do()
        return time.perf_counter() - started

    return timed
