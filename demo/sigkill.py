"""Kill a task with SIGKILL again and again under Airflow's scheduler, and prove that no row is lost.

The task delivers three days in one window. It is killed at random moments; Airflow retries it, and when its retries
are used up it is cleared, as a person would do it. Each try goes on where the one before was killed.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import Any

import httpx
from rich.console import Console

from demo.airflow_client import AirflowError, TaskRuns
from demo.backfill import DAG, ENDED, TASK, dead_ids
from demo.children import ChildError
from demo.database import ids_by_day
from demo.interrupts import Interrupted, Interrupts
from demo.screen import show_verdict
from demo.stage import Stage, children, set_up
from demo.verdict import Claim
from demo.week import DAYS, REFUSED_IDS

_DAYS = 3
_LONGEST_LIFE_SECONDS = 8.0
# What was done since the last checkpoint before a kill is sent again, at 100 requests a second. Between two checkpoints
# is a second; a try that is killed before its first one adds another, and a busy machine a third.
_SENT_AGAIN_AT_MOST = 3 * 100


def deliver(stage: Stage, kills: int, random: Random, console: Console) -> tuple[TaskRuns, list[int]]:
    """Run the task, and kill it; return when it has ended by itself.

    :return: its run, and for every try but the first how many rows it sent again.
    """
    stage.airflow.switch_on(DAG)
    span = {"window_start": DAYS[0].isoformat(), "window_end": (DAYS[0] + timedelta(days=_DAYS)).isoformat()}
    tasks, killed, again = stage.airflow.run(DAG, span), 0, [0]
    for number in range(kills):
        killed = wait_for_process(stage, tasks, not_this=killed)
        time.sleep(random.uniform(0, _LONGEST_LIFE_SECONDS))
        kill(stage, killed)
        stats = stage.api.get("/_stats").json()
        again.append(sent_again(stats))
        console.print(f"Kill {number + 1} of {kills}: the API has {stats['stored']:,} readings.")
    for _ in stage.looks():
        if tasks.state() in ENDED and tasks.task(TASK)["pid"] != killed:
            break
        clear_if_failed(tasks, killed)
    again.append(sent_again(stage.api.get("/_stats").json()))
    return tasks, [later - earlier for earlier, later in pairwise(again)][1:]


def sent_again(stats: Mapping[str, Any]) -> int:
    """Count the rows that came twice because of kills: those whose answer was lost would have without any."""
    return stats["repeats"] - stats["faults"]["lost answer"]


def wait_for_process(stage: Stage, tasks: TaskRuns, not_this: int) -> int:
    """Wait until the task runs in a new process. :return: its id."""
    for _ in stage.looks():
        task = tasks.task(TASK)
        if task["state"] == "running" and task["pid"] not in (None, not_this):
            break
        clear_if_failed(tasks, not_this)
    return task["pid"]


def clear_if_failed(tasks: TaskRuns, killed: int) -> None:
    """Let the task go on when the kill was that of its last try, and the run has ended with it.

    A Clear while Airflow is about to end the run gives a run that has ended, with a task that waits for ever.
    """
    if tasks.state() == "failed" and tasks.task(TASK)["pid"] == killed:
        tasks.clear(TASK)


def kill(stage: Stage, pid: int) -> None:
    """Kill a process of the demo's Airflow. :raises RuntimeError: when it is not one."""
    if os.getsid(pid) not in {child.session for child in stage.children}:
        raise RuntimeError(f"process {pid} is not of this Airflow")
    os.kill(pid, signal.SIGKILL)


def judge(stage: Stage, tasks: TaskRuns, again: list[int]) -> list[Claim]:
    """Compare what there is with what there should be."""
    by_day = ids_by_day(stage.socket_folder)
    ids = set().union(*(by_day[f"{day:%Y-%m-%d}"] for day in DAYS[:_DAYS]))
    refused = sorted(ids & REFUSED_IDS)
    stored = {int(number): times for number, times in stage.api.get("/_ids").json()["times_stored"].items()}
    report = tasks.xcom(TASK) or {}
    counts = {name: report.get(name) for name in ("read", "delivered", "failed", "skipped", "unfinished")}
    expected = {"read": len(ids), "delivered": len(ids) - len(refused), "failed": len(refused)}
    expected |= {"skipped": 0, "unfinished": 0}
    dead = sorted(dead_ids(report.get("dead_letters")))
    return [
        Claim(
            f"each of the {len(ids) - len(refused):,} deliverable rows is in the API exactly once",
            [] if stored == dict.fromkeys(ids - set(refused), 1) else [f"{len(stored):,} are, some of them twice"],
        ),
        Claim(f"the dead letters are the {len(refused)} rows it refused", [] if dead == refused else [f"{dead}"]),
        Claim("the report accounts for every row", [] if counts == expected else [f"{counts}, expected {expected}"]),
        Claim(
            f"every try went on where the one before was killed: it sent {max(again, default=0)} rows again at most",
            [] if max(again, default=0) <= _SENT_AGAIN_AT_MOST else [f"expected are {_SENT_AGAIN_AT_MOST}: {again}"],
        ),
    ]


def main() -> int:
    """Run the campaign. :return: the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo.sigkill", description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=None, help="for the same moments again")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else Random().randrange(1_000_000)
    console, interrupts = Console(highlight=False, soft_wrap=True), Interrupts()
    console.print(f"{options.kills} kills at moments drawn with --seed {seed}.")
    try:
        with children(0) as started, interrupts.let_through(), set_up(started, console.print) as stage:
            claims = judge(stage, *deliver(stage, options.kills, Random(seed), console))
    except Interrupted as interrupted:
        return 128 + interrupted.number
    except (ChildError, AirflowError, httpx.HTTPError, OSError) as error:
        console.print(f"The campaign cannot go on: {error}", markup=False)
        return 1
    show_verdict({"After the last kill:": claims}, console)
    return 0 if all(claim.holds for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
