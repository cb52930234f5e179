"""Snowflake's emulator fakesnow, as a server, over TLS: the hook knows no other way."""

import contextlib
import itertools
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from certificates import make_certificate
from every_database.database import SERVER_ZONE, Database
from programs import free_port, owned_folder, running

_NUMBERS = itertools.count()
_ANSWERS_AT_ONCE = "fakesnow makes the whole result before it answers"


class Snowflake(Database):
    types: ClassVar = {
        "integer": "number(38, 0)", "number": "number(38, 18)", "text": "varchar", "short": "varchar(5)",
        "naive": "timestamp_ntz", "aware": "timestamp_tz", "day": "date", "json": "variant", "binary": "binary",
    }  # fmt: skip
    cannot: ClassVar = {
        "passwords": "fakesnow lets everybody in",
        "unique keys": "Snowflake does not enforce unique keys",
        "checks": "Snowflake does not enforce CHECK",
        "streaming": _ANSWERS_AT_ONCE,
        "cancelling": "fakesnow takes no cancellation",
    }
    writing = "DELETE FROM things"

    def __init__(self, port: int) -> None:
        self.port, self.name = port, f"EVERY{next(_NUMBERS)}"

    def connection(self) -> dict:
        place = {"account": "fakesnow", "host": "127.0.0.1", "port": self.port, "insecure_mode": True}
        session = {"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False}
        extra = place | {"database": self.name, "session_parameters": session}
        return {"conn_type": "snowflake", "login": "loader", "password": "s3cret", "schema": "PUBLIC", "extra": extra}

    def execute(self, *statements: str) -> list[tuple]:
        import snowflake.connector

        place = self.connection()
        extra = place["extra"]
        connection = snowflake.connector.connect(
            user=place["login"], password=place["password"], schema=place["schema"], network_timeout=60, **extra
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def series(self, count: int) -> str:
        return f"(SELECT seq8() + 1 AS id FROM TABLE(GENERATOR(ROWCOUNT => {count}))) series"

    def fails_after(self, count: int) -> str:
        return f"CASE WHEN id > {count} THEN CAST('none' AS integer) ELSE id END"

    def literal(self, kind: str, text: str) -> str:
        match kind:
            case "json":
                return f"PARSE_JSON({super().literal(kind, text)})"
            case "binary":
                return f"TO_BINARY('{text}', 'HEX')"
            case "naive" | "aware":
                offset = "+00:00" if kind == "aware" else ""
                return f"CAST('{text}{offset}' AS {self.types[kind]})"
        return super().literal(kind, text)


@contextmanager
def running_server() -> Iterator[int]:
    """Run the emulator; return its port. Its certificate is to be trusted by all that is started meanwhile."""
    port = free_port()
    with owned_folder() as folder:
        path = make_certificate(folder, "127.0.0.1").path
        app = ["--app-dir", str(Path(__file__).parent), "repaired_fakesnow:app"]
        server = [sys.executable, "-m", "uvicorn", *app, "--host", "127.0.0.1", "--port", str(port)]
        tls = ["--ssl-certfile", path, "--ssl-keyfile", path, "--log-level", "warning"]
        answers = lambda: socket.create_connection(("127.0.0.1", port)).close()  # noqa: E731
        with running(folder, [*server, *tls], answers, TZ=SERVER_ZONE):
            os.environ["REQUESTS_CA_BUNDLE"] = path
            try:
                yield port
            finally:
                del os.environ["REQUESTS_CA_BUNDLE"]
