"""What databases differ in: each is a subclass, in a file or a folder of its own."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar

from sqlalchemy import text
from sqlalchemy.engine import Connection, Engine

from airflow_async_rest.compat.sqlalchemy import QueryResult
from airflow_async_rest.core.bounds import USUAL
from airflow_async_rest.core.errors import EncodeError
from airflow_async_rest.databases.dialects.engines import PLAIN, hook_engine
from airflow_async_rest.databases.errors import classes_of, original_of
from airflow_async_rest.databases.quotes import Quotes
from airflow_async_rest.databases.values.column_values import CONVERTERS, kind_of, scalar
from airflow_async_rest.databases.values.columns import Column, Constraint, Kind
from airflow_async_rest.databases.values.row_values import Fetch, fetch_as_given

# Values that cannot even be sent: half of a surrogate pair, a time before the year 1, NaN as JSON.
_UNSENDABLE = (UnicodeEncodeError, OverflowError, EncodeError)

# Of rows for a staging table, some at a time: of each column, its values.
Batches = Iterable[Sequence[Sequence[Any]]]


class Upsert(Enum):
    """How a row that is there already is updated."""

    ON_CONFLICT = "INSERT ... ON CONFLICT (key) DO UPDATE"
    UPDATE_JOIN = "UPDATE ... JOIN ... ON (key), then INSERT of those that are not there"
    MERGE = "MERGE INTO ... USING ... ON (key)"


class Dialect:
    """One database. What stands here is so of one that was never tried; a statement that is empty is not sent.

    An instance is made for a hook, and handed on.

    :cvar name: SQLAlchemy's.
    :cvar is_tried: whether reading from it was tried, and loading into it.
    """

    name: str = PLAIN
    is_tried: ClassVar[bool] = False
    # Of this package, which brings its provider along.
    extra: ClassVar[str] = ""

    @property
    def title(self) -> str:
        """Its name as people write it, which is its class's."""
        return type(self).__name__

    # Opening: a connection of Airflow's -> one of the driver's, in an engine.

    def prepare_connection(self, connection: Any) -> Any:
        """Return Airflow's connection in the form in which its hook reads it as its author meant it."""
        return connection

    def engine(self, hook: Any, connect: Callable[[], Any]) -> Engine:
        """Make an engine, whose SQLAlchemy dialect fits the hook's connections.

        :param connect: makes a connection: the hook's, prepared.
        :raises ConfigurationError: when the connection is wrong.
        """
        return hook_engine(hook, connect)

    def connect(self, hook: Any) -> Any:
        """Return a connection of the driver's, as the hook makes it."""
        return hook.get_conn()

    def prepare_raw(self, raw: Any) -> None:
        """Undo what the driver's connection was told by Airflow's: rows come as tuples, in transactions of ours.

        :raises ConfigurationError: when it cannot be read.
        """

    def prepare_engine(self, engine: Engine) -> None:
        """Make an engine's cursors stream well, and lose nothing of what they read."""

    def prepare_to_load(self, engine: Engine) -> None:
        """Let each transaction of an engine begin as a load needs it."""

    def file_of(self, engine: Engine) -> str | None:
        """Return the path of the file that the database is; None where it is no file."""
        return None

    # Session and transactions.

    utc_in_session: ClassVar[str] = ""
    utc_in_transaction: ClassVar[str] = ""
    before_reading: ClassVar[str] = ""
    begin_read_only: ClassVar[str] = ""
    begin_to_write: ClassVar[str] = ""
    # What lets us know at the end whether it is still the same transaction, where a statement may have ended it.
    mark_beginning: ClassVar[str] = ""
    find_beginning: ClassVar[str] = ""
    # Whether, after an error, a transaction can only be rolled back: to a savepoint.
    fails_whole: ClassVar[bool] = False
    # Whether there are any; elsewhere a statement that fails undoes itself, and nothing else.
    has_savepoints: ClassVar[bool] = True
    # Whether a transaction cannot be told to change nothing, so that what only reads has to be a SELECT.
    reads_by_select_only: ClassVar[bool] = False
    # Whether nobody can write while rows are read, and a connection stays with its thread.
    is_one_file: ClassVar[bool] = False

    def begin(self, connection: Connection) -> None:
        """Begin a transaction that reads, where the driver would not."""

    def query_only(self, connection: Connection) -> AbstractContextManager[None]:
        """Let a connection change nothing for the time being, where that cannot be said to a transaction."""
        return contextlib.nullcontext()

    # SQL as authors write it, and its binds.

    quotes: Quotes = Quotes()

    def quotes_in(self, sql: str) -> Quotes:
        """Return how an author's SQL writes quotes, where that depends on a server's settings."""
        return self.quotes

    # Elsewhere a semicolon may be part of a statement, as in Oracle's WITH FUNCTION, or of a quote we do not know.
    ends_at_semicolon: ClassVar[bool] = False
    # What an empty list makes of IN and NOT IN: false and true, whatever the column's type is.
    empty_in: ClassVar[tuple[str, str]] = ("(NULL)", "(SELECT NULL WHERE 1 = 0)")

    def check_query(self, bare: str) -> None:
        """Check a statement. :raises ConfigurationError: when its rows cannot be read.

        :param bare: with quotes and comments blanked.
        """

    def bind(self, value: Any) -> Any:
        """Return a bind's value, which is no datetime, in the form that columns compare with.

        :raises EncodeError: when it has none.
        """
        return value

    def bind_time(self, utc: datetime) -> Any:
        """Return a time, which is in UTC, in the form that columns compare with: without a zone."""
        return utc.replace(tzinfo=None)

    # Reading.

    # Whether a cursor can stream nothing but a SELECT.
    streams_only_selects: ClassVar[bool] = False
    # Whether a column may have values of any type, and of any size.
    has_any_type: ClassVar[bool] = True

    def cancel(self, raw: Any) -> None:
        """Cancel the statement that is running on a driver's connection; from another thread."""
        for name in ("cancel_safe", "cancel", "interrupt"):
            if callable(stop := getattr(raw, name, None)):
                stop()
                return

    def estimate(self, connection: Connection, sql: str, binds: Mapping[str, Any]) -> int | None:
        """Return about how many rows a query has, by the planner; None where that is not known.

        :param sql: as for ``text()``.
        """
        return None

    def prepare_values(self, raw: Any, *, embed_json: bool, reads_again: bool) -> Fetch:
        """Make a driver's connection load what it can, and return how rows are fetched from its cursors.

        :param embed_json: whether JSON columns come as their text, because they are not looked into.
        :param reads_again: whether a query may run twice, because it changes nothing, and is the same then.
        :raises ConfigurationError: when the driver cannot know what texts are.
        """
        return fetch_as_given

    # What an error means. Each takes the driver's own, or SQLAlchemy's with it.

    def is_transient(self, error: BaseException) -> bool:
        """Return whether the database is down or busy, and the SQL not wrong."""
        if getattr(error, "connection_invalidated", False) or isinstance(original_of(error), OSError):
            return True
        return not classes_of(error).isdisjoint({"OperationalError", "InterfaceError"})

    def is_login_refused(self, error: BaseException) -> bool:
        """Return whether it says, when it is connected, that the connection's user, password or database is wrong."""
        return False

    def is_write_refused(self, error: BaseException) -> bool:
        """Return whether it refuses to change something because it was told to."""
        return False

    def ended_transaction(self, error: BaseException) -> bool:
        """Return whether it says that the transaction's beginning cannot be found: it has been committed since."""
        return False

    def is_refusal(self, error: BaseException) -> bool:
        """Return whether it refuses a row, rather than the statement, and is not down."""
        is_of_row = not classes_of(error).isdisjoint({"IntegrityError", "DataError"})
        return is_of_row or isinstance(original_of(error), _UNSENDABLE)

    def is_forbidden(self, error: BaseException) -> bool:
        """Return whether it says that the connection's user may not do something."""
        return False

    def is_wrong(self, error: BaseException) -> bool:
        """Return whether a load need not be tried again: the table or the statement is wrong."""
        return "ProgrammingError" in classes_of(error) and not self.is_transient(error)

    def encoding_advice(self, error: BaseException) -> str:
        """Say what to do about texts that are not in the encoding they were taken to be in; empty for other errors."""
        return ""

    # The table that is loaded.

    upsert: ClassVar[Upsert] = Upsert.MERGE
    # How a MERGE writes which table the columns are of that it sets.
    merges_into: ClassVar[str] = "d."
    # Whether any view takes rows.
    loads_views: ClassVar[bool] = True
    # Whether what is said of a column's default can stand in a statement.
    defaults_are_expressions: ClassVar[bool] = False
    times_are_texts: ClassVar[bool] = False

    def columns_of(self, connection: Connection, table: str, schema: str | None) -> Sequence[Any] | None:
        """Describe a table's columns as SQLAlchemy's inspector does; None where that must be asked."""
        return None

    def stored_name(self, inspector: Any, table: str, schema: str | None) -> str:
        """Return a table's name as the inspector needs it."""
        return table

    def kind_of(self, type_: Any) -> Kind:
        """Return the kind of a column's type, as SQLAlchemy describes it."""
        return kind_of(type_, self.kind_of)

    def has_default(self, described: Mapping[str, Any], kind: Kind) -> bool:
        """Return whether the database gives a column a value when none is given."""
        given = described.get("default") is not None or described.get("identity")
        return bool(given or described.get("autoincrement") is True)

    def constraints(self, connection: Connection, table: str, schema: str | None) -> Sequence[Constraint]:
        """Return what a table asks of its rows, where each refused statement costs all that its transaction did."""
        return ()

    def unique_keys(self, inspector: Any, table: str, schema: str | None) -> Mapping[frozenset[str], bool]:
        """Find the columns by which a table's rows are unique, all of them: an upsert cannot use an index of some.

        :return: of each key, whether NULL equals NULL in it.
        """
        where = {"table_name": table, "schema": schema}
        keys = [inspector.get_pk_constraint(**where).get("constrained_columns", [])]
        keys += [constraint["column_names"] for constraint in inspector.get_unique_constraints(**where)]
        keys += [index["column_names"] for index in inspector.get_indexes(**where) if _is_of_all_rows(index)]
        return dict.fromkeys(map(frozenset, keys), False)

    def collations(
        self, connection: Connection, table: str, schema: str | None, key: Sequence[str]
    ) -> Mapping[str, str]:
        """Return by which collations columns of a key are compared, where a staging table does not have them."""
        return {}

    def grant_of_tables(self, schema: str | None) -> str:
        """Say what the user needs to make tables in a schema."""
        return f"GRANT CREATE ON SCHEMA {schema}"

    # Staging: rows that are not in the table yet.

    # That are worth a transaction; see Bounds.
    chunk_rows: ClassVar[int] = USUAL.chunk_rows
    staging_table: ClassVar[str] = "TABLE"
    # Before the first transaction of a session that loads. ``schema`` ends in a dot, or is empty.
    prepare_staging: ClassVar[str] = ""
    # A column whose type is named, in the query that makes the table.
    staged_column: ClassVar[str] = "CAST({name} AS {type})"
    # What is said of a row with NULL in a column that is NOT NULL, where nothing can fill it before the database
    # refuses it; empty: the database is asked.
    null_refused: ClassVar[str] = ""
    place_type: ClassVar[str] = "BIGINT"
    # Of the column that tells which columns a row has.
    sets_type: ClassVar[str] = "text"

    def create_staging(self, table: str, source: str, ours: Mapping[str, str], columns: Mapping[str, str]) -> str:
        """Write the statement that makes a staging table, empty. All names are in SQL, as for ``text()``.

        :param source: the table whose columns it has.
        :param ours: further columns, the first of them the rows' places, with their types.
        :param columns: of the source, with the types that they are staged as; empty: their own.
        """
        place, *sets = ours
        selected = [f"CAST(0 AS {ours[place]}) AS {place}"]
        selected += [f"CAST('1' AS {ours[name]}) AS {name}" for name in sets]
        selected += [
            f"{self.staged_column.format(name=name, type=type_)} AS {name}" if type_ else name
            for name, type_ in columns.items()
        ]
        return f"CREATE {self.staging_table} {table} AS SELECT {', '.join(selected)} FROM {source} WHERE 1 = 0"

    # ``schema`` ends in a dot, or is empty. It may be asked for once more if it waits. Empty: found without it.
    create_index: ClassVar[str] = "CREATE INDEX {index} ON {schema}{table} ({column})"
    # Before staging tables are dropped by the transaction that merges them; raises where others read one. Empty: they
    # are dropped by a separate transaction.
    lock_to_drop: ClassVar[str] = ""
    # Bound how long a DROP waits, for others may read a staging table for ever. Empty: as long as the database lets it.
    before_drop: ClassVar[str] = ""
    after_drop: ClassVar[str] = ""
    # Whether it can wait; elsewhere it would end the transaction that needs it.
    is_indexed_late: ClassVar[bool] = False
    converters: ClassVar[Mapping[Kind, Callable[[Any], Any]]] = CONVERTERS
    # What is read back as the database writes it, because the driver has no value for some of it.
    read_as_text: ClassVar[frozenset[Kind]] = frozenset()

    def converter(self, kind: Kind) -> Callable[[Any], Any]:
        """Return the function that turns a value into what the driver binds."""
        convert = self.converters.get(kind, scalar)
        return lambda value: None if value is None else convert(value)

    def iter_bound(self, columns: Sequence[Column], batches: Batches) -> Iterator[tuple[Any, ...]]:
        """Yield rows as the driver binds them."""
        kinds = [None if column.kind is Kind.OURS else self.converter(column.kind) for column in columns]
        for batch in batches:
            yield from zip(
                *(map(convert, values) if convert else values for convert, values in zip(kinds, batch, strict=True)),
                strict=True,
            )

    def stage(
        self, connection: Connection, into: str, columns: Sequence[Column], batches: Batches, *, are_whole: bool
    ) -> list[tuple[int, str]]:
        """Add rows to a staging table; the way to do it in bulk, where there is one.

        :param into: table and columns in SQL, as for ``text()``.
        :param are_whole: whether there is no other table that has the rest of these rows.
        :return: the numbers of rows that it refuses while it takes the others, with its messages; only if they are
            whole.
        :raises Exception: when it takes none.
        """
        names = [f"c{number}" for number in range(len(columns))]
        bound = [dict(zip(names, row, strict=True)) for row in self.iter_bound(columns, batches)]
        binds = ", ".join(f":{name}" for name in names)
        connection.execute(text(f"INSERT INTO {into} VALUES ({binds})"), bound)
        return []

    # Merging: staged rows into the table.

    explains: ClassVar[bool] = False
    before_merge: ClassVar[str] = ""
    check_deferred: ClassVar[str] = ""
    # Whether a large value can stand in a window function.
    has_large_values_in_windows: ClassVar[bool] = True
    # Whether a table can be locked for one transaction; else the lines of its loads in the register are.
    locks_tables: ClassVar[bool] = False

    def lock_table(self, connection: Connection, table: str, *, is_shared: bool) -> None:
        """Wait until no other merge into a table is under way, and let none begin before this transaction ends.

        :param table: its name in SQL, as for ``text()``.
        :param is_shared: whether others that ask for a shared lock may run beside this one.
        """

    def bound_of_window(self, name: str, value: Any) -> tuple[str, Any]:
        """Return how a bound of a window is written, and its bind's value.

        :param name: of the bind.
        :param value: as binds have it.
        """
        return f":{name}", value

    def joined(self, texts: Sequence[str]) -> str:
        """Write texts one after the other; as pairs of pairs, because databases limit how deep they are nested."""
        if len(texts) == 1:
            return texts[0]
        middle = len(texts) // 2
        return f"({self.joined(texts[:middle])} || {self.joined(texts[middle:])})"

    def count_of(self, result: QueryResult) -> int:
        """Return how many rows a statement has inserted, updated or deleted."""
        return int(result.rowcount)


def _is_of_all_rows(index: Mapping[str, Any]) -> bool:
    """Return whether a unique index is of all rows: an upsert cannot use one of some."""
    return bool(index.get("unique")) and not any(
        option.endswith("_where") for option in index.get("dialect_options") or {}
    )
