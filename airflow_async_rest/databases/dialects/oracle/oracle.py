"""Oracle."""

import contextlib
import copy
import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import oracledb
from sqlalchemy import text
from sqlalchemy.dialects.oracle import RAW
from sqlalchemy.engine import Connection, Engine

from airflow_async_rest.databases.dialects.dialect import Batches, Dialect, Upsert
from airflow_async_rest.databases.dialects.oracle.reading import prepare_engine
from airflow_async_rest.databases.dialects.oracle.values import OracleFetch
from airflow_async_rest.databases.errors import classes_of, code_of, original_of
from airflow_async_rest.databases.names import without_marks
from airflow_async_rest.databases.quotes import Quotes
from airflow_async_rest.databases.values.column_values import CONVERTERS, naive_utc, parse_time, scalar
from airflow_async_rest.databases.values.columns import Column, Kind
from airflow_async_rest.databases.values.row_values import Fetch

# oracledb raises the same class for these as for a wrong SQL. 54, 4021, 30006: locked; 1555: undo is gone; 1652, 4031,
# 4036: out of space or memory for now; 4061, 4068: a package was compiled again; 12805: a server process died.
_BUSY = frozenset({54, 1555, 1652, 4021, 4031, 4036, 4061, 4068, 12805, 30006})
_CALL_TIMEOUT = "DPY-4024"
# And for these. 1400, 1407: NULL; 1438, 1455: too large a number; 1722: no number; 1830 to 1899: no date; 2290 to 2292:
# a constraint; 12899: too long; 20000 to 20999: a trigger's own.
_REFUSALS = frozenset({1400, 1401, 1407, 1438, 1455, 1722, 2290, 2291, 2292, 2293, 12899, 40441})
_REFUSAL_RANGES = (range(1830, 1900), range(20000, 21000))
# 60: deadlock; 8177: cannot serialize; 2049: waited too long; 1653 to 1691, 30036: no space left, until it is extended.
_LATER = frozenset({60, 1653, 1654, 1658, 1683, 1688, 1691, 2049, 8177, 30036})
_FORBIDDEN = frozenset({1031, 1536, 1950, 41900})
_READ_ONLY = 1456

_TIMES = "YYYY-MM-DD HH24\\:MI\\:SS.FF6"
# What the driver should bind, where the first row does not tell.
_SIZES = {
    Kind.NAIVE_TIME: oracledb.DB_TYPE_TIMESTAMP,
    Kind.AWARE_TIME: oracledb.DB_TYPE_TIMESTAMP_TZ,
    Kind.INTEGER: oracledb.DB_TYPE_NUMBER,
    Kind.NUMBER: oracledb.DB_TYPE_NUMBER,
}


def _number(value: Any) -> Any:
    """Read a number: Oracle reads texts as its territory writes numbers; its driver takes none among numbers."""
    if isinstance(value, str):
        with contextlib.suppress(InvalidOperation):
            number = Decimal(value.strip())
            return number if number.is_finite() else value
    return int(value) if isinstance(value, bool) else scalar(value)


def _naive_time(value: Any) -> Any:
    value = naive_utc(value)
    return parse_time(value) if isinstance(value, str) else scalar(value)


class Oracle(Dialect):
    """Oracle."""

    name = "oracle"
    is_tried = True
    extra = "oracle"
    utc_in_session = "ALTER SESSION SET TIME_ZONE = '+00:00'"
    begin_read_only = "SET TRANSACTION READ ONLY"
    quotes = Quotes(backticks=False, dollars=False, q=True)
    empty_in = ("(NULL)", "(SELECT NULL FROM dual WHERE 1 = 0)")
    has_any_type = False
    upsert = Upsert.MERGE
    place_type = "NUMBER(19)"
    sets_type = "VARCHAR2(4000)"
    create_index = "CREATE INDEX {schema}{index} ON {schema}{table} ({column})"
    converters = CONVERTERS | {Kind.NAIVE_TIME: _naive_time, Kind.INTEGER: _number, Kind.NUMBER: _number}
    check_deferred = "SET CONSTRAINTS ALL IMMEDIATE"
    has_large_values_in_windows = False
    locks_tables = True

    def prepare_connection(self, connection: Any) -> Any:
        """Return Airflow's connection in the form in which its hook reads it as its author meant it.

        The hook takes the field "schema" for the service where nothing else names one, and then makes it the
        session's schema too: refused (ORA-01435), unless there is a user of that name.
        """
        if not (connection.host and connection.schema):
            return connection
        extra = connection.extra_dejson
        if extra.get("service_name") or extra.get("sid"):
            return connection
        prepared = copy.copy(connection)
        prepared.schema, prepared.extra = None, json.dumps(extra | {"service_name": connection.schema})
        return prepared

    def prepare_engine(self, engine: Engine) -> None:
        """Make cursors stream well, and lose nothing of what they read."""
        prepare_engine(engine)

    def prepare_values(self, raw: Any, *, embed_json: bool, reads_again: bool) -> Fetch:
        """Return how rows are fetched."""
        return OracleFetch(reads_again=reads_again).fetch

    def is_transient(self, error: BaseException) -> bool:
        """Return whether the database is down or busy, and the SQL not wrong."""
        original = original_of(error)
        details = original.args[0] if original.args else None
        is_recoverable = bool(getattr(details, "isrecoverable", False))
        has_timed_out = getattr(details, "full_code", None) == _CALL_TIMEOUT
        return super().is_transient(error) or is_recoverable or has_timed_out or code_of(error) in _BUSY

    def is_write_refused(self, error: BaseException) -> bool:
        """Return whether a transaction may only read."""
        return code_of(error) == _READ_ONLY

    def is_refusal(self, error: BaseException) -> bool:
        """Return whether it refuses a row; of values whose type is not the column's, the driver does not support it."""
        code = code_of(error)
        is_of_row = code in _REFUSALS or any(code in some for some in _REFUSAL_RANGES)
        return super().is_refusal(error) or is_of_row or "NotSupportedError" in classes_of(error)

    def is_forbidden(self, error: BaseException) -> bool:
        """Return whether the user may not do something."""
        return code_of(error) in _FORBIDDEN

    def is_wrong(self, error: BaseException) -> bool:
        """Return whether a load need not be tried again."""
        is_later = code_of(error) in _LATER or self.is_transient(error)
        return not is_later and "IntegrityError" not in classes_of(error)

    def kind_of(self, type_: Any) -> Kind:
        """Return the kind of a column's type."""
        return Kind.BINARY if isinstance(type_, RAW) else super().kind_of(type_)

    def grant_of_tables(self, schema: str | None) -> str:
        """Say what the user needs to make tables."""
        return "GRANT CREATE TABLE, and a quota of its tablespace"

    def stage(
        self, connection: Connection, into: str, columns: Sequence[Column], batches: Batches, *, are_whole: bool
    ) -> list[tuple[int, str]]:
        """Insert rows as arrays; the driver tells which of them are refused, and the others are in."""
        if not are_whole:  # else a row might be taken by one table and not by another
            return super().stage(connection, into, columns, batches, are_whole=are_whole)
        binds = ", ".join(f":{number}" for number in range(1, len(columns) + 1))
        statement = without_marks(f"INSERT INTO {into} VALUES ({binds})")
        raw: Any = connection.connection.dbapi_connection
        with raw.cursor() as cursor:
            # The driver would take a column's type from its first row, and refuse what the next ones have.
            cursor.setinputsizes(*[_SIZES.get(column.kind) for column in columns])
            cursor.executemany(statement, [list(row) for row in self.iter_bound(columns, batches)], batcherrors=True)
            return [(error.offset, " ".join(error.message.split())) for error in cursor.getbatcherrors()]

    def lock_table(self, connection: Connection, table: str, *, is_shared: bool) -> None:
        """Wait for those who have changed the table; and they wait for us."""
        if not is_shared:
            connection.execute(text(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))

    def bound_of_window(self, name: str, value: Any) -> tuple[str, Any]:
        """Return a bound: the driver binds a time as DATE, which has no fractions; a DATE column's index serves it."""
        if not isinstance(value, datetime) or not value.microsecond:
            return f":{name}", value
        return f"TO_TIMESTAMP(:{name}, '{_TIMES}')", value.isoformat(" ", "microseconds")
