"""PostgreSQL, for itself and behind PgBouncer, which gives each transaction another session."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from every_database.database import SERVER_ZONE, Database
from pgbouncer import running_pgbouncer

# The server is that of all processes of a run.
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
_NAME, _USER, _PASSWORD = f"every_{_WORKER}", f"loader_{_WORKER}", "s3cret"
_NEEDS_PASSWORD = "local /^every_ /^loader_ scram-sha-256\n"  # the same for all, whoever writes it last
_TIMEOUTS = ("idle_in_transaction_session_timeout", "transaction_timeout")


class PostgreSQL(Database):
    """:param folder: of the server's socket."""

    types: ClassVar = {
        "integer": "bigint", "number": "numeric(38, 18)", "text": "text", "short": "varchar(5)", "naive": "timestamp",
        "aware": "timestamptz", "day": "date", "json": "jsonb", "binary": "bytea",
    }  # fmt: skip
    slow = "SELECT 1 AS id FROM pg_sleep(30)"

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def connection(self) -> dict:
        named = {"conn_type": "postgres", "login": _USER, "password": _PASSWORD, "schema": _NAME}
        return named | {"host": self.folder, "port": 5432}

    def execute(self, *statements: str) -> list[tuple]:
        return self._run(_USER, _NAME, "SET TIME ZONE 'UTC'", *statements)

    def administer(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the server's superuser, each in a transaction of its own."""
        for statement in statements:
            self._run("postgres", database, statement)

    def _run(self, user: str, database: str, *statements: str) -> list[tuple]:
        import psycopg

        place = {"host": self.folder, "user": user, "dbname": database, "password": _PASSWORD}
        with psycopg.connect(**place, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def literal(self, kind: str, text: str) -> str:
        return f"'\\x{text}'" if kind == "binary" else super().literal(kind, text)

    def series(self, count: int) -> str:
        return f"(SELECT generate_series(1, {count}) AS id) series"

    @contextmanager
    def impatient(self) -> Iterator[None]:
        self.administer(*(f"ALTER DATABASE {_NAME} SET {name} = '1s'" for name in _TIMEOUTS))
        self.forget_sessions()
        try:
            yield
        finally:
            self.administer(*(f"ALTER DATABASE {_NAME} RESET {name}" for name in _TIMEOUTS))
            self.forget_sessions()

    def forget_sessions(self) -> None:
        """End all sessions, which failed tests may have left."""
        self.administer(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{_NAME}'")

    def empty(self) -> None:
        """Make it as if it had just been made."""
        self.forget_sessions()
        self.administer("DROP SCHEMA public CASCADE", f"CREATE SCHEMA public AUTHORIZATION {_USER}", database=_NAME)

    def prepare(self) -> None:
        """Make the database, whose users need a password."""
        self.administer(
            f"CREATE ROLE {_USER} LOGIN PASSWORD '{_PASSWORD}'",
            f"CREATE DATABASE {_NAME} OWNER {_USER}",
            f"ALTER DATABASE {_NAME} SET timezone = '{SERVER_ZONE}'",
        )
        rules = Path(self._run("postgres", "postgres", "SHOW hba_file")[0][0])
        rules.write_text(_NEEDS_PASSWORD + rules.read_text().removeprefix(_NEEDS_PASSWORD))
        self.administer("SELECT pg_reload_conf()")


class PgBouncer(PostgreSQL):
    """The same database, by the port of a pooler, which has eight sessions for all."""

    def __init__(self, folder: str, port: int) -> None:
        super().__init__(folder)
        self.port = port

    def connection(self) -> dict:
        return super().connection() | {"host": "127.0.0.1", "port": self.port}

    def forget_sessions(self) -> None:
        super().forget_sessions()
        self.tell("RECONNECT")

    def tell(self, command: str) -> None:
        """Give PgBouncer a command."""
        import psycopg

        place = f"host=127.0.0.1 port={self.port} user={_USER} password={_PASSWORD} dbname=pgbouncer"
        with psycopg.connect(place, autocommit=True) as connection, psycopg.ClientCursor(connection) as cursor:
            cursor.execute(command)


@contextmanager
def pooled(socket: str) -> Iterator[PgBouncer]:
    """Run PgBouncer before the database."""
    how = {"auth_type": "scram-sha-256", "default_pool_size": 8, "ignore_startup_parameters": "extra_float_digits"}
    with running_pgbouncer(socket, _USER, _PASSWORD, **how) as port:
        yield PgBouncer(socket, port)
