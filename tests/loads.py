"""Tables that tests load, with the real loader of a task's try."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_async_rest.core.keeping.row_sink import LoadState, PlacedRow, RefusedRow
from airflow_async_rest.windows import Window

WINDOW = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC))
SCHEMA = "loads"
_DATABASES: dict[tuple[str, bool], Any] = {}
# For what PostgreSQL's drivers do in different ways.
every_driver = pytest.mark.parametrize("database", ["psycopg", "psycopg2", "sqlite", "oracle"], indirect=True)
# What every database calls otherwise.
TYPES = {
    "oracle": {"int": "NUMBER(19)", "text": "VARCHAR2(100)", "timestamp": "TIMESTAMP"},
    "sqlite": {"int": "bigint", "text": "text", "timestamp": "text"},
    "postgresql": {"int": "bigint", "text": "text", "timestamp": "timestamp"},
}


@dataclass
class Database:
    """A database, and the connection ``warehouse`` to it; its dialect is called ``name``."""

    name: str
    execute: Callable[..., list]
    loaders: list[Any] = field(default_factory=list)

    def create(self, columns: str, table: str = "things") -> None:
        """Make a table: of columns whose types are written {int}, {text}, {timestamp}."""
        self.execute(f"CREATE TABLE {table} ({columns.format(**TYPES[self.name])})")

    def rows(self, columns: str = "*", table: str = "things") -> list[tuple]:
        """Return a table's rows, in order of their first column."""
        return self.execute(f"SELECT {columns} FROM {table} ORDER BY 1")

    def loader(
        self, table: str = "things", *, run: str = "run", names: Sequence[str] | None = None, life=None, **plan: Any
    ):
        """Make the loader of a task's try; ``plan`` as of the operator."""
        from airflow_async_rest.load.loader import TableLoader
        from airflow_async_rest.load.plan import make_plan

        arguments = {"load_mode": "append", "window_column": None, "window": WINDOW, "conflict_key": None} | plan
        about = {"dag_id": "dag", "run_id": run, "task_id": "task", "map_index": -1}
        loader = TableLoader(self._database(), make_plan(table, **arguments), about, logging.getLogger("loads"), life)
        loader.choose_columns(names)
        self.loaders.append(loader)
        return loader

    def _database(self) -> Any:
        """Return the database of the connection, or one that was made for the same: it has its statements compiled."""
        from airflow.providers.postgres.hooks import postgres

        from airflow_async_rest.load.loader import open_destination

        key = os.environ["AIRFLOW_CONN_WAREHOUSE"], postgres.USE_PSYCOPG3
        if key not in _DATABASES:
            _DATABASES[key] = open_destination("warehouse")
        return _DATABASES[key]

    def load(self, rows: Sequence[dict[str, Any]], table: str = "things", **plan: Any) -> "Loaded":
        """Load rows from the beginning to the end, in one chunk. :return: what came of it."""
        loader = self.loader(table, **plan)
        loader.open()
        return load(loader, rows)

    def staging_tables(self) -> list[str]:
        """Return the names of the staging tables that are there."""
        sql = {
            "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'async_rest_stg%'",
            "postgresql": f"SELECT tablename FROM pg_tables WHERE schemaname = '{SCHEMA}' AND tablename LIKE 'async_rest_stg%'",
            "oracle": "SELECT table_name FROM user_tables WHERE table_name LIKE 'ASYNC_REST_STG%'",
        }[self.name]
        return [name for (name,) in self.execute(sql)]


@dataclass
class Loaded:
    """What came of a load: how many rows were staged and loaded, and which were refused at either."""

    staged: int
    loaded: int
    at_staging: list[RefusedRow]
    at_merge: list[RefusedRow]

    @property
    def refused(self) -> dict[int, str]:
        """Place -> the database's words."""
        return {row.place: row.message for row in [*self.at_staging, *self.at_merge]}


def placed(rows: Sequence[dict[str, Any]], first: int = 0) -> list[PlacedRow]:
    return [PlacedRow(place, row) for place, row in enumerate(rows, first)]


def load(loader: Any, rows: Sequence[dict[str, Any]], first: int = 0) -> Loaded:
    """Load rows with a loader that is open."""
    loader.begin(resumed=False, staged=0)
    at_staging = loader.stage(placed(rows, first)) if rows else []
    staged = len(rows) - len(at_staging)
    loader.commit({"staged": staged}, LoadState.STAGING, 0)
    merged = loader.merge(first=True)
    loader.commit({"loaded": merged.loaded}, LoadState.DONE, merged.loaded)
    return Loaded(staged, merged.loaded, at_staging, merged.refused)
