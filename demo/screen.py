"""What the demo shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from demo.backfill import FETCH_DAG
from demo.facts import DayRun
from demo.verdict import Claim

_COLOURS = {"success": "green", "failed": "red", "running": "yellow"}


@dataclass(frozen=True)
class Counts:
    """What of a report is shown.

    :param columns: title -> name in the report.
    :param done: names of those that together are the rows which are done.
    """

    columns: Mapping[str, str]
    done: tuple[str, ...]


_SENT = Counts({name: name for name in ("read", "delivered", "failed", "requests")}, ("delivered", "failed", "skipped"))
_FETCHED = Counts(
    {"hours": "delivered", "rows": "rows_loaded", "failed": "failed", "requests": "requests"},
    ("rows_staged", "rows_loaded"),
)


class Screen:
    """A table of the days for each DAG, and below them what is going on.

    :param rows: day -> how many rows it has.
    """

    def __init__(self, rows: Mapping[str, int]) -> None:
        self._rows = rows
        self._spinner = Spinner("dots")

    def days(self, days: Mapping[str, list[DayRun]]) -> Group:
        """Draw the days of every DAG."""
        return Group(
            *(part for dag_id in days for part in (f"dags/{dag_id}.py", self._table(dag_id, days[dag_id]), ""))
        )

    def _table(self, dag_id: str, days: list[DayRun]) -> Table:
        shown = _FETCHED if dag_id == FETCH_DAG else _SENT
        table = Table("day", "state", "", *shown.columns, "seconds", box=None, padding=(0, 2, 0, 0))
        for column in table.columns:
            column.no_wrap = True
        for column in table.columns[3:]:
            column.justify = "right"
        for day in days:
            rows = self._rows.get(day.day, 0)
            counts = [f"{day.report.get(name, 0):,}" for name in shown.columns.values()]
            done = sum(day.report.get(name, 0) for name in shown.done)
            bar = ProgressBar(total=rows, completed=done, width=7, finished_style=_COLOURS.get(day.state, "yellow"))
            seconds = f"{day.report.get('elapsed_seconds', 0):.1f}"
            table.add_row(day.day, Text(day.state, _COLOURS.get(day.state, "dim")), bar, *counts, seconds)
        return table

    def progress(self, days: Mapping[str, list[DayRun]], stats: Mapping[str, Any]) -> Group:
        """Draw the days and what the API has so far."""
        self._spinner.update(
            text=f"Of {sum(self._rows.values()):,} readings the API has {stats['stored']:,}, and its archive "
            f"{stats['archive']['stored']:,}; busiest second so far: {stats['busiest_second']} requests"
        )
        return Group(self.days(days), self._spinner)


def show_work(console: Console) -> None:
    """Print what begins."""
    console.print("\nBackfills over the week, side by side within the API's limits: dags/sensors.py puts the readings")
    console.print("one by one, and dags/sensors_bulk.py posts them into the API's archive, 200 in a request. The other")
    console.print(
        "way round, dags/fetch_readings.py fetches the week from the API's listing into a table, page by page.\n"
    )


def show_api_stats(stats: Mapping[str, Any], console: Console) -> None:
    """Print what the API made of the requests."""
    for who, counts in (("The API", stats), ("Its archive", stats["archive"])):
        console.print(f"{who} saw {counts['requests']:,} requests. It spoiled some of them: {_faults(counts)}.")
        console.print(f"{counts['repeats']} came again after they were stored; by their key it knew them.")
    listing = stats["listing"]
    console.print(f"Its listing saw {listing['requests']:,} requests, and spoiled some: {_faults(listing)}.\n")


def _faults(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} {fault}" for fault, count in counts["faults"].items())


def show_verdict(claims: Mapping[str, list[Claim]], console: Console) -> None:
    """Print what holds and what does not, under its titles."""
    for title, its_claims in claims.items():
        console.print(title)
        for claim in its_claims:
            console.print("[green]yes[/]" if claim.holds else "[red]NO [/]", claim.text)
            for problem in claim.problems:
                console.print(f"      {problem}", style="red", markup=False)
        console.print()


def show_places(airflow_url: str, api_url: str, failed: DayRun, console: Console) -> None:
    """Print what there is to look at; first of all, the day whose dead letters are left."""
    task = f"{airflow_url}/dags/sensors/runs/{failed.run_id}/tasks/post_sensors"
    places = {
        "Airflow, without a login (it listens on this machine only)": airflow_url,
        "the week of the backfill, window by window": f"{airflow_url}/dags/sensors/plugin/windows",
        "that by bulk requests": f"{airflow_url}/dags/sensors_bulk/plugin/windows",
        "that which was fetched": f"{airflow_url}/dags/{FETCH_DAG}/plugin/windows",
        f"the task of {failed.day}: log, XCom (return_value, failed_items), state store": task,
        "the replay of what was refused": f"{airflow_url}/dags/replay",
        "the connections, with form and test": f"{airflow_url}/connections",
        "the API's books": f"{api_url}/_stats",
    }
    console.print("To look at, until Ctrl-C ends it all:")
    for what, url in places.items():
        console.print(f"  {what}\n    {url}", markup=False, soft_wrap=True)
    console.print(
        f"\nOpen this address: {task}/plugin/delivery\n"
        f"Of {failed.day} (a run is named by its window's end), {len(failed.failed)} rows were refused. "
        "The API takes them now: press Send the same requests again.",
        markup=False,
        soft_wrap=True,
    )
