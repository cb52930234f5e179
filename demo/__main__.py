"""Backfills over a week: rows into a flaky API and out of it, by Airflow, and the proof that none was lost."""

import argparse
import sys
import time
from dataclasses import replace
from math import inf

import httpx
import psycopg
from rich.console import Console
from rich.live import Live

from demo.airflow_client import AirflowError
from demo.backfill import BULK_DAG, DAG, ENDED, FETCH_DAG, FETCH_TASK, Backfill, Replay, dead_ids
from demo.children import ChildError, listening
from demo.database import DATABASE, USER, ids_by_day
from demo.facts import DayRun, Facts, FetchFacts
from demo.fetch_verdict import judge_fetch
from demo.interrupts import Interrupted, Interrupts
from demo.screen import Screen, show_api_stats, show_places, show_verdict, show_work
from demo.stage import Stage, children, set_up
from demo.verdict import judge, judge_api, judge_bulk, judge_replay
from demo.warehouse import fetched_rows, source_rows, staging_tables
from demo.week import REFUSED_IDS

Days = dict[str, list[DayRun]]  # by DAG


def backfill(stage: Stage, weeks: list[Backfill], console: Console) -> Days:
    """Run the week by several DAGs at the same time, showing how far it is."""
    screen = Screen({day: len(ids) for day, ids in ids_by_day(stage.socket_folder).items()})
    for week in weeks:
        week.make()
    stage.airflow.switch_on(*(week.dag_id for week in weeks))
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        for _ in stage.looks():
            days = {week.dag_id: week.days() for week in weeks}
            if all(week.has_ended for week in weeks):
                break
            live.update(screen.progress(days, stage.api.get("/_stats").json()))
    console.print(screen.days(days))
    return days


def replay(
    stage: Stage, days: Days, fetch: Backfill, kept: DayRun | None, console: Console
) -> tuple[str, dict, DayRun]:
    """Let the API accept what it refused, and send that again; meanwhile fetch the first day again.

    :param kept: a day whose dead letters stay.
    :return: state and report of the replay, and the first day.
    """
    stage.api.post("/_accept")
    fetch.clear(days[FETCH_DAG][0])
    with console.status("The API accepts everything now; dags/replay.py sends the dead letters again"):
        run = Replay(stage.airflow, [day for dag_id in (DAG, BULK_DAG) for day in days[dag_id] if day is not kept])
        for _ in stage.looks():
            first_day = fetch.days()[0]
            if (state := run.state()) in ENDED and fetch.has_ended:
                break
    return state, run.report(), first_day


def gather(stage: Stage, days: Days) -> tuple[Facts, Facts, dict]:
    """Ask the database, the API and the dead-letter files for their own count.

    :return: what there is of each DAG that sends, and the API's counts.
    """
    ids, stats = stage.api.get("/_ids").json(), stage.api.get("/_stats").json()
    of_database = ids_by_day(stage.socket_folder)

    def facts(dag_id: str, place: str, ids: dict, stats: dict) -> Facts:
        return Facts(
            dag_id=dag_id,
            place=place,
            ids_by_day=of_database,
            refused_ids=REFUSED_IDS,
            runs=[replace(day, dead_ids=dead_ids(day.report.get("dead_letters"))) for day in days[dag_id]],
            times_stored={int(number): times for number, times in ids["times_stored"].items()},
            api_refused=ids["refused"],
            requests=stats["requests"],
        )

    one_by_one = facts(DAG, "the API", ids, stats)
    return one_by_one, facts(BULK_DAG, "the API's archive", ids["archive"], stats["archive"]), stats


def gather_fetched(stage: Stage, runs: list[DayRun]) -> FetchFacts:
    """Ask the database and the API for their own count of what was fetched."""
    with psycopg.connect(host=stage.socket_folder, user=USER, dbname=DATABASE) as connection:
        return FetchFacts(
            source=source_rows(connection),
            fetched=fetched_rows(connection),
            runs=runs,
            staging=staging_tables(connection),
            listing=stage.api.get("/_stats").json()["listing"],
        )


def work(stage: Stage, console: Console, *, keep_a_day: bool) -> tuple[bool, DayRun]:
    """Run the week, replay what was refused, and judge it all.

    :param keep_a_day: leave the last day's refused rows to the viewer: a button of the UI sends them.
    :return: whether all of it holds, and that day.
    """
    show_work(console)
    fetch = Backfill(stage.airflow, FETCH_DAG, FETCH_TASK)
    days = backfill(stage, [*(Backfill(stage.airflow, dag_id) for dag_id in (DAG, BULK_DAG)), fetch], console)
    one_by_one, bulk, stats = gather(stage, days)
    show_api_stats(stats, console)
    claims = {
        "dags/sensors.py:": judge(one_by_one),
        "dags/sensors_bulk.py:": judge_bulk(bulk),
        "dags/fetch_readings.py:": judge_fetch(gather_fetched(stage, days[FETCH_DAG])),
        "All of it:": judge_api(stats, set().union(*(listening(child.session) for child in stage.children))),
    }
    show_verdict(claims, console)
    last_failed = [day for day in days[DAG] if day.state == "failed"][-1:] or days[DAG][-1:]
    kept = last_failed[0] if keep_a_day else None
    state, report, day = replay(stage, days, fetch, kept, console)
    *both, stats = gather(stage, days)
    then = "Then the API was told to accept them, and the DAG replay was run for the dead letters of both:"
    meanwhile = f"Meanwhile the task of dags/fetch_readings.py for {day.day} was cleared, so that it ran again:"
    claims_of_then = {
        then: judge_replay(both, state, report, stats, {DAG: kept.dead_ids} if kept else None),
        meanwhile: judge_fetch(gather_fetched(stage, [*days[FETCH_DAG], day])),
    }
    show_verdict(claims_of_then, console)
    return all(claim.holds for group in (claims | claims_of_then).values() for claim in group), last_failed[0]


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
            good, day = work(stage, console, keep_a_day=not options.check)
            took = time.monotonic() - started
            console.print(f"{'All of it holds' if good else 'Something is wrong'}, after {took:.0f} s.\n")
            if not options.check:
                show_places(stage.airflow_url, stage.api_url, day, console)
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
