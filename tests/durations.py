"""How long each file of tests takes, as recorded in ``durations.json``: the longest begin first.

Otherwise one of them would run at the end, alone. ``RECORD_DURATIONS=1 make test`` records again what it runs.
"""

import json
import os
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from checkout import REPOSITORY

RECORD = Path(__file__).with_suffix(".json")


def group_of(nodeid: str) -> str:
    """Return what stays together: a file, and all of dags/, because Airflow's database and API take 20 s to start."""
    return "tests/dags" if nodeid.startswith("tests/dags/") else nodeid.partition("::")[0]


def read_record() -> dict[str, int]:
    """Return how many seconds each group takes."""
    return json.loads(RECORD.read_text())


def longest_first(groups: Collection[str], record: Mapping[str, int]) -> list[str]:
    """Sort groups; what has no record comes first, because it may be the longest, and if it is short nothing is lost."""
    return sorted(groups, key=lambda group: -record.get(group, float("inf")))


def updated(record: Mapping[str, int], measured: Mapping[str, float], there: Collection[str]) -> dict[str, int]:
    """Return the record after a run, without what is gone; what has hardly changed stays as it is."""
    seconds = {group: was for group, was in record.items() if group in there}
    for group, now in measured.items():
        was = seconds.get(group)
        if was is None or abs(now - was) > max(2, was / 2):
            seconds[group] = round(now)
    return seconds


class Recording:
    """Pytest's plugin that records a run; of several processes, in the one that gets all reports."""

    def __init__(self) -> None:
        self._measured = Counter()

    def pytest_runtest_logreport(self, report) -> None:
        self._measured[group_of(report.nodeid)] += report.duration

    def pytest_sessionfinish(self) -> None:
        before = read_record()
        there = {group for group in before if (REPOSITORY / group).exists()}
        RECORD.write_text(json.dumps(updated(before, self._measured, there), indent=0, sort_keys=True) + "\n")


def is_to_be_recorded(config) -> bool:
    return "RECORD_DURATIONS" in os.environ and not hasattr(config, "workerinput")
