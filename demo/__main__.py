"""A backfill over a week: rows out of a database into a flaky API by Airflow, and the proof that none was lost."""

import argparse
import sys
import time
from dataclasses import replace
from math import inf

import httpx
from rich.console import Console
from rich.live import Live

from demo.airflow_client import AirflowError
from demo.backfill import ENDED, Backfill, Replay, dead_ids
from demo.children import ChildError, listening
from demo.database import ids_by_day
from demo.interrupts import Interrupted, Interrupts
from demo.screen import Screen, show_api_stats, show_places, show_verdict
from demo.stage import Stage, children, set_up
from demo.verdict import DayRun, Facts, judge, judge_replay
from demo.week import REFUSED_IDS


def backfill(stage: Stage, console: Console) -> list[DayRun]:
    """Run the week, showing how far it is."""
    screen = Screen({day: len(ids) for day, ids in ids_by_day(stage.socket_folder).items()})
    week = Backfill(stage.airflow)
    week.start()
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        for _ in stage.looks():
            days = week.days()
            if week.has_ended:
                break
            live.update(screen.progress(days, stage.api.get("/_stats").json()))
    console.print(screen.days(days))
    console.print()
    return days


def replay(stage: Stage, days: list[DayRun], console: Console) -> tuple[str, dict]:
    """Let the API accept what it refused, and send that again. :return: state and report."""
    stage.api.post("/_accept")
    with console.status("The API accepts everything now; dags/replay.py sends the dead letters again"):
        run = Replay(stage.airflow, days)
        for _ in stage.looks():
            if (state := run.state()) in ENDED:
                break
    return state, run.report()


def gather(stage: Stage, days: list[DayRun]) -> Facts:
    """Ask the database, the API and the dead-letter files for their own count."""
    ids = stage.api.get("/_ids").json()
    return Facts(
        ids_by_day=ids_by_day(stage.socket_folder),
        refused_ids=REFUSED_IDS,
        runs=[replace(day, dead_ids=dead_ids(day.report.get("dead_letters"))) for day in days],
        times_stored={int(number): times for number, times in ids["times_stored"].items()},
        api_refused=ids["refused"],
        api_stats=stage.api.get("/_stats").json(),
        listening=set().union(*(listening(child.session) for child in stage.children)),
    )


def work(stage: Stage, console: Console) -> tuple[bool, list[DayRun]]:
    """Run the week, replay what was refused, and judge both. :return: whether all of it holds, and the days."""
    console.print("\nA backfill of dags/sensors.py over the week: four days at a time share the API's limit.")
    days = backfill(stage, console)
    facts = gather(stage, days)
    claims = judge(facts)
    show_api_stats(facts.api_stats, console)
    show_verdict(claims, console)
    state, report = replay(stage, days, console)
    claims_of_replay = judge_replay(gather(stage, days), state, report)
    console.print("Then the API was told to accept them, and the DAG replay was run for the dead letters:")
    show_verdict(claims_of_replay, console)
    return all(claim.holds for claim in claims + claims_of_replay), days


def serve(stage: Stage) -> None:
    """Leave everything running until it is interrupted. :raises ChildError: when a part of it ends."""
    for _ in stage.looks(longest_seconds=inf):
        pass


def main() -> int:
    """Run the demo. :return: the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--check", action="store_true", help="end after the work, with 1 unless all is as it should be")
    parser.add_argument("--port", type=int, default=0, help="of Airflow's UI; default: a free one")
    options = parser.parse_args()
    console, interrupts, started = Console(highlight=False, soft_wrap=True), Interrupts(), time.monotonic()
    good = None
    try:
        console.print("Starting PostgreSQL, the API and Airflow; this takes half a minute.")
        with (
            children(options.port) as started_children,
            interrupts.let_through(),
            set_up(started_children, console.print) as stage,
        ):
            good, days = work(stage, console)
            took = time.monotonic() - started
            console.print(f"{'All of it holds' if good else 'Something is wrong'}, after {took:.0f} s.\n")
            if not options.check:
                show_places(stage.airflow_url, stage.api_url, days, console)
                serve(stage)
    except Interrupted as interrupted:
        console.print("Stopped. Everything the demo had started has ended.")
        return 128 + interrupted.number if good is None else int(not good)
    except (ChildError, AirflowError, httpx.HTTPError, OSError) as error:
        console.print(f"The demo cannot go on: {error}", markup=False)
        return 1
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
