"""The table ``async_rest_loads``: a line for each load that is under way, beside the tables that are loaded.

It has a load's checkpoint, written in the transaction that stages or merges the rows which the checkpoint counts.
Whoever begins a load puts its own mark there, and without the mark nothing is committed: a try that Airflow has given
up, and that still runs, can do no harm to the next.
"""

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

from airflow_async_rest.core.errors import LoadError
from airflow_async_rest.core.loading import Earlier, LoadState

NAME = "async_rest_loads"
# Nobody goes on with a load after so long; a Clear would begin anew.
ABANDONED_AFTER = timedelta(days=7)


class Register:
    """The lines of all loads in one schema.

    :param schema: None: the connection's own.
    :param load_id: the line that is ours.
    :param mark: of this try; another's is another.
    """

    def __init__(self, schema: str | None, load_id: str, mark: str) -> None:
        self._load_id = load_id
        self._mark = mark
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

    def exists(self, connection: Connection) -> bool:
        """Tell whether there is a register."""
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
        """Put our mark on the load's line, and read it; committed. :return: None when there is no line."""
        # As of now, lest it be taken for abandoned while it goes on.
        ours = update(self._table).where(self._ours).values(owner=self._mark, updated_at=_now())
        if connection.execute(ours).rowcount == 0:
            connection.commit()
            return None
        columns = self._table.c
        query = select(columns.checkpoint, columns.state, columns.rows_loaded).where(self._ours)
        line = connection.execute(query).one()
        connection.commit()
        return Earlier(
            json.loads(line.checkpoint) if line.checkpoint else None, LoadState(line.state), line.rows_loaded
        )

    def begin(self, connection: Connection, about: Mapping[str, Any]) -> None:
        """Begin a load anew: with a line that has no checkpoint; committed.

        :param about: whose load it is, and of what.
        """
        values = {**about, "state": LoadState.STAGING.value, "rows_loaded": 0, "owner": self._mark, "checkpoint": None}
        values["updated_at"] = _now()
        if connection.execute(update(self._table).where(self._ours).values(**values)).rowcount == 0:
            connection.execute(insert(self._table).values(load_id=self._load_id, **values))
        connection.commit()

    def save(self, connection: Connection, checkpoint: Mapping[str, Any], state: LoadState, loaded: int) -> None:
        """Write how far the load has come; the transaction is the caller's to commit.

        :raises LoadError: when another try has taken over.
        """
        values = {
            "checkpoint": json.dumps(checkpoint, separators=(",", ":")),
            "state": state.value,
            "rows_loaded": loaded,
            "updated_at": _now(),
        }
        ours = update(self._table).where(self._ours, self._table.c.owner == self._mark)
        if connection.execute(ours.values(**values)).rowcount != 1:
            raise LoadError("another try of this task has taken over the load, or its line in the register is gone")

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
        """Find loads that nobody goes on with: load id -> staging table."""
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


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
