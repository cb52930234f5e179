"""What the demo shows."""

import json
from typing import Any
from urllib.request import ProxyHandler, build_opener

from rich.console import Console, Group
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from demo.verdict import Claim, DayRun
from demo.week import DAYS

# Straight to the loopback address, whatever proxy this machine has.
_open = build_opener(ProxyHandler({})).open


def ask(url: str) -> Any:
    """Ask the API."""
    with _open(url, timeout=10) as answer:
        return json.load(answer)


class Days:
    """The table of the days that are done, and below it what is going on."""

    def __init__(self, api_url: str, rows: int) -> None:
        self._api_url = api_url
        self._rows = rows
        self._spinner = Spinner("dots")
        self.runs: list[DayRun] = []

    def table(self) -> Table:
        """Draw the days that are done."""
        table = Table("day", "state", *("read", "delivered", "failed", "retries", "seconds"))
        for column in table.columns[2:]:
            column.justify = "right"
        for run in self.runs:
            state = Text(run.state, "green" if run.state == "success" else "red")
            counts = [f"{run.report[name]:,}" for name in ("read", "delivered", "failed", "retries")]
            table.add_row(run.day, state, *counts, f"{run.report['elapsed_seconds']:.1f}")
        return table

    def progress(self) -> Group:
        """Draw the table and what the API has so far."""
        day = f"{DAYS[min(len(self.runs), len(DAYS) - 1)]:%A}"
        self._spinner.update(text=f"Airflow delivers {day}; the API has {self._stored()} of {self._rows:,} readings")
        return Group(self.table(), self._spinner)

    def _stored(self) -> str:
        try:
            return f"{ask(f'{self._api_url}/_stats')['stored']:,}"
        except OSError:  # what has gone wrong with it, the runs will tell
            return "?"


def show_api_stats(stats: dict[str, Any], console: Console) -> None:
    """Print what the API made of the requests."""
    faults = ", ".join(f"{count} {fault}" for fault, count in stats["faults"].items())
    console.print(f"The API saw {stats['requests']:,} requests. It spoiled some of them: {faults}.")
    console.print(f"{stats['repeats']} readings came again after they were stored; by their key it knew them.\n")


def show_verdict(claims: list[Claim], console: Console) -> None:
    """Print what holds and what does not."""
    for claim in claims:
        console.print("[green]yes[/]" if claim.holds else "[red]NO [/]", claim.text)
        for problem in claim.problems:
            console.print(f"      {problem}", style="red", markup=False)
