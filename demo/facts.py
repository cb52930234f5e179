"""What the verdict is about: the runs of a DAG, and what the API and the database say of the same rows."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class DayRun:
    """A run of a DAG, for one day.

    :param state: of the run, or of its task while the run has not ended.
    :param report: the task's report, from XCom; the part of it that is known while the task runs.
    :param failed: from XCom: id -> what the API said of it.
    :param dead_ids: from the dead-letter parts.
    """

    day: str
    run_id: str
    state: str
    report: Mapping[str, Any]
    failed: Mapping[int, str] = field(default_factory=dict)
    dead_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Facts:
    """All there is to know of one DAG's backfill.

    :param place: where in the API its rows go, for people to read.
    :param ids_by_day: what the database has.
    :param refused_ids: what the API was told to refuse.
    :param times_stored: id -> how often the API stored it.
    :param api_refused: what the API did refuse.
    :param requests: how many the API saw.
    """

    dag_id: str
    place: str
    ids_by_day: Mapping[str, set[int]]
    refused_ids: Collection[int]
    runs: list[DayRun]
    times_stored: Mapping[int, int]
    api_refused: Collection[int]
    requests: int

    @property
    def ids(self) -> set[int]:
        return set().union(*self.ids_by_day.values())


@dataclass(frozen=True)
class FetchFacts:
    """All there is to know of the week that was fetched.

    :param source: what the source's table has.
    :param fetched: what the table has that was loaded.
    :param runs: all there were; a day that was fetched again has several.
    :param staging: tables of the loads' own that are left.
    :param listing: the API's counts of its listing.
    """

    source: Collection[tuple]
    fetched: Collection[tuple]
    runs: list[DayRun]
    staging: Collection[str]
    listing: Mapping[str, Any]
