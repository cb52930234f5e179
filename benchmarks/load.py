"""Rows that are in memory already into PostgreSQL: by our loader, with all that a task does, and by other ways.

These are Airflow's hook, and what the database needs in any case, written by hand: COPY into a table beside, and one
statement that moves the rows.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import orjson

from airflow_async_rest.core.phases.garbage import collecting_new_garbage_only
from benchmarks.database import connected, execute
from benchmarks.measuring import Figure, Plan, Rival, compare
from benchmarks.surroundings import running_ends

_TABLE = "loaded"
_COLUMNS = ("id", "name", "value", "measured_at", "detail")
_FIRST, _DAYS = datetime(2026, 11, 1, tzinfo=UTC), timedelta(days=30)
_NAMES = ", ".join(_COLUMNS)
_TIMES_FASTER = 5
_OF_BY_HAND = 0.8
# What the buffer holds, as when rows come faster than they are staged.
_ROWS_AT_A_TIME = 10_000
_runs = count(1)

Row = dict[str, Any]


@dataclass(frozen=True)
class _Way:
    """A mode, and the hook's way to the same end.

    :param of_mode: the arguments that the mode needs.
    :param before: what the hook, and who writes it by hand, runs first.
    :param how: arguments of ``insert_rows``.
    :param conflict: the end of the INSERT that is written by hand.
    """

    mode: str
    of_mode: dict[str, str]
    called: str
    before: str = ""
    how: dict[str, Any] = field(default_factory=dict)
    conflict: str = ""
    target: float | None = None


_WAYS = (
    _Way("append", {}, "PostgresHook.insert_rows", target=_TIMES_FASTER),
    _Way(
        "upsert",
        {"conflict_key": "id"},
        "PostgresHook.insert_rows, replace=True",
        how={"replace": True, "replace_index": "id"},
        conflict=f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}",
    ),
    _Way(
        "replace_window",
        {"window_column": "measured_at"},
        "DELETE, PostgresHook.insert_rows",
        before=f"DELETE FROM {_TABLE} WHERE measured_at >= '{_FIRST}' AND measured_at < '{_FIRST + _DAYS}'",
    ),
)


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare with the other ways, in each mode; the same rows, the table empty before."""
    rows = _rows(500 if plan.smoke else 100_000)
    with running_ends(plan) as ends:
        for way in _WAYS:
            _create_table(ends.postgres, unique=way.mode == "upsert")
            ways = _with_loader(way), _with_hook(way), _by_hand(way, ends.postgres)
            for load in ways:
                load(rows[:10])  # Airflow's imports are not part of it
            ours, hook, hand = (_per_second(ends.postgres, rows, load) for load in ways)
            case = f"{len(rows):,} rows of {len(_COLUMNS)} columns, {way.mode}: rows/s"
            rivals = [
                Rival(way.called, hook, at_least=way.target),
                Rival("COPY and the same merge, by hand", hand, at_least=_OF_BY_HAND),
            ]
            yield from compare("load", case, plan.rounds, ours, rivals)


def _rows(number: int) -> list[Row]:
    """Make rows as an API gives them: times are text, numbers are floats, details are objects."""
    return [
        {
            "id": i,
            "name": f"sensor-{i}",
            "value": round(i * 0.37, 2),
            "measured_at": (_FIRST + timedelta(seconds=i)).isoformat(),
            "detail": {"site": f"hall {i % 40}", "checked": i % 3 == 0},
        }
        for i in range(number)
    ]


def _create_table(postgres: dict[str, Any], *, unique: bool) -> None:
    execute(
        postgres,
        f"DROP TABLE IF EXISTS {_TABLE}",
        f"CREATE TABLE {_TABLE} (id bigint {'PRIMARY KEY' if unique else ''}, name text, value numeric, "
        "measured_at timestamptz, detail jsonb)",
    )


def _per_second(postgres: dict[str, Any], rows: list[Row], load: Callable[[list[Row]], None]) -> Callable[[], float]:
    """Make the function that empties the table, and then measures."""

    def measured() -> float:
        execute(postgres, f"TRUNCATE {_TABLE}")
        started = time.perf_counter()
        load(rows)
        return len(rows) / (time.perf_counter() - started)

    return measured


def _with_hook(way: _Way) -> Callable[[list[Row]], None]:
    from airflow.providers.postgres.hooks.postgres import PostgresHook  # noqa: PLC0415  (it imports Airflow)

    def load(rows: list[Row]) -> None:
        hook = PostgresHook("source_db")
        if way.before:
            hook.run(way.before)
        hook.insert_rows(_TABLE, [tuple(row.values()) for row in rows], list(_COLUMNS), **way.how)

    return load


def _by_hand(way: _Way, postgres: dict[str, Any]) -> Callable[[list[Row]], None]:
    staging = f"CREATE TEMP TABLE staged (LIKE {_TABLE}) ON COMMIT DROP"
    merge = f"INSERT INTO {_TABLE} ({_NAMES}) SELECT {_NAMES} FROM staged {way.conflict}"

    def load(rows: list[Row]) -> None:
        with connected(postgres) as connection, connection.cursor() as cursor:
            cursor.execute(staging)
            with cursor.copy(f"COPY staged ({_NAMES}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row([*list(row.values())[:-1], orjson.dumps(row["detail"]).decode()])
            for statement in filter(None, [way.before, merge]):
                cursor.execute(statement)

    return load


def _with_loader(way: _Way) -> Callable[[list[Row]], None]:
    def load(rows: list[Row]) -> None:
        with collecting_new_garbage_only():  # as a task does
            loaded = _load(way, rows)
        if loaded != len(rows):
            raise RuntimeError(f"{loaded} of {len(rows)} rows were loaded")

    return load


def _load(way: _Way, rows: list[Row]) -> int:
    """Do all that a task does, in its order. :return: how many rows are in the table."""
    from airflow_async_rest.core.keeping.row_sink import LoadState, RowBuffer  # noqa: PLC0415
    from airflow_async_rest.load.loader import TableLoader, open_destination  # noqa: PLC0415

    about = {"dag_id": "bench", "run_id": f"run-{next(_runs)}", "task_id": "load", "map_index": -1}
    loader = TableLoader(open_destination("source_db"), _plan(way), about, logging.getLogger("benchmarks"))
    loader.choose_columns(_COLUMNS)
    loader.open()
    loader.begin(resumed=False, staged=0)
    buffer = RowBuffer()
    for start in range(0, len(rows), _ROWS_AT_A_TIME):
        buffer.add(start, rows[start : start + _ROWS_AT_A_TIME], 0)
        loader.stage(buffer.take())
        loader.commit({"position": start}, LoadState.STAGING, 0)
    loaded = loader.merge(first=True).loaded
    loader.commit({}, LoadState.DONE, loaded)
    loader.close()
    return loaded


def _plan(way: _Way) -> Any:
    from airflow_async_rest.load.plan import make_plan  # noqa: PLC0415
    from airflow_async_rest.windows import Window  # noqa: PLC0415

    arguments = {"window_column": None, "conflict_key": None} | way.of_mode
    return make_plan(_TABLE, way.mode, window=Window(_FIRST, _FIRST + _DAYS), **arguments)
