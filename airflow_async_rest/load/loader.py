"""TableLoader: what the engine asks of a database, done by SQLAlchemy over the Airflow hook's own connection."""

import contextlib
import hashlib
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from airflow_async_rest.core.errors import AsyncRestError, ConfigurationError
from airflow_async_rest.core.keeping.row_sink import Earlier, LoadState, Merged, PlacedRow, RefusedRow
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.core.watching.log import Log
from airflow_async_rest.databases.database import Database
from airflow_async_rest.databases.dialects.registry import TRIED
from airflow_async_rest.databases.errors import message_of
from airflow_async_rest.databases.failures import only_reads
from airflow_async_rest.databases.session import tell
from airflow_async_rest.load.destination import Destination, describe
from airflow_async_rest.load.merging.merging import Merging
from airflow_async_rest.load.plan import APPEND, REPLACE_WINDOW, UPSERT, LoadPlan
from airflow_async_rest.load.refusals import translate
from airflow_async_rest.load.register import Register
from airflow_async_rest.load.staging.table import Staging

_STAGING = "async_rest_stg_"
# What a load does to the destination, beyond reading it and inserting into it.
_RIGHTS = {REPLACE_WINDOW: ["DELETE"], UPSERT: ["UPDATE"]}


def open_destination(conn_id: str) -> Database:
    """Return the database of the destination of a load.

    :raises ConfigurationError: when the connection is wrong, or of no database that can be loaded.
    """
    database = Database("destination_conn_id", conn_id)
    if not database.dialect.is_tried:
        raise ConfigurationError(
            f"destination_conn_id={conn_id!r} is of a database of type {database.dialect.name!r}, into which loading "
            f"was never tried: write a connection to one of {', '.join(TRIED)}."
        )
    if not database.can_be_loaded:
        raise ConfigurationError(
            f"destination_conn_id={conn_id!r}: SQLAlchemy has no dialect for this database, which a load needs; "
            "install the one of its maker."
        )
    database.dialect.prepare_to_load(database.engine)
    return database


def load_id_of(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return the id of a task instance's load, which is part of its staging table's name."""
    return hashlib.blake2b("\0".join((dag_id, run_id, task_id, str(map_index))).encode(), digest_size=10).hexdigest()


class TableLoader:
    """A :class:`~airflow_async_rest.core.keeping.row_sink.Loader` of one table.

    The table is described when this is made. All later calls come from one thread, which gets the connection.

    :param about: whose load this is: dag_id, run_id, task_id, map_index.
    :param life: of its run; see :class:`~airflow_async_rest.load.register.Register`.
    :ivar chunk_rows: rows that are worth a transaction.
    :raises ConfigurationError: when the table or a column does not exist.
    :raises StoppedError: when the database is away.
    """

    def __init__(
        self, database: Database, plan: LoadPlan, about: Mapping[str, Any], log: Log, life: str | None = None
    ) -> None:
        self._engine, self._dialect = database.engine, database.dialect
        self._about = dict(about)
        self._log = log
        self._plan = plan
        self._connection: Connection | None = None
        self._is_registered = self._is_filled = self._is_view = False
        try:
            with self._translated():
                self._connection = self._engine.connect()
                self.destination: Destination = describe(self._connection, self._dialect, plan)
                self._connection.rollback()
        except BaseException:
            self.close()
            raise
        if self._dialect.is_one_file:  # whose connections stay with their thread
            self.close()
        self._names: Sequence[str] | None = None
        self._plan, self._is_view = self.destination.plan, self.destination.is_view
        self._load_id = load_id_of(**about)
        self._register = Register(self._plan.schema, self._load_id, uuid.uuid4().hex, self._plan.full_name, life)
        self.replaces = plan.mode == REPLACE_WINDOW
        self.needs_rows = self.replaces and not plan.allow_empty_window
        self.appends = plan.mode == APPEND
        self.chunk_rows = self._dialect.chunk_rows
        self.can_remove = True

    def find_life(self) -> str:
        """Return the life of the run that an earlier try has noted beside its rows, and go on in it; empty: none has.

        What the state store forgets, the destination knows: without it, that try's dead letters would not be found.
        """
        with self._translated(), self._engine.connect() as connection:
            life = self._register.find_life(connection) if self._register.exists(connection) else ""
        if self._dialect.is_one_file:  # whose connections stay with their thread
            self._engine.dispose()
        return life

    def choose_columns(self, names: Sequence[str] | None) -> None:
        """Say which columns are loaded; None: all that the rows have.

        :raises ConfigurationError: when what the load goes by is not among them.
        """
        if names is not None:
            self.destination.check_loaded(names)
        self._names = names

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except AsyncRestError:
            raise
        except Exception as error:
            if self._dialect.is_forbidden(error):
                raise ConfigurationError(self._what_to_grant(message_of(error))) from error
            if self._dialect.is_write_refused(error):
                raise only_reads("destination_conn_id", error) from error
            translated = translate(error, self._dialect)
            if translated is error:
                raise
            if self._is_view and isinstance(translated, ConfigurationError):
                raise ConfigurationError(
                    f"destination_table={self._plan.full_name!r} is a view, which does not take these rows: write the "
                    f"table that it shows. The database says: {message_of(error)}"
                ) from error
            raise translated from error

    def _what_to_grant(self, message: str) -> str:
        create = self._dialect.grant_of_tables(self._plan.schema or self._engine.dialect.default_schema_name)
        rights = ", ".join(["SELECT", "INSERT", *_RIGHTS.get(self._plan.mode, [])])
        return (
            f"destination_conn_id: its user may not do what a load needs; the database says: {message} A load makes "
            f"tables beside {self._plan.full_name}: {create}; GRANT {rights} ON {self._plan.full_name}."
        )

    @property
    def _open(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("open() comes first")
        return self._connection

    def open(self) -> Earlier | None:
        """Connect, and take over what an earlier try of this task has left."""
        with self._translated():
            if self._connection is None:
                self._connection = self._engine.connect()
            tell(self._connection, self._dialect.utc_in_session)
            self._staging = Staging(_STAGING + self._load_id, self.destination, self._connection, self._dialect)
            self._staging.prepare()
            self._connection.commit()
            return self._take_over(self._connection)

    def _take_over(self, connection: Connection) -> Earlier | None:
        try:
            if (other := self._register.put_aside(connection)) is not None:
                self._log.info("An earlier try of this task has loaded %s: what it left there stays", other)
                self._staging.drop()
            earlier = self._register.take_over(connection)
        except DBAPIError:
            connection.rollback()
            is_there = self._register.exists(connection)
            connection.rollback()
            if not is_there:
                return None
            # Either another task has just made it, as in the first moments of the first backfill, or this raises again.
            earlier = self._register.take_over(connection)
        self._is_registered = True
        return earlier

    def begin(self, *, resumed: bool, staged: int) -> None:
        """Begin a load, or go on with one; see :class:`~airflow_async_rest.core.keeping.row_sink.Loader`."""
        with self._translated():
            if not self._is_registered:
                self._register.create(self._open)
            elif resumed:
                self._register.check(self._open)
                self._open.commit()  # nobody waits for a lock of one that is killed meanwhile
            found = self._staging.open() if resumed and staged else None
            if resumed and staged and found != staged:
                self._open.rollback()
                raise LookupError(
                    f"{counted(staged, 'row')} should be staged, and {found or 'none'} are: the server crashed"
                )
            self._open.commit()
            if not resumed:
                of_what = {"destination": self._plan.full_name, "staging_table": _STAGING + self._load_id}
                self._register.begin(self._open, {**self._about, **of_what})
            self._is_filled = bool(resumed and staged)
            if not self._is_filled:
                self._create_staging()
            else:  # the table may have columns that it did not have then
                self._staging.extend(self.destination.choose(self._names))
                self._open.commit()
                self._check_staged()

    def _check_staged(self) -> None:
        """Check that the table still takes what is staged. :raises LookupError: when its columns are others now."""
        try:
            Merging(self._open, self.destination, self._staging).check_staged()
            self._open.commit()
        except DBAPIError as error:
            if not self._dialect.is_wrong(error):
                raise
            self._open.rollback()
            raise LookupError(
                f"{self._plan.full_name} has changed, and does not take the rows that were staged: {message_of(error)}"
            ) from error

    def _create_staging(self) -> None:
        """Make the staging table, and find out whether the user may do what a load does with it."""
        self._staging.drop()  # another try, that has not noticed yet that it is given up, may have made it
        self._staging.extend(self.destination.choose(self._names))
        Merging(self._open, self.destination, self._staging).check(self.destination.expected(self._names))
        self._open.commit()  # with some databases it is one already

    def clean_up(self) -> None:
        """Remove what abandoned loads have left; what cannot be removed stays, and this load goes on."""
        try:
            abandoned = self._register.abandoned(self._open)
            self._open.commit()
            for load_id, table in abandoned.items():
                self._staging.drop(table)
                self._open.commit()
                self._register.abandon(self._open, load_id)
        except Exception as error:  # noqa: BLE001  (whatever the database says)
            self.rollback()
            self._log.warning("Could not remove the staging tables of abandoned loads: %s", error)

    def remove(self, items: Collection[int]) -> int:
        """Remove what is staged of items."""
        with self._translated():
            return self._staging.remove(items) if self._staging.columns else 0

    def stage(self, rows: Sequence[PlacedRow]) -> list[RefusedRow]:
        """Stage rows, each with the columns that it has."""
        with self._translated():
            if not self._staging.columns:
                self._create_staging()
            if self._names is None and not self._is_filled:
                self._check_keys(rows)
            self._is_filled = True
            return self._staging.add(rows)

    def _check_keys(self, rows: Sequence[PlacedRow]) -> None:
        """Check that the first rows have anything that can be loaded."""
        seen = {key for row in rows for key in row.values}
        if not seen.intersection(self.destination.names):
            raise ConfigurationError(
                f"columns: no key of the rows is a column of {self._plan.full_name}, which has "
                f"{', '.join(self.destination.names)}: say what goes where with columns={{'column': 'path.in.row'}}."
            )

    def merge(self, *, first: bool) -> Merged:
        """Move what is staged into the destination."""
        with self._translated():
            tell(self._open, self._dialect.before_merge)
            if not self._dialect.locks_tables:
                self._register.lock(self._open, self._plan.full_name)
            merged = Merging(self._open, self.destination, self._staging).merge(first=first)
            if merged.vanished:
                self._log.warning(
                    "%s has taken %s, and %s not in it: a trigger, a rule or a policy of the table drops them, or puts "
                    "them elsewhere. rows_loaded is what the database says.",
                    self._plan.full_name,
                    counted(merged.loaded, "row"),
                    counted(merged.vanished, "other without an error that is", "others without an error that are"),
                )
            return merged

    def commit(self, checkpoint: Mapping[str, Any], state: LoadState, loaded: int) -> None:
        """Make it durable, with the checkpoint. What is merged is staged no longer."""
        is_over = state is not LoadState.STAGING and bool(self._staging.columns)
        with self._translated():
            self._register.save(self._open, checkpoint, state, loaded)
            if (
                is_over and self._dialect.lock_to_drop
            ):  # a commit that drops a table waits for the disk: so only one does
                with contextlib.suppress(DBAPIError), self._open.begin_nested():
                    self._staging.drop_unless_read()
            self._open.commit()
        if is_over:
            self._is_filled = False
            try:
                if self._staging.columns:
                    self._staging.drop()
                    self._open.commit()
            except Exception as error:  # noqa: BLE001  (whatever the database says: the rows are in the table)
                self.rollback()
                self._log.warning(
                    "The rows are in %s. The staging table %s could not be removed: drop it by hand when nobody reads "
                    "it, and this task does not run. The database says: %s",
                    self._plan.full_name,
                    self._staging.table,
                    message_of(error),
                )

    def rollback(self) -> None:
        """Undo what was not committed."""
        with contextlib.suppress(Exception):
            self._open.rollback()

    def cancel(self) -> None:
        """Make the statement that is running raise."""
        if self._connection is not None:
            self._dialect.cancel(self._connection.connection.dbapi_connection)

    def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        with contextlib.suppress(Exception):
            if connection is not None:
                connection.close()
            self._engine.dispose()


def forget_load(conn_id: str, schema: str | None, about: Mapping[str, Any]) -> None:
    """Remove the line of a load that is done from the register, once Airflow knows of the success."""
    engine = open_destination(conn_id).engine
    try:
        with engine.connect() as connection:
            for known_as in dict.fromkeys((schema, schema and schema.lower())):
                register = Register(known_as, load_id_of(**about), "")
                if register.exists(connection):
                    register.forget(connection)
    finally:
        engine.dispose()
