"""fakesnow's server, without four faults that Snowflake does not have."""

import re
import threading
import time

import duckdb
import fakesnow.arrow
import fakesnow.server
import fakesnow.transforms
import pyarrow as pa
from fakesnow.cursor import FakeSnowflakeCursor
from sqlglot import exp

app = fakesnow.server.app
_merge, _times, _execute = fakesnow.transforms.merge, fakesnow.arrow.timestamp_to_sf_struct, FakeSnowflakeCursor.execute
# Snowflake's are five minutes.
_IDLE_SECONDS = 5  # a client that is only slow must not be taken for one that is gone
# Of a whole table; all of a database count as one here.
_LOCKING = re.compile(r"\s*(UPDATE|DELETE|MERGE)\b", re.IGNORECASE)
_locking = threading.Lock()


def merge(statement):
    """Let a MERGE set columns to expressions: it only knows the source's columns that stand alone, or after ON."""
    if isinstance(statement, exp.Merge):
        source = statement.args["using"].alias_or_name
        set_to = [each for when in statement.args["whens"] for each in when.args["then"].args.get("expressions") or ()]
        for column in {each for expression in set_to for each in expression.find_all(exp.Column)}:
            if column.table == source:
                is_any = f"({column.sql()} IS NULL OR {column.sql()} IS NOT NULL)"
                statement.set("on", exp.and_(statement.args["on"], is_any))
    return _merge(statement)


def timestamp_to_sf_struct(times):
    """Leave times NULL that are NULL; they would be those of 1970."""
    times = times.combine_chunks() if isinstance(times, pa.ChunkedArray) else times
    found = _times(times)
    return pa.StructArray.from_arrays(found.flatten(), fields=list(found.type), mask=times.is_null())


def execute(self, *arguments, **options):
    """Lock what is changed to the end of the transaction, and wait for others that do; see :func:`_lock`."""
    connection = self._conn
    is_first, connection.idle_since = not connection._in_transaction, None
    try:
        while True:
            if _LOCKING.match(arguments[0]):
                _lock(connection)
            try:
                return _execute(self, *arguments, **options)
            except duckdb.TransactionException as error:
                if not is_first or "onflict" not in str(error):
                    raise
            connection._duck_conn.rollback()
            connection._in_transaction = False
            threading.Event().wait(0.05)
            _abort_idle(connection)
    finally:
        connection.has_lock = connection._in_transaction and getattr(connection, "has_lock", False)
        connection.idle_since = time.monotonic()


def _lock(connection):
    """Wait until no other transaction has changed rows; one that is idle is aborted, as its client may be gone.

    DuckDB would not notice an UPDATE to what a row has already, and would end a later statement, not let it wait.
    """
    while True:
        with _locking:
            if not any(getattr(other, "has_lock", False) for other in _others(connection)):
                connection.has_lock = True
                return
            _abort_idle(connection)
        threading.Event().wait(0.05)


def _others(connection):
    others = list(fakesnow.server.sessions.values())
    return [other for other in others if other is not connection and other.database == connection.database]


def _abort_idle(connection):
    for other in _others(connection):
        since = getattr(other, "idle_since", None)
        if other._in_transaction and since and time.monotonic() - since > _IDLE_SECONDS:
            other._duck_conn.rollback()
            other._in_transaction = other.has_lock = False


fakesnow.transforms.merge = merge
fakesnow.arrow.timestamp_to_sf_struct = timestamp_to_sf_struct
FakeSnowflakeCursor.execute = execute
