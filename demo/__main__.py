"""A week of readings out of a database into a flaky API by Airflow, and the proof that none was lost."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.live import Live

from demo.children import Child, ChildError
from demo.database import DATABASE, USER, ids_by_day
from demo.interrupts import Interrupted, Interrupts
from demo.screen import Days, ask, show_api_stats, show_verdict
from demo.verdict import DayRun, Facts, judge
from demo.week import DAYS, REFUSED_IDS

_DAGS = Path(__file__).parent.parent / "dags"


@dataclass(frozen=True)
class Stage:
    """What the demo starts, and ends again."""

    database: Child
    api: Child
    airflow: Child


@contextmanager
def set_up() -> Iterator[Stage]:
    """Start all children at once, in a temporary folder; they say when they are ready."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="async-rest-demo-")))

        def start(module: str, *arguments: str, environment: dict[str, str] | None = None) -> Child:
            child = Child(module, *arguments, log=folder / f"{module}.log", environment=environment)
            stack.callback(child.end)
            return child

        yield Stage(
            start("demo.database", str(folder / "database")),
            start("demo.api"),
            start("demo.airflow_runs", environment=airflow_environment(folder / "airflow")),
        )


def airflow_environment(home: Path) -> dict[str, str]:
    """Give this process's environment without what it may say about another Airflow."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(_DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }


def connections(socket_folder: str, api_url: str) -> dict[str, str]:
    """Give the two connections that dags/sensors.py names, as Airflow reads them from the environment."""
    source = {"conn_type": "postgres", "host": socket_folder, "login": USER, "schema": DATABASE}
    api = {"conn_type": "async_rest", "host": api_url, "extra": {"trust_env": False}}
    return {"AIRFLOW_CONN_SOURCE_DB": json.dumps(source), "AIRFLOW_CONN_SEARCH_API": json.dumps(api)}


def work(stage: Stage, console: Console) -> bool:
    """Run the week and judge it. :return: whether everything is as it should be."""
    with console.status("Starting PostgreSQL, the API and Airflow"):
        database, api_url = stage.database.hear(), stage.api.hear()["url"]
        console.print(f"PostgreSQL is up, with {database['rows']:,} readings of {len(DAYS)} days.")
        console.print(f"The API is up. It fails now and then, and refuses {len(REFUSED_IDS)} readings for good.")
        stage.airflow.hear()
        console.print("Airflow is up, and runs dags/sensors.py for each day.\n")
    stage.airflow.tell(connections(database["socket_folder"], api_url))
    days = Days(api_url, database["rows"])
    with Live(get_renderable=days.progress, console=console, refresh_per_second=4, transient=True):
        for _ in DAYS:
            days.runs.append(read_run(stage.airflow.hear(beside=(stage.database, stage.api))))
    console.print(days.table())
    facts = gather(database["socket_folder"], api_url, days.runs)
    claims = judge(facts)
    show_api_stats(facts.api_stats, console)
    show_verdict(claims, console)
    return all(claim.holds for claim in claims)


def read_run(message: dict[str, Any]) -> DayRun:
    """Read what a run left in XCom and, from its files, in its dead-letter folder."""
    uri = message["report"]["dead_letters"]
    parts = sorted(Path(uri.removeprefix("file://")).glob("*.jsonl")) if uri else []
    return DayRun(
        day=message["day"],
        state=message["state"],
        report=message["report"],
        failed_ids=[item["key"] for item in message["failed_items"]],
        dead_ids=[json.loads(line)["key"] for part in parts for line in part.read_text().splitlines()],
    )


def gather(socket_folder: str, api_url: str, runs: list[DayRun]) -> Facts:
    """Ask the database and the API for their own count."""
    ids = ask(f"{api_url}/_ids")
    return Facts(
        ids_by_day=ids_by_day(socket_folder),
        refused_ids=REFUSED_IDS,
        runs=runs,
        times_stored={int(number): times for number, times in ids["times_stored"].items()},
        api_refused=ids["refused"],
        api_stats=ask(f"{api_url}/_stats"),
    )


def main() -> int:
    """Run the demo. :return: the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 unless everything is as it should be")
    options = parser.parse_args()
    console, interrupts, started = Console(highlight=False), Interrupts(), time.monotonic()
    try:
        with set_up() as stage, interrupts.let_through():
            good = work(stage, console)
    except Interrupted as interrupted:
        console.print("Stopped. Everything the demo had started has ended.")
        return 128 + interrupted.number
    except (ChildError, OSError) as error:  # OSError: the API no longer answers
        console.print(f"The demo cannot go on: {error}", markup=False)
        return 1
    console.print(f"\n{'All of it holds' if good else 'Something is wrong'}, after {time.monotonic() - started:.0f} s.")
    return 1 if options.check and not good else 0


if __name__ == "__main__":
    sys.exit(main())
