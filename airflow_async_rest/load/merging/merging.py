"""From the staging table into the destination: the statements of the final transaction."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from airflow_async_rest.core.errors import ConfigurationError, EmptyWindowError
from airflow_async_rest.core.keeping.row_sink import Merged, PlacedRow, RefusedRow
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.databases.bind_values import bind_value
from airflow_async_rest.databases.errors import message_of
from airflow_async_rest.databases.session import tell
from airflow_async_rest.databases.values.columns import Column, Kind
from airflow_async_rest.load.destination import Destination
from airflow_async_rest.load.merging.moving import Moving
from airflow_async_rest.load.plan import APPEND, REPLACE_WINDOW, UPSERT
from airflow_async_rest.load.refusals import check_hopeless, find_refused
from airflow_async_rest.load.staging.filling import PLACE
from airflow_async_rest.load.staging.table import Staging


class Merging:
    """Moves what is staged into the destination, in a transaction that the caller commits."""

    def __init__(self, connection: Connection, destination: Destination, staging: Staging) -> None:
        self._connection = connection
        self._dialect = staging.dialect
        self._plan = destination.plan
        self._staging = staging
        self._into = staging.qualified(destination.plan.table)
        self._moving = Moving(destination, staging)
        self._is_view = destination.is_view
        self._has_days = destination.kind_of(destination.plan.window_column) is Kind.DATE
        self._loaded = 0

    def check(self, columns: Sequence[Column]) -> None:
        """Have the database look at what the merge will do, without doing it; where it can.

        :param columns: that rows are likely to have.
        :raises Exception: its own, when it would refuse the statements.
        """
        if self._plan.mode == REPLACE_WINDOW:
            self._check_window_column()
        for statement in self._moving.of_columns(columns):
            self._explain(statement, {})

    def _check_window_column(self) -> None:
        where, binds = self._in_window()
        try:
            self._explain(f"DELETE FROM {self._into} WHERE {where}", binds)
        except DBAPIError as error:
            if self._is_view or self._dialect.is_forbidden(error) or not self._dialect.is_wrong(error):
                raise
            raise ConfigurationError(
                f"window_column={self._plan.window_column!r}: the database cannot say which rows of {self._into} are "
                f"in the window; name a column of times or dates. It says: {message_of(error)}"
            ) from error

    def check_staged(self) -> None:
        """Have it look at how rows that earlier tries have staged will be moved; as :meth:`check`."""
        for statement in [*self._moving.at_once(), *self._moving.in_parts()]:
            self._explain(statement, {})

    def _explain(self, statement: str, binds: dict[str, Any]) -> None:
        if self._dialect.explains:
            self._connection.execute(text(f"EXPLAIN {statement}"), binds)

    def merge(self, *, first: bool) -> Merged:
        """Move everything. :return: how many rows the destination took, and those that it refused.

        :param first: whether nothing of this load is there yet: only then a window's old rows are deleted.
        :raises EmptyWindowError: when they would be, and none be loaded.
        """
        # Rows that are added never meet each other's; but those of a merge that deletes or updates may.
        self._dialect.lock_table(self._connection, self._into, is_shared=self._plan.mode == APPEND)
        strangers: list[RefusedRow] = []
        deleted = 0
        if self._plan.mode == REPLACE_WINDOW:
            strangers = self._refuse_other_windows()
            if first:
                deleted = self._empty_window()
        refused = self._insert_all() if self._staging.columns else []
        merged = Merged(self._loaded, strangers + refused, self._vanished(len(refused)))
        if deleted and not self._plan.allow_empty_window and self._is_window_empty():
            raise EmptyWindowError(self._what_would_be_lost(deleted, merged))
        return merged

    def _vanished(self, refused: int) -> int:
        """Count the rows that the database has neither taken nor refused."""
        if not self._staging.sets.seen or len(self._staging.sets.any) == len(self._plan.conflict_key):
            return 0  # of keys alone, those that are there already are not counted as taken
        taken = self._loaded + refused
        if self._staging.most <= taken:  # to count them takes a look at all
            return 0
        return max(0, self._staging.count() - taken)

    def _is_window_empty(self) -> bool:
        if self._loaded:
            return False
        # A trigger may have put rows into the table's children, which the database does not count as inserted.
        return not self._count_in_window()

    def _count_in_window(self) -> int:
        where, binds = self._in_window()
        query = f"SELECT count(*) FROM {self._into} WHERE {where}"
        return int(self._connection.execute(text(query), binds).scalar_one())

    def _what_would_be_lost(self, deleted: int, merged: Merged) -> str:
        if merged.refused:
            said = merged.refused[0].message.rstrip(".")
            why = (
                f"the database refuses all rows that came, the first one with: {said}. "
                "Correct the table, or what makes the rows, and clear the task."
            )
        elif merged.vanished:
            why = (
                "the database takes all rows that came without an error, but keeps none: a trigger, a rule or a policy "
                "of the table drops them. Fix that, and clear the task."
            )
        else:
            why = "none came. Where the API really has none, write allow_empty_window=True; a Clear asks it again."
        return (
            f"load_mode='replace_window': {counted(deleted, 'row')} that {self._plan.full_name} has in the window "
            f"would be deleted, and none loaded; nothing is changed: {why}"
        )

    def _in_window(self) -> tuple[str, dict[str, Any]]:
        window = self._plan.window
        if window is None or self._plan.window_column is None:
            raise RuntimeError("a load that replaces a window has one")
        column = self._staging.quote(self._plan.window_column)
        bounds = window.days() if self._has_days else (window.start, window.end)
        values = [bind_value(each, self._dialect) for each in bounds]
        start, first = self._dialect.bound_of_window("window_start", values[0])
        end, last = self._dialect.bound_of_window("window_end", values[1])
        return f"{column} >= {start} AND {column} < {end}", {"window_start": first, "window_end": last}

    def _empty_window(self) -> int:
        # Where nothing comes, all depends on it: of a view, or by a trigger, databases do not say how many are deleted.
        there = 0 if self._staging.sets.seen else self._count_in_window()
        deleted = self._delete_window()
        # Others who write into the window may have done so in between, but hardly twice.
        if self._count_in_window() and not self._delete_window() and (left := self._count_in_window()):
            raise ConfigurationError(
                f"load_mode='replace_window': {counted(left, 'row')} that {self._plan.full_name} has in the window "
                f"{'is' if left == 1 else 'are'} still there after the deletion, and would be beside the new ones; "
                "nothing is changed: a trigger, a rule or a policy of the table keeps them. Let the connection's user "
                "delete them, or load a view without them."
            )
        return max(there, deleted)

    def _delete_window(self) -> int:
        where, binds = self._in_window()
        try:
            return self._run(f"DELETE FROM {self._into} WHERE {where}", binds)
        except Exception as error:
            if not self._dialect.is_refusal(error):
                raise
            raise ConfigurationError(
                f"load_mode='replace_window': the database refuses to delete the window's rows: {message_of(error)}"
            ) from error

    def _refuse_other_windows(self) -> list[RefusedRow]:
        """Remove rows of other windows: the next load of this one would not replace, but double them."""
        if not self._staging.columns:
            return []
        where, binds = self._in_window()
        column = self._plan.window_column or ""
        stranger = f"NOT ({where}) OR {self._staging.quote(column)} IS NULL"
        if not (count := self._staging.count(stranger, **binds)):
            return []
        ends = " to ".join(self._plan.window.texts().values()) if self._plan.window else ""
        outside = f"outside of the window that is replaced, {ends}"
        check_hopeless(count, self._staging.count() - count, f"{column} is {outside}.")
        rows = self._staging.read(stranger, **binds)
        self._run(f"DELETE FROM {self._staging.table} WHERE {stranger}", binds)
        found = [(row, row.values.get(column)) for row in rows]
        return [
            RefusedRow(row.place, row.values, f"{column} is {'NULL' if value is None else value}, {outside}")
            for row, value in found
        ]

    def _insert_all(self) -> list[RefusedRow]:
        if self._plan.mode == UPSERT:
            self._take_out_repeated()
        statements = self._moving.at_once()
        if len(statements) > 1 and not self._dialect.has_savepoints:
            return self._insert_what_it_takes()  # lest the first ones be done when another fails
        try:
            with self._connection.begin_nested():
                self._loaded = self._move(statements, {})
                self._check_deferred()
        except Exception as error:
            if not self._dialect.is_refusal(error):
                raise
            if found := self._refuse_known():
                return found + self._insert_all()
            return self._insert_what_it_takes()
        return []

    def _refuse_known(self) -> list[RefusedRow]:
        """Remove the rows that a constraint refuses, which can be found all at once."""
        table, schema = self._plan.table, self._plan.schema
        refused: list[RefusedRow] = []
        for constraint in self._dialect.constraints(self._connection, table, schema):
            if condition := self._moving.refused_by(constraint):
                refused += self._refuse(condition, constraint.message)
        if refused:
            self._staging.look_at_sets()
        return refused

    def _refuse(self, condition: str, message: str) -> list[RefusedRow]:
        places = f"{PLACE} IN (SELECT {PLACE} FROM {self._staging.source(' AS s')} WHERE {condition})"
        rows = self._staging.read(places)
        if rows:
            self._run(f"DELETE FROM {self._staging.table} WHERE {places}", {})
        return [RefusedRow(row.place, row.values, message) for row in rows]

    def _insert_what_it_takes(self) -> list[RefusedRow]:
        self._staging.index()
        try:  # rows may need each other, or replace what others need
            with self._connection.begin_nested():
                refused = self._insert_by_halves(lambda: None)
                self._check_deferred()
        except Exception as error:
            if not self._dialect.is_refusal(error):
                raise
            refused = self._insert_by_halves(self._check_deferred)
        rows = {place: self._row(place) for place, _ in refused}
        return [RefusedRow(place, rows[place].values, message) for place, message in refused]

    def _insert_by_halves(self, check: Callable[[], None]) -> list[tuple[int, str]]:
        """Insert the rows that the database takes. :return: the places of the others, with its messages.

        :param check: whether it takes some after their statements have run.
        """
        self._loaded = 0
        statements = self._moving.in_parts(f"{PLACE} BETWEEN :first AND :last")

        def taking(statements: Sequence[str]) -> Callable[[Sequence[int]], None]:
            def take(places: Sequence[int]) -> None:
                moved = self._move(statements, {"first": places[0], "last": places[-1]})
                check()
                self._loaded += moved

            return take

        places, savepoint = self._staging.places(), self._connection.begin_nested
        # Each is of other rows. Without savepoints only one statement can be undone: by itself.
        groups = [statements] if self._dialect.has_savepoints else [[each] for each in statements]
        refused = [find_refused(places, taking(group), savepoint, self._dialect) for group in groups]
        return [each for some in refused for each in some]

    def _take_out_repeated(self) -> None:
        if self._staging.count_distinct(self._moving.keys) == self._staging.most:  # in half the time of what follows
            return
        for statement in self._moving.take_out_repeated():
            self._run(statement, {})
        self._staging.look_at_sets()

    def _row(self, place: int) -> PlacedRow:
        [row] = self._staging.read(f"{PLACE} = :place", place=place)
        return row

    def _move(self, statements: Sequence[str], binds: dict[str, Any]) -> int:
        return sum(self._run(statement, binds) for statement in statements)

    def _check_deferred(self) -> None:
        """Let the database find out now what it would find out at the commit."""
        tell(self._connection, self._dialect.check_deferred)

    def _run(self, statement: str, binds: dict[str, Any]) -> int:
        return self._dialect.count_of(self._connection.execute(text(statement), binds))
