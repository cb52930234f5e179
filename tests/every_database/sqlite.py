"""SQLite, in a file."""

import sqlite3
from pathlib import Path
from typing import ClassVar

from every_database.database import Database

_TEXTS = "SQLite's times are texts, which compare as YYYY-MM-DD HH:MM:SS"
_ANY_VALUE = "an SQLite column takes any value"


class SQLite(Database):
    types: ClassVar = {
        "integer": "bigint", "number": "decimal(38, 18)", "text": "text", "short": "varchar(5)", "naive": "timestamp",
        "aware": "timestamp", "day": "date", "json": "json", "binary": "blob",
    }  # fmt: skip
    cannot: ClassVar = {
        "passwords": "SQLite has no users",
        "dates": _ANY_VALUE,
        "integers": _ANY_VALUE,
        "lengths": _ANY_VALUE,
        "exact decimals": "SQLite keeps decimals as floats, unless their columns are of texts",
        "times": _TEXTS,
        "day": _TEXTS,
        "days": _TEXTS,
        "json": "SQLite has no type for JSON",
    }
    slow = """
        SELECT count(*) AS id
        FROM (WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 200000000) SELECT n FROM s) s
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()  # a connection makes no file; an empty one is an empty database

    def connection(self) -> dict:
        return {"conn_type": "sqlite", "host": str(self.path)}

    def execute(self, *statements: str) -> list[tuple]:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=30)
        try:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        finally:
            connection.close()
        return rows

    def series(self, count: int) -> str:
        ids = f"WITH RECURSIVE s(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM s WHERE id < {count})"
        return f"({ids} SELECT id FROM s) series"

    def fails_after(self, count: int) -> str:
        return f"CASE WHEN id > {count} THEN abs(-9223372036854775807 - 1) ELSE id END"

    def literal(self, kind: str, text: str) -> str:
        return f"'{text}'" if kind in {"naive", "aware", "day"} else super().literal(kind, text)

    def left_behind(self) -> list[str]:
        return [n for (n,) in self.execute("SELECT name FROM sqlite_master WHERE name LIKE 'async_rest_stg%'")]
