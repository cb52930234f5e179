"""From the staging table into the destination: the statements of the final transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from airflow_async_rest.core.loading import Merged, PlacedRow, RefusedRow
from airflow_async_rest.hooks.sql_dialects import bind_value
from airflow_async_rest.load.destination import Destination
from airflow_async_rest.load.plan import REPLACE_WINDOW, UPSERT
from airflow_async_rest.load.refusals import find_refused, is_refusal
from airflow_async_rest.load.staging import PLACE, Staging

_RANK = "async_rest_rank"


class Merging:
    """Moves what is staged into the destination, in a transaction that the caller commits."""

    def __init__(self, connection: Connection, destination: Destination, staging: Staging) -> None:
        self._connection = connection
        self._plan = destination.plan
        self._staging = staging
        self._quote = connection.dialect.identifier_preparer.quote
        self._into = staging.qualified(destination.plan.table)
        self._loaded = 0

    def merge(self, *, first: bool) -> Merged:
        """Move everything. :return: how many rows the destination took, and those that it refused.

        :param first: whether nothing of this load is there yet: only then a window's old rows are deleted.
        """
        refused: list[RefusedRow] = []
        if self._plan.mode == REPLACE_WINDOW:
            refused += self._take_out_strangers()
            if first:
                where, binds = self._in_window()
                self._run(f"DELETE FROM {self._into} WHERE {where}", binds)
        if self._staging.columns:
            refused += self._insert_all()
        return Merged(self._loaded, refused)

    def _in_window(self) -> tuple[str, dict[str, Any]]:
        window, dialect = self._plan.window, self._connection.dialect.name
        if window is None or self._plan.window_column is None:
            raise RuntimeError("a load that replaces a window has one")
        column = self._quote(self._plan.window_column)
        binds = {"window_start": bind_value(window.start, dialect), "window_end": bind_value(window.end, dialect)}
        return f"{column} >= :window_start AND {column} < :window_end", binds

    def _take_out_strangers(self) -> list[RefusedRow]:
        """Take out rows of other windows: the next load of this one would not replace, but double them."""
        if not self._staging.columns:
            return []
        where, binds = self._in_window()
        column = self._plan.window_column or ""
        stranger = f"NOT ({where}) OR {self._quote(column)} IS NULL"
        rows = self._staging.read(stranger, **binds)
        if rows:
            self._run(f"DELETE FROM {self._staging.table} WHERE {stranger}", binds)
        return [
            RefusedRow(
                row.place,
                row.values,
                f"{column} is {row.values[column]}, outside of the window that is replaced ({self._plan.window})",
            )
            for row in rows
        ]

    def _insert_all(self) -> list[RefusedRow]:
        try:
            with self._connection.begin_nested():
                self._loaded = self._run(self._statement(), {})
        except Exception as error:
            if not is_refusal(error, self._connection.dialect):
                raise
            return self._insert_what_it_takes()
        return []

    def _insert_what_it_takes(self) -> list[RefusedRow]:
        if self._connection.dialect.name in {"postgresql", "sqlite"}:
            self._staging.index()
        statement = self._statement(f"WHERE {PLACE} BETWEEN :first AND :last")

        def take(places: Sequence[int]) -> None:
            taken = self._run(statement, {"first": places[0], "last": places[-1]})
            self._loaded += taken

        refused = find_refused(self._staging.places(), take, self._connection.begin_nested, self._connection.dialect)
        rows = {place: self._row(place) for place, _ in refused}
        return [RefusedRow(place, rows[place].values, words) for place, words in refused]

    def _row(self, place: int) -> PlacedRow:
        [row] = self._staging.read(f"{PLACE} = :place", place=place)
        return row

    def _statement(self, where: str = "") -> str:
        """Write the statement that moves rows."""
        columns = self._staging.names(self._staging.columns)
        if self._plan.mode != UPSERT:
            return f"INSERT INTO {self._into} ({columns}) SELECT {columns} FROM {self._staging.table} {where}"
        keys = ", ".join(map(self._quote, self._plan.conflict_key))
        # Of rows with the same key the last one counts, in the order of the items and of their rows.
        latest = (
            f"SELECT {columns} FROM (SELECT {columns}, ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY {PLACE} DESC) "
            f"AS {_RANK} FROM {self._staging.table} {where}) latest WHERE {_RANK} = 1"
        )
        others = [c for c in self._staging.columns if c.name not in self._plan.conflict_key]
        names = [self._quote(column.name) for column in others]
        match self._connection.dialect.name:
            case "postgresql" | "sqlite":
                sets = ", ".join(f"{name} = excluded.{name}" for name in names)
                action = f"DO UPDATE SET {sets}" if names else "DO NOTHING"
                return f"INSERT INTO {self._into} ({columns}) {latest} ON CONFLICT ({keys}) {action}"
            case "mysql" | "mariadb":
                sets = ", ".join(f"{name} = VALUES({name})" for name in names or keys.split(", "))
                return f"INSERT INTO {self._into} ({columns}) {latest} ON DUPLICATE KEY UPDATE {sets}"
        same = " AND ".join(f"d.{key} = s.{key}" for key in map(self._quote, self._plan.conflict_key))
        sets = ", ".join(f"d.{name} = s.{name}" for name in names)
        new = ", ".join(f"s.{self._quote(column.name)}" for column in self._staging.columns)
        return (
            f"MERGE INTO {self._into} d USING ({latest}) s ON ({same}) "
            + (f"WHEN MATCHED THEN UPDATE SET {sets} " if names else "")
            + f"WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({new})"
        )

    def _run(self, statement: str, binds: dict[str, Any]) -> int:
        return int(self._connection.execute(text(statement), binds).rowcount)
