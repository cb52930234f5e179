"""MariaDB, by its hook's mysqlclient; its sql_mode as it comes, or empty, so that it takes what it can of a wrong value."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from certificates import make_certificate
from every_database.database import Database
from programs import as_user, free_port, owned_folder, program, run_once, running

_NAME, _USER, _PASSWORD = "every", "loader", "s3cret"
_TIMEOUTS = ("net_write_timeout", "net_read_timeout", "wait_timeout", "idle_transaction_timeout")


class MariaDB(Database):
    types: ClassVar = {
        "integer": "bigint", "number": "decimal(38, 18)", "text": "varchar(200)", "short": "varchar(5)",
        "naive": "datetime(6)", "aware": "timestamp(6) NULL", "day": "date", "json": "json", "binary": "blob",
    }  # fmt: skip
    slow = "SELECT seq AS id FROM seq_1_to_300 WHERE SLEEP(0.1) = 0"

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.certificate = make_certificate(folder, "server").path

    def connection(self) -> dict:
        named = {"conn_type": "mysql", "login": _USER, "password": _PASSWORD, "schema": _NAME}
        return named | {"host": "127.0.0.1", "port": self.port}

    def execute(self, *statements: str) -> list[tuple]:
        return self._run(statements, user=_USER, password=_PASSWORD, database=_NAME, host="127.0.0.1", port=self.port)

    def administer(self, *statements: str) -> list[tuple]:
        """Run statements as root."""
        return self._run(statements, user="root", unix_socket=str(self.folder / "socket"))

    def _run(self, statements: tuple[str, ...], **place: object) -> list[tuple]:
        import MySQLdb

        mode = "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES', lock_wait_timeout = 30"
        connection = MySQLdb.connect(**place, charset="utf8mb4", autocommit=True, init_command=mode)
        with contextlib.closing(connection), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def series(self, count: int) -> str:
        return f"(SELECT CAST(seq AS SIGNED) AS id FROM seq_1_to_{count}) series"

    def literal(self, kind: str, text: str) -> str:
        return super().literal("naive" if kind == "aware" else kind, text)

    @contextmanager
    def impatient(self) -> Iterator[None]:
        before = self.administer(f"SELECT {', '.join(f'@@global.{name}' for name in _TIMEOUTS)}")[0]
        self.administer(*(f"SET GLOBAL {name} = 1" for name in _TIMEOUTS))
        try:
            yield
        finally:
            self.administer(*(f"SET GLOBAL {name} = {value}" for name, value in zip(_TIMEOUTS, before, strict=True)))

    def empty(self, sql_mode: str) -> None:
        """Make it as if it had just been made; without the sessions that failed tests may have left."""
        for (session,) in self.administer("SELECT id FROM information_schema.processlist WHERE user <> 'root'"):
            with contextlib.suppress(Exception):  # it has just ended
                self.administer(f"KILL {session}")
        mode = f"SET GLOBAL sql_mode = {sql_mode}"
        self.administer(mode, f"DROP DATABASE IF EXISTS {_NAME}", f"CREATE DATABASE {_NAME} CHARACTER SET utf8mb4")


@contextmanager
def running_server() -> Iterator[MariaDB]:
    """Run a server whose zone is not UTC, for tests to have one after the other."""
    install, serve = program("mariadb-install-db", "mariadb-server"), program("mariadbd", "mariadb-server")
    with owned_folder() as folder:
        as_owner = as_user(folder.stat().st_uid)
        about = ["--no-defaults", f"--datadir={folder}/data", f"--tmpdir={folder}"]  # two may be installed at once
        run_once([*as_owner, install, *about, "--auth-root-authentication-method=normal", "--skip-test-db"], folder)
        found = MariaDB(folder, free_port())
        where = [f"--socket={folder}/socket", f"--pid-file={folder}/pid", f"--port={found.port}"]
        small = ["--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"]
        zone = ["--bind-address=127.0.0.1", "--default-time-zone=-08:00", "--skip-name-resolve"]
        tls = [f"--ssl-cert={found.certificate}", f"--ssl-key={found.certificate}"]
        server = [*as_owner, serve, *about, *where, *small, *zone, *tls]
        with running(folder, server, lambda: found.administer("SELECT 1")):
            found.administer(
                f"CREATE USER {_USER}@'127.0.0.1' IDENTIFIED BY '{_PASSWORD}'",
                f"GRANT ALL ON {_NAME}.* TO {_USER}@'127.0.0.1'",
            )
            yield found
