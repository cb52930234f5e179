"""From the staging table into the destination: the statements of the final transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from airflow_async_rest.core.errors import ConfigurationError, EmptyWindowError
from airflow_async_rest.core.loading import Merged, PlacedRow, RefusedRow
from airflow_async_rest.hooks.bind_values import bind_value
from airflow_async_rest.load.destination import Destination
from airflow_async_rest.load.names import quoted
from airflow_async_rest.load.plan import REPLACE_WINDOW, UPSERT
from airflow_async_rest.load.refusals import check_hopeless, find_refused, is_refusal, words_of
from airflow_async_rest.load.staging import PLACE, Staging

_RANK = "async_rest_rank"
_ORACLE_TIMES = "YYYY-MM-DD HH24\\:MI\\:SS.FF6"


class Merging:
    """Moves what is staged into the destination, in a transaction that the caller commits."""

    def __init__(self, connection: Connection, destination: Destination, staging: Staging) -> None:
        self._connection = connection
        self._plan = destination.plan
        self._staging = staging
        self._into = staging.qualified(destination.plan.table)
        self._loaded = 0

    def _quote(self, name: str) -> str:
        return quoted(name, self._connection.dialect)

    def check(self) -> None:
        """Have the database look at what the merge will do, and do none of it; where it can.

        :raises Exception: its own, when it would refuse the statements.
        """
        if self._connection.dialect.name not in {"postgresql", "sqlite"}:
            return
        if self._plan.mode == REPLACE_WINDOW:
            where, binds = self._in_window()
            self._connection.execute(text(f"EXPLAIN DELETE FROM {self._into} WHERE {where}"), binds)
        self._connection.execute(text(f"EXPLAIN {self._statement()}"))

    def merge(self, *, first: bool) -> Merged:
        """Move everything. :return: how many rows the destination took, and those that it refused.

        :param first: whether nothing of this load is there yet: only then a window's old rows are deleted.
        :raises EmptyWindowError: when they would be, and none be loaded.
        """
        refused: list[RefusedRow] = []
        deleted = 0
        if self._plan.mode == REPLACE_WINDOW:
            refused += self._take_out_strangers()
            if first:
                deleted = self._empty_window()
        if self._staging.columns:
            refused += self._insert_all()
        if deleted and not self._loaded and not self._plan.allow_empty_window:
            raise EmptyWindowError(self._what_would_be_lost(deleted, refused))
        return Merged(self._loaded, refused)

    def _what_would_be_lost(self, deleted: int, refused: Sequence[RefusedRow]) -> str:
        why = (
            f"the database refuses all that came, the first one with: {refused[0].words} Mend the table, or what makes "
            "the rows, and clear the task."
            if refused
            else "none came. Where the API really has none, write allow_empty_window=True; a Clear asks it again."
        )
        return (
            f"load_mode='replace_window': {deleted} rows that {self._plan.full_name} has in the window would be "
            f"deleted, and none loaded; nothing is changed: {why}"
        )

    def _in_window(self) -> tuple[str, dict[str, Any]]:
        window, dialect = self._plan.window, self._connection.dialect.name
        if window is None or self._plan.window_column is None:
            raise RuntimeError("a load that replaces a window has one")
        column = self._quote(self._plan.window_column)
        binds = {"window_start": bind_value(window.start, dialect), "window_end": bind_value(window.end, dialect)}
        if dialect == "sqlite":  # as text, a day comes before its midnight
            binds = {name: time.removesuffix(" 00:00:00") for name, time in binds.items()}
        start, end = ":window_start", ":window_end"
        if dialect == "oracle" and (window.start.microsecond or window.end.microsecond):
            # The driver binds a time as DATE, which has no fractions. Not always so: a DATE column's index serves DATE.
            binds = {name: time.isoformat(" ", "microseconds") for name, time in binds.items()}
            start, end = (f"TO_TIMESTAMP({bind}, '{_ORACLE_TIMES}')" for bind in (start, end))
        return f"{column} >= {start} AND {column} < {end}", binds

    def _empty_window(self) -> int:
        where, binds = self._in_window()
        try:
            return self._run(f"DELETE FROM {self._into} WHERE {where}", binds)
        except Exception as error:
            if not is_refusal(error, self._connection.dialect):
                raise
            raise ConfigurationError(
                f"load_mode='replace_window': the database does not let the window's rows be deleted: {words_of(error)}"
            ) from error

    def _take_out_strangers(self) -> list[RefusedRow]:
        """Take out rows of other windows: the next load of this one would not replace, but double them."""
        if not self._staging.columns:
            return []
        where, binds = self._in_window()
        column = self._plan.window_column or ""
        stranger = f"NOT ({where}) OR {self._quote(column)} IS NULL"
        if not (count := self._staging.count(stranger, **binds)):
            return []
        outside = f"outside of the window that is replaced ({self._plan.window})"
        check_hopeless(count, self._staging.count() - count, f"{column} is {outside}.")
        rows = self._staging.read(stranger, **binds)
        self._run(f"DELETE FROM {self._staging.table} WHERE {stranger}", binds)
        return [RefusedRow(row.place, row.values, f"{column} is {row.values[column]}, {outside}") for row in rows]

    def _insert_all(self) -> list[RefusedRow]:
        try:
            with self._connection.begin_nested():
                self._loaded = self._move(self._statement(), {})
        except Exception as error:
            if not is_refusal(error, self._connection.dialect):
                raise
            return self._insert_what_it_takes()
        return []

    def _insert_what_it_takes(self) -> list[RefusedRow]:
        if self._connection.dialect.name in {"postgresql", "sqlite"}:
            self._staging.index()
        if self._plan.mode == UPSERT:
            self._take_out_superseded()
        statement = self._statement(f"WHERE {PLACE} BETWEEN :first AND :last")

        def take(places: Sequence[int]) -> None:
            self._loaded += self._move(statement, {"first": places[0], "last": places[-1]})

        refused = find_refused(self._staging.places(), take, self._connection.begin_nested, self._connection.dialect)
        rows = {place: self._row(place) for place, _ in refused}
        return [RefusedRow(place, rows[place].values, words) for place, words in refused]

    def _take_out_superseded(self) -> None:
        """Take out all but the last of the rows with one key: moved in parts, each would count, and be refused."""
        keys = ", ".join(map(self._quote, self._plan.conflict_key))
        ranked = self._ranked(f"{PLACE}, {keys}")
        superseded = f"SELECT {PLACE} FROM ({ranked}) latest WHERE NOT {self._is_latest()}"
        self._run(f"DELETE FROM {self._staging.table} WHERE {PLACE} IN ({superseded})", {})

    def _row(self, place: int) -> PlacedRow:
        [row] = self._staging.read(f"{PLACE} = :place", place=place)
        return row

    def _statement(self, where: str = "") -> str:
        """Write the statement that moves rows."""
        columns = self._staging.names(self._staging.columns)
        if self._plan.mode != UPSERT:
            return f"INSERT INTO {self._into} ({columns}) SELECT {columns} FROM {self._staging.table} {where}"
        keys = ", ".join(map(self._quote, self._plan.conflict_key))
        latest = f"SELECT {columns} FROM ({self._ranked(columns, where)}) latest WHERE {self._is_latest()}"
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

    def _ranked(self, columns: str, where: str = "") -> str:
        """Give rows with one key numbers: the last one is 1, in the order of the items and of their rows."""
        keys = ", ".join(map(self._quote, self._plan.conflict_key))
        rank = f"ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY {PLACE} DESC) AS {_RANK}"
        return f"SELECT {columns}, {rank} FROM {self._staging.table} {where}"

    def _is_latest(self) -> str:
        """Tell a row that counts. NULL is no key, and equals no other."""
        no_key = "".join(f" OR {self._quote(key)} IS NULL" for key in self._plan.conflict_key)
        return f"({_RANK} = 1{no_key})"

    def _move(self, statement: str, binds: dict[str, Any]) -> int:
        """Move rows; what the database would find out only at the commit, it finds out now."""
        moved = self._run(statement, binds)
        if self._connection.dialect.name in {"postgresql", "oracle"}:
            self._run("SET CONSTRAINTS ALL IMMEDIATE", {})
        return moved

    def _run(self, statement: str, binds: dict[str, Any]) -> int:
        return int(self._connection.execute(text(statement), binds).rowcount)
