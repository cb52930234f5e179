"""DuckDB, in a file; its clock is that of the process."""

import contextlib
from pathlib import Path
from typing import ClassVar

from every_database.database import SERVER_ZONE, Database


class DuckDB(Database):
    types: ClassVar = {
        "integer": "bigint", "number": "decimal(38, 18)", "text": "text", "short": "varchar(5)", "naive": "timestamp",
        "aware": "timestamptz", "day": "date", "json": "json", "binary": "blob",
    }  # fmt: skip
    cannot: ClassVar = {"passwords": "DuckDB has no users", "lengths": "DuckDB's texts have no bounds"}
    slow = "SELECT count(*) AS id FROM range(200000) a, range(100000) b WHERE hash(a.range + b.range) = 1"

    def __init__(self, path: Path) -> None:
        import duckdb

        self.path = path
        duckdb.connect(str(path)).close()

    def connection(self) -> dict:
        return {"conn_type": "duckdb", "host": str(self.path), "extra": {"settings": {"TimeZone": SERVER_ZONE}}}

    def execute(self, *statements: str) -> list[tuple]:
        # By the hook: in one process all connections to a file must have the same settings.
        from airflow.providers.duckdb.hooks.duckdb import DuckDBHook

        with contextlib.closing(DuckDBHook(duckdb_conn_id="warehouse").get_conn()) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for statement in statements:
                connection.execute(statement)
            return connection.fetchall()

    def series(self, count: int) -> str:
        return f"(SELECT range AS id FROM range(1, {count + 1})) series"

    def literal(self, kind: str, text: str) -> str:
        return f"from_hex('{text}')" if kind == "binary" else super().literal(kind, text)
