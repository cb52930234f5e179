"""fakesnow's server, without three faults that Snowflake does not have."""

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
_IDLE_SECONDS = 0.5


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
    """Wait for the rows that another transaction has changed; one that is idle is aborted, its client may be gone."""
    connection = self._conn
    is_first, connection.idle_since = not connection._in_transaction, None
    _abort_idle(connection)
    try:
        while True:
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
        connection.idle_since = time.monotonic()


def _abort_idle(connection):
    for other in list(fakesnow.server.sessions.values()):
        since = getattr(other, "idle_since", None)
        is_other = other is not connection and other.database == connection.database
        if is_other and other._in_transaction and since and time.monotonic() - since > _IDLE_SECONDS:
            other._duck_conn.rollback()
            other._in_transaction = False


fakesnow.transforms.merge = merge
fakesnow.arrow.timestamp_to_sf_struct = timestamp_to_sf_struct
FakeSnowflakeCursor.execute = execute
