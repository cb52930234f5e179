"""Oracle, where ORACLE_DSN names one."""

import os
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from every_database.database import Database


class Oracle(Database):
    types: ClassVar = {
        "integer": "NUMBER(19)", "number": "NUMBER(38, 18)", "text": "VARCHAR2(200 CHAR)", "short": "VARCHAR2(5 CHAR)",
        "naive": "TIMESTAMP", "aware": "TIMESTAMP WITH TIME ZONE", "day": "DATE", "json": "JSON", "binary": "BLOB",
    }  # fmt: skip
    cannot: ClassVar = {"reading writes": "no query of Oracle's changes rows"}
    slow = "SELECT count(*) AS id FROM (SELECT LEVEL FROM dual CONNECT BY LEVEL <= 50000) a, (SELECT LEVEL FROM dual CONNECT BY LEVEL <= 50000) b"

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        self.login, self.password, self.service = parts.username, unquote(parts.password), parts.path.strip("/")
        self.place = {"host": parts.hostname, "port": parts.port or 1521}

    def connection(self) -> dict:
        who = {"conn_type": "oracle", "login": self.login, "password": self.password}
        return who | self.place | {"extra": {"service_name": self.service}}

    def execute(self, *statements: str) -> list[tuple]:
        import oracledb

        place = {"user": self.login, "password": self.password, "service_name": self.service}
        with oracledb.connect(**place, **self.place) as connection, connection.cursor() as cursor:
            for statement in ("ALTER SESSION SET TIME_ZONE = 'UTC'", *statements):
                cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
            connection.commit()
        return rows

    def series(self, count: int) -> str:
        return f"(SELECT LEVEL AS id FROM dual CONNECT BY LEVEL <= {count}) series"

    def fails_after(self, count: int) -> str:
        return f"id / CASE WHEN id > {count} THEN 0 ELSE 1 END"

    def literal(self, kind: str, text: str) -> str:
        if kind == "aware":
            return f"TIMESTAMP '{text} +00:00'"
        return f"HEXTORAW('{text}')" if kind == "binary" else super().literal(kind, text)

    def insert(self, rows, table="things") -> None:
        lines = (
            f"{', '.join(row)}) SELECT {', '.join(self.literal(*value) for value in row.values())}" for row in rows
        )
        self.execute(*(f"INSERT INTO {table} ({line} FROM dual" for line in lines))

    def left_behind(self) -> list[str]:
        return [
            n for (n,) in self.execute("SELECT table_name FROM user_tables WHERE table_name LIKE 'ASYNC_REST_STG%'")
        ]

    def empty(self) -> None:
        """Drop the tables that tests have made."""
        wanted = "table_name IN ('THINGS', 'OTHERS') OR table_name LIKE 'ASYNC\\_REST\\_%' ESCAPE '\\'"
        for (table,) in self.execute(f"SELECT table_name FROM user_tables WHERE {wanted}"):
            self.execute(f"DROP TABLE {table} PURGE")


def opened() -> Oracle:
    """Return the database that ORACLE_DSN names, empty."""
    found = Oracle(os.environ["ORACLE_DSN"])
    found.empty()
    return found
