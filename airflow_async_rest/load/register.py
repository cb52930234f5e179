"""The table ``async_rest_loads``: a line for each load that is under way, beside the tables that are loaded.

It has a load's checkpoint, written in the transaction that stages or merges the rows which the checkpoint counts.
A try that begins a load puts its own mark there, and without the mark nothing is committed: a try that Airflow has
given up, and that still runs, can do no harm to the next.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from airflow_async_rest.core.errors import ConfigurationError, LoadError
from airflow_async_rest.core.keeping.row_sink import Earlier, LoadState

NAME = "async_rest_loads"
# Nobody goes on with a load after so long; a Clear would start over.
ABANDONED_AFTER = timedelta(days=7)
_TAKEN_OVER = "another try of this task has taken over the load, or its line in the register is gone"


class Register:
    """The lines of all loads in one schema.

    :param schema: None: the connection's own.
    :param load_id: the line that is ours.
    :param mark: of this try; another's is another.
    :param destination: what is loaded.
    :param life: of the run, which its checkpoints have; None where it is not known.
    """

    def __init__(
        self, schema: str | None, load_id: str, mark: str, destination: str = "", life: str | None = None
    ) -> None:
        self._load_id = load_id
        self._mark = mark
        self._destination = destination
        self._life = life
        self._schema = schema
        self._table = Table(
            NAME,
            MetaData(schema=schema),
            Column("load_id", String(40), primary_key=True),
            Column("dag_id", String(250), nullable=False),
            Column("run_id", String(250), nullable=False),
            Column("task_id", String(250), nullable=False),
            Column("map_index", Integer, nullable=False),
            Column("destination", String(250), nullable=False),
            Column("staging_table", String(128), nullable=False),
            Column("state", String(16), nullable=False),
            Column("rows_loaded", BigInteger, nullable=False),
            Column("owner", String(40), nullable=False),
            Column("checkpoint", Text),
            Column("updated_at", DateTime, nullable=False),
        )
        self._ours = self._table.c.load_id == load_id
        self._change = update(self._table).where(self._ours, self._table.c.owner == mark)
        self._is_there = False  # as far as we have seen it

    def exists(self, connection: Connection) -> bool:
        """Return whether there is a register."""
        return inspect(connection).has_table(NAME, schema=self._schema)

    def create(self, connection: Connection) -> None:
        """Make the register, unless it is there; committed."""
        if self.exists(connection):
            return
        try:
            self._table.create(connection)
            connection.commit()
        except DBAPIError:
            connection.rollback()
            if not inspect(connection).has_table(NAME, schema=self._schema):  # else another task was faster
                raise

    def take_over(self, connection: Connection) -> Earlier | None:
        """Put our mark on the load's line, and read it; committed.

        :return: None when there is no line, or one of another life of the run: what that has staged is stale, and what
            it has loaded is not ours.
        :raises ConfigurationError: when it says what this version of the package does not know.
        """
        # As of now, lest it be taken for abandoned while it goes on.
        ours = update(self._table).where(self._ours).values(owner=self._mark, updated_at=_now())
        self._is_there = connection.execute(ours).rowcount > 0
        if not self._is_there:
            connection.commit()
            return None
        columns = self._table.c
        query = select(columns.checkpoint, columns.state, columns.rows_loaded).where(self._ours)
        line = connection.execute(query).one()
        connection.commit()
        checkpoint = _parsed(line.checkpoint)
        its_life = _life_in(checkpoint)
        if self._life and its_life and its_life != self._life:
            return None
        try:
            state = LoadState(line.state)
        except ValueError:
            raise ConfigurationError(
                f"the table {NAME} says of this load that it is {line.state!r}, which this version of the package does "
                "not know: go on with the version that has begun it, or delete its line, and it starts over."
            ) from None
        return Earlier(checkpoint, state, line.rows_loaded)

    def find_life(self, connection: Connection) -> str:
        """Return the life that our line has, and be of it from then on; empty where there is none."""
        checkpoint = connection.execute(select(self._table.c.checkpoint).where(self._ours)).scalar()
        self._life = _life_in(_parsed(checkpoint))
        return self._life or ""

    def put_aside(self, connection: Connection) -> str | None:
        """Keep the line that a task has of a table it loaded before, and take out that of the one it loads now.

        What it appended to the other table is no reason not to append to this one. The transaction is the caller's to
        end; what is staged is not for this table.

        :return: the other table; None when there is none.
        """
        columns = self._table.c
        found = connection.execute(select(columns.destination, columns.staging_table).where(self._ours)).first()
        if found is None or _table_of(found.destination) == _table_of(self._destination):
            return None
        aside, kept = self._id_aside(found.destination), self._id_aside(self._destination)
        connection.execute(delete(self._table).where(columns.load_id == aside))
        connection.execute(update(self._table).where(self._ours).values(load_id=aside, staging_table=aside))
        ours = {"load_id": self._load_id, "staging_table": found.staging_table}
        connection.execute(update(self._table).where(columns.load_id == kept).values(**ours))
        return str(found.destination)

    def _id_aside(self, destination: str) -> str:
        parts = self._load_id, _table_of(destination)
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()

    def begin(self, connection: Connection, about: Mapping[str, Any]) -> None:
        """Start a load over: with a line that has no checkpoint; committed. Of two that saw none, the last one has it.

        :param about: whose load it is, and of what.
        :raises LoadError: when another try has taken over since :meth:`take_over`.
        """
        values = {**about, "state": LoadState.STAGING.value, "rows_loaded": 0, "owner": self._mark, "checkpoint": None}
        values["updated_at"] = _now()
        if self._is_there:
            self.check(connection, values)
        elif connection.execute(update(self._table).where(self._ours).values(**values)).rowcount == 0:
            connection.execute(insert(self._table).values(load_id=self._load_id, **values))
        self._is_there = True
        connection.commit()

    def check(self, connection: Connection, values: Mapping[str, Any] | None = None) -> None:
        """Check that the load is still ours; the transaction is the caller's to end.

        :param values: that are written to its line meanwhile.
        :raises LoadError: when another try has taken over.
        """
        values = values or {"updated_at": _now()}
        if connection.execute(self._change, values).rowcount != 1:
            raise LoadError(_TAKEN_OVER)

    def save(self, connection: Connection, checkpoint: Mapping[str, Any], state: LoadState, loaded: int) -> None:
        """Write how far the load has come; the transaction is the caller's to commit.

        :raises LoadError: when another try has taken over.
        """
        life = {"life": self._life} if self._life else {}
        values = {
            "checkpoint": json.dumps({**checkpoint, **life}, separators=(",", ":")),
            "state": state.value,
            "rows_loaded": loaded,
            "updated_at": _now(),
        }
        self.check(connection, values)

    def lock(self, connection: Connection, destination: str) -> None:
        """Wait until no other load of a table has changed its lines in this way, and let none before we commit."""
        lines = self._table.c.destination == destination
        connection.execute(update(self._table).where(lines).values(destination=destination))

    def forget(self, connection: Connection) -> None:
        """Remove the line of a load that is done; committed."""
        done = self._table.c.state == LoadState.DONE.value
        connection.execute(delete(self._table).where(self._ours, done))
        connection.commit()

    def abandoned(self, connection: Connection) -> dict[str, str]:
        """Find abandoned loads: load id -> staging table."""
        columns = self._table.c
        old = columns.updated_at < _now() - ABANDONED_AFTER
        unfinished = columns.state.in_([LoadState.STAGING.value, LoadState.DONE.value])
        query = select(columns.load_id, columns.staging_table).where(old, unfinished, ~self._ours)
        return {line.load_id: line.staging_table for line in connection.execute(query)}

    def abandon(self, connection: Connection, load_id: str) -> None:
        """Give up a load whose staging table is gone; committed. What it appended before is still known."""
        columns = self._table.c
        its = columns.load_id == load_id
        connection.execute(delete(self._table).where(its, (columns.rows_loaded == 0) | (columns.state == "done")))
        connection.execute(update(self._table).where(its).values(state=LoadState.LOST.value))
        connection.commit()


def _table_of(destination: str) -> str:
    """Return a table's name without its schema, which may be written or not: lines are kept in the schema."""
    return destination.rpartition(".")[2]


def _parsed(checkpoint: str | None) -> Any:
    """Read a checkpoint; what is not one stays as it is, for the reader to say so."""
    try:
        return json.loads(checkpoint) if checkpoint else None
    except ValueError:
        return checkpoint


def _life_in(checkpoint: Any) -> str | None:
    """Take the life out of what a line has as its checkpoint."""
    life = checkpoint.pop("life", None) if isinstance(checkpoint, dict) else None
    return life if isinstance(life, str) else None


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
