"""``python -m benchmarks [measure ...]``: measure, and print one table."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks import (
    adaptive,
    bulk,
    checked,
    fetch,
    first_request,
    ids,
    import_time,
    latency,
    load,
    mapped,
    memory,
    pages,
    progress,
    rate,
    shared_limit,
    single,
    stages,
    tabs,
    tls,
    worker_queue,
)
from benchmarks.database import SHARED
from benchmarks.measuring import CLIENT_CORE, SERVER_CORE, Figure, Plan, pin, say, table
from benchmarks.surroundings import airflow_home, api_name

MEASURES: dict[str, Callable[[Plan], Iterator[Figure]]] = {
    "import": import_time.measure,
    "first_request": first_request.measure,
    "single": single.measure,
    "bulk": bulk.measure,
    "checked": checked.measure,
    "stages": stages.measure,
    "tls": tls.measure,
    "latency": latency.measure,
    "rate": rate.measure,
    "shared": shared_limit.measure,
    "adaptive": adaptive.measure,
    "progress": progress.measure,
    "fetch": fetch.measure,
    "pages": pages.measure,
    "load": load.measure,
    "queue": worker_queue.measure,
    "mapped": mapped.measure,
    "memory": memory.measure,
    "ids": ids.measure,
    "tabs": tabs.measure,
}

# Each of their runs starts another Airflow, or many processes, which is too slow for a test, or a server that not all
# machines have; they can still be named.
_SLOW_TO_START = frozenset({"shared", "mapped", "memory", "ids", "tls", "tabs"})
_DRAWN = frozenset({"single", "bulk"})


def main() -> int:
    """Run the chosen measures. :return: 1 when a target is missed, but for a smoke run."""
    chosen = _arguments()
    plan = Plan(rounds=1 if chosen.smoke else chosen.rounds, smoke=chosen.smoke)
    if not plan.smoke:  # which is to be fast, on whatever core is free
        pin(CLIENT_CORE)
    api = api_name(plan)
    machine = _machine(api)
    with airflow_home(), SHARED:
        figures = list(_run(chosen.measures, plan))
    if plan.smoke:
        figures = [replace(line, met=None) for line in figures]
    # Wide enough for whole lines where the output is not a terminal.
    Console(width=None if sys.stdout.isatty() else 200).print(table(figures, api))
    if chosen.json:
        chosen.json.write_text(
            json.dumps({"machine": machine, "figures": [asdict(line) for line in figures]}, indent=2)
        )
    if chosen.plot:
        from benchmarks import plot  # noqa: PLC0415  (matplotlib takes a second to load)

        plot.draw(figures, chosen.plot)
    return int(any(line.met is False for line in figures))


def _run(measures: list[str], plan: Plan) -> Iterator[Figure]:
    for name in measures or [name for name in MEASURES if not (plan.smoke and name in _SLOW_TO_START)]:
        say(f"measuring {name} ...")
        started = time.monotonic()
        yield from MEASURES[name](plan)
        say(f"  {time.monotonic() - started:.0f} s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("measures", nargs="*", metavar="measure", help=f"{', '.join(MEASURES)}; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="baseline and ours in turns, so often; default 3")
    parser.add_argument("--smoke", action="store_true", help="everything tiny: shows that it runs, no more")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--plot", type=Path, help="draw single and bulk into this file: .svg, .png")
    chosen = parser.parse_args()
    if unknown := set(chosen.measures) - set(MEASURES):
        parser.error(f"no such measure: {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    if chosen.plot and chosen.measures and not set(chosen.measures) & _DRAWN:
        parser.error(f"--plot draws {' and '.join(sorted(_DRAWN))}: measure one of them")
    if chosen.rounds < 1:
        parser.error("--rounds: write 1 or more")
    return chosen


def _machine(api: str) -> dict[str, object]:
    """Say under what circumstances the figures were found."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "servers": {"at once": api, "with a latency, and for the rate": "the bundled server"},
        "client_core": CLIENT_CORE,
        "server_core": SERVER_CORE,
        "load_before": os.getloadavg()[0],
    }


if __name__ == "__main__":
    sys.exit(main())
